/* One map: points that can be moved, stepped through and selected.

   Points are written into an image pixel by pixel. That draws 10^5 of them in some ten milliseconds on one core, needs
   neither WebGL nor a library, and looks the same on every machine. Positions are 0 to 1, y upwards; the view says which
   position is in the middle and how many CSS pixels the unit has. */
(function (contrascope) {
  "use strict";

  const PAD = 14; // CSS pixels of margin around all points
  const MARGIN = 24; // pixels around the image, so that a disc at its border needs no clipping
  const BINS = 128; // of the grid in which the nearest point is looked up, a side
  const REACH = 12; // CSS pixels within which a point is found
  const STEP = 5; // CSS pixels that a step goes at least: nearer points look like the same one
  const AROUND = 40; // CSS pixels of the circle that the key S selects
  const RIM = 1.5; // CSS pixels around outlined points
  const PAPER = 0xffffffff, INK = 0xff33241d;

  class PointMap {
    /* listener: hover(cell, byKey), click(cell), select(cells); handicap(cell): CSS pixels that a cell
       counts as farther off than it is. */
    constructor(view, x, y, listener) {
      Object.assign(this, { view, x, y, listener, mode: "move", focus: -1, lasso: null, waiting: false });
      [this.canvas, this.above] = view.querySelectorAll("canvas");
      this.drawn = [x, y, new Uint32Array(x.length), null];
      this.grid = binned(x, y);
      this.listen();
      new ResizeObserver(() => this.fit()).observe(view);
      this.fit();
    }

    /* colours: of each cell, as 0xAABBGGRR; order: of drawing, the last lies on top; outlined: 1 for cells with a dark
       rim, null for none. */
    paint(colours, order, outlined) {
      // In the order of drawing, so that memory is read straight through.
      const ordered = (values) => values.map((_, place) => values[order[place]]);
      this.drawn = [ordered(this.x), ordered(this.y), ordered(colours), outlined && ordered(outlined)];
      this.ask();
    }

    /* Ring a cell, -1 for none; a cell out of sight is brought into the middle where it is asked for. */
    ring(cell, bringIt) {
      this.focus = cell;
      if (bringIt && cell >= 0) {
        const [left, top] = this.at(cell);
        if (left < 0 || top < 0 || left > this.size || top > this.size) this.look(this.x[cell], this.y[cell], this.unit);
      }
      this.drawAbove();
    }

    reset() {
      this.look(0.5, 0.5, this.size - 2 * PAD);
    }

    /* Nearer or farther by a factor; the position under (left, top) stays there. */
    zoom(factor, left = this.size / 2, top = this.size / 2) {
      const whole = this.size - 2 * PAD;
      const unit = Math.min(300 * whole, Math.max(whole, this.unit * factor));
      const [x, y] = this.position(left, top);
      this.look(x - (left - this.size / 2) / unit, y + (top - this.size / 2) / unit, unit);
    }

    pan(right, down) {
      this.look(this.middle[0] - right / this.unit, this.middle[1] + down / this.unit, this.unit);
    }

    look(x, y, unit) {
      this.middle = [Math.min(1, Math.max(0, x)), Math.min(1, Math.max(0, y))];
      this.unit = unit;
      this.ask();
    }

    at(cell) {
      const half = this.size / 2;
      return [half + (this.x[cell] - this.middle[0]) * this.unit, half - (this.y[cell] - this.middle[1]) * this.unit];
    }

    position(left, top) {
      const half = this.size / 2;
      return [this.middle[0] + (left - half) / this.unit, this.middle[1] - (top - half) / this.unit];
    }

    fit() {
      const zoomed = this.size ? this.unit / (this.size - 2 * PAD) : 1;
      this.size = this.view.clientWidth;
      if (this.size <= 2 * PAD) return;
      this.ratio = Math.min(2, window.devicePixelRatio || 1);
      this.side = Math.round(this.size * this.ratio);
      for (const canvas of [this.canvas, this.above]) canvas.width = canvas.height = this.side;
      this.context = this.canvas.getContext("2d", { alpha: false });
      this.image = this.context.createImageData(this.side + 2 * MARGIN, this.side + 2 * MARGIN);
      this.pixels = new Uint32Array(this.image.data.buffer);
      const [x, y] = this.middle || [0.5, 0.5];
      this.look(x, y, (this.size - 2 * PAD) * zoomed);
    }

    /* Draw before the next frame, once, however often it is asked for. */
    ask() {
      if (this.waiting) return;
      this.waiting = true;
      requestAnimationFrame(() => {
        this.waiting = false;
        if (this.pixels) this.draw();
      });
    }

    draw() {
      const { pixels, side } = this, [x, y, colours, outlined] = this.drawn;
      const wide = side + 2 * MARGIN;
      const unit = this.unit * this.ratio;
      const left = side / 2 + MARGIN - this.middle[0] * unit;
      const top = side / 2 + MARGIN + this.middle[1] * unit;
      const radius = this.radius(), put = contrascope.putDisc;
      const stamp = contrascope.disc(radius, wide), rim = contrascope.disc(radius + RIM * this.ratio, wide);
      const low = MARGIN / 2, high = wide - MARGIN / 2;
      pixels.fill(PAPER);
      for (let n = 0; n < colours.length; n++) {
        const right = (left + x[n] * unit) | 0, down = (top - y[n] * unit) | 0;
        if (right < low || down < low || right >= high || down >= high) continue;
        if (outlined && outlined[n]) put(pixels, down * wide + right, rim, INK);
        put(pixels, down * wide + right, stamp, colours[n]);
      }
      this.context.putImageData(this.image, -MARGIN, -MARGIN);
      this.drawAbove();
    }

    /* Pixels; points shrink as they get many and grow as they are looked at from near, slower than the distances. */
    radius() {
      const alone = Math.min(3, Math.max(1, 1.9 * (10000 / this.x.length) ** 0.25));
      const zoomed = this.unit / (this.size - 2 * PAD);
      return Math.min(MARGIN / 2 - 4, alone * zoomed ** 0.35 * this.ratio);
    }

    drawAbove() {
      const context = this.above.getContext("2d");
      context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
      context.clearRect(0, 0, this.size, this.size);
      if (this.focus >= 0) contrascope.drawRing(context, ...this.at(this.focus), this.radius() / this.ratio + 4);
      if (this.lasso) contrascope.drawLasso(context, this.lasso);
    }

    /* The cell nearest to a place in CSS pixels, -1 if none is within reach. */
    nearest(left, top) {
      const [x, y] = this.position(left, top);
      const reach = REACH / this.unit;
      let found = -1, best = REACH;
      this.grid.visit(x - reach, x + reach, y - reach, y + reach, (cell) => {
        const far = Math.hypot(this.x[cell] - x, this.y[cell] - y) * this.unit;
        if (far >= REACH) return;
        const counted = Math.min(REACH - 1e-6, far + this.listener.handicap(cell));
        if (counted < best) [found, best] = [cell, counted];
      });
      return found;
    }

    /* The next cell in a direction: the nearest within 45 degrees of it, or the one in the middle to begin with. */
    step(right, down) {
      const [fromLeft, fromTop] = this.focus >= 0 ? this.at(this.focus) : [this.size / 2, this.size / 2];
      let found = -1, best = Infinity;
      for (let cell = 0; cell < this.x.length; cell++) {
        const [left, top] = this.at(cell);
        const along = (left - fromLeft) * right + (top - fromTop) * down;
        const across = Math.abs((left - fromLeft) * down) + Math.abs((top - fromTop) * right);
        const far = along * along + across * across;
        if (this.focus >= 0 && (along < STEP || across > along)) continue;
        if (far < best) [found, best] = [cell, far];
      }
      if (found >= 0) this.listener.hover(found, true);
    }

    /* Cells within a closed line of positions (left, top) in CSS pixels. */
    inside(line) {
      const corners = line.map(([left, top]) => this.position(left, top));
      const xs = corners.map((corner) => corner[0]), ys = corners.map((corner) => corner[1]);
      const found = [];
      this.grid.visit(Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys), (cell) => {
        if (isWithin(this.x[cell], this.y[cell], corners)) found.push(cell);
      });
      return found;
    }

    listen() {
      const view = this.view;
      view.addEventListener("pointerdown", (event) => this.press(event));
      view.addEventListener("pointermove", (event) => this.move(event));
      view.addEventListener("pointerup", (event) => this.release(event));
      view.addEventListener("pointercancel", () => this.letGo());
      view.addEventListener("pointerleave", () => this.pressed || this.listener.hover(-1, false));
      view.addEventListener("keydown", (event) => this.key(event));
      view.addEventListener("wheel", (event) => {
        event.preventDefault();
        this.zoom(2 ** (-event.deltaY / 300), ...this.place(event));
      }, { passive: false });
    }

    place(event) {
      const box = this.view.getBoundingClientRect();
      return [event.clientX - box.left - this.view.clientLeft, event.clientY - box.top - this.view.clientTop];
    }

    press(event) {
      if (event.button !== 0) return;
      this.view.setPointerCapture(event.pointerId);
      this.pressed = { place: this.place(event), last: this.place(event), far: false };
      if (this.mode === "select" || event.shiftKey) this.lasso = [this.pressed.place];
    }

    move(event) {
      const place = this.place(event);
      if (!this.pressed) return this.listener.hover(this.nearest(...place), false);
      const { place: start, last } = this.pressed;
      if (!this.pressed.far && Math.hypot(place[0] - start[0], place[1] - start[1]) > 4) {
        this.pressed.far = true;
        this.listener.hover(-1, false); // what was told of a cell would stay behind
      }
      this.pressed.last = place;
      if (!this.pressed.far) return;
      if (this.lasso) {
        this.lasso.push(place);
        this.drawAbove();
      } else {
        this.pan(place[0] - last[0], place[1] - last[1]);
      }
    }

    release(event) {
      if (!this.pressed) return;
      const { far } = this.pressed, line = this.lasso;
      this.letGo();
      if (far && line) this.listener.select(this.inside(line));
      if (!far) this.click(this.nearest(...this.place(event)));
    }

    letGo() {
      this.pressed = this.lasso = null;
      this.drawAbove();
    }

    click(cell) {
      if (cell < 0) return;
      this.listener.hover(cell, false);
      this.listener.click(cell);
    }

    key(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
      const others = {
        "+": () => this.zoom(1.4), "=": () => this.zoom(1.4), "-": () => this.zoom(1 / 1.4), 0: () => this.reset(),
        s: () => this.selectAround(), Enter: () => this.listener.click(this.focus),
      };
      const arrow = arrows[event.key], act = others[event.key.length === 1 ? event.key.toLowerCase() : event.key];
      if (!arrow && !act) return;
      event.preventDefault();
      if (act) act();
      else if (event.shiftKey) this.pan(-60 * arrow[0], -60 * arrow[1]);
      else this.step(...arrow);
    }

    selectAround() {
      if (this.focus < 0) return;
      const [left, top] = this.at(this.focus);
      const angles = Array.from({ length: 24 }, (_, k) => (k * Math.PI) / 12);
      this.listener.select(this.inside(angles.map((a) => [left + AROUND * Math.cos(a), top + AROUND * Math.sin(a)])));
    }
  }

  /* Cells by the bin of a grid that they lie in. */
  function binned(x, y) {
    const bin = (value) => Math.min(BINS - 1, Math.max(0, Math.floor(value * BINS)));
    const bins = Array.from({ length: BINS * BINS }, () => []);
    for (let cell = 0; cell < x.length; cell++) bins[bin(y[cell]) * BINS + bin(x[cell])].push(cell);
    return {
      visit(left, right, low, high, tell) {
        for (let row = bin(low); row <= bin(high); row++) {
          for (let column = bin(left); column <= bin(right); column++) bins[row * BINS + column].forEach(tell);
        }
      },
    };
  }

  /* Whether a ray to the right crosses the closed line an odd number of times. */
  function isWithin(x, y, corners) {
    let within = false;
    for (let k = 0, before = corners.length - 1; k < corners.length; before = k++) {
      const [ax, ay] = corners[k], [bx, by] = corners[before];
      if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) within = !within;
    }
    return within;
  }

  contrascope.PointMap = PointMap;
})((window.contrascope = window.contrascope || {}));
