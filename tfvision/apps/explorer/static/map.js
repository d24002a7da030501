// The collection in two dimensions: points or pictures, by zoom; lasso to a selection; coloured by label or similarity.

import { change, read } from "./address.js";
import { filterOf, filtersOf } from "./filters.js";
import { button, failed, h, number, plural, progress, score, segmented, select, state } from "./dom.js";
import { noVectors } from "./query.js";
import { drawCover } from "./thumbnails.js";
import { Wall } from "./wall.js";

const PALETTE = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b38600", "#56b4e9", "#7b4fb5", "#a63a50", "#4d8f1f", "#008b8b", "#c46210", "#5d6dce"];
const OTHER = "#8a939c";
const RAMP = [[68, 30, 110], [42, 96, 158], [26, 152, 138], [122, 200, 72], [252, 228, 40]];  // dark to light, in even steps of lightness
const MARGIN = 0.06;
const MIDDLE_PX = 7;

export class View {
  constructor(app, host) {
    this.app = app;
    this.tools = h("div", { class: "tools-row" });
    this.points = h("canvas", { "aria-hidden": "true" });
    this.overlay = h("canvas", { "aria-hidden": "true" });
    this.legend = h("div", { class: "map-legend", hidden: true });
    this.message = h("div", { style: "display:contents" });
    this.stage = h("div", {
      class: "map", tabindex: "0", role: "application", "aria-label": "map of the collection: arrows move, + and − zoom, 0 shows everything, Enter opens the picture in the middle, Space picks it, s selects what is in sight, l is the lasso",
      onkeydown: event => this.keyDown(event), onwheel: event => this.wheel(event), onpointerdown: event => this.down(event), onpointermove: event => this.pointerMove(event),
      onpointerup: event => this.up(event), onpointercancel: event => this.up(event), onpointerleave: () => this.app.preview.hide(), onfocus: () => this.redraw(), onblur: () => this.redraw(),
    }, this.points, this.overlay, this.legend, this.message);
    this.told = h("div", { class: "hidden", role: "status" });  // the picture in the middle, for those who hear
    this.drawer = h("aside", { class: "drawer", "aria-label": "selection", hidden: true });
    host.append(this.tools, h("div", { class: "split" }, h("div", { class: "main" }, this.stage, this.told), this.drawer));
    this.view = { x: 0, y: 0, zoom: 1 };
    this.pointers = new Map();
    this.fills = new Uint32Array(0);  // a colour for each row, once they are known
    this.width = this.height = this.moved = 0;
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.stage);
    this.onthumbnails = () => this.redraw();
    app.thumbnails.listeners.add(this.onthumbnails);
    this.offs = [app.on("details", () => this.plane && this.update(read().params)), app.on("theme", () => this.recolour()), app.on("notes", () => this.redraw()), app.on("layers", () => { this.key = null; this.update(read().params).catch(() => {}); })];
  }

  async update(params) {
    const app = this.app, layer = app.layer(), method = params.get("method") || "pca";
    this.mode = params.get("show") || "auto";
    this.colour = params.get("colour") || "";
    this.q = params.get("q");
    if (!app.layers.length) return this.say(noVectors(app));
    const at = (params.get("at") || "").split(",").map(Number);
    if (at.length === 3 && at.every(Number.isFinite)) this.view = { x: at[0], y: at[1], zoom: Math.max(0.5, Math.min(400, at[2])) };
    else this.view = { x: 0, y: 0, zoom: 1 };
    const key = [layer, method].join();
    if (key !== this.key) {
      this.key = key;
      if (this.signal) this.signal.stopped = true;
      const signal = (this.signal = { stopped: false });
      this.plane = this.lasso = this.selected = null;
      this.lassoText = "";  // a lasso holds other pictures on another plane
      this.clearDrawer();
      this.redraw();
      this.say(state("The map is being drawn."));
      this.drawTools(method);
      try {
        const plane = await app.source.map(layer, method, (share, stage) => key === this.key && this.say(h("div", { class: "state" }, progress(share, stage))), signal);
        if (!plane || key !== this.key) return;
        this.take(plane);
      } catch (error) {
        if (key === this.key) { this.say(failed(error, method === "umap" ? null : () => { this.key = null; this.update(read().params); })); }
        return;
      }
    }
    this.drawTools(method);
    this.kept = filterOf(app, filtersOf(read()));
    await this.recolour();
    this.message.replaceChildren();
    this.takeLasso(params.get("lasso"));
  }

  say(element) {
    this.message.replaceChildren(element);
  }

  // Scales the coordinates to -1..1, the same for both axes.
  take(plane) {
    let [left, right, bottom, top] = [Infinity, -Infinity, Infinity, -Infinity];
    for (let index = 0; index < plane.length; index += 2) {
      if (Number.isNaN(plane[index])) continue;
      left = Math.min(left, plane[index]); right = Math.max(right, plane[index]);
      bottom = Math.min(bottom, plane[index + 1]); top = Math.max(top, plane[index + 1]);
    }
    const half = Math.max(right - left, top - bottom, 1e-9) / 2, [x, y] = [(left + right) / 2, (bottom + top) / 2];
    this.plane = plane.map((value, index) => (value - (index % 2 ? y : x)) / half);
    this.aspect = Math.max(0.2, (right - left) / Math.max(1e-9, top - bottom));
  }

  drawTools(method) {
    const app = this.app, labels = app.labelColumns();
    const colours = [["", "one colour"], ...(this.q ? [["similarity", `similarity to ${app.queryTitle(this.q)}`]] : []), ...app.columns.filter(column => column.values.length > 1).map(column => [`c:${column.name}`, column.name])];
    const telling = labels.filter(column => column.values.length <= PALETTE.length).at(-1) || labels.at(-1);  // each value has a colour of its own
    const colour = this.colour === "none" ? "" : this.colour || (telling ? `c:${telling.name}` : "");
    this.shownColour = colour;
    this.tools.replaceChildren(
      segmented("method", [["pca", "PCA"], ["umap", "UMAP"]], method, value => change({ method: value === "pca" ? null : value, at: null, lasso: null })),
      segmented("show", [["auto", "by zoom"], ["points", "points"], ["pictures", "pictures"]], this.mode, value => { change({ show: value === "auto" ? null : value }, false); this.update(read().params); }),
      select("Colour", colours, colour, value => change({ colour: value || "none" })),
      h("span", { class: "group" }, button("−", () => this.zoom(1 / 1.5), { class: "icon", "aria-label": "farther" }), button("+", () => this.zoom(1.5), { class: "icon", "aria-label": "nearer" }), button("Everything", () => this.reset())),
      this.lassoButton = button("Lasso", () => this.toggleLasso(), { "aria-pressed": String(Boolean(this.isLasso)) }),
      h("span", { class: "soft grow" }, "Drag moves, the wheel zooms, Shift + drag is the lasso."));
  }

  async recolour() {
    const app = this.app, colour = this.shownColour, count = app.count;
    this.fills = new Uint32Array(count).fill(packed(app.isDark ? "#6cb6ee" : "#17639c"));
    let legend = [];
    const scores = colour === "similarity" && this.q ? await app.similarities(this.q) : null;
    if (scores) {
      const seen = scores.filter(value => !Number.isNaN(value)).sort();
      const [low, high] = [seen[Math.floor(0.02 * seen.length)] ?? 0, seen[Math.floor(0.998 * (seen.length - 1))] ?? 1];
      scores.forEach((value, row) => { this.fills[row] = Number.isNaN(value) ? packed(app.colours.ink) : ramp((value - low) / Math.max(1e-9, high - low)); });
      legend = [h("div", {}, score(low), h("i", { class: "ramp", style: `background:linear-gradient(90deg,${RAMP.map(rgb => `rgb(${rgb})`).join()})` }), score(high))];
    } else if (colour?.startsWith("c:")) {
      const column = app.columns.find(one => one.name === colour.slice(2));
      if (column?.codes) {
        const counts = new Map();
        column.codes.forEach((code, row) => (!this.kept || this.kept(row)) && counts.set(code, (counts.get(code) || 0) + 1));
        const common = [...counts].filter(([code]) => code >= 0).sort((a, b) => b[1] - a[1]).slice(0, PALETTE.length).map(([code]) => code);
        const fill = new Map(common.map((code, index) => [code, packed(PALETTE[index])])), other = packed(OTHER);
        column.codes.forEach((code, row) => { this.fills[row] = fill.get(code) ?? other; });
        legend = common.map((code, index) => h("div", {}, h("i", { style: `background:${PALETTE[index]}` }), `${column.values[code]} (${number(counts.get(code))})`));
        if (counts.size > common.length) legend.push(h("div", {}, h("i", { style: `background:${OTHER}` }), "others"));
      }
    }
    this.legend.hidden = !legend.length;
    this.legend.replaceChildren(...legend);
    this.redraw();
  }

  resize() {
    const ratio = devicePixelRatio || 1;
    this.width = this.stage.clientWidth;
    this.height = this.stage.clientHeight;
    for (const canvas of [this.points, this.overlay]) {
      canvas.width = Math.max(1, Math.round(this.width * ratio));
      canvas.height = Math.max(1, Math.round(this.height * ratio));
      canvas.style.width = `${this.width}px`;
      canvas.style.height = `${this.height}px`;
    }
    this.redraw();
  }

  scale() {
    return this.view.zoom * Math.min(this.width / Math.max(1, Math.min(this.aspect || 1, 1) + 1e-9), this.height) * (0.5 - MARGIN / 2);
  }

  toScreen(x, y) {
    const scale = this.scale();
    return [this.width / 2 + (x - this.view.x) * scale, this.height / 2 - (y - this.view.y) * scale];
  }

  toMap(x, y) {
    const scale = this.scale();
    return [this.view.x + (x - this.width / 2) / scale, this.view.y - (y - this.height / 2) / scale];
  }

  redraw() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => { this.frame = 0; this.draw(); });
  }

  draw() {
    if (!this.width || !this.height) return;
    const context = this.points.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.points.width, this.points.height);
    this.drawOverlay();
    if (!this.plane || !this.fills.length) return;
    const seen = this.seen(), isFew = seen.length <= 700;
    if (this.mode === "pictures" || (this.mode === "auto" && isFew && this.view.zoom > 1.4)) this.drawPictures(context, seen);
    else this.drawPoints(context, seen);
    this.drawQuery(context);
  }

  // Rows in sight.
  seen() {
    const [left, top] = this.toMap(-20, -20), [right, bottom] = this.toMap(this.width + 20, this.height + 20), found = [];
    for (let row = 0; row < this.app.count; row++) {
      const x = this.plane[2 * row], y = this.plane[2 * row + 1];
      if (x >= left && x <= right && y <= top && y >= bottom && (!this.kept || this.kept(row))) found.push(row);
    }
    return found;
  }

  // Straight into an image's memory: a hundred thousand points in a few milliseconds.
  drawPoints(context, seen) {
    const ratio = devicePixelRatio || 1, { width, height } = this.points;
    const image = context.createImageData(width, height), pixels = new Uint32Array(image.data.buffer);
    const side = Math.max(2, Math.round(ratio * (seen.length > 20000 ? 2 : seen.length > 4000 ? 3 : seen.length > 1000 ? 5 : 7)));
    const disc = discOf(side), selected = this.selected;
    for (const row of seen) {
      const [sx, sy] = this.toScreen(this.plane[2 * row], this.plane[2 * row + 1]), x0 = Math.round(sx * ratio - side / 2), y0 = Math.round(sy * ratio - side / 2);
      const fill = selected && !selected.has(row) ? (this.fills[row] & 0x00ffffff) | 0x38000000 : this.fills[row];
      for (const [dx, dy] of disc) {
        const x = x0 + dx, y = y0 + dy;
        if (x >= 0 && y >= 0 && x < width && y < height) pixels[y * width + x] = fill;
      }
    }
    context.putImageData(image, 0, 0);
  }

  // Pictures; where they would lie on each other, one for each cell of a grid.
  drawPictures(context, seen) {
    const ratio = devicePixelRatio || 1, size = Math.round(Math.max(26, Math.min(120, 60 * Math.sqrt(300 / Math.max(20, seen.length))))), cell = size * 0.72, taken = new Set();
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    for (const row of seen) {
      const [x, y] = this.toScreen(this.plane[2 * row], this.plane[2 * row + 1]), key = `${Math.floor(x / cell)},${Math.floor(y / cell)}`;
      if (taken.has(key)) continue;
      taken.add(key);
      const bitmap = this.app.thumbnails.get(row), colour = unpacked(this.fills[row]);
      context.globalAlpha = this.selected && !this.selected.has(row) ? 0.25 : 1;
      context.fillStyle = colour;
      if (bitmap) {
        if (this.shownColour) context.fillRect(x - size / 2 - 2, y - size / 2 - 2, size + 4, size + 4);
        drawCover(context, bitmap, x - size / 2, y - size / 2, size);
      } else context.fillRect(x - 3, y - 3, 6, 6);
    }
    context.globalAlpha = 1;
  }

  drawQuery(context) {
    if (!this.q || !/^\d+$/.test(this.q)) return;
    const ratio = devicePixelRatio || 1, row = Number(this.q), [x, y] = this.toScreen(this.plane[2 * row], this.plane[2 * row + 1]);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    for (const [width, colour] of [[5, this.app.colours.ground], [2.5, this.app.colours.ink]]) {
      context.lineWidth = width;
      context.strokeStyle = colour;
      context.beginPath();
      context.arc(x, y, 10, 0, 2 * Math.PI);
      context.stroke();
    }
  }

  drawOverlay() {
    const context = this.overlay.getContext("2d"), ratio = devicePixelRatio || 1, line = this.drawing || this.lasso;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    if (this.stage.matches(":focus-visible")) this.drawMiddle(context);
    if (!line || line.length < 2) return;
    context.beginPath();
    line.forEach(([x, y], index) => { const [sx, sy] = this.toScreen(x, y); index ? context.lineTo(sx, sy) : context.moveTo(sx, sy); });
    context.closePath();
    context.fillStyle = this.app.colours.accent + "22";
    context.fill();
    context.strokeStyle = this.app.colours.accent;
    context.lineWidth = 1.5;
    context.stroke();
  }

  // Where Enter and Space look.
  drawMiddle(context) {
    context.strokeStyle = this.app.colours.ink;
    context.lineWidth = 1;
    for (const [dx, dy] of [[MIDDLE_PX, 0], [0, MIDDLE_PX]]) {
      context.beginPath();
      context.moveTo(this.width / 2 - dx, this.height / 2 - dy);
      context.lineTo(this.width / 2 + dx, this.height / 2 + dy);
      context.stroke();
    }
  }

  nearestToMiddle() {
    const box = this.stage.getBoundingClientRect();
    return this.nearestTo({ clientX: box.left + this.width / 2, clientY: box.top + this.height / 2 }, Infinity);
  }

  nearestTo(event, radius = 14) {
    if (!this.plane) return -1;
    const box = this.stage.getBoundingClientRect(), [x, y] = this.toMap(event.clientX - box.left, event.clientY - box.top);
    const reach = radius / this.scale();
    let best = -1, least = reach * reach;
    for (let row = 0; row < this.app.count; row++) {
      const dx = this.plane[2 * row] - x, dy = this.plane[2 * row + 1] - y, distance = dx * dx + dy * dy;
      if (distance < least && (!this.kept || this.kept(row))) { least = distance; best = row; }
    }
    return best;
  }

  down(event) {
    if (event.button) return;
    this.stage.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
    this.moved = 0;
    this.app.preview.hide();
    if ((event.shiftKey || this.isLasso) && this.pointers.size === 1) this.drawing = [this.mapPoint(event)];
  }

  pointerMove(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return this.hover(event);
    const others = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, point]) => point);
    const now = [event.clientX, event.clientY];
    this.moved += Math.hypot(now[0] - before[0], now[1] - before[1]);
    if (this.drawing) { this.drawing.push(this.mapPoint(event)); this.drawOverlay(); }
    else if (others.length) {
      const distance = point => Math.hypot(point[0] - others[0][0], point[1] - others[0][1]);
      this.zoomAt(distance(now) / Math.max(1, distance(before)), (now[0] + others[0][0]) / 2, (now[1] + others[0][1]) / 2);
    } else {
      const scale = this.scale();
      this.view.x -= (now[0] - before[0]) / scale;
      this.view.y += (now[1] - before[1]) / scale;
      this.redraw();
    }
    this.pointers.set(event.pointerId, now);
  }

  up(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    if (this.drawing) {
      const line = this.drawing;
      this.drawing = null;
      if (line.length > 3 && this.moved > 12) change({ lasso: written(simpler(line)) });
      else { this.drawOverlay(); }
      return;
    }
    if (this.moved < 5) {
      const row = this.nearestTo(event);
      if (row >= 0) event.ctrlKey || event.metaKey || this.app.isPicking ? this.pick(row) : this.app.openNeighbours(row);
    } else this.keepView();
  }

  pick(row) {
    this.app.basket.toggle([row], !this.app.basket.has(row));
    this.told.textContent = `${this.app.title(row)} ${this.app.basket.has(row) ? "picked" : "no longer picked"}`;
  }

  // All in sight, as if the lasso went round the window.
  selectSeen() {
    const corners = [[0, 0], [this.width, 0], [this.width, this.height], [0, this.height]].map(([x, y]) => this.toMap(x, y));
    change({ lasso: written(corners) });
  }

  hover(event) {
    if (event.pointerType === "touch") return;
    const row = this.nearestTo(event);
    this.stage.style.cursor = row >= 0 && !this.isLasso ? "pointer" : "";
    if (row === this.hovered) return;
    this.hovered = row;
    clearTimeout(this.hoverTimer);
    this.app.preview.hide();
    if (row >= 0) this.hoverTimer = setTimeout(() => this.app.preview.show(row, { left: event.clientX, top: event.clientY, width: 8, height: 8 }), 120);
  }

  mapPoint(event) {
    const box = this.stage.getBoundingClientRect();
    return this.toMap(event.clientX - box.left, event.clientY - box.top);
  }

  wheel(event) {
    event.preventDefault();
    this.zoomAt(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), event.clientX, event.clientY);
  }

  zoomAt(factor, clientX, clientY) {
    const box = this.stage.getBoundingClientRect(), [x, y] = [clientX - box.left, clientY - box.top], before = this.toMap(x, y);
    this.view.zoom = Math.max(0.5, Math.min(400, this.view.zoom * factor));
    const after = this.toMap(x, y);
    this.view.x += before[0] - after[0];
    this.view.y += before[1] - after[1];
    this.redraw();
    this.keepView();
  }

  zoom(factor) {
    const box = this.stage.getBoundingClientRect();
    this.zoomAt(factor, box.left + box.width / 2, box.top + box.height / 2);
  }

  reset() {
    this.view = { x: 0, y: 0, zoom: 1 };
    change({ at: null }, false);
    this.redraw();
  }

  keepView() {
    clearTimeout(this.keepTimer);
    this.keepTimer = setTimeout(() => this.stage.isConnected && change({ at: [this.view.x.toFixed(4), this.view.y.toFixed(4), this.view.zoom.toFixed(2)].join() }, false), 300);
  }

  keyDown(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const middle = this.nearestToMiddle(), step = 0.15 / this.view.zoom, moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
    if (event.key in moves) { this.view.x += moves[event.key][0]; this.view.y += moves[event.key][1]; this.redraw(); this.keepView(); }
    else if (event.key === "+" || event.key === "=") this.zoom(1.4);
    else if (event.key === "-") this.zoom(1 / 1.4);
    else if (event.key === "0") this.reset();
    else if (event.key === "l") this.toggleLasso();
    else if (event.key === "s") this.selectSeen();
    else if (event.key === "Enter" && middle >= 0) this.app.openNeighbours(middle);
    else if (event.key === " " && middle >= 0) this.pick(middle);
    else if (event.key === "Escape" && (this.isLasso || this.lasso)) { if (this.isLasso) this.toggleLasso(); change({ lasso: null }); }
    else return;
    const now = this.nearestToMiddle();
    if (event.key !== " ") this.told.textContent = now >= 0 ? this.app.title(now) : "";
    event.preventDefault();
    event.stopPropagation();
  }

  toggleLasso() {
    this.isLasso = !this.isLasso;
    this.stage.classList.toggle("lasso", this.isLasso);
    this.lassoButton.setAttribute("aria-pressed", String(this.isLasso));
  }

  takeLasso(text) {
    const filters = filtersOf(read()).toString(), key = [text, filters, filters && Boolean(this.app.names)].join(" ");  // the filters need the names
    if (key === this.lassoText) return;
    this.lassoText = key;
    this.clearDrawer();
    const line = text?.split(";").map(point => point.split(",").map(Number)).filter(point => point.length === 2 && point.every(Number.isFinite));
    if (!line || line.length < 3) { this.lasso = this.selected = null; return this.redraw(); }
    this.lasso = line;
    const rows = [];
    for (let row = 0; row < this.app.count; row++) if (isInside(this.plane[2 * row], this.plane[2 * row + 1], line) && (!this.kept || this.kept(row))) rows.push(row);
    this.selected = new Set(rows);
    this.wall = new Wall(this.app, { label: "the selection", size: 84 });
    this.drawer.replaceChildren(h("div", { class: "tools-row" }, h("strong", {}, plural(rows.length, "picture")), button("Into the basket", () => this.app.basket.toggle(rows, true)), button("Close", () => change({ lasso: null }))), rows.length ? this.wall.element : state("The lasso holds no picture."));
    this.drawer.hidden = false;
    this.wall.show(rows);
    this.redraw();
  }

  clearDrawer() {
    this.wall?.destroy();
    this.wall = null;
    this.drawer.hidden = true;
  }

  destroy() {
    if (this.signal) this.signal.stopped = true;
    clearTimeout(this.hoverTimer);
    clearTimeout(this.keepTimer);
    this.clearDrawer();
    this.observer.disconnect();
    this.app.thumbnails.listeners.delete(this.onthumbnails);
    this.offs.forEach(off => off());
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

const written = line => line.map(point => point.map(value => value.toFixed(4)).join(",")).join(";");

// At most about sixty points, so that it fits into an address.
function simpler(line) {
  const step = Math.ceil(line.length / 60);
  return line.filter((_, index) => index % step === 0);
}

function discOf(side) {
  const found = [], middle = (side - 1) / 2, radius = side / 2;
  for (let y = 0; y < side; y++) for (let x = 0; x < side; x++) if (side < 4 || Math.hypot(x - middle, y - middle) <= radius) found.push([x, y]);
  return found;
}

function packed(hex) {
  const value = parseInt(hex.slice(1), 16);
  return ((0xff << 24) | ((value & 255) << 16) | (value & 0xff00) | (value >> 16)) >>> 0;
}

function unpacked(value) {
  return `rgb(${value & 255},${(value >> 8) & 255},${(value >> 16) & 255})`;
}

function ramp(share) {
  const position = Math.max(0, Math.min(0.9999, share)) * (RAMP.length - 1), low = Math.floor(position), part = position - low;
  const [r, g, b] = RAMP[low].map((value, channel) => Math.round(value + part * (RAMP[low + 1][channel] - value)));
  return ((0xff << 24) | (b << 16) | (g << 8) | r) >>> 0;
}
