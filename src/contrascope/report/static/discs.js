/* What a map is drawn with: discs, written into the pixels of an image; and, above them, a ring and a lasso. */
(function (contrascope) {
  "use strict";

  /* Places of a disc's pixels around its centre: those that it covers, those at its edge, and how much of each of these
     it covers, in 256ths. */
  contrascope.disc = function (radius, wide) {
    const reach = Math.ceil(radius), whole = [], edge = [], weights = [];
    for (let down = -reach; down <= reach; down++) {
      for (let right = -reach; right <= reach; right++) {
        const covered = Math.min(1, Math.max(0, radius + 0.5 - Math.hypot(down, right)));
        if (covered === 1) whole.push(down * wide + right);
        if (covered === 0 || covered === 1) continue;
        edge.push(down * wide + right);
        weights.push(Math.round(256 * covered));
      }
    }
    return { whole: Int32Array.from(whole), edge: Int32Array.from(edge), weights: Int32Array.from(weights) };
  };

  /* A disc of one colour; at its edge red and blue are mixed in one go, as their bytes do not touch. */
  contrascope.putDisc = function (pixels, centre, { whole, edge, weights }, colour) {
    for (let k = 0; k < whole.length; k++) pixels[centre + whole[k]] = colour;
    const redBlue = colour & 0xff00ff, green = colour & 0xff00;
    for (let k = 0; k < edge.length; k++) {
      const place = centre + edge[k], below = pixels[place], over = weights[k], under = 256 - over;
      pixels[place] = 0xff000000
        | (((redBlue * over + (below & 0xff00ff) * under) >>> 8) & 0xff00ff)
        | (((green * over + (below & 0xff00) * under) >>> 8) & 0xff00);
    }
  };

  contrascope.drawRing = function (context, left, top, radius) {
    for (const [colour, width] of [["#fff", 4], ["#1d2433", 2]]) {
      context.beginPath();
      context.arc(left, top, radius, 0, 2 * Math.PI);
      Object.assign(context, { strokeStyle: colour, lineWidth: width });
      context.stroke();
    }
  };

  contrascope.drawLasso = function (context, line) {
    context.beginPath();
    line.forEach(([left, top]) => context.lineTo(left, top));
    context.closePath();
    Object.assign(context, { strokeStyle: "#1d2433", lineWidth: 1.5, fillStyle: "rgba(29, 36, 51, .08)" });
    context.fill();
    context.stroke();
  };
})((window.contrascope = window.contrascope || {}));
