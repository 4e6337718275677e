// Leafs through all cells of a store. Works where a live view serves the page, and stays away elsewhere.
(() => {
  "use strict";

  const ID = "browse";
  const EVENT = "contrascope:perturbation";
  const PAGE = 48;
  const LARGEST_THUMBNAIL = 256; // pixels: larger crops are made smaller before they are sent
  const STOPPED = "The view does not answer. Start contrascope view again.";

  const live = window.contrascopeLive;
  const panel = document.getElementById(ID);
  if (!live || !panel) return;

  const facts = JSON.parse(panel.dataset.facts);
  const part = (name) => panel.querySelector(`[data-part="${name}"]`);
  const choices = part("choices");
  const field = (name) => choices.elements[name];
  const state = { offset: 0, total: 0, cells: [], open: -1, asking: null };
  const perturbations = new Map(); // as the store has it, and in lower case -> as the store has it

  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  // ---- what is asked of the view

  async function ask(address, signal) {
    const answer = await fetch(address, { signal }).catch((error) => {
      throw error.name === "AbortError" ? error : new Error(STOPPED);
    });
    const told = await answer.json();
    if (!answer.ok) throw new Error(told.error);
    return told;
  }

  function pictureOf(row, channel, size) {
    const options = new URLSearchParams();
    if (channel) options.set("channel", channel);
    if (size) options.set("size", size);
    return `${live.cells}${row}.webp${options.size ? `?${options}` : ""}`;
  }

  // The perturbation that is typed, as the store writes it; what is no perturbation is asked for as it stands.
  function typed() {
    const written = field("perturbation").value;
    const name = written.trim();
    return [written, name, name.toLowerCase()].map((way) => perturbations.get(way)).find(Boolean) ?? name;
  }

  const isKnown = (name) => perturbations.get(name) === name;

  function question() {
    const asked = new URLSearchParams({ offset: state.offset, limit: PAGE });
    const chosen = { perturbation: typed() };
    for (const name of ["control", "plate", "well", "sort"]) chosen[name] = field(name).value;
    for (const [name, value] of Object.entries(chosen)) if (value) asked.set(name, value);
    return asked;
  }

  // ---- a page of cells

  // Asks for the cells from `offset` on. Whoever leafs faster than answers come gets the last page asked for.
  async function turnTo(offset) {
    state.asking?.abort();
    const mine = (state.asking = new AbortController());
    state.offset = Math.max(0, offset);
    part("cells").dataset.waiting = "";
    try {
      const told = await ask(`api/cells?${question()}`, mine.signal);
      Object.assign(state, { total: told.total, cells: told.cells });
      showCells();
    } catch (error) {
      if (error.name === "AbortError") return false;
      Object.assign(state, { total: 0, cells: [] });
      showCells();
      part("status").textContent = error.message;
      part("enlarged").close(); // what went wrong is said behind it
    }
    delete part("cells").dataset.waiting;
    return true;
  }

  function showCells() {
    part("cells").replaceChildren(...state.cells.map(thumbnail));
    part("status").textContent = told();
    // A button that is switched off loses the focus, and with it whoever works by keyboard.
    const left = document.activeElement;
    part("previous").disabled = state.offset === 0;
    part("next").disabled = state.offset + PAGE >= state.total;
    if (left?.disabled) (left === part("next") ? part("previous") : part("next")).focus();
  }

  function told() {
    const number = (n) => n.toLocaleString("en");
    if (state.total === 0) {
      const name = typed();
      return name && !isKnown(name) ? `No perturbation is called “${name}”.` : "No cell is like that. Choose less narrowly.";
    }
    const last = Math.min(state.offset + PAGE, state.total);
    const [page, pages] = [Math.floor(state.offset / PAGE) + 1, Math.ceil(state.total / PAGE)];
    const cells = `${number(state.offset + 1)} to ${number(last)} of ${number(state.total)} cells`;
    return pages === 1 ? cells : `${cells}, page ${number(page)} of ${number(pages)}`;
  }

  function thumbnail(cell, index) {
    const where = [cell.well, `row ${cell.row}`].filter(Boolean).join(" · ");
    const size = Math.max(facts.width, facts.height) > LARGEST_THUMBNAIL ? LARGEST_THUMBNAIL : null;
    const picture = framed(cell.row, field("channel").value, size, index === 0);
    const name = element("b", { title: cell.perturbation }, cell.perturbation);
    const label = `Enlarge the cell in row ${cell.row}: ${cell.perturbation}, ${cell.guide}, well ${cell.well}`;
    const button = element("button", { type: "button", "aria-label": label }, picture, name, element("small", {}, where));
    button.addEventListener("click", () => enlarge(index));
    return element("li", {}, button);
  }

  // A picture with its place kept while it loads; one of several has the scale bar.
  function framed(row, channel, size, withBar) {
    const image = element("img", { width: facts.width, height: facts.height, alt: "", src: pictureOf(row, channel, size) });
    image.addEventListener("error", () => (image.alt = "cannot be read"));
    const frame = element("span", { class: "browse-picture" }, image);
    if (withBar && facts.bar) {
      const bar = element("i");
      bar.style.width = `${100 * facts.bar.share}%`;
      frame.append(bar, element("u", {}, `${facts.bar.um} µm`));
    }
    return frame;
  }

  // ---- one cell, large

  async function enlarge(index) {
    state.open = index;
    const cell = state.cells[index];
    part("heading").textContent = `${cell.perturbation}, row ${cell.row}`;
    part("sides").replaceChildren(...["", ...facts.channels].map((channel) => side(cell.row, channel)));
    part("before").disabled = state.offset + index === 0;
    part("after").disabled = state.offset + index + 1 >= state.total;
    if (!part("enlarged").open) part("enlarged").showModal();
    const record = await ask(`api/cell/${cell.row}`).catch((error) => ({ "the cell table": error.message }));
    if (state.open !== index || state.cells[index] !== cell) return; // somebody has gone on meanwhile
    part("record").replaceChildren(...Object.entries(record).map(line));
  }

  function side(row, channel) {
    return element("figure", {}, framed(row, channel, null, true), element("figcaption", {}, channel || "composite"));
  }

  function line([name, value]) {
    const text = typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(5)) : value;
    return element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, String(text ?? "")));
  }

  // The cell before or after the one that is large, on the neighbouring page if need be.
  async function step(by) {
    const index = state.open + by;
    const place = state.offset + index;
    if (state.open < 0 || place < 0 || place >= state.total) return;
    if (index >= 0 && index < state.cells.length) return void enlarge(index);
    const turned = await turnTo(state.offset + by * PAGE);
    if (turned && state.cells.length) enlarge(by > 0 ? 0 : state.cells.length - 1);
  }

  function turn(by) {
    const offset = state.offset + by * PAGE;
    if (offset >= 0 && offset < state.total) turnTo(offset);
  }

  // ---- what is chosen, here or elsewhere on the page

  let followed = ""; // the perturbation that was chosen last, here or elsewhere

  function choose(event) {
    const { name } = event.target;
    if (name === "size") return void panel.style.setProperty("--side", `${event.target.value}px`);
    if (name === "channel") return void showChannel();
    if (name === "perturbation") tellOthers();
    turnTo(0);
  }

  function showChannel() {
    part("key").hidden = field("channel").value !== "";
    showCells();
  }

  function tellOthers() {
    const name = typed();
    if (name === followed) return;
    followed = name;
    if (!isKnown(name)) return;
    document.dispatchEvent(new CustomEvent(EVENT, { detail: { name, from: ID } }));
  }

  function follow({ detail }) {
    if (detail.from === ID || detail.name === followed) return;
    followed = detail.name;
    field("perturbation").value = detail.name;
    turnTo(0);
  }

  // A suggestion that is taken comes as input; text that is typed counts once it is a name, or is done with.
  function typing(event) {
    if (event.target.name === "size") return choose(event);
    if (event.target.name !== "perturbation") return;
    const name = typed();
    if (name !== followed && (name === "" || isKnown(name))) choose(event);
  }

  function finished(event) {
    const again = event.target.name === "perturbation" && typed() === followed;
    if (!again && event.target.name !== "size") choose(event);
  }

  function pressed(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const writing = event.target.closest("input, select");
    if (!by || writing || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    if (part("enlarged").open) step(by);
    else turn(by);
  }

  // ---- the panel as it opens

  function offer(name, values) {
    field(name).append(...values.map(({ value, text }) => element("option", { value }, text ?? value)));
  }

  function fill({ columns }) {
    const held = Object.fromEntries(columns.map((column) => [column.name, column.values ?? []]));
    for (const { value } of held.perturbation) perturbations.set(value.toLowerCase(), value);
    for (const { value } of held.perturbation) perturbations.set(value, value);
    const counted = ({ value, cells }) => element("option", { value }, `${cells.toLocaleString("en")} cells`);
    part("perturbations").replaceChildren(...held.perturbation.map(counted));
    offer("well", held.well ?? []);
    offer("plate", held.plate ?? []);
    part("plates").hidden = (held.plate ?? []).length < 2;
    const numbers = columns.filter((column) => column.sortable && column.number).map((column) => column.name);
    offer("sort", numbers.flatMap((name) => [
      { value: name, text: `${name}, smallest first` },
      { value: `-${name}`, text: `${name}, largest first` },
    ]));
  }

  async function begin() {
    part("live").hidden = false;
    choices.addEventListener("submit", (event) => event.preventDefault());
    choices.addEventListener("input", typing);
    choices.addEventListener("change", finished);
    panel.addEventListener("keydown", pressed);
    part("previous").addEventListener("click", () => turn(-1));
    part("next").addEventListener("click", () => turn(1));
    part("before").addEventListener("click", () => step(-1));
    part("after").addEventListener("click", () => step(1));
    part("close").addEventListener("click", () => part("enlarged").close());
    part("enlarged").addEventListener("close", closed);
    document.addEventListener(EVENT, follow);
    const columns = await ask("api/columns").catch((error) => (part("status").textContent = error.message) && null);
    if (columns) {
      fill(columns);
      turnTo(0);
    }
  }

  // The focus goes to the cell that was seen last, which may be on another page than the one it came from.
  function closed() {
    part("cells").children[state.open]?.querySelector("button").focus();
    state.open = -1;
  }

  begin();
})();
