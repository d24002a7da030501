// A small histogram with a range that can be drawn by mouse or finger, moved by its two handles, and set by the keys.
//
//   const brush = new Brush({ label, bins, told(bin, isEnd) -> text, onchange(low, high), onmove(low, high), oncancel() });
//   host.append(brush.element); brush.update(totals, left, [low, high] or null)    // bins, both ends included

import { h, number, svg } from "./dom.js";

const HEIGHT = 52, LEAST = 2.5;
const GRIP_PX = 14;  // this near to a handle the range is changed, not drawn anew
const PAGE = 5;  // bins of Page Up

export class Brush {
  constructor(options) {
    this.options = options;
    this.last = options.bins - 1;
    /** @type {SVGElement[]} */
    this.bars = [];
    /** @type {SVGElement[]} */
    this.titles = [];
    this.totals = "";  // that the bars are of
    /** @type {number[] | null} */
    this.range = null;
    this.svg = svg("svg", { viewBox: `0 0 ${options.bins} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" });
    this.band = h("div", { class: "brush-band", hidden: true });
    this.handles = ["from", "to"].map((end, index) => h("div", { class: "brush-handle", role: "slider", tabindex: "0", "aria-label": `${options.label}, ${end}`, "aria-valuemin": "0", "aria-valuemax": String(this.last), onkeydown: event => this.key(event, index) }));
    this.element = h("div", {
      class: "brush", onpointerdown: event => this.down(event), onpointermove: event => this.move(event), onpointerup: event => this.up(event), onpointercancel: () => this.cancel(),
    }, this.svg, this.band, this.handles);
  }

  update(totals, left, range) {
    const most = totals.reduce((a, b) => Math.max(a, b), 1), height = count => (count ? Math.max(LEAST, (HEIGHT - 2) * count / most) : 0);
    if (this.totals !== String(totals)) this.build(totals, height);
    left.forEach((count, bin) => {
      this.bars[bin].setAttribute("y", String(HEIGHT - height(count)));
      this.bars[bin].setAttribute("height", String(height(count)));
      this.titles[bin].textContent = totals[bin] ? `${this.told(bin, bin)}: ${count === totals[bin] ? number(count) : `${number(count)} of ${number(totals[bin])}`}` : "";
    });
    if (!this.drawn) this.place(range);
  }

  // The bars: of all behind those of what is left, and over them what tells the numbers.
  build(totals, height) {
    const bar = (bin, high, name, ...children) => svg("rect", { x: bin + 0.06, width: 0.88, y: HEIGHT - high, height: high, class: name }, ...children), bins = Array.from(totals, (_, bin) => bin);
    this.totals = String(totals);
    this.bars = bins.map(bin => bar(bin, 0, "left"));
    this.titles = bins.map(() => svg("title"));
    this.svg.replaceChildren(...bins.map(bin => bar(bin, height(totals[bin]), "all")), ...this.bars, ...bins.map(bin => bar(bin, HEIGHT, "over", this.titles[bin])));
  }

  told(low, high) {
    const [from, to] = [this.options.told(low, false), this.options.told(high, true)];
    return from === to ? from : `${from} to ${to}`;
  }

  place(range) {
    this.range = range;
    const [low, high] = range || [0, this.last], share = bin => 100 * bin / (this.last + 1);
    this.band.hidden = !range;
    this.band.style.left = `${share(low)}%`;
    this.band.style.width = `${share(high - low + 1)}%`;
    this.handles.forEach((handle, index) => {
      handle.style.left = `${share(index ? high + 1 : low)}%`;
      handle.setAttribute("aria-valuenow", String(index ? high : low));
      handle.setAttribute("aria-valuetext", this.options.told(index ? high : low, Boolean(index)));
    });
  }

  // Both ends at the outermost bins: no range.
  choose(low, high) {
    const isAll = low === 0 && high === this.last;
    this.place(isAll ? null : [low, high]);
    this.options.onchange(low, high);
  }

  binAt(event) {
    const box = this.svg.getBoundingClientRect();
    return Math.max(0, Math.min(this.last, Math.floor((this.last + 1) * (event.clientX - box.left) / Math.max(1, box.width))));
  }

  down(event) {
    if (event.button) return;
    const near = this.handles.findIndex(handle => { const box = handle.getBoundingClientRect(); return Math.abs(event.clientX - (box.left + box.width / 2)) <= GRIP_PX; });
    const bin = this.binAt(event), isMoved = near >= 0 && (this.range || event.target === this.handles[near]);
    this.before = this.range;
    this.drawn = isMoved ? [near ? this.range?.[0] ?? 0 : this.range?.[1] ?? this.last, bin] : [bin, bin];
    this.element.setPointerCapture(event.pointerId);
    this.place(this.drawn.toSorted((a, b) => a - b));
    if (near >= 0) this.handles[near].focus({ preventScroll: true });
    event.preventDefault();
  }

  move(event) {
    if (!this.drawn) return;
    this.drawn[1] = this.binAt(event);
    this.place(this.drawn.toSorted((a, b) => a - b));
    this.options.onmove?.(...this.range || []);
  }

  up(event) {
    if (!this.drawn) return;
    this.move(event);
    const [low, high] = this.range || [0, this.last];
    this.drawn = null;
    this.choose(low, high);
  }

  // A finger that scrolls the panel draws nothing.
  cancel() {
    this.drawn = null;
    this.place(this.before ?? null);
    this.options.oncancel?.();
  }

  key(event, index) {
    const [low, high] = this.range || [0, this.last], at = index ? high : low;
    const to = { ArrowLeft: at - 1, ArrowDown: at - 1, ArrowRight: at + 1, ArrowUp: at + 1, PageDown: at - PAGE, PageUp: at + PAGE, Home: 0, End: this.last }[event.key];
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    const limits = index ? [low, this.last] : [0, high], bin = Math.max(limits[0], Math.min(limits[1], to));
    if (bin !== at) this.choose(...(index ? [low, bin] : [bin, high]));
  }
}
