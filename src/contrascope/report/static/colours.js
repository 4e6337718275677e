/* Colours of points by a column, and the legend that says what they mean.

   Categories have colours that people with any colour vision tell apart, the largest first, and grey for all others; numbers have
   an even scale from their 1st to their 99th percentile; what is missing is grey. */
(function (contrascope) {
  "use strict";

  const PALE = "#d5d9e0"; // of the others and of what is missing
  const GHOST = "#e8eaef"; // of cells that are not selected
  const NAMED = 8; // categories with a colour of their own

  /* A colouring: colour(cell) as 0xAABBGGRR, isBack(cell): to be drawn below the rest, and its legend: entries
     {label, colour, count, cells()} or a scale {low, high, missing}. */
  contrascope.colouring = function (column, palette, scale) {
    return column.codes ? byCategory(column, largest(column), palette) : byNumber(column, scale);
  };

  /* Perturbations: the controls, and the chosen one or else those that are told to stand out. */
  contrascope.byPerturbation = function (column, isControl, chosen, standing, palette) {
    const [ofControls, ...others] = palette;
    const shown = chosen === null ? standing : [chosen];
    const codes = shown.map((name) => column.categories.indexOf(name)).filter((code) => code >= 0);
    const colours = new Map(codes.map((code, k) => [code, packed(others[k % others.length])]));
    const blue = packed(ofControls), pale = packed(PALE);
    const colour = (cell) => colours.get(column.codes[cell]) ?? (isControl[cell] ? blue : pale);
    const isKnown = (cell) => colours.has(column.codes[cell]);
    const legend = codes
      .map((code, k) => entry(column, column.categories[code], others[k % others.length], (cell) => column.codes[cell] === code))
      .concat(
        entry(column, "controls", ofControls, (cell) => isControl[cell] && !isKnown(cell)),
        entry(column, "all others", PALE, (cell) => !isControl[cell] && !isKnown(cell)),
      );
    const rank = (cell) => (isKnown(cell) ? 2 : isControl[cell] ? 1 : 0);
    return { colour, rank, legend: legend.filter((item) => item.count > 0) };
  };

  function byCategory(column, codes, palette) {
    const places = new Map(codes.map((code, k) => [code, k]));
    const colours = codes.map((_, k) => packed(palette[k]));
    const pale = packed(PALE);
    const known = (cell) => places.has(column.codes[cell]);
    const missing = (cell) => column.codes[cell] === column.missing;
    const legend = codes
      .map((code, k) => entry(column, column.categories[code], palette[k], (cell) => column.codes[cell] === code))
      .concat(
        entry(column, "all others", PALE, (cell) => !known(cell) && !missing(cell)),
        entry(column, "not known", PALE, missing),
      );
    return {
      colour: (cell) => colours[places.get(column.codes[cell])] ?? pale,
      rank: (cell) => (known(cell) ? 1 : 0),
      legend: legend.filter((item) => item.count > 0),
    };
  }

  function byNumber(column, scale) {
    const colours = scale.map(packed), pale = packed(PALE), last = colours.length - 1;
    const known = column.values.filter(Number.isFinite).sort();
    const low = known[Math.floor(0.01 * (known.length - 1))], high = known[Math.ceil(0.99 * (known.length - 1))];
    const place = (value) => Math.min(last, Math.max(0, Math.round((last * (value - low)) / (high - low || 1))));
    return {
      colour: (cell) => (Number.isFinite(column.values[cell]) ? colours[place(column.values[cell])] : pale),
      rank: (cell) => (Number.isFinite(column.values[cell]) ? 1 : 0),
      scale: { low, high, colours: scale, missing: column.values.length - known.length, pale: PALE },
    };
  }

  /* Codes of the largest categories, named in the order of their names. */
  function largest(column) {
    const counts = new Uint32Array(column.categories.length);
    for (const code of column.codes) if (code !== column.missing) counts[code]++;
    const codes = Array.from(counts.keys()).filter((code) => counts[code] > 0);
    return codes.sort((a, b) => counts[b] - counts[a] || a - b).slice(0, NAMED).sort((a, b) => a - b);
  }

  function entry(column, label, colour, belongs) {
    const cells = () => Array.from(column.codes.keys()).filter(belongs);
    return { label, colour, cells, count: cells().length };
  }

  /* A colouring as what a map draws: colours, and the order from the bottom to the top. Within a rank the order is
     shuffled, always alike, so that no category lies on top because it comes last. Of a selection the rest is a ghost;
     outlined cells, 1 in a mask or null for none, lie above others, and ghosts have no outline. */
  contrascope.painted = function (colouring, shuffled, selected, outlined) {
    const colours = new Uint32Array(shuffled.length), ghost = packed(GHOST);
    const rims = outlined && outlined.map((marked, cell) => Number(marked && (!selected || selected[cell])));
    const ranks = Array.from({ length: 12 }, () => []);
    for (const cell of shuffled) {
      const inFront = !selected || selected[cell];
      colours[cell] = inFront ? colouring.colour(cell) : ghost;
      ranks[colouring.rank(cell) + (rims && rims[cell] ? 3 : 0) + (selected && inFront ? 6 : 0)].push(cell);
    }
    return [colours, Uint32Array.from(ranks.flat()), rims];
  };

  contrascope.shuffled = function (count) {
    const order = Uint32Array.from({ length: count }, (_, cell) => cell);
    let state = 1;
    for (let last = count - 1; last > 0; last--) {
      state = (state * 48271) % 2147483647; // Lehmer's generator: the same order in every browser
      const other = state % (last + 1);
      [order[last], order[other]] = [order[other], order[last]];
    }
    return order;
  };

  /* #rrggbb as 0xAABBGGRR, a pixel's four bytes in memory. */
  function packed(colour) {
    const number = parseInt(colour.slice(1), 16);
    return (0xff000000 | ((number & 0xff) << 16) | (number & 0xff00) | (number >> 16)) >>> 0;
  }

  /* The legend as HTML elements; an entry is a button that hands over its cells. outlined: an entry for cells with a
     rim, or null. */
  contrascope.drawLegend = function (place, colouring, select, outlined) {
    const parts = colouring.legend ? colouring.legend.map((item) => legendButton(item, select)) : [scaleBar(colouring.scale)];
    if (outlined) parts.push(legendButton(outlined, select));
    place.replaceChildren(...parts);
    if (outlined) place.lastElementChild.classList.add("maps-outlined");
  };

  function legendButton(item, select) {
    const button = document.createElement("button"), swatch = document.createElement("i"), count = document.createElement("small");
    button.type = "button";
    button.title = `Select the cells of ${item.label}`;
    swatch.style.background = item.colour;
    count.textContent = contrascope.number(item.count);
    button.append(swatch, item.label, count);
    button.addEventListener("click", () => select(item.cells()));
    return button;
  }

  function scaleBar(scale) {
    const bar = document.createElement("div"), strip = document.createElement("i"), numbers = document.createElement("div");
    bar.className = "maps-scale";
    strip.style.background = `linear-gradient(to right, ${scale.colours.join(", ")})`;
    for (const share of [0, 0.5, 1]) {
      const number = document.createElement("span");
      const value = scale.low + share * (scale.high - scale.low);
      number.textContent = `${share === 0 ? "≤ " : share === 1 ? "≥ " : ""}${contrascope.number(value)}`;
      numbers.append(number);
    }
    bar.append(strip, numbers);
    if (scale.missing > 0) bar.append(missingNote(scale));
    return bar;
  }

  function missingNote(scale) {
    const note = document.createElement("small"), swatch = document.createElement("i");
    swatch.style.background = scale.pale;
    note.append(swatch, `not known: ${contrascope.number(scale.missing)} cells`);
    return note;
  }

  /* Whole numbers with thousands marked, others with three digits that count. */
  contrascope.number = function (value) {
    const options = Number.isInteger(value) ? {} : { maximumSignificantDigits: 3 };
    return value.toLocaleString("en-GB", options);
  };
})((window.contrascope = window.contrascope || {}));
