// Draws the points of the map without WebGL: straight into an image's memory. The same functions as map_webgl.js.

import { covers, SHAPES } from "./palette.js";

export class CanvasPainter {
  kind = "canvas";

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  }

  take(points) {
    this.points = points;
  }

  look(looks) {
    this.looks = this.points.ordered(looks);
  }

  clear() {
    this.context.clearRect(0, 0, this.canvas.width, this.canvas.height);
  }

  draw({ x, y, scale, ratio, box, levels, size, opacity }) {
    const { points, looks, context } = this, { width, height } = this.canvas, { places, starts } = points;
    if (!this.image || this.image.width !== width || this.image.height !== height) this.image = context.createImageData(width, height);
    const pixels = new Uint32Array(this.image.data.buffer), side = Math.max(1, Math.round(size * ratio)), masks = Array.from(SHAPES, (_, shape) => maskOf(shape, side));
    const corner = side / 2 - 0.5, left = width / 2 - x * scale * ratio - corner, top = height / 2 + y * scale * ratio - corner, unit = scale * ratio;
    const full = Math.round(256 * opacity), dimmed = Math.round(51 * opacity);
    pixels.fill(0);
    for (let level = 0; level < levels; level++) {
      for (const [from, to] of points.cells(box, level)) {
        for (let index = starts[from], end = starts[to]; index < end; index++) {
          const look = looks[index], kind = look >>> 24;
          if (!kind) continue;
          const px = Math.round(left + places[2 * index] * unit), py = Math.round(top - places[2 * index + 1] * unit);
          const colour = look & 0xffffff, cover = kind > 8 ? dimmed : full, mask = masks[(kind - 1) & 7];
          for (let at = 0; at < mask.length; at += 2) {
            const column = px + mask[at], line = py + mask[at + 1];
            if (column < 0 || line < 0 || column >= width || line >= height) continue;
            const pixel = line * width + column, alpha = pixels[pixel] >>> 24;
            pixels[pixel] = colour | ((alpha + (((255 - alpha) * cover) >> 8)) << 24);  // where several lie it is denser
          }
        }
      }
    }
    context.putImageData(this.image, 0, 0);
  }

  destroy() {}
}

// The pixels of a shape: x and y in turn.
function maskOf(shape, side) {
  const found = [];
  for (let y = 0; y < side; y++) for (let x = 0; x < side; x++) if (side < 4 || covers(shape, ((x + 0.5) / side) * 2 - 1, ((y + 0.5) / side) * 2 - 1)) found.push(x, y);
  return Int32Array.from(found);
}
