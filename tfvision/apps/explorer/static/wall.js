// A wall of pictures on a canvas that scrolls: only what is seen is drawn, so that its length does not matter.
//
//   const wall = new Wall(app, { label, caption(index, row), mark(row), query, onopen(row, index), actions: { y: row => ... } });
//   host.append(wall.element); wall.show(rows);

import { drawCover, drawWhole } from "./thumbnails.js";
import { h, number, plural } from "./dom.js";
import { askLabel } from "./relabel.js";
import { captionOf, edgeOf, outcomeOf } from "./tiles.js";

const GAP = 6;
const HOVER_SECONDS = 0.35;
const PRESS_SECONDS = 0.5, STILL_PX = 10;  // of a finger that stays
const CAPTION_PX = 20;
const MOST_CUT = 300;  // pixels of a side up to which a tile shows the middle square; larger ones show the whole picture
const TALL = 0.75;  // height of such a tile for its width
const THUMBNAIL_PX = 160;  // of the longer side: one of fewer has all the pixels of its picture
const BLURRED = 1.3;  // from so many pixels for each of a thumbnail's on, a sharper one is asked for
const SIGN_PX = 26;  // of the sign at the corner that opens the large view
const PRINTED = 100, PRINTED_PIXELS = 16e6;  // of the pictures that stand on paper, their number and all their pixels at most

export class Wall {
  constructor(app, options) {
    this.app = app;
    this.options = { label: "pictures", size: 112, lines: 0, ...options };
    this.rows = [];
    this.size = this.options.size;
    this.cursor = 0;
    this.anchor = 0;
    this.isScrolled = false;
    this.ranged = /** @type {{ from: number, picked: number[] } | null} */ (null);  // what the last range from the anchor picked
    this.width = this.height = this.columns = this.tile = this.tall = this.step = this.lines = 0;  // layout() sets them
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
    const told = () => { this.tellCursor(); this.redraw(); }, dressed = () => { this.layout(); this.tellCursor(); };
    this.offs = [app.on("notes", told), app.on("details", dressed), app.on("theme", () => this.redraw()), app.on("print", () => this.print()), app.on("tiles", dressed)];
    this.named = captionOf(app);
    this.edges = this.edgesNow();
    app.walls.add(this);
  }

  show(rows, { keepsPlace = false } = {}) {
    this.rows = rows;
    if (!keepsPlace) {
      this.cursor = this.anchor = 0;
      this.ranged = null;
      if (this.isScrolled) this.element.scrollTop = 0;
    }
    this.cursor = Math.min(this.cursor, Math.max(0, rows.length - 1));
    this.tellCursor();
    if (this.width) this.arrange();  // as large as it was: measured now, the page would be laid out twice
    else this.layout();
  }

  resize(size) {
    const first = this.firstVisible();
    this.size = size;
    this.layout();
    this.scrollTo(first);
  }

  // The index of the first picture in sight.
  firstVisible() {
    return Math.floor(this.element.scrollTop / (this.step || 1)) * (this.columns || 1);
  }

  scrollTo(index) {
    this.scrollToPixel(Math.floor(index / this.columns) * this.step);
  }

  scrollToPixel(top) {
    this.isScrolled = true;  // its event comes later
    this.element.scrollTop = top;
  }

  destroy() {
    this.observer.disconnect();
    this.app.walls.delete(this);
    this.app.thumbnails.listeners.delete(this.onthumbnails);
    this.offs.forEach(off => off());
    clearTimeout(this.pressTimer);
    this.leave();
  }

  // What tiles show besides: a caption, and an edge where there is a query, as the address says, or where a run answered.
  dress() {
    this.named = captionOf(this.app);
    this.edges = this.edgesNow();
  }

  edgesNow() {
    return this.options.hasOutcomes ? outcomeOf(this.app) : edgeOf(this.app, this.options.query);
  }

  // Takes the size that the element has.
  layout() {
    const { clientWidth, clientHeight } = this.element;
    if (!clientWidth || !clientHeight) return;
    this.width = clientWidth;
    this.height = clientHeight;
    this.arrange();
  }

  // Tiles and canvas for this size.
  arrange() {
    const ratio = devicePixelRatio || 1, { width, height } = this;
    this.columns = Math.max(1, Math.floor((width - GAP) / (this.size + GAP)));
    this.tile = Math.floor((width - GAP) / this.columns) - GAP;
    if (this.rows.length && this.rows.length < this.columns) this.tile = Math.min(this.tile, Math.round(this.size * 1.25));
    this.dress();
    this.lines = this.options.lines + (this.named ? 1 : 0);
    this.isCut = this.tile <= MOST_CUT;
    this.tall = this.isCut ? this.tile : Math.min(Math.round(TALL * this.tile), Math.max(MOST_CUT * TALL, height - this.lines * CAPTION_PX - 2 * GAP));
    this.step = this.tall + GAP + this.lines * CAPTION_PX;
    this.space.style.height = `${Math.max(height, Math.ceil(this.rows.length / this.columns) * this.step + GAP)}px`;
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
      this.canvas.style.width = `${width}px`;
      this.canvas.style.height = `${height}px`;
    }
    this.redraw();
  }

  redraw() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => { this.frame = 0; this.draw(); });
  }

  scrolled() {
    this.isScrolled = this.element.scrollTop > 0;
    this.leave();
    clearTimeout(this.pressTimer);
    this.app.thumbnails.forgetWishes();
    this.app.sharp.forgetWishes();
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
    const isWhole = this.rows.slice(first, last).every(row => this.app.thumbnails.bitmaps.has(row));
    if (isWhole && this.step * 3 < 20000) {  // what comes next is fetched before it is seen, and what would be printed
      for (let index = last; index < Math.min(this.rows.length, Math.max(PRINTED, last + 2 * this.columns)); index++) this.app.thumbnails.get(this.rows[index]);
    }
  }

  // For the paper: the first pictures, one by one so that no page's end cuts one, and how many there are. printing.js takes it away again.
  print() {
    const ratio = 2, width = this.tile + GAP, height = this.step, count = Math.min(this.rows.length, PRINTED, Math.ceil(PRINTED_PIXELS / (ratio * ratio * width * height)));
    const tiles = Array.from({ length: this.columns ? count : 0 }, (_, index) => {
      const canvas = h("canvas", { width: ratio * width, height: ratio * height, style: `width:${width}px` }), [x, y] = this.corner(index, 0);
      canvas.getContext("2d").setTransform(ratio, 0, 0, ratio, ratio * (GAP / 2 - x), ratio * (GAP / 2 - y));
      this.drawTile(canvas.getContext("2d"), index, 0, this.app.colours);
      return canvas;
    });
    const missing = tiles.filter((_, index) => this.app.thumbnails.get(this.rows[index]) === undefined).length;
    const told = [
      count < this.rows.length && `The first ${number(count)} of ${plural(this.rows.length, "picture")}. A list of all: Pick all shown, then CSV in the basket. `,
      missing > 0 && `${plural(missing, "picture")} had not been fetched yet: print once more.`,
    ].filter(Boolean).map(text => h("p", {}, text));
    this.element.append(h("div", { class: "on-paper" }, told, tiles));
  }

  corner(index, top) {
    return [GAP + (index % this.columns) * (this.tile + GAP), GAP + Math.floor(index / this.columns) * this.step - top];
  }

  drawTile(context, index, top, colours) {
    const row = this.rows[index], [x, y] = this.corner(index, top), width = this.tile, height = this.tall;
    this.drawPicture(context, row, x, y, colours);
    this.drawCaption(context, index, row, x, y + height, colours);
    this.drawMark(context, row, x, y, height, colours);
    this.drawEdge(context, row, x, y, colours);
    if (this.app.basket.has(row)) this.drawPicked(context, x, y, width, colours);
    if (index === this.hovered) this.drawSign(context, x, y, colours);
    if (index === this.cursor && document.activeElement === this.element) {
      context.strokeStyle = colours.ground;
      context.lineWidth = 6;
      context.strokeRect(x + 1, y + 1, width - 2, height - 2);
      context.strokeStyle = colours.accent;
      context.lineWidth = 3;
      context.strokeRect(x - 0.5, y - 0.5, width + 1, height + 1);
    }
  }

  // The picture, as sharp as it is there; a sharper one follows where a thumbnail would be blurred.
  drawPicture(context, row, x, y, colours) {
    const width = this.tile, height = this.tall, thumbnail = this.app.thumbnails.get(row), { isCut } = this;
    if (!thumbnail || !isCut) {
      context.fillStyle = colours.tile;
      context.fillRect(x, y, width, height);
    }
    if (!thumbnail) {
      if (thumbnail === null) this.drawBroken(context, x, y, width, height, colours);
      return;
    }
    const shorter = Math.min(thumbnail.width, thumbnail.height), longer = Math.max(thumbnail.width, thumbnail.height), ratio = devicePixelRatio || 1;
    const needed = ratio * (isCut ? width * longer / shorter : Math.min(Math.max(width, height), longer * Math.min(width / thumbnail.width, height / thumbnail.height)));
    const isWhole = longer < THUMBNAIL_PX, sharp = needed > BLURRED * longer && !isWhole ? this.app.sharp.get(row, needed) : undefined;
    if (isCut) drawCover(context, sharp?.bitmap ?? thumbnail, x, y, width);
    else drawWhole(context, sharp?.bitmap ?? thumbnail, x, y, width, height, isWhole || Boolean(sharp?.isEnough));
  }

  drawBroken(context, x, y, width, height, colours) {
    context.strokeStyle = colours.line;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(x, y); context.lineTo(x + width, y + height);
    context.moveTo(x + width, y); context.lineTo(x, y + height);
    context.stroke();
    if (width < 70) return;
    context.fillStyle = colours.soft;
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "center";
    context.fillText("cannot be read", x + width / 2, y + height - 8);
    context.textAlign = "left";
  }

  drawCaption(context, index, row, x, y, colours) {
    this.captions(index, row).forEach((text, line) => {
      context.fillStyle = line ? colours.soft : colours.ink;
      context.font = `${line ? "" : "600 "}12px system-ui, sans-serif`;
      context.fillText(fitted(context, text, this.tile), x, y + 15 + line * (CAPTION_PX - 3));
    });
  }

  // The lines under a tile: the view's own, then what was chosen.
  captions(index, row) {
    const own = this.options.lines ? this.options.caption(index, row).slice(0, this.options.lines) : [];
    return this.named ? [...own, this.named(row)] : own;
  }

  // Whether a picture has the query's label: by colour, by the line's kind, and by a sign.
  drawEdge(context, row, x, y, colours) {
    const edge = this.edges.edge(row);
    if (edge === null) return;
    context.strokeStyle = context.fillStyle = edge ? colours.right : colours.wrong;
    context.lineWidth = 3;
    context.setLineDash(edge ? [] : [7, 5]);
    context.strokeRect(x + 1.5, y + 1.5, this.tile - 3, this.tall - 3);
    context.setLineDash([]);
    circle(context, x + 14, y + 14, 9);
    drawTick(context, x + 14, y + 14, 0.8, edge, colours.ground);
  }

  // The sign at the corner of the tile under the pointer: a click on it opens the large view.
  drawSign(context, x, y, colours) {
    if (this.tile < 2 * SIGN_PX) return;
    const left = x + this.tile - SIGN_PX - 3, top = y + this.tall - SIGN_PX - 3;
    context.fillStyle = colours.ground;
    context.beginPath();
    context.roundRect(left, top, SIGN_PX, SIGN_PX, 6);
    context.fill();
    context.strokeStyle = colours.ink;
    context.lineWidth = 1.8;
    context.beginPath();
    context.moveTo(left + 14, top + 7); context.lineTo(left + 19, top + 7); context.lineTo(left + 19, top + 12);
    context.moveTo(left + 19, top + 7); context.lineTo(left + 7, top + 19);
    context.moveTo(left + 7, top + 14); context.lineTo(left + 7, top + 19); context.lineTo(left + 12, top + 19);
    context.stroke();
  }

  drawMark(context, row, x, y, size, colours) {
    const mark = this.options.mark?.(row);
    if (mark === undefined || mark === null) return;
    context.fillStyle = mark ? colours.right : colours.wrong;
    context.fillRect(x, y + size - 5, this.tile, 5);
    circle(context, x + 15, y + size - 19, 11);
    drawTick(context, x + 15, y + size - 19, 1, mark, "#fff");
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

  // A finger that stays opens the large view; the click that follows is none.
  press(event) {
    this.isPressed = false;
    this.pressedAt = [event.clientX, event.clientY];
    clearTimeout(this.pressTimer);
    const index = event.pointerType === "touch" ? this.indexAt(event) : -1;
    if (index >= 0) this.pressTimer = setTimeout(() => { this.isPressed = true; this.move(index, false); this.large(index); }, 1000 * PRESS_SECONDS);
  }

  click(event) {
    const index = this.indexAt(event);
    if (index < 0 || this.isPressed) return;
    this.leave();
    if (event.shiftKey) return this.pickRange(this.anchor, index);
    this.anchor = index;
    this.move(index, false);
    if (event.ctrlKey || event.metaKey || this.app.isPicking) this.pick(index);
    else if (event.pointerType !== "touch" && this.isOnSign(index, event)) this.large(index);
    else this.open(index);
  }

  isOnSign(index, event) {
    const box = this.canvas.getBoundingClientRect(), [x, y] = this.corner(index, this.element.scrollTop);
    const right = x + this.tile - (event.clientX - box.left), below = y + this.tall - (event.clientY - box.top);
    return this.tile >= 2 * SIGN_PX && right >= 0 && below >= 0 && right <= SIGN_PX + 3 && below <= SIGN_PX + 3;
  }

  // The large view, which leafs through these pictures.
  large(index) {
    this.leave();
    this.app.openLarge(this, this.rows[index]);
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
    if (event.pointerType === "touch") {
      if (this.pressedAt && Math.hypot(event.clientX - this.pressedAt[0], event.clientY - this.pressedAt[1]) > STILL_PX) clearTimeout(this.pressTimer);
      return;
    }
    const index = this.indexAt(event);
    this.element.style.cursor = index < 0 ? "" : "pointer";
    if (index === this.hovered) return;
    this.leave();
    if (index < 0) return;
    this.hovered = index;
    this.redraw();
    const row = this.rows[index], [x, y] = this.corner(index, this.element.scrollTop), box = this.canvas.getBoundingClientRect();
    const beside = { left: box.left + x, top: box.top + y, width: this.tile, height: this.tall };
    this.hoverTimer = setTimeout(() => this.app.preview.show(row, beside, this.hovering(index, row)), 1000 * HOVER_SECONDS);
  }

  leave() {
    clearTimeout(this.hoverTimer);
    if (this.hovered >= 0) this.redraw();
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
    else if (event.key === "e") this.large(this.cursor);
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
    const y = Math.floor(index / this.columns) * this.step, { scrollTop } = this.element;
    this.leave();
    if (isScrolled && y + this.step + GAP > scrollTop + this.height) this.scrollToPixel(y + this.step + GAP - this.height);
    else if (isScrolled && y < scrollTop) this.scrollToPixel(y);
    this.tellCursor();
    this.redraw();
    this.options.oncursor?.(this.rows[index], index);
  }

  enlarge() {
    if (this.app.preview.isShown) return this.app.preview.hide();
    const [x, y] = this.corner(this.cursor, this.element.scrollTop), box = this.canvas.getBoundingClientRect();
    const beside = { left: box.left + x, top: box.top + y, width: this.tile, height: this.tall };
    this.app.preview.show(this.rows[this.cursor], beside, this.hovering(this.cursor, this.rows[this.cursor]));
  }

  hovering(index, row) {
    return [...(this.options.hover?.(index, row) || []), ...this.edges.words(row)];
  }

  tellCursor() {
    const row = this.rows[this.cursor];
    this.option.hidden = row === undefined;
    if (row === undefined) return this.option.replaceChildren();
    this.option.textContent = [this.app.title(row), ...this.captions(this.cursor, row), ...this.edges.words(row)].filter(Boolean).join(", ");
    this.option.setAttribute("aria-posinset", this.cursor + 1);
    this.option.setAttribute("aria-setsize", this.rows.length);
    this.option.setAttribute("aria-selected", String(this.app.basket.has(row)));
  }
}

// Right or wrong, as a sign around a point.
function drawTick(context, x, y, size, isRight, colour) {
  context.strokeStyle = colour;
  context.lineWidth = 2.4 * size;
  context.beginPath();
  if (isRight) { context.moveTo(x - 5 * size, y); context.lineTo(x - 1.5 * size, y + 4 * size); context.lineTo(x + 5 * size, y - 4 * size); }
  else { context.moveTo(x - 4 * size, y - 4 * size); context.lineTo(x + 4 * size, y + 4 * size); context.moveTo(x + 4 * size, y - 4 * size); context.lineTo(x - 4 * size, y + 4 * size); }
  context.stroke();
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
