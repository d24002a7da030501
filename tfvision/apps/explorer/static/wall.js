// A wall of pictures on a canvas that scrolls: only what is seen is drawn, so that its length does not matter.
//
//   const wall = new Wall(app, { label, caption(index, row), mark(row), onopen(row, index), actions: { y: row => ... } });
//   host.append(wall.element); wall.show(rows);

import { drawCover } from "./thumbnails.js";
import { h } from "./dom.js";
import { askLabel } from "./relabel.js";

const GAP = 6;
const HOVER_SECONDS = 0.35;
const PRESS_SECONDS = 0.5;
const CAPTION_PX = 20;

export class Wall {
  constructor(app, options) {
    this.app = app;
    this.options = { label: "pictures", size: 112, lines: 0, ...options };
    this.rows = [];
    this.size = this.options.size;
    this.cursor = 0;
    this.anchor = 0;
    this.ranged = /** @type {{ from: number, picked: number[] } | null} */ (null);  // what the last range from the anchor picked
    this.width = this.height = this.columns = this.tile = this.step = 0;  // layout() sets them
    this.canvas = h("canvas", { "aria-hidden": "true" });
    this.space = h("div", { class: "wall-space" }, this.canvas);
    this.option = h("div", { role: "option", class: "hidden", hidden: true, "aria-selected": "false", id: `option-${Math.random().toString(36).slice(2)}` });
    this.element = h("div", {
      class: "wall", role: "listbox", tabindex: "0", "aria-multiselectable": "true", "aria-label": this.options.label,
      "aria-activedescendant": this.option.id,
      onscroll: () => this.scrolled(), onkeydown: event => this.key(event), onfocus: () => this.redraw(), onblur: () => this.redraw(),
      onclick: event => this.click(event), onpointermove: event => this.hover(event), onpointerleave: () => this.leave(),
      onpointerdown: event => this.press(event), onpointerup: () => clearTimeout(this.pressTimer), onpointercancel: () => clearTimeout(this.pressTimer),
      oncontextmenu: event => { if (this.isPressed) event.preventDefault(); },
    }, this.space, this.option);
    this.observer = new ResizeObserver(() => this.layout());
    this.observer.observe(this.element);
    this.onthumbnails = () => this.redraw();
    app.thumbnails.listeners.add(this.onthumbnails);
    const told = () => { this.tellCursor(); this.redraw(); };
    this.offs = [app.on("notes", told), app.on("details", told), app.on("theme", () => this.redraw()), app.on("print", () => this.draw())];
  }

  show(rows, { keepsPlace = false } = {}) {
    this.rows = rows;
    if (!keepsPlace) { this.cursor = this.anchor = 0; this.ranged = null; this.element.scrollTop = 0; }
    this.cursor = Math.min(this.cursor, Math.max(0, rows.length - 1));
    this.tellCursor();
    this.layout();
  }

  resize(size) {
    const first = this.firstVisible();
    this.size = size;
    this.layout();
    this.element.scrollTop = Math.floor(first / this.columns) * this.step;
  }

  // The index of the first picture in sight.
  firstVisible() {
    return Math.floor(this.element.scrollTop / (this.step || 1)) * (this.columns || 1);
  }

  scrollTo(index) {
    this.element.scrollTop = Math.floor(index / this.columns) * this.step;
  }

  destroy() {
    this.observer.disconnect();
    this.app.thumbnails.listeners.delete(this.onthumbnails);
    this.offs.forEach(off => off());
    this.leave();
  }

  layout() {
    const { clientWidth: width, clientHeight: height } = this.element;
    if (!width || !height) return;
    const ratio = devicePixelRatio || 1;
    this.columns = Math.max(1, Math.floor((width - GAP) / (this.size + GAP)));
    this.tile = Math.floor((width - GAP) / this.columns) - GAP;
    if (this.rows.length && this.rows.length < this.columns) this.tile = Math.min(this.tile, Math.round(this.size * 1.25));
    this.step = this.tile + GAP + this.options.lines * CAPTION_PX;
    this.space.style.height = `${Math.max(height, Math.ceil(this.rows.length / this.columns) * this.step + GAP)}px`;
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
      this.canvas.style.width = `${width}px`;
      this.canvas.style.height = `${height}px`;
    }
    this.width = width;
    this.height = height;
    this.redraw();
  }

  redraw() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => { this.frame = 0; this.draw(); });
  }

  scrolled() {
    this.leave();
    clearTimeout(this.pressTimer);
    this.app.thumbnails.forgetWishes();
    this.redraw();
    this.options.onscroll?.(this.firstVisible());
  }

  draw() {
    if (!this.element.isConnected || !this.columns) return;
    const context = this.canvas.getContext("2d"), ratio = devicePixelRatio || 1, colours = this.app.colours;
    const top = this.element.scrollTop;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    context.imageSmoothingQuality = "medium";
    const first = Math.max(0, Math.floor(top / this.step) * this.columns);
    const last = Math.min(this.rows.length, (Math.floor((top + this.height) / this.step) + 1) * this.columns);
    for (let index = last - 1; index >= first; index--) this.drawTile(context, index, top, colours);
    if (this.step * 3 < 20000) {  // what comes next is fetched before it is seen
      for (let index = last; index < Math.min(this.rows.length, last + 2 * this.columns); index++) this.app.thumbnails.get(this.rows[index]);
    }
  }

  corner(index, top) {
    return [GAP + (index % this.columns) * (this.tile + GAP), GAP + Math.floor(index / this.columns) * this.step - top];
  }

  drawTile(context, index, top, colours) {
    const row = this.rows[index], [x, y] = this.corner(index, top), size = this.tile;
    const bitmap = this.app.thumbnails.get(row);
    if (bitmap) drawCover(context, bitmap, x, y, size);
    else {
      context.fillStyle = colours.tile;
      context.fillRect(x, y, size, size);
      if (bitmap === null) this.drawBroken(context, x, y, size, colours);
    }
    this.drawCaption(context, index, row, x, y + size, colours);
    this.drawMark(context, row, x, y, size, colours);
    if (this.app.basket.has(row)) this.drawPicked(context, x, y, size, colours);
    if (index === this.cursor && document.activeElement === this.element) {
      context.strokeStyle = colours.ground;
      context.lineWidth = 6;
      context.strokeRect(x + 1, y + 1, size - 2, size - 2);
      context.strokeStyle = colours.accent;
      context.lineWidth = 3;
      context.strokeRect(x - 0.5, y - 0.5, size + 1, size + 1);
    }
  }

  drawBroken(context, x, y, size, colours) {
    context.strokeStyle = colours.line;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(x, y); context.lineTo(x + size, y + size);
    context.moveTo(x + size, y); context.lineTo(x, y + size);
    context.stroke();
    if (size < 70) return;
    context.fillStyle = colours.soft;
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "center";
    context.fillText("cannot be read", x + size / 2, y + size - 8);
    context.textAlign = "left";
  }

  drawCaption(context, index, row, x, y, colours) {
    const lines = this.options.lines ? this.options.caption(index, row) : [];
    lines.slice(0, this.options.lines).forEach((text, line) => {
      context.fillStyle = line ? colours.soft : colours.ink;
      context.font = `${line ? "" : "600 "}12px system-ui, sans-serif`;
      context.fillText(fitted(context, text, this.tile), x, y + 15 + line * (CAPTION_PX - 3));
    });
  }

  drawMark(context, row, x, y, size, colours) {
    const mark = this.options.mark?.(row);
    if (mark === undefined || mark === null) return;
    context.fillStyle = mark ? colours.right : colours.wrong;
    context.fillRect(x, y + size - 5, size, 5);
    circle(context, x + 15, y + size - 19, 11);
    context.strokeStyle = "#fff";
    context.lineWidth = 2.4;
    context.beginPath();
    const cx = x + 15, cy = y + size - 19;
    if (mark) { context.moveTo(cx - 5, cy); context.lineTo(cx - 1.5, cy + 4); context.lineTo(cx + 5, cy - 4); }
    else { context.moveTo(cx - 4, cy - 4); context.lineTo(cx + 4, cy + 4); context.moveTo(cx + 4, cy - 4); context.lineTo(cx - 4, cy + 4); }
    context.stroke();
  }

  drawPicked(context, x, y, size, colours) {
    context.fillStyle = colours.accent;
    circle(context, x + size - 14, y + 14, 9);
    context.fillStyle = "#fff";
    circle(context, x + size - 14, y + 14, 3.5);
  }

  indexAt(event) {
    const box = this.canvas.getBoundingClientRect(), x = event.clientX - box.left - GAP, y = event.clientY - box.top - GAP + this.element.scrollTop;
    const column = Math.floor(x / (this.tile + GAP));
    if (column < 0 || column >= this.columns || x % (this.tile + GAP) > this.tile) return -1;
    const index = Math.floor(y / this.step) * this.columns + column;
    return index >= 0 && index < this.rows.length ? index : -1;
  }

  // A finger that stays picks; the click that follows is none.
  press(event) {
    this.isPressed = false;
    clearTimeout(this.pressTimer);
    const index = event.pointerType === "touch" ? this.indexAt(event) : -1;
    if (index >= 0) this.pressTimer = setTimeout(() => { this.isPressed = true; this.anchor = index; this.pick(index); }, 1000 * PRESS_SECONDS);
  }

  click(event) {
    const index = this.indexAt(event);
    if (index < 0 || this.isPressed) return;
    this.leave();
    if (event.shiftKey) return this.pickRange(this.anchor, index);
    this.anchor = index;
    this.move(index, false);
    if (event.ctrlKey || event.metaKey || this.app.isPicking) this.pick(index);
    else this.open(index);
  }

  open(index) {
    (this.options.onopen || (row => this.app.openNeighbours(row)))(this.rows[index], index);
  }

  pick(index) {
    const row = this.rows[index];
    this.app.basket.toggle([row], !this.app.basket.has(row));
  }

  // Picks all from one to another; what an earlier range from the same one had picked beyond is picked no longer.
  pickRange(from, to) {
    const { basket } = this.app, rows = Array.from(this.rows.slice(Math.min(from, to), Math.max(from, to) + 1)), within = new Set(rows);
    const before = this.ranged && this.ranged.from === from ? this.ranged.picked : [];
    const beyond = before.filter(row => !within.has(row) && basket.has(row));
    this.ranged = { from, picked: [...before.filter(row => within.has(row)), ...rows.filter(row => !basket.has(row))] };
    basket.toggle(beyond, false);
    basket.toggle(rows, true);
  }

  hover(event) {
    if (event.pointerType === "touch") return;
    const index = this.indexAt(event);
    this.element.style.cursor = index < 0 ? "" : "pointer";
    if (index === this.hovered) return;
    this.leave();
    if (index < 0) return;
    this.hovered = index;
    const row = this.rows[index], [x, y] = this.corner(index, this.element.scrollTop), box = this.canvas.getBoundingClientRect();
    const beside = { left: box.left + x, top: box.top + y, width: this.tile, height: this.tile };
    this.hoverTimer = setTimeout(() => this.app.preview.show(row, beside, this.options.hover?.(index, row)), 1000 * HOVER_SECONDS);
  }

  leave() {
    clearTimeout(this.hoverTimer);
    this.hovered = -1;
    this.app.preview.hide();
  }

  key(event) {
    const isAll = event.key === "a" && (event.ctrlKey || event.metaKey);
    if (((event.ctrlKey || event.metaKey) && !isAll) || event.altKey || !this.rows.length) return;
    const page = Math.max(1, Math.floor(this.height / this.step)) * this.columns;
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.columns, ArrowUp: -this.columns, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    const row = this.rows[this.cursor];
    if (isAll) this.app.basket.toggle(Array.from(this.rows), true);
    else if (event.key in steps) this.stepBy(steps[event.key], event.shiftKey);
    else if (event.key === "Enter") this.open(this.cursor);
    else if (event.key === " ") this.pick(this.cursor);
    else if (event.key === "v") this.enlarge();
    else if (this.options.actions?.[event.key]) this.options.actions[event.key](row, this.cursor, this);
    else if (event.key === "c" && !this.app.source.isStatic) askLabel(this.app, [row]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  stepBy(by, isPicking) {
    const before = this.cursor;
    this.move(Math.max(0, Math.min(this.rows.length - 1, before + by)));
    if (isPicking) this.pickRange(this.anchor, this.cursor);
    else this.anchor = this.cursor;
  }

  move(index, isScrolled = true) {
    this.cursor = index;
    const y = Math.floor(index / this.columns) * this.step, element = this.element;
    this.leave();
    if (isScrolled && y < element.scrollTop) element.scrollTop = y;
    if (isScrolled && y + this.step + GAP > element.scrollTop + this.height) element.scrollTop = y + this.step + GAP - this.height;
    this.tellCursor();
    this.redraw();
    this.options.oncursor?.(this.rows[index], index);
  }

  enlarge() {
    if (this.app.preview.isShown) return this.app.preview.hide();
    const [x, y] = this.corner(this.cursor, this.element.scrollTop), box = this.canvas.getBoundingClientRect();
    const beside = { left: box.left + x, top: box.top + y, width: this.tile, height: this.tile };
    this.app.preview.show(this.rows[this.cursor], beside, this.options.hover?.(this.cursor, this.rows[this.cursor]));
  }

  tellCursor() {
    const row = this.rows[this.cursor];
    this.option.hidden = row === undefined;
    if (row === undefined) return this.option.replaceChildren();
    const caption = this.options.lines ? `, ${this.options.caption(this.cursor, row).join(", ")}` : "";
    this.option.textContent = `${this.app.title(row)}${caption}`;
    this.option.setAttribute("aria-posinset", this.cursor + 1);
    this.option.setAttribute("aria-setsize", this.rows.length);
    this.option.setAttribute("aria-selected", String(this.app.basket.has(row)));
  }
}

function circle(context, x, y, radius) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}

function fitted(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let length = Math.max(1, Math.floor(text.length * width / context.measureText(text).width) - 1);
  while (length > 1 && context.measureText(text.slice(0, length) + "…").width > width) length--;
  return text.slice(0, length) + "…";
}
