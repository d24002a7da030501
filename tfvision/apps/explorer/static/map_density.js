// Where the points of the map lie close: contours around so many of them, and the clusters that they form.

const SIDE = 240, REACH = 1.32;  // cells, and where the outermost end: contours close beyond the outermost picture, at 1
const CELL = (2 * REACH) / SIDE;
const SHARES = [0.9, 0.7, 0.5, 0.25];  // of the pictures inside a contour
const PEAK_OVER_SADDLE = 1.35;  // of a cluster of its own, beside the next denser one
const MOST_CLUSTERS = 30, LEAST_SHARE = 0.004, LEAST_POINTS = 5;
const LEAST_LABELLED = 0.25;  // of a cluster's pictures, for the label to name it

export class Density {
  // Of what is shown, by a Gaussian kernel: two thirds of Scott's width, for clusters are narrower than the whole.
  /** @param {import("./map_points.js").Points} points */
  constructor(points) {
    const { plane, isShown, count } = points, cells = new Float64Array(SIDE * SIDE), sums = [0, 0, 0, 0];
    this.points = points;
    this.total = 0;
    for (let row = 0; row < count; row++) {
      const x = plane[2 * row], y = plane[2 * row + 1];
      if (!isShown[row] || Number.isNaN(x)) continue;
      cells[cellAt(x, y)]++;
      sums[0] += x; sums[1] += x * x; sums[2] += y; sums[3] += y * y;
      this.total++;
    }
    const n = Math.max(1, this.total), deviation = (sum, squares) => Math.sqrt(Math.max(0, squares / n - (sum / n) ** 2));
    const spread = (deviation(sums[0], sums[1]) + deviation(sums[2], sums[3])) / 2;
    this.cells = blurred(cells, Math.max(1.2, Math.min(12, (0.66 * spread * n ** (-1 / 6)) / CELL)));
  }

  // Paths in the map's units around the densest parts that hold 90, 70, 50 and 25 % (Hyndman 1996: highest density regions).
  contours() {
    const falling = Float64Array.from(this.cells).sort().reverse(), total = falling.reduce((sum, value) => sum + value, 0);
    return SHARES.map(share => {
      let held = 0, index = 0;
      while (index < falling.length - 1 && held < share * total) held += falling[index++];
      return { share, path: contour(this.cells, falling[index]) };
    });
  }

  // [{ x, y, count }], the largest first: each cell goes to the peak that is reached uphill, and peaks that hardly stand out
  // from the saddle to a higher one are of that one (Chazal et al. 2013: persistence). `of` says which a cell is of.
  clusters() {
    const { cells, points } = this, of = peaksOf(cells), counts = new Map();
    for (let row = 0; row < points.count; row++) {
      if (!points.isShown[row] || Number.isNaN(points.plane[2 * row])) continue;
      const peak = of[cellAt(points.plane[2 * row], points.plane[2 * row + 1])];
      counts.set(peak, (counts.get(peak) || 0) + 1);
    }
    const least = Math.max(LEAST_POINTS, LEAST_SHARE * this.total);
    const found = [...counts].filter(([peak, count]) => peak >= 0 && count >= least).sort((a, b) => b[1] - a[1]).slice(0, MOST_CLUSTERS);
    const numbers = new Map(found.map(([peak], index) => [peak, index]));
    return { clusters: found.map(([peak, count]) => ({ ...placeOf(peak), count })), of: Int16Array.from(of, peak => numbers.get(peak) ?? -1) };
  }

  // For each cluster the code of the label that tells it best, common in it and rarer elsewhere, and its share there; or null.
  names({ clusters, of }, column) {
    const { points } = this, { codes, values } = column, all = new Uint32Array(values.length), within = clusters.map(() => new Map());
    let known = 0;
    for (let row = 0; row < points.count; row++) {
      const code = codes[row];
      if (code < 0 || !points.isShown[row] || Number.isNaN(points.plane[2 * row])) continue;
      all[code]++;
      known++;
      const cluster = of[cellAt(points.plane[2 * row], points.plane[2 * row + 1])];
      if (cluster >= 0) within[cluster].set(code, (within[cluster].get(code) || 0) + 1);
    }
    return clusters.map(({ count }, index) => {
      let best = null, most = 0;
      for (const [code, held] of within[index]) {
        const score = held * Math.log(held / count / (all[code] / known));  // its part of the divergence from the whole map
        if (held >= LEAST_LABELLED * count && score > most) { most = score; best = { code, share: held / count }; }
      }
      return best;
    });
  }
}

const cellAt = (x, y) => Math.floor((y + REACH) / CELL) * SIDE + Math.floor((x + REACH) / CELL);
const placeOf = cell => ({ x: ((cell % SIDE) + 0.5) * CELL - REACH, y: (Math.floor(cell / SIDE) + 0.5) * CELL - REACH });

function blurred(cells, sigma) {
  const radius = Math.ceil(3 * sigma), kernel = Array.from({ length: 2 * radius + 1 }, (_, index) => Math.exp(-0.5 * ((index - radius) / sigma) ** 2)), sum = kernel.reduce((a, b) => a + b);
  const along = (from, step, across) => {
    const to = new Float64Array(from.length);
    for (let line = 0; line < SIDE; line++) {
      for (let place = 0; place < SIDE; place++) {
        const value = from[line * across + place * step];
        if (!value) continue;
        for (let other = Math.max(0, place - radius); other <= Math.min(SIDE - 1, place + radius); other++) to[line * across + other * step] += (value * kernel[other - place + radius]) / sum;
      }
    }
    return to;
  };
  return along(along(cells, 1, SIDE), SIDE, 1);
}

// The peak of each cell as a cell, -1 where there is next to nothing.
function peaksOf(cells) {
  const of = new Int32Array(cells.length).fill(-1), highest = cells.reduce((a, b) => Math.max(a, b), 0);
  const root = cell => { while (of[cell] !== cell) cell = of[cell] = of[of[cell]]; return cell; };
  const order = Array.from(cells.keys()).filter(cell => cells[cell] > highest * 1e-4).sort((a, b) => cells[b] - cells[a]);
  for (const cell of order) {
    const x = cell % SIDE, peaks = new Set();
    for (const [dx, dy] of [[-1, -1], [0, -1], [1, -1], [-1, 0], [1, 0], [-1, 1], [0, 1], [1, 1]]) {
      const other = cell + dy * SIDE + dx;
      if (x + dx >= 0 && x + dx < SIDE && other >= 0 && other < cells.length && of[other] >= 0) peaks.add(root(other));
    }
    const [first = cell, ...others] = [...peaks].sort((a, b) => cells[b] - cells[a]);
    of[cell] = first;
    for (const other of others) if (cells[other] < PEAK_OVER_SADDLE * cells[cell]) of[other] = first;
  }
  return of.map((peak, cell) => (peak < 0 ? -1 : root(cell)));
}

// Marching squares between the middles of cells.
function contour(cells, level) {
  const path = new Path2D(), point = (x, y) => /** @type {[number, number]} */ ([(x + 0.5) * CELL - REACH, (y + 0.5) * CELL - REACH]);
  for (let y = 0; y < SIDE - 1; y++) {
    for (let x = 0; x < SIDE - 1; x++) {
      const at = y * SIDE + x, a = cells[at], b = cells[at + 1], c = cells[at + SIDE + 1], d = cells[at + SIDE];
      const kind = Number(a > level) | (Number(b > level) << 1) | (Number(c > level) << 2) | (Number(d > level) << 3);
      if (!kind || kind === 15) continue;
      const part = (from, to) => (level - from) / (to - from);
      const south = () => point(x + part(a, b), y), east = () => point(x + 1, y + part(b, c)), north = () => point(x + part(d, c), y + 1), west = () => point(x, y + part(a, d));
      /** @type {(() => [number, number])[][]} */
      const lines = {
        1: [[west, south]], 2: [[south, east]], 3: [[west, east]], 4: [[east, north]], 5: [[west, south], [east, north]], 6: [[south, north]], 7: [[west, north]],
      }[kind > 7 ? 15 - kind : kind] || [];
      for (const [from, to] of kind === 10 ? [[south, east], [west, north]] : lines) { path.moveTo(...from()); path.lineTo(...to()); }
    }
  }
  return path;
}
