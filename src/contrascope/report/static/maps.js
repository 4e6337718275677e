/* The maps of both spaces as one: what is hovered, chosen or selected in one map shows in the other. */
(function (contrascope) {
  "use strict";

  const LABELS = ["perturbation", "guide", "stage", "plate", "well", "tile"]; // of a cell, beside its picture
  const PERTURBATION = "perturbation";
  const LISTED = 6; // names that begin with what is typed

  class Maps {
    constructor(root) {
      this.root = root;
      this.data = unpacked(JSON.parse(root.querySelector("script.maps-data").textContent));
      this.columns = new Map(this.data.columns.map((column) => [column.name, column]));
      this.pictures = contrascope.pictures(this.data.pictures, this.data.rows);
      this.shuffled = contrascope.shuffled(this.data.cells);
      this.chosen = null; // name of a perturbation
      this.selected = null; // cells
      this.colour = this.part("colour");
      root.classList.add("maps-moving");
      this.part("live").hidden = false;
      this.maps = Array.from(root.querySelectorAll(".maps-view"), (view, k) => this.map(view, this.data.spaces[k]));
      this.part("pictured").hidden = Boolean(window.contrascopeLive); // which shows the pictures of all
      this.listen();
      this.recolour();
      this.select(null);
    }

    part(name) {
      return this.root.querySelector(`.maps-${name}`);
    }

    map(view, space) {
      const map = new contrascope.PointMap(view, space.x, space.y, {
        hover: (cell, byKey) => this.look(cell, map, byKey),
        click: (cell) => cell >= 0 && this.choose(this.label(cell, PERTURBATION), true),
        select: (cells) => this.select(cells),
        handicap: (cell) => (this.mask && !this.mask[cell] ? 8 : 0) + (this.pictures.has(cell) ? 0 : 4),
      });
      for (const button of view.parentElement.querySelectorAll("button")) {
        const acts = { in: () => map.zoom(1.5), out: () => map.zoom(1 / 1.5), whole: () => map.reset() };
        button.addEventListener("click", acts[button.dataset.zoom]);
      }
      view.addEventListener("blur", () => this.look(-1, map, false));
      return map;
    }

    listen() {
      this.colour.addEventListener("change", () => this.recolour());
      this.part("name").addEventListener("change", (event) => this.find(event.target.value.trim()));
      this.part("select").addEventListener("click", () => this.select(this.cellsOf(this.chosen)));
      this.part("clear").addEventListener("click", () => {
        this.clear();
        this.part("words").focus(); // the button is gone
      });
      this.part("table").addEventListener("click", (event) => {
        if (event.target.dataset.perturbation) this.choose(event.target.dataset.perturbation, true);
      });
      for (const mode of this.root.querySelectorAll(".maps-mode input")) {
        mode.addEventListener("change", () => this.drag(mode.value));
      }
      this.root.addEventListener("keydown", (event) => event.key === "Escape" && this.clear());
      document.addEventListener("contrascope:perturbation", ({ detail }) => {
        if (detail.from !== this.root.id) this.choose(detail.name, false);
      });
    }

    drag(mode) {
      for (const map of this.maps) {
        map.mode = mode;
        map.view.dataset.mode = mode;
      }
    }

    /* Choose the perturbation that is typed, in any case and as far as it is clear; say so where it is not. */
    find(typed) {
      const found = typed === "" ? [null] : contrascope.named(this.columns.get(PERTURBATION).categories, typed);
      this.part("name").setAttribute("aria-invalid", String(found.length !== 1));
      this.part("unfound").textContent = found.length === 1 ? "" : unfound(typed, found);
      if (found.length === 1) this.choose(found[0], true);
    }

    /* Let a perturbation stand out, and tell others if it was chosen here; null for none. A name that no cell here has
       is left alone. Where colours say something else they stay, and its cells are outlined. */
    choose(name, here) {
      if (name !== null && !this.columns.get(PERTURBATION).categories.includes(name)) return;
      this.chosen = name;
      this.part("name").value = name ?? "";
      this.part("name").setAttribute("aria-invalid", "false");
      this.part("unfound").textContent = "";
      this.part("select").disabled = name === null;
      this.recolour();
      if (!here || name === null) return;
      const detail = { name, from: this.root.id };
      document.dispatchEvent(new CustomEvent("contrascope:perturbation", { detail }));
    }

    cellsOf(name) {
      const { categories, codes } = this.columns.get(PERTURBATION), code = categories.indexOf(name);
      return Array.from(codes.keys()).filter((cell) => codes[cell] === code);
    }

    /* Light up cells in both maps and say what they are; null and no cells select nothing. */
    select(cells) {
      this.selected = cells && cells.length ? cells : null;
      this.mask = this.selected && this.maskOf(this.selected);
      const made = this.selected && contrascope.makeUp(this.columns.get(PERTURBATION), this.data.control, this.selected);
      contrascope.tellSelection(this.part("words"), this.part("table"), made);
      contrascope.drawGallery(
        this.part("gallery"), this.selected || [], this.pictures,
        (cell) => this.label(cell, PERTURBATION), (cell) => this.maps.forEach((map) => map.ring(cell, false)),
      );
      this.part("clear").hidden = !this.selected;
      this.paint();
    }

    clear() {
      this.look(-1, this.maps[0], false);
      if (this.selected) this.select(null);
    }

    /* Colours by the chosen column. The legend is drawn only here: its buttons keep the focus while cells are selected. */
    recolour() {
      const { palette, scale, standing, control } = this.data, column = this.columns.get(this.colour.value);
      this.colouring = column.name === PERTURBATION
        ? contrascope.byPerturbation(column, control, this.chosen, standing, palette)
        : contrascope.colouring(column, palette, scale);
      const outlined = column.name === PERTURBATION || this.chosen === null ? [] : this.cellsOf(this.chosen);
      const entry = { label: `${this.chosen}, outlined`, colour: "transparent", count: outlined.length, cells: () => outlined };
      this.outlined = outlined.length ? this.maskOf(outlined) : null;
      contrascope.drawLegend(this.part("legend"), this.colouring, (cells) => this.select(cells), this.outlined && entry);
      this.paint();
    }

    maskOf(cells) {
      const mask = new Uint8Array(this.data.cells);
      for (const cell of cells) mask[cell] = 1;
      return mask;
    }

    paint() {
      const painted = contrascope.painted(this.colouring, this.shuffled, this.mask, this.outlined);
      for (const map of this.maps) map.paint(...painted);
    }

    /* Show a cell's picture and labels beside its point, and ring it in both maps; -1 for none. */
    look(cell, map, byKey) {
      const tip = this.part("tip");
      for (const other of this.maps) other.ring(cell, byKey);
      tip.hidden = cell < 0;
      if (cell < 0) return;
      this.pictures.draw(tip.querySelector("canvas"), cell);
      tip.querySelector(".maps-none").hidden = this.pictures.has(cell);
      tip.querySelector("dl").replaceChildren(...this.facts(cell).flatMap(term));
      this.put(tip, map, cell);
      if (byKey) this.part("said").textContent = this.facts(cell).map((fact) => fact.join(" ")).join(", ");
    }

    /* Labels of a cell, its name, and its value in the column that the maps are coloured by. */
    facts(cell) {
      const names = LABELS.filter((name) => this.columns.has(name));
      if (!names.includes(this.colour.value)) names.push(this.colour.value);
      return [...names.map((name) => [name, this.label(cell, name)]), ["cell_id", this.data.names[cell]]];
    }

    label(cell, name) {
      const { codes, categories, values } = this.columns.get(name);
      if (codes) return categories[codes[cell]] ?? "not known";
      return Number.isFinite(values[cell]) ? contrascope.number(values[cell]) : "not known";
    }

    /* Beside the point, on the side where there is room. */
    put(tip, map, cell) {
      const [left, top] = map.at(cell), box = map.view.getBoundingClientRect();
      const frame = this.part("live").getBoundingClientRect();
      const right = box.left - frame.left + left + 16;
      const fits = right + tip.offsetWidth <= frame.width;
      tip.style.left = `${fits ? right : Math.max(0, right - 32 - tip.offsetWidth)}px`;
      tip.style.top = `${box.top - frame.top + Math.min(top + 12, map.size - tip.offsetHeight / 2)}px`;
    }
  }

  /* What is said of a name that is nobody's, or that several begin with. */
  function unfound(typed, found) {
    if (found.length === 0) return `No perturbation here begins with “${typed}”.`;
    const some = found.slice(0, LISTED).join(", ");
    return `${found.length} perturbations begin with “${typed}”: ${some}${found.length > LISTED ? ", ..." : "."}`;
  }

  function term([name, value]) {
    const key = document.createElement("dt"), content = document.createElement("dd");
    key.textContent = name;
    content.textContent = value;
    return [key, content];
  }

  /* The page's data with its numbers as typed arrays; positions as shares of 0 to 1. */
  function unpacked(data) {
    const spaces = data.spaces.map((space) => ({ ...space, x: shares(space.x), y: shares(space.y) }));
    const pictures = { ...data.pictures, cells: bytes(data.pictures.cells, Uint32Array) };
    const control = bytes(data.control, Uint8Array), rows = bytes(data.rows, Uint32Array);
    return { ...data, spaces, pictures, control, rows, columns: data.columns.map(column) };
  }

  function column(packed) {
    if (!packed.categories) return { ...packed, values: bytes(packed.values, Float32Array) };
    const kind = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array }[packed.bytes];
    return { ...packed, codes: bytes(packed.codes, kind), missing: 256 ** packed.bytes - 1 };
  }

  function shares(text) {
    return Float32Array.from(bytes(text, Uint16Array), (step) => step / 65535);
  }

  function bytes(text, Kind) {
    return new Kind(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
  }

  /* After the first paint, so that the page can be read while its points are unpacked. */
  requestAnimationFrame(() => setTimeout(() => {
    for (const root of document.querySelectorAll(".maps")) new Maps(root);
    performance.mark("contrascope:maps");
  }));
})((window.contrascope = window.contrascope || {}));
