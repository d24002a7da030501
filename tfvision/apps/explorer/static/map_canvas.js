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
    this.looks = looks;
  }

  clear() {
    this.context.clearRect(0, 0, this.canvas.width, this.canvas.height);
  }

  draw({ x, y, scale, ratio, box, levels, size, opacity }) {
    const { points, looks, context } = this, { width, height } = this.canvas, { rows, plane, starts } = points;
    if (!this.image || this.image.width !== width || this.image.height !== height) this.image = context.createImageData(width, height);
    const pixels = new Uint32Array(this.image.data.buffer), side = Math.max(1, Math.round(size * ratio)), masks = Array.from(SHAPES, (_, shape) => maskOf(shape, side));
    const full = (Math.round(255 * opacity) << 24) >>> 0, dimmed = (Math.round(51 * opacity) << 24) >>> 0, corner = side / 2 - 0.5;
    pixels.fill(0);
    for (let level = 0; level < levels; level++) {
      for (const [from, to] of points.cells(box, level)) {
        for (let index = starts[from]; index < starts[to]; index++) {
          const row = rows[index], look = looks[row], kind = look >>> 24;
          if (!kind) continue;
          const px = Math.round(width / 2 + (plane[2 * row] - x) * scale * ratio - corner), py = Math.round(height / 2 - (plane[2 * row + 1] - y) * scale * ratio - corner);
          const fill = (look & 0xffffff) | (kind > 8 ? dimmed : full), mask = masks[(kind - 1) & 7];
          for (let at = 0; at < mask.length; at += 2) {
            const column = px + mask[at], line = py + mask[at + 1];
            if (column >= 0 && line >= 0 && column < width && line < height) pixels[line * width + column] = fill;
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
