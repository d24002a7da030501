// A brush over the photo: where it went, this painting rules. By pointer, or by keys: arrows move, Space paints.

import { QUICK } from "./app.js";
import { button, h, later } from "./dom.js";
import { slider } from "./look.js";

const LONGER_PX = 1024;
const UNDONE = 12;  // strokes
const COLOUR = "#e0457b";

export class MaskEditor {
  constructor(app, sheet) {
    this.app = app;
    this.canvas = h("canvas", { class: "mask", tabindex: "0", role: "application", hidden: true });
    this.ring = h("i", { class: "ring", hidden: true });
    sheet.sheet.append(this.canvas, this.ring);
    this.key = this.seen = "";  // of the painting; of photo and painting
    this.brush = 0.12;  // its width as a share of the longer side
    this.isErasing = false;
    this.before = /** @type {ImageData[]} */ ([]);
    this.size = slider("Brush", { min: "0.02", max: "0.4", step: "0.02", class: "brush-size" }, () => this.brush, value => `${Math.round(100 * value)} %`, value => { this.brush = value; this.drawRing(); });
    this.erase = h("button", { type: "button", "aria-pressed": "false", onclick: () => this.setErasing(!this.isErasing) }, "Erase");
    this.undoButton = button("Undo", () => this.undo());
    this.title = h("strong", {});
    this.tools = h("div", { class: "caption mask-tools", hidden: true },
      h("div", { class: "what" }, this.title, h("span", { class: "soft" }, "Where you paint, this painting rules; elsewhere the others, or the photo.")),
      h("div", { class: "tools" }, this.size.element, this.erase, this.undoButton, button("Clear", () => this.clear()), button("Done", () => app.show(QUICK), { class: "primary" })));
    this.sent = Promise.resolve();  // when all strokes were sent
    app.flush = () => this.send();
    this.unsaved = "";  // the key of the painting whose mask was changed since it was sent
    const soon = later(0.3, () => this.send());
    this.save = () => { this.unsaved = this.key; soon(); };
    this.listen();
  }

  get pen() { return /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d", { willReadFrequently: true })); }

  draw() {
    const { app } = this, one = app.status.paintings.find(painting => painting.key === app.masked);
    this.canvas.hidden = this.tools.hidden = !one;
    const seen = one ? `${app.status.photo.key} ${one.key}` : "";
    if (seen === this.seen) return;
    this.send();
    this.seen = seen;
    this.key = one?.key ?? "";
    if (!one) { this.ring.hidden = true; return; }
    this.title.textContent = `Mask of ${one.name}`;
    this.canvas.setAttribute("aria-label", `mask of ${one.name}: arrows move the brush, Space paints, brackets change its size, e erases`);
    const { width, height } = app.status.photo, scale = Math.min(1, LONGER_PX / Math.max(width, height));
    [this.canvas.width, this.canvas.height] = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
    this.place = { x: this.canvas.width / 2, y: this.canvas.height / 2 };
    this.before = [];
    this.setErasing(false);
    if (one.mask) this.load(`picture/mask/${one.key}?${one.mask}`);
    this.canvas.focus({ preventScroll: true });
  }

  // A mask that is there already, white on black, becomes colour on nothing.
  async load(url) {
    const image = new Image(), { key } = this;
    image.src = url;
    const isThere = await image.decode().then(() => true, () => false);
    if (!isThere || key !== this.key) return;
    this.pen.drawImage(image, 0, 0, this.canvas.width, this.canvas.height);
    const pixels = this.pixels(), { data } = pixels;
    for (let at = 0; at < data.length; at += 4) { data[at + 3] = data[at]; data[at] = 0xe0; data[at + 1] = 0x45; data[at + 2] = 0x7b; }
    this.pen.putImageData(pixels, 0, 0);
  }

  pixels() { return this.pen.getImageData(0, 0, this.canvas.width, this.canvas.height); }

  listen() {
    const { canvas } = this;
    const place = event => {
      const { left, top, width, height } = canvas.getBoundingClientRect();
      return { x: (event.clientX - left) / width * canvas.width, y: (event.clientY - top) / height * canvas.height };
    };
    canvas.addEventListener("pointerdown", event => {
      if (event.button !== 0) return;
      canvas.setPointerCapture(event.pointerId);
      this.begin();
      this.place = place(event);
      this.stroke(this.place);
    });
    canvas.addEventListener("pointermove", event => {
      const next = place(event);
      if (canvas.hasPointerCapture(event.pointerId)) this.stroke(next);
      this.place = next;
      this.drawRing();
    });
    canvas.addEventListener("lostpointercapture", () => this.save());  // at the end of a stroke, and where the system takes the pointer away
    canvas.addEventListener("pointerleave", () => { this.ring.hidden = document.activeElement !== canvas; });
    canvas.addEventListener("focus", () => this.drawRing());
    canvas.addEventListener("blur", () => { this.ring.hidden = true; });
    canvas.addEventListener("keydown", event => this.press(event));
  }

  press(event) {
    const step = (event.shiftKey ? 0.5 : 0.2) * this.brush * Math.max(this.canvas.width, this.canvas.height);
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    const move = moves[event.key];
    if ((event.ctrlKey || event.metaKey) && event.key === "z") this.undo();
    else if (move) {
      const clamp = (value, most) => Math.min(most, Math.max(0, value));
      const next = { x: clamp(this.place.x + move[0], this.canvas.width), y: clamp(this.place.y + move[1], this.canvas.height) };
      if (this.isHeld) this.stroke(next);
      this.place = next;
    } else if (event.key === " ") {
      if (!event.repeat) { this.begin(); this.isHeld = !this.isHeld; }
      this.stroke(this.place);
    } else if (event.key === "[" || event.key === "]") {
      this.brush = Math.min(0.4, Math.max(0.02, this.brush + (event.key === "]" ? 0.02 : -0.02)));
      this.size.draw();
    } else if (event.key === "e") this.setErasing(!this.isErasing);
    else if (event.key === "Escape" || event.key === "Enter") return this.app.show(QUICK);
    else return;
    event.preventDefault();
    this.drawRing();
    if (move || event.key === " ") this.save();
  }

  begin() {
    this.before = [...this.before, this.pixels()].slice(-UNDONE);
    this.undoButton.disabled = false;
  }

  stroke(to) {
    const { pen } = this;
    pen.globalCompositeOperation = this.isErasing ? "destination-out" : "source-over";
    Object.assign(pen, { lineWidth: this.brush * Math.max(this.canvas.width, this.canvas.height), lineCap: "round", lineJoin: "round", strokeStyle: COLOUR });
    pen.beginPath();
    pen.moveTo(this.place.x, this.place.y);
    pen.lineTo(to.x, to.y + 0.01);
    pen.stroke();
  }

  setErasing(isErasing) {
    this.isErasing = isErasing;
    this.isHeld = false;
    this.undoButton.disabled = !this.before.length;
    this.erase.setAttribute("aria-pressed", String(isErasing));
  }

  undo() {
    const pixels = this.before.pop();
    if (!pixels) return;
    this.pen.putImageData(pixels, 0, 0);
    this.setErasing(this.isErasing);
    this.save();
  }

  clear() {
    this.begin();
    this.pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.save();
  }

  drawRing() {
    const width = this.brush * Math.max(this.canvas.width, this.canvas.height) / this.canvas.width;
    this.ring.hidden = false;
    this.ring.classList.toggle("held", Boolean(this.isHeld));
    Object.assign(this.ring.style, { left: `${100 * this.place.x / this.canvas.width}%`, top: `${100 * this.place.y / this.canvas.height}%`, width: `${100 * width}%` });
  }

  // White where it was painted, on black, as `stylize --mask` has it.
  send() {
    const { unsaved: key, canvas } = this;
    this.unsaved = "";
    if (!key) return this.sent;
    const mask = h("canvas", { width: String(canvas.width), height: String(canvas.height) }), pen = mask.getContext("2d");
    pen.drawImage(canvas, 0, 0);
    pen.globalCompositeOperation = "source-in";
    Object.assign(pen, { fillStyle: "#fff" }).fillRect(0, 0, mask.width, mask.height);
    pen.globalCompositeOperation = "destination-over";
    Object.assign(pen, { fillStyle: "#000" }).fillRect(0, 0, mask.width, mask.height);
    this.sent = this.sent.then(async () => {
      const encoded = await new Promise(done => mask.toBlob(done, "image/png"));
      await this.app.send(`mask?painting=${key}`, encoded);
    });
    return this.sent;
  }
}
