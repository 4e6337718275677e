/* Pictures of cells, each drawn into a canvas.

   They lie in sheets within the page, so many to a sheet; a sheet is unpacked when the first of its pictures is asked
   for. Where the page is served by `contrascope view`, every cell has a picture, fetched by its row in the store. */
(function (contrascope) {
  "use strict";

  /* The sheets' pictures: has(i), and draw(canvas, i) for the i-th cell of the maps. */
  contrascope.pictures = function (packed, rows) {
    const live = window.contrascopeLive;
    if (live) return livePictures(live.cells, rows);
    const places = new Map(Array.from(packed.cells, (cell, place) => [cell, place]));
    const sheets = new Map();

    function sheet(number) {
      if (!sheets.has(number)) sheets.set(number, loaded("data:image/webp;base64," + packed.sheets[number]));
      return sheets.get(number);
    }

    function draw(canvas, cell) {
      const place = places.get(cell);
      if (place === undefined) return clear(canvas);
      const within = place % packed.per_sheet;
      const left = (within % packed.columns) * packed.width;
      const top = Math.floor(within / packed.columns) * packed.height;
      return paint(canvas, cell, sheet(Math.floor(place / packed.per_sheet)), [left, top, packed.width, packed.height]);
    }
    return { has: (cell) => places.has(cell), draw };
  };

  function livePictures(address, rows) {
    const draw = (canvas, cell) => paint(canvas, cell, loaded(`${address}${rows[cell]}.webp`), null);
    return { has: () => true, draw };
  }

  function loaded(source) {
    return new Promise((resolve, reject) => {
      const image = new Image();
      image.onload = () => resolve(image);
      image.onerror = () => reject(new Error("a picture could not be read"));
      image.src = source;
    });
  }

  /* The newest wish wins: by the time that a sheet is unpacked the pointer may be at another cell. */
  function paint(canvas, cell, coming, part) {
    canvas.dataset.cell = cell;
    return coming.then((image) => {
      if (canvas.dataset.cell !== String(cell)) return;
      const [left, top, width, height] = part || [0, 0, image.naturalWidth, image.naturalHeight];
      canvas.width = width;
      canvas.height = height;
      canvas.getContext("2d").drawImage(image, left, top, width, height, 0, 0, width, height);
      canvas.hidden = false;
    }, () => clear(canvas));
  }

  function clear(canvas) {
    canvas.dataset.cell = "";
    canvas.hidden = true;
    return Promise.resolve();
  }
})((window.contrascope = window.contrascope || {}));
