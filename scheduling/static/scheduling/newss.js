// What all pages of NEWSS share: the viewer's zone, relative times that stay true, live parts, switches, the form of a
// schedule. Every page is whole without it.
"use strict";

(() => {
  const root = document.documentElement;
  root.classList.add("newss-js");

  // The viewer's zone, for the next page.
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone) {
    document.cookie = `newss_zone=${encodeURIComponent(zone)}; path=/; max-age=31536000; samesite=lax`;
  }

  // Relative times, in the page's language.
  const formatter = new Intl.RelativeTimeFormat(root.lang || "en", { numeric: "always", style: "short" });
  const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

  function relative(element) {
    const seconds = Math.round((Date.parse(element.dateTime) - Date.now()) / 1000);
    const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) || ["second", 1];
    element.textContent = formatter.format(Math.trunc(seconds / size), unit);
  }

  function refreshRelative(within) {
    within.querySelectorAll("time[data-newss-relative]").forEach(relative);
  }

  // Replaces only what differs, so that focus, open details and scrolled boxes stay.
  function morph(from, to) {
    if (from.nodeType !== to.nodeType || from.nodeName !== to.nodeName) {
      from.replaceWith(to.cloneNode(true));
      return;
    }
    if (from.nodeType === Node.TEXT_NODE) {
      if (from.data !== to.data) from.data = to.data;
      return;
    }
    if (from.nodeType !== Node.ELEMENT_NODE) return;
    for (const { name } of [...from.attributes]) {
      if (!to.hasAttribute(name) && name !== "open") from.removeAttribute(name);
    }
    for (const { name, value } of to.attributes) {
      if (from.getAttribute(name) !== value) from.setAttribute(name, value);
    }
    const old = [...from.childNodes];
    const fresh = [...to.childNodes];
    fresh.forEach((node, index) => (index < old.length ? morph(old[index], node) : from.append(node.cloneNode(true))));
    old.slice(fresh.length).forEach((node) => node.remove());
  }

  // Live parts: the server says after how many seconds to ask again, 0 for never; a hidden tab waits until it is seen.
  function live(part) {
    let delay = Number(part.dataset.newssNext || 0);
    let failures = 0;
    const seen = () =>
      document.hidden
        ? new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }))
        : Promise.resolve();

    async function poll() {
      await seen();
      try {
        const answer = await fetch(part.dataset.newssLive, { headers: { Accept: "text/html" }, redirect: "manual" });
        if (!answer.ok) throw new Error(String(answer.status));
        const fresh = part.cloneNode(false);
        fresh.innerHTML = await answer.text();
        morph(part, fresh);
        refreshRelative(part);
        delay = Number(answer.headers.get("Newss-Next") || 0);
        failures = 0;
      } catch {
        failures += 1;
      }
      if (failures < 20 && (delay || failures)) {
        setTimeout(poll, 1000 * Math.min(60, (delay || 1) * 2 ** failures));
      }
    }

    if (delay) setTimeout(poll, delay * 1000);
  }

  // Switches that act in place.
  async function flip(button) {
    const data = new FormData(button.form);
    data.set(button.name, button.value);
    button.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(button.formAction, { method: "POST", body: data, headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(String(answer.status));
      const { enabled, next } = await answer.json();
      button.setAttribute("aria-checked", String(enabled));
      button.value = enabled ? "0" : "1";
      const row = button.closest("tr");
      row.querySelector(".field-next_run").innerHTML = next;
      row.querySelector(".field-title .newss-cell")?.classList.toggle("newss-off", !enabled);
    } catch {
      window.location.reload();
    } finally {
      button.removeAttribute("aria-busy");
    }
  }

  // The form of a schedule: only the fields of the chosen kind, and the preview while typing.
  function only(form, name, fields) {
    const choice = form.elements[name];
    if (!choice) return;
    const show = () => {
      for (const [field, values] of Object.entries(fields)) {
        form.querySelectorAll(`.field-line.field-${field}`).forEach((line) => {
          const hide = !values.includes(choice.value) && !line.classList.contains("errors");
          line.closest(".form-row").classList.toggle("newss-hidden", hide);
        });
      }
    };
    choice.addEventListener("change", show);
    show();
  }

  const REPEATED = ["crontab", "interval", "calendar", "any_of", "all_of"];

  function scheduleForm(box) {
    const form = box.closest("form");
    only(form, "trigger_kind", {
      crontab: ["crontab"],
      interval_seconds: ["interval"],
      run_at: ["date"],
      calendar_count: ["calendar"],
      calendar_unit: ["calendar"],
      calendar_at: ["calendar"],
      calendar_first_day: ["calendar"],
      parts: ["any_of", "all_of"],
      start_at: REPEATED,
      end_at: REPEATED,
      max_runs: REPEATED,
      blackout_times: REPEATED,
      blackout_dates: REPEATED,
      jitter_seconds: [...REPEATED, "date"],
    });
    only(form, "concurrency_policy", { queue_limit: ["queue"] });
    only(form, "catch_up", { catch_up_limit: ["each"], misfire_grace_time: ["skip"] });
    only(form, "executor", { kill_after_seconds: ["processes"], memory_limit_mb: ["processes"] });

    form.elements.timezone?.setAttribute("list", "newss-zones");
    form.elements.job?.addEventListener("change", () => {
      const button = document.createElement("button");
      button.name = "_choose_job";
      button.value = "1";
      button.formNoValidate = true;
      button.hidden = true;
      form.append(button);
      form.requestSubmit(button);
    });

    let timer = 0;
    let asked = 0;
    const preview = async () => {
      const number = ++asked;
      const answer = await fetch(box.dataset.newssPreview, { method: "POST", body: new FormData(form) }).catch(() => null);
      if (!answer?.ok || number !== asked) return;
      box.innerHTML = await answer.text();
      refreshRelative(box);
    };
    const soon = () => {
      clearTimeout(timer);
      timer = setTimeout(preview, 300);
    };
    form.addEventListener("input", soon);
    form.addEventListener("change", soon);
  }

  // *Edit many*: a field that is changed is a field to change.
  function tickWhatIsChanged(form) {
    form.addEventListener("change", (event) => {
      const box = event.target.closest(".newss-edit-line")?.querySelector("[name=chosen]");
      if (box && box !== event.target) box.checked = true;
    });
  }

  // Select2's boxes have no name of their own, or none while they are empty: they take that of their field.
  function nameSearchBoxes() {
    const boxes = ".select2-search__field, .select2-selection--single, .select2-selection--single [role=textbox]";
    document.querySelectorAll(boxes).forEach((box) => {
      if (box.hasAttribute("aria-label")) return;
      const field = box.closest(".select2")?.previousElementSibling;
      const name = field?.labels?.[0]?.textContent ?? field?.getAttribute("aria-label");
      if (name) box.setAttribute("aria-label", name.trim());
    });
  }

  // On a narrow screen the week would begin with the hours that are over: show the first that is not.
  function showNow(table) {
    const first = table.querySelector("tbody tr:first-child a");
    if (first) table.parentElement.scrollLeft = first.offsetLeft - table.querySelector("tbody th").offsetWidth - 8;
  }

  document.addEventListener("DOMContentLoaded", () => {
    refreshRelative(document);
    // They are made some time after the page is parsed.
    setTimeout(nameSearchBoxes, 100);
    window.addEventListener("load", nameSearchBoxes);
    document.addEventListener("formset:added", () => setTimeout(nameSearchBoxes, 100));
    setInterval(() => document.hidden || refreshRelative(document), 1000);
    document.querySelectorAll("[data-newss-live]").forEach(live);
    document.querySelectorAll("[data-newss-preview]").forEach(scheduleForm);
    document.querySelectorAll(".newss-edit-many").forEach(tickWhatIsChanged);
    document.querySelectorAll(".newss-heat").forEach(showNow);
    document.addEventListener("click", (event) => {
      const button = event.target.closest(".newss-switch");
      if (button && button.form) {
        event.preventDefault();
        flip(button);
      }
    });
  });
})();
