// One card at a time, chosen from the table, a map, the search, the buttons or the end of the address.
"use strict";
(() => {
  const box = document.getElementById("cards-of-perturbations");
  const cards = new Map([...box.querySelectorAll(".card")].map((card) => [card.dataset.name, card]));
  const turning = box.querySelector(".turning");
  let shown = null;

  // The order is that of the table as it is sorted and searched; without one, that of the cards.
  function order() {
    const rows = [...document.querySelectorAll("table.sortable tbody tr:not([hidden])")];
    const names = rows.map((row) => row.dataset.name).filter((name) => cards.has(name));
    return names.length ? names : [...cards.keys()];
  }

  function show(name) {
    const card = cards.get(name);
    if (!card) return false;
    cards.get(shown)?.classList.remove("shown");
    card.classList.add("shown");
    shown = name;
    bringPictures(card);
    const place = order().indexOf(name);
    turning.querySelector("[role=status]").textContent = place < 0 ? "" : `${place + 1} of ${order().length}`;
    return true;
  }

  function tell(name) {
    document.dispatchEvent(new CustomEvent("contrascope:perturbation", { detail: { name, from: box.id } }));
  }

  function goTo(name) {
    if (!show(name)) return;
    history.replaceState(null, "", `#${cards.get(name).id}`);
    cards.get(name).focus({ preventScroll: true });
    turning.scrollIntoView({ block: "nearest" });
    tell(name);
  }

  function turn(step) {
    const names = order();
    const place = names.indexOf(shown);
    goTo(names[(Math.max(place, place < 0 && step < 0 ? 0 : place) + step + names.length) % names.length]);
  }

  // Addresses may be written by hand: what is compared are names, not how they are quoted.
  function nameInAddress() {
    const [, quoted] = /^#perturbation-(.+)$/.exec(location.hash) ?? [];
    try {
      return quoted ? decodeURIComponent(quoted) : null;
    } catch {
      return null;
    }
  }

  function fromAddress() {
    const name = nameInAddress();
    if (!name || !show(name)) return;
    turning.scrollIntoView({ block: "start" });
    tell(name);
  }

  function choose(card, view) {
    for (const button of card.querySelectorAll(".views button"))
      button.setAttribute("aria-pressed", String(button.dataset.view === view));
    for (const sheet of card.querySelectorAll(".sheet")) sheet.hidden = view !== "" && sheet.dataset.view !== view;
    card.querySelector(".sheets").classList.toggle("single", view !== "");
  }

  // Where cells can be asked for, cards whose pictures are not in the page show theirs nevertheless.
  function bringPictures(card) {
    const without = card.querySelector(".unpictured[data-cells]");
    if (!window.contrascopeLive || !without) return;
    const rows = [["cells of it", without.dataset.cells], ["matched controls", without.dataset.controls]];
    const strips = rows.map(([label, numbers]) => {
      const strip = document.createElement("p");
      strip.className = "live";
      strip.append(`${label} `);
      for (const row of numbers.split(" ")) {
        const picture = document.createElement("img");
        picture.src = `${window.contrascopeLive.cells}${row}.webp`;
        picture.alt = `cell ${row}`;
        strip.append(picture);
      }
      return strip;
    });
    without.replaceWith(...strips);
  }

  box.classList.add("one");
  turning.hidden = false;
  for (const group of box.querySelectorAll(".views")) {
    group.hidden = false;
    group.addEventListener("click", ({ target }) => {
      if (target.dataset.view !== undefined) choose(group.closest(".card"), target.dataset.view);
    });
  }
  turning.addEventListener("click", ({ target }) => {
    if (target.dataset.turn) turn(Number(target.dataset.turn));
  });
  // Links to other cards, here and in the table's last column.
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#perturbation-"]');
    if (!link || event.defaultPrevented || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    goTo(decodeURIComponent(link.hash.slice("#perturbation-".length)));
  });
  document.addEventListener("contrascope:perturbation", ({ detail }) => {
    if (detail.from === box.id) return;
    const chosenInTable = document.getElementById(detail.from)?.matches("table.sortable");
    if (chosenInTable) goTo(detail.name);
    else show(detail.name);
  });
  window.addEventListener("hashchange", fromAddress);
  show(order()[0]);
  fromAddress();
})();
