// Which part of the map is in sight: from the map's units, -1 to 1, to pixels of the screen and back.

const MARGIN = 0.06;
const LEAST_ZOOM = 0.5, MOST_ZOOM = 4000;

export class Camera {
  width = 0;
  height = 0;
  aspect = 1;  // of all points
  x = 0;  // what is in the middle
  y = 0;
  zoom = 1;

  reset() {
    [this.x, this.y, this.zoom] = [0, 0, 1];
  }

  // Takes the place of an address, "x,y,zoom"; everything is shown where there is none.
  take(text) {
    const at = (text || "").split(",").map(Number);
    if (at.length !== 3 || !at.every(Number.isFinite)) return this.reset();
    [this.x, this.y] = at;
    this.zoom = within(at[2]);
  }

  // Coordinates from -1 to 1, the same for both axes.
  /** @param {Float32Array} plane */
  scaled(plane) {
    let [left, right, bottom, top] = [Infinity, -Infinity, Infinity, -Infinity];
    for (let index = 0; index < plane.length; index += 2) {
      if (Number.isNaN(plane[index])) continue;
      left = Math.min(left, plane[index]); right = Math.max(right, plane[index]);
      bottom = Math.min(bottom, plane[index + 1]); top = Math.max(top, plane[index + 1]);
    }
    const half = Math.max(right - left, top - bottom, 1e-9) / 2, [x, y] = [(left + right) / 2, (bottom + top) / 2];
    this.aspect = Math.max(0.2, (right - left) / Math.max(1e-9, top - bottom));
    return plane.map((value, index) => (value - (index % 2 ? y : x)) / half);
  }

  // Pixels a unit.
  scale() {
    return this.zoom * Math.min(this.width / Math.max(1, Math.min(this.aspect, 1) + 1e-9), this.height) * (0.5 - MARGIN / 2);
  }

  toScreen(x, y) {
    const scale = this.scale();
    return [this.width / 2 + (x - this.x) * scale, this.height / 2 - (y - this.y) * scale];
  }

  toMap(x, y) {
    const scale = this.scale();
    return [this.x + (x - this.width / 2) / scale, this.y - (y - this.height / 2) / scale];
  }

  // What is in sight, and a little more.
  box(margin = 20) {
    const [left, top] = this.toMap(-margin, -margin), [right, bottom] = this.toMap(this.width + margin, this.height + margin);
    return { left, right, bottom, top };
  }

  // By pixels of the screen.
  pan(dx, dy) {
    const scale = this.scale();
    this.x -= dx / scale;
    this.y += dy / scale;
  }

  // What is at a pixel stays there.
  zoomAt(factor, x, y) {
    const before = this.toMap(x, y);
    this.zoom = within(this.zoom * factor);
    const after = this.toMap(x, y);
    this.x += before[0] - after[0];
    this.y += before[1] - after[1];
  }

  // Points for an address, with as many decimals as tell a pixel at this zoom.
  written(line) {
    const decimals = this.zoom > 20 ? 7 : 4;
    return line.map(point => point.map(value => value.toFixed(decimals)).join(",")).join(";");
  }
}

const within = zoom => Math.max(LEAST_ZOOM, Math.min(MOST_ZOOM, zoom));
