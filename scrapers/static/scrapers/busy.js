"use strict";
// A look at the outside takes seconds: the button that began it says so, and is not pressed twice.
document.addEventListener("submit", (event) => {
  const button = event.submitter;
  if (!button?.dataset.busy || button.formTarget === "_blank") return;
  button.dataset.label = button.textContent;
  button.textContent = button.dataset.busy;
  button.setAttribute("aria-busy", "true");
  event.target.addEventListener("submit", (again) => again.preventDefault());
});
// Who comes back by the browser's button finds it as it was.
window.addEventListener("pageshow", (event) => {
  if (event.persisted && document.querySelector("[data-label]")) location.reload();
});
