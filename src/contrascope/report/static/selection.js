/* What a selection is made of, in words, in a table, and in pictures. */
(function (contrascope) {
  "use strict";

  const SHOWN = 24; // pictures
  const LISTED = 8; // perturbations

  /* Shares of a selection beside the shares that all cells have.

     perturbation: a column with codes; isControl: 1 for controls; cells: those selected. Perturbations come by how many
     cells they have more than a random selection of this size would have, the most first. */
  contrascope.makeUp = function (perturbation, isControl, cells) {
    const all = isControl.length, kinds = perturbation.categories.length;
    const total = new Uint32Array(kinds), inside = new Uint32Array(kinds);
    let controls = 0, allControls = 0;
    for (let cell = 0; cell < all; cell++) {
      if (isControl[cell]) allControls++;
      else if (perturbation.codes[cell] < kinds) total[perturbation.codes[cell]]++;
    }
    for (const cell of cells) {
      if (isControl[cell]) controls++;
      else if (perturbation.codes[cell] < kinds) inside[perturbation.codes[cell]]++;
    }
    const excess = (code) => inside[code] - (total[code] * cells.length) / all;
    const found = Array.from(inside.keys()).filter((code) => inside[code] > 0).sort((a, b) => excess(b) - excess(a));
    return {
      count: cells.length, all, kinds: found.length,
      controls: controls / (cells.length || 1), allControls: allControls / all,
      perturbations: found.slice(0, LISTED).map((code) => ({
        name: perturbation.categories[code], count: inside[code],
        share: inside[code] / cells.length, times: inside[code] / cells.length / (total[code] / all),
      })),
    };
  };

  /* Names that a typed text stands for: itself, or the one that differs in case only, or all that begin with it. */
  contrascope.named = function (names, typed) {
    if (names.includes(typed)) return [typed];
    const low = typed.toLowerCase(), same = names.filter((name) => name.toLowerCase() === low);
    return same.length ? same : names.filter((name) => name.toLowerCase().startsWith(low));
  };

  /* The words beside the maps; to begin with they say what can be done. */
  contrascope.tellSelection = function (words, table, made) {
    table.hidden = made === null || made.perturbations.length === 0;
    if (made === null) {
      words.textContent = "Nothing is selected. Let dragging select and draw around points, or select a perturbation's cells.";
      return;
    }
    words.textContent =
      `${contrascope.number(made.count)} of ${contrascope.number(made.all)} cells are selected ` +
      `(${percent(made.count / made.all)})${ofKinds(made.kinds)}. ` +
      `Controls are ${percent(made.controls)} of them and ${percent(made.allControls)} of all cells.`;
    table.querySelector("tbody").replaceChildren(...made.perturbations.map(row));
  };

  function ofKinds(kinds) {
    return kinds === 0 ? "" : `, of ${contrascope.number(kinds)} perturbation${kinds === 1 ? "" : "s"}`;
  }

  function row(item) {
    const line = document.createElement("tr"), button = document.createElement("button");
    button.type = "button";
    button.textContent = item.name;
    button.dataset.perturbation = item.name;
    const texts = [contrascope.number(item.count), percent(item.share), item.times.toFixed(1)];
    line.append(...[button, ...texts].map((content) => {
      const field = document.createElement("td");
      field.append(content);
      return field;
    }));
    return line;
  }

  function percent(share) {
    return `${(100 * share).toFixed(share > 0 && share < 0.1 ? 1 : 0)}\u00a0%`;
  }

  /* Pictures of some of the cells, spread evenly over them; each a button that shows where its cell lies. */
  contrascope.drawGallery = function (place, cells, pictures, label, show) {
    const having = cells.filter(pictures.has);
    const every = Math.max(1, having.length / SHOWN);
    const chosen = Array.from({ length: Math.min(SHOWN, having.length) }, (_, k) => having[Math.floor(k * every)]);
    place.replaceChildren(...chosen.map((cell) => {
      const button = document.createElement("button"), canvas = document.createElement("canvas");
      button.type = "button";
      button.append(canvas, label(cell));
      for (const event of ["focus", "pointerenter"]) button.addEventListener(event, () => show(cell));
      for (const event of ["blur", "pointerleave"]) button.addEventListener(event, () => show(-1));
      pictures.draw(canvas, cell);
      return button;
    }));
  };
})((window.contrascope = window.contrascope || {}));
