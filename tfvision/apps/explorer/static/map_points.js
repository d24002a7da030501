// The points of the map in an order in which they are drawn and found quickly: by levels of detail, and in a level by the cells of a grid.
//
// A level holds three times as many points as all before it, drawn evenly from the rows: the first ones are the whole map in small.

const SIDE = 64, CELLS = SIDE * SIDE;
const FIRST_LEVEL = 16000;  // points

/** @typedef {{ left: number, right: number, bottom: number, top: number }} Box */

export class Points {
  /** @param {Float32Array} plane  x and y of each row, from -1 to 1; NaN where a row has no place */
  constructor(plane) {
    this.plane = plane;
    this.isShown = /** @type {Uint8Array} */ (new Uint8Array(plane.length / 2).fill(1));
    this.shown = new Uint32Array(0);  // how many are shown in the cells before each
    this.count = plane.length / 2;
    this.levels = Math.max(1, Math.ceil(Math.log(Math.max(1, this.count) / FIRST_LEVEL) / Math.log(4)) + 1);
    const ends = Array.from({ length: this.levels }, (_, level) => (level === this.levels - 1 ? Infinity : ((FIRST_LEVEL * 4 ** level) / this.count) * 2 ** 32));
    const keys = new Int32Array(this.count).fill(-1), starts = (this.starts = new Uint32Array(this.levels * CELLS + 1));
    for (let row = 0; row < this.count; row++) {
      const x = plane[2 * row], y = plane[2 * row + 1];
      if (Number.isNaN(x)) continue;
      const share = Math.imul(row + 1, 2654435761) >>> 0;  // multiples of the golden ratio: even over any stretch of rows
      let level = 0;
      while (share >= ends[level]) level++;
      keys[row] = level * CELLS + cellOf(y) * SIDE + cellOf(x);
      starts[keys[row] + 1]++;
    }
    for (let key = 0; key < starts.length - 1; key++) starts[key + 1] += starts[key];
    const next = starts.slice();
    this.rows = new Uint32Array(starts[starts.length - 1]);
    keys.forEach((key, row) => { if (key >= 0) this.rows[next[key]++] = row; });
    this.places = new Float32Array(2 * this.rows.length);  // x and y in this order
    this.rows.forEach((row, index) => { this.places[2 * index] = plane[2 * row]; this.places[2 * index + 1] = plane[2 * row + 1]; });
    this.show(this.isShown);
  }

  // Which rows are shown; the others are not found.
  /** @param {Uint8Array} isShown */
  show(isShown) {
    this.isShown = isShown;
    this.shown = new Uint32Array(this.starts.length);
    for (let key = 0; key < this.starts.length - 1; key++) {
      let count = this.shown[key];
      for (let index = this.starts[key]; index < this.starts[key + 1]; index++) count += isShown[this.rows[index]];
      this.shown[key + 1] = count;
    }
  }

  // What is known of each row, in the order of the points.
  /** @param {Uint32Array} values */
  ordered(values) {
    const found = new Uint32Array(this.rows.length);
    for (let index = 0; index < found.length; index++) found[index] = values[this.rows[index]];
    return found;
  }

  // [first, last + 1] of the cells of a level that a box meets, in runs.
  /** @param {Box} box */
  cells(box, level) {
    if (box.left > 1 || box.right < -1 || box.bottom > 1 || box.top < -1) return [];
    const [left, right, bottom, top] = [box.left, box.right, box.bottom, box.top].map(cellOf), base = level * CELLS;
    if (left === 0 && right === SIDE - 1) return [[base + bottom * SIDE, base + (top + 1) * SIDE]];
    return Array.from({ length: top - bottom + 1 }, (_, index) => [base + (bottom + index) * SIDE + left, base + (bottom + index) * SIDE + right + 1]);
  }

  // How many are shown in the cells that a box meets, in the first levels.
  /** @param {Box} box */
  countIn(box, levels = this.levels) {
    let count = 0;
    for (let level = 0; level < levels; level++) for (const [from, to] of this.cells(box, level)) count += this.shown[to] - this.shown[from];
    return count;
  }

  // Calls a function with each shown row of a box, level by level; it ends a level after which it returns true.
  /** @param {Box} box  @param {(row: number, x: number, y: number) => void} visit  @param {(level: number) => boolean} isEnough */
  visit(box, visit, isEnough = () => false) {
    for (let level = 0; level < this.levels && !(level && isEnough(level)); level++) {
      for (const [from, to] of this.cells(box, level)) {
        for (let index = this.starts[from]; index < this.starts[to]; index++) {
          const row = this.rows[index], x = this.plane[2 * row], y = this.plane[2 * row + 1];
          if (this.isShown[row] && x >= box.left && x <= box.right && y >= box.bottom && y <= box.top) visit(row, x, y);
        }
      }
    }
  }

  // The shown row next to a place, not farther than `reach`; -1 where there is none.
  nearest(x, y, reach) {
    let best = -1, least = reach * reach;
    this.visit({ left: x - reach, right: x + reach, bottom: y - reach, top: y + reach }, (row, px, py) => {
      const distance = (px - x) ** 2 + (py - y) ** 2;
      if (distance < least || (distance === least && row < best)) { least = distance; best = row; }
    });
    return best;
  }

  // The same, however far it is.
  nearestOfAll(x, y) {
    const farthest = Math.hypot(Math.abs(x) + 1, Math.abs(y) + 1) * 1.01;
    for (let reach = 1 / SIDE; ; reach *= 2) {
      const row = this.nearest(x, y, Math.min(reach, farthest));
      if (row >= 0 || reach >= farthest) return row;
    }
  }

  // How many are shown.
  get total() {
    return this.shown[this.shown.length - 1];
  }

  // The shown rows inside a closed line: { mask, rows }, in ascending order. Only cells that the line meets are looked at point by point.
  /** @param {number[][]} line */
  inside(line) {
    const isMet = cellsMet(line), mask = new Uint8Array(this.count);
    let count = 0;
    for (let key = 0; key < this.starts.length - 1; key++) {
      if (this.shown[key] === this.shown[key + 1]) continue;
      const cell = key % CELLS, isWhole = !isMet[cell];
      if (isWhole && !isInside(middleOf(cell % SIDE), middleOf(Math.floor(cell / SIDE)), line)) continue;
      for (let index = this.starts[key]; index < this.starts[key + 1]; index++) {
        const row = this.rows[index];
        if (this.isShown[row] && (isWhole || isInside(this.plane[2 * row], this.plane[2 * row + 1], line))) { mask[row] = 1; count++; }
      }
    }
    const rows = new Int32Array(count);
    let next = 0;
    for (let row = 0; row < this.count; row++) if (mask[row]) rows[next++] = row;
    return { mask, rows };
  }
}

export function isInside(x, y, line) {
  let inside = false;
  for (let index = 0, last = line.length - 1; index < line.length; last = index++) {
    const [ax, ay] = line[index], [bx, by] = line[last];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
  }
  return inside;
}

function cellsMet(line) {
  const isMet = new Uint8Array(CELLS);
  line.forEach(([ax, ay], index) => {
    const [bx, by] = line[(index + 1) % line.length], [from, to] = partOnMap([ax, ay], [bx - ax, by - ay]), steps = Math.ceil((to - from) * Math.hypot(bx - ax, by - ay) * SIDE) + 1;
    for (let step = 0; step <= steps && from <= to; step++) {
      const part = from + ((to - from) * step) / steps, column = placeOf(ax + (bx - ax) * part), row = placeOf(ay + (by - ay) * part);
      for (let r = Math.max(0, row - 1); r <= Math.min(SIDE - 1, row + 1); r++) {
        for (let c = Math.max(0, column - 1); c <= Math.min(SIDE - 1, column + 1); c++) isMet[r * SIDE + c] = 1;
      }
    }
  });
  return isMet;
}

// From which share of an edge to which it lies over the map; a lasso's corners may be far out.
function partOnMap(start, way) {
  let [from, to] = [0, 1];
  start.forEach((at, axis) => {
    if (!way[axis]) { if (Math.abs(at) > 1.1) to = -1; return; }
    const ends = [(-1.1 - at) / way[axis], (1.1 - at) / way[axis]];
    from = Math.max(from, Math.min(...ends));
    to = Math.min(to, Math.max(...ends));
  });
  return [from, to];
}

const placeOf = value => Math.floor(((value + 1) / 2) * SIDE);
const cellOf = value => Math.max(0, Math.min(SIDE - 1, placeOf(value)));
const middleOf = cell => ((cell + 0.5) / SIDE) * 2 - 1;
