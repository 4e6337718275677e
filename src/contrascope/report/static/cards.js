// One card at a time, chosen from the table, a map, the search, the buttons or the end of the address.
"use strict";
(() => {
  const box = document.getElementById("cards-of-perturbations");
  const cards = new Map([...box.querySelectorAll(".card")].map((card) => [card.dataset.name, card]));
  const turning = box.querySelector(".turning");
  const KEPT = "contrascope:view";
  let shown = null;
  let view = kept(); // the channel that is looked at, on this card and the next; "" for all

  // Browsers that store nothing for files keep the channel as long as the page is open.
  function kept() {
    try {
      return sessionStorage.getItem(KEPT) ?? "";
    } catch {
      return "";
    }
  }

  function keep(chosen) {
    view = chosen;
    try {
      sessionStorage.setItem(KEPT, chosen);
    } catch {
      // It is kept in `view`.
    }
  }

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
    look(card);
    const names = order(), place = names.indexOf(name);
    turning.querySelector("b").textContent = name;
    turning.querySelector(".place").textContent = place < 0 ? "" : `${place + 1} of ${names.length}`;
    return true;
  }

  function tell(name) {
    document.dispatchEvent(new CustomEvent("contrascope:perturbation", { detail: { name, from: box.id } }));
  }

  function goTo(name) {
    if (!show(name)) return;
    history.replaceState(null, "", `#${cards.get(name).id}`);
    // Whoever works with the buttons of the bar goes on with them.
    if (!turning.contains(document.activeElement)) cards.get(name).focus({ preventScroll: true });
    tell(name);
  }

  // The same place of the next card stays in sight, unless that card ends above it.
  function turn(step) {
    const names = order();
    const place = names.indexOf(shown);
    goTo(names[(Math.max(place, place < 0 && step < 0 ? 0 : place) + step + names.length) % names.length]);
    const { bottom } = box.getBoundingClientRect();
    if (bottom < window.innerHeight / 3) box.scrollIntoView({ block: "start" });
  }

  function leadTo(name) {
    goTo(name);
    box.scrollIntoView({ block: "start" });
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
    box.scrollIntoView({ block: "start" });
    tell(name);
  }

  // Show a card's pictures of the channel that is looked at; all of them where it has none of that channel.
  function look(card) {
    const sheets = [...card.querySelectorAll(".sheet")];
    const there = sheets.some((sheet) => sheet.dataset.view === view) ? view : "";
    for (const button of card.querySelectorAll(".views button"))
      button.setAttribute("aria-pressed", String(button.dataset.view === there));
    for (const sheet of sheets) sheet.hidden = there !== "" && sheet.dataset.view !== there;
    card.querySelector(".sheets")?.classList.toggle("single", there !== "");
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

  // Arrows belong to fields, and to boxes that scroll sideways; from the page itself they turn cards that are in sight.
  function isForCards({ target }) {
    if (target.closest("input, select, textarea, dialog")) return false;
    if (target.scrollWidth > target.clientWidth && target.matches(".sheet, .scroll")) return false;
    const { top, bottom } = box.getBoundingClientRect();
    return box.contains(target) || (target === document.body && top < window.innerHeight && bottom > 0);
  }

  function pressed(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey || !isForCards(event)) return;
    event.preventDefault();
    turn(step);
  }

  box.classList.add("one");
  turning.hidden = false;
  for (const group of box.querySelectorAll(".views")) {
    group.hidden = false;
    group.addEventListener("click", ({ target }) => {
      if (target.dataset.view === undefined) return;
      keep(target.dataset.view);
      look(group.closest(".card"));
    });
  }
  turning.addEventListener("click", ({ target }) => {
    if (target.dataset.turn) turn(Number(target.dataset.turn));
  });
  document.addEventListener("keydown", pressed);
  // Links to other cards, here and in the table's last column.
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#perturbation-"]');
    if (!link || event.defaultPrevented || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    leadTo(decodeURIComponent(link.hash.slice("#perturbation-".length)));
  });
  document.addEventListener("contrascope:perturbation", ({ detail }) => {
    if (detail.from === box.id) return;
    const chosenInTable = document.getElementById(detail.from)?.matches("table.sortable");
    if (chosenInTable) leadTo(detail.name);
    else show(detail.name);
  });
  window.addEventListener("hashchange", fromAddress);
  show(order()[0]);
  fromAddress();
})();
