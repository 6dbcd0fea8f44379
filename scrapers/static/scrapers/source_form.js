"use strict";
// The fields of a source's form depend on its kind: another kind shows the form again, as it was typed.
document.addEventListener("DOMContentLoaded", () => {
  const kind = document.querySelector("#source_form select[name=kind]");
  kind?.addEventListener("change", () => {
    const button = document.createElement("button");
    button.name = "_choose_kind";
    button.value = "1";
    button.formNoValidate = true;
    button.hidden = true;
    kind.form.append(button);
    kind.form.requestSubmit(button);
  });
});
