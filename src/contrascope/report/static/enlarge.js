// Pictures of cards, large: a click or Enter opens one in a dialog with its rows and columns named, Escape closes it.
"use strict";
(() => {
  const ROOM = 180; // CSS pixels beside a picture: the names of its rows, the dialog's padding and the window's margin
  const dialog = document.createElement("dialog");
  const close = document.createElement("button");
  const place = document.createElement("div");

  // As large as there is room for, by whole pixels of the picture: all of them stay of one size.
  function times(width) {
    return (window.innerWidth - ROOM) / width >= 3 ? 3 : 2;
  }

  function enlarge(picture) {
    const sheet = picture.closest(".sheet").cloneNode(true);
    const large = sheet.querySelector("img");
    const width = Number(picture.getAttribute("width"));
    for (const name of ["tabindex", "role", "aria-label", "loading"]) large.removeAttribute(name);
    large.style.width = `${times(width) * width}px`;
    const name = picture.closest(".card").dataset.name;
    sheet.querySelector("figcaption").textContent = `${name}, ${sheet.dataset.view}`;
    delete sheet.dataset.more;
    sheet.removeAttribute("tabindex");
    place.replaceChildren(sheet);
    dialog.setAttribute("aria-label", `${name}, ${sheet.dataset.view}, enlarged`);
    dialog.showModal();
    place.scrollTo(0, 0);
  }

  function pressed(event) {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    enlarge(event.target);
  }

  dialog.className = "enlarged";
  Object.assign(close, { type: "button", textContent: "Close" });
  close.setAttribute("aria-keyshortcuts", "Escape");
  close.addEventListener("click", () => dialog.close());
  place.className = "scroll";
  place.tabIndex = 0; // so that arrows scroll it
  dialog.append(close, place);
  document.body.append(dialog);
  for (const picture of document.querySelectorAll(".sheet img")) {
    Object.assign(picture, { tabIndex: 0, role: "button", ariaLabel: `Enlarge ${picture.alt}` });
    picture.addEventListener("click", () => enlarge(picture));
    picture.addEventListener("keydown", pressed);
  }
})();
