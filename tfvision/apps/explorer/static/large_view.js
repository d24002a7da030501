// One picture as large as the window, over the view: zoom, the next one, what is known of its file, its neighbours, where the network looks.

import { change, read } from "./address.js";
import { bytesText, button, h, later, part, score, select } from "./dom.js";
import { isPicture } from "./query.js";
import { askLabel } from "./relabel.js";
import { small } from "./thumbnails.js";
import { edgeOf, edgeSign } from "./tiles.js";

const NEIGHBOURS = 12;
const LARGEST_ZOOM = 40;  // pixels of the window for one of the picture
const ZOOM_STEP = 1.4;
const SWIPE_PX = 50;
const MOST_PX = 5120;
const REST_SECONDS = 0.25;  // who leafs through pictures wants the map of the last
const PAPER = "Grad-CAM, Selvaraju et al. 2017";

export class LargeView {
  constructor(app) {
    this.app = app;
    this.row = null;
    this.target = "query";
    this.zoom = { scale: 1, x: 0, y: 0 };
    this.width = this.height = 0;  // of the picture where it fits
    this.known = /** @type {any} */ ({});  // of its file
    /** @type {Map<number, [number, number]>} */
    this.pointers = new Map();
    /** @type {[number, number] | null} */
    this.start = null;
    this.image = h("img", { alt: "", draggable: "false", onload: () => this.loaded() });
    this.heat = h("img", { alt: "", class: "heat", hidden: true, draggable: "false" });
    this.picture = h("div", { class: "sheet" }, this.image, this.heat);
    this.state = h("p", { class: "soft" });
    this.image.addEventListener("error", () => { this.state.textContent = "This picture cannot be read."; this.picture.hidden = true; });
    this.stage = h("div", {
      class: "stage", tabindex: "0", role: "img", "aria-label": "the picture", onwheel: event => this.wheel(event), ondblclick: event => this.toggleZoom(event),
      onpointerdown: event => this.press(event), onpointermove: event => this.drag(event), onpointerup: event => this.release(event), onpointercancel: event => this.release(event),
    }, this.picture, this.state);
    const arrow = (by, text, label) => button(text, () => this.step(by), { class: `icon arrow ${by < 0 ? "before" : "after"}`, "aria-label": label });
    this.arrows = [arrow(-1, "‹", "the picture before"), arrow(1, "›", "the next picture")];
    this.title = h("h2", { id: "large-title" });
    this.place = h("span", { class: "soft", role: "status" });
    this.basket = button("", () => this.pick());
    this.side = h("div", { class: "about", tabindex: "0", role: "group", "aria-label": "about this picture" });
    this.looks = h("section", { class: "looks", "aria-label": "where the network looks" });
    this.facts = h("section", {});
    this.side.append(this.looks, this.facts);
    this.strip = h("section", { class: "strip", tabindex: "0", "aria-label": "its nearest neighbours" });
    this.dialog = h("dialog", { class: "large", "aria-labelledby": "large-title", onclose: () => this.closed(), onkeydown: event => this.key(event) },
      h("header", {}, h("div", { class: "names" }, this.title, this.place), h("div", { class: "tools" },
        h("span", { class: "group" }, button("−", () => this.zoomBy(1 / ZOOM_STEP), { class: "icon", "aria-label": "smaller" }), button("fit", () => this.fit(), { title: "the whole picture" }), button("1:1", () => this.zoomTo(this.natural), { title: "a pixel for a pixel" }), button("+", () => this.zoomBy(ZOOM_STEP), { class: "icon", "aria-label": "larger" })),
        this.basket, button("Neighbourhood", () => this.open())), button("×", () => this.dialog.close(), { class: "icon", "aria-label": "close" })),
      h("div", { class: "stage-frame" }, this.stage, this.arrows), this.side, this.strip);
    document.body.append(this.dialog);
    this.observer = new ResizeObserver(() => this.resized());
    this.observer.observe(this.stage);
    this.lookLater = later(REST_SECONDS, () => this.look());
    app.on("notes", () => this.drawBasket());
    app.on("details", () => { if (this.row !== null) { this.drawHead(); this.drawFacts(); } });
  }

  // Opens, goes on or closes, as the address says.
  follow() {
    const name = read().params.get("large");
    if (name === null) return this.dialog.open && this.dialog.close();
    if (!isPicture(name) || Number(name) >= this.app.count) return change({ large: null }, false);  // one that is gone
    if (!this.dialog.open) {
      const walls = [...this.app.walls].filter(wall => wall.element.isConnected && wall.rows.indexOf(Number(name)) >= 0);
      this.wall = walls.find(wall => wall === this.app.largeFrom) || walls[0] || null;
      this.query = read().params.get("q");
      this.layer = this.app.layer();
      this.app.preview.hide();
      this.dialog.showModal();
      this.stage.focus();
    }
    if (this.row !== Number(name)) this.show(Number(name));
  }

  get rows() { return this.wall?.rows ?? [this.row]; }
  get isAsked() { return this.query !== null && this.query !== String(this.row); }  // whether there is another query than this picture

  show(row) {
    this.row = row;
    if (this.rows.indexOf(row) >= 0) this.index = this.rows.indexOf(row);
    this.known = {};
    this.state.textContent = "The picture is being read.";
    this.picture.hidden = false;
    this.picture.classList.add("waiting");
    this.isSharpest = false;
    this.app.pictureUrl(row).then(url => { if (row === this.row) this.image.src = url; });
    this.drawHead();
    this.drawFacts();
    this.drawStrip();
    this.forgetHeat();
    this.drawLooks();
    if (this.isLooking) this.lookLater();
    this.app.source.facts(row).then(facts => {
      if (row !== this.row) return;
      this.known = facts;
      this.drawFacts();
    }, () => {});
  }

  step(by) {
    const index = (this.index ?? 0) + by;
    if (index >= 0 && index < this.rows.length) change({ large: this.rows[index] }, false), this.follow();
  }

  closed() {
    const { index, wall } = this, isStep = this.app.isLargeStep;
    this.row = null;
    document.body.append(part("toast"));
    this.forgetHeat();
    this.image.removeAttribute("src");
    this.app.isLargeStep = false;
    if (read().params.has("large")) isStep ? history.back() : change({ large: null }, false);
    if (!wall?.element.isConnected) return;
    wall.element.focus({ preventScroll: true });
    if (index !== undefined) wall.move(index);
  }

  // Its neighbourhood; the trail goes on from the query of the view.
  open() {
    const { row } = this;
    this.app.isLargeStep = false;
    this.app.openNeighbours(row);
  }

  pick() {
    this.app.basket.toggle([this.row], !this.app.basket.has(this.row));
  }

  drawHead() {
    const count = this.rows.length;
    this.title.textContent = this.app.title(this.row);
    this.stage.setAttribute("aria-label", this.app.title(this.row));
    this.place.textContent = count > 1 && this.index !== undefined ? `${this.index + 1} of ${count}` : "";
    this.arrows[0].disabled = !(this.index > 0);
    this.arrows[1].disabled = !(this.index < count - 1);
    if (this.arrows.some(one => one.disabled && one === document.activeElement)) this.stage.focus();
    this.drawBasket();
  }

  drawBasket() {
    if (this.row === null) return;
    const isIn = this.app.basket.has(this.row);
    this.basket.textContent = isIn ? "Out of the basket" : "Into the basket";
  }

  drawFacts() {
    const { width, height, bytes, file, taken, camera } = this.known, labels = edgeOf(this.app, this.query).words(this.row);
    const size = [width && `${width} × ${height} px`, bytes && bytesText(bytes)].filter(Boolean).join(" · ");
    const found = [["file", file], ["size", size], ["taken", taken], ["camera", camera], ...Object.entries(this.app.metadata(this.row))].filter(([, value]) => value);
    this.facts.replaceChildren(h("h3", {}, "This picture"), ...(this.isAsked ? labels.map(text => h("p", {}, edgeSign(edgeOf(this.app, this.query).edge(this.row)), ` ${text}`)) : []),
      h("dl", { class: "facts" }, found.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])));
  }

  async drawStrip() {
    const { app, row, layer } = this;
    if (!app.layers.length) return this.redraw(this.strip, []);
    let answer;
    try { answer = await app.source.neighbours(String(row), layer, NEIGHBOURS); } catch (error) { answer = error; }
    if (row !== this.row || layer !== this.layer) return;
    if (answer instanceof Error) return this.redraw(this.strip, [h("p", { class: "soft" }, answer.message)]);
    const { edge, words } = edgeOf(app, String(row));
    this.redraw(this.strip, answer.places.map((place, index) => button("", () => { change({ large: place }, false); this.follow(); }, {
      class: "picture", "aria-label": [app.title(place), `similarity ${score(answer.scores[index])}`, ...words(place)].join(", "), title: app.title(place),
    })));
    [...this.strip.children].forEach((one, index) => one.append(small(app.thumbnails, answer.places[index], 72), h("span", {}, edgeSign(edge(answer.places[index])), score(answer.scores[index]))));
  }

  // Where the network looks: only a server that has the network can tell.
  drawLooks() {
    const { app } = this;
    if (!app.source.attention || !app.layers.length) return;
    const layers = app.layers.map((layer, number) => [String(number), layer.name]), targets = [["query", `similar to ${app.queryTitle(this.query ?? "")}`], ["own", "its own vector"]];
    this.told = h("p", { class: "soft", role: "status" }, this.isLooking ? "" : "A map over the picture: which parts of it the vector and the similarity come from.");
    this.redraw(this.looks, [h("h3", {}, "Where the network looks"), this.told,
      button(this.isLooking ? "Hide" : "Show", () => this.toggleLook(), { "aria-pressed": String(Boolean(this.isLooking)), class: "toggle" }),
      this.isAsked ? select("For", targets, this.target, value => { this.target = value; this.lookAnew(); }) : "",
      layers.length > 1 ? select("Layer", layers, String(this.layer), value => { this.layer = Number(value); this.drawStrip(); this.lookAnew(); }) : ""]);
  }

  // Without the focus, which was in what is replaced, no key would reach the dialog.
  redraw(host, children) {
    const hadFocus = host !== document.activeElement && host.contains(document.activeElement);
    host.replaceChildren(...children);
    if (hadFocus) (host.querySelector("button") ?? this.stage).focus({ preventScroll: true });
  }

  toggleLook() {
    this.isLooking = !this.isLooking;
    this.forgetHeat();
    this.drawLooks();
    if (this.isLooking) this.look();
  }

  lookAnew() {
    this.forgetHeat();
    if (this.isLooking) this.look();
  }

  async look() {
    const { row, layer, app } = this, name = this.isAsked && this.target === "query" ? this.query : null, signal = { stopped: false };
    if (row === null || !this.isLooking) return;
    this.waiting = signal;
    this.told.textContent = "The network is looking. The first time, this takes a while.";
    try {
      const blob = await app.source.attention(row, layer, name, () => {}, signal);
      if (signal.stopped || !blob) return;
      this.heatUrl = URL.createObjectURL(blob);
      this.heat.src = this.heatUrl;
      this.heat.hidden = false;
      this.told.textContent = `Warm where ${app.layers[layer].name} finds ${name ? `what makes this picture similar to ${app.queryTitle(name)}` : "most of what its vector of this picture is made of"} (${PAPER}).`;
    } catch (error) {
      if (!signal.stopped) this.told.textContent = error.message;
    }
  }

  forgetHeat() {
    if (this.waiting) this.waiting.stopped = true;
    this.heat.hidden = true;
    if (this.heatUrl) URL.revokeObjectURL(this.heatUrl);
    this.heatUrl = null;
  }

  key(event) {
    if (event.target.matches("select, input") || event.ctrlKey || event.metaKey || event.altKey) return;
    const isButton = event.target.matches("button"), pan = 80, [x, y] = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key] || [0, 0];
    if (event.shiftKey && (x || y)) this.moveBy(pan * x, pan * y);
    else if (x) this.step(-x);
    else if (event.key === "+") this.zoomBy(ZOOM_STEP);
    else if (event.key === "-") this.zoomBy(1 / ZOOM_STEP);
    else if (event.key === "0") this.fit();
    else if (event.key === "1") this.zoomTo(this.natural);
    else if (event.key === "g" && this.app.source.attention) this.toggleLook();
    else if (event.key === "c" && !this.app.source.isStatic) askLabel(this.app, [this.row]);
    else if (event.key === "e") this.dialog.close();
    else if (event.key === " " && !isButton) this.pick();
    else if (event.key === "Enter" && !isButton) this.open();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  // The picture fills the stage at a scale of 1; `natural` is the scale at which a pixel of its is one of the window.
  loaded() {
    this.picture.classList.remove("waiting");
    this.state.textContent = "";
    if (this.isSharpest) return this.draw();
    this.fit();
  }

  fit() {
    this.zoom = { scale: 1, x: 0, y: 0 };
    this.resized();
  }

  // The stage or the picture has another size, as when the neighbours come: what is zoomed stays so.
  resized() {
    const { naturalWidth: width, naturalHeight: height } = this.image, { clientWidth, clientHeight } = this.stage;
    if (!width || !clientWidth) return;
    const share = Math.min(clientWidth / width, clientHeight / height);
    this.width = width * share;
    this.height = height * share;
    this.picture.style.width = `${this.width}px`;
    this.picture.style.height = `${this.height}px`;
    this.moveBy(0, 0);
  }

  get natural() { return Math.max(this.known.width || 0, this.image.naturalWidth) / (devicePixelRatio || 1) / this.width; }

  draw() {
    const { scale, x, y } = this.zoom, ratio = devicePixelRatio || 1;
    this.picture.style.transform = `translate(-50%, -50%) translate(${x}px, ${y}px) scale(${scale})`;
    this.stage.classList.toggle("zoomed", scale > 1);
    this.image.classList.toggle("pixels", scale * this.width * ratio > 2 * this.image.naturalWidth);
    const isMore = this.known.width > 1.1 * this.image.naturalWidth && scale * this.width * ratio > 1.1 * this.image.naturalWidth, sized = this.app.source.sizedUrl(this.row, MOST_PX);
    if (isMore && sized && !this.isSharpest) { this.isSharpest = true; this.image.src = sized.url; }
  }

  // A factor, and the place of the stage that stays where it is, counted from the middle.
  zoomBy(factor, at = [0, 0]) {
    if (!this.image.naturalWidth || !this.width) return;  // it is not there yet
    const before = this.zoom.scale, scale = Math.max(1, Math.min(Math.max(1, LARGEST_ZOOM * this.natural), before * factor)), real = scale / before;
    this.zoom = { scale, x: at[0] - real * (at[0] - this.zoom.x), y: at[1] - real * (at[1] - this.zoom.y) };
    this.moveBy(0, 0);
  }

  zoomTo(scale, at = [0, 0]) {
    this.zoomBy(scale / this.zoom.scale, at);
  }

  /** @param {number} x  @param {number} y */
  moveBy(x, y) {
    const free = (size, stage) => Math.max(0, (size * this.zoom.scale - stage) / 2), clamp = (value, most) => Math.max(-most, Math.min(most, value));
    this.zoom.x = clamp(this.zoom.x + x, free(this.width, this.stage.clientWidth));
    this.zoom.y = clamp(this.zoom.y + y, free(this.height, this.stage.clientHeight));
    this.draw();
  }

  // Of an event, counted from the stage's middle.
  /** @returns {[number, number]} */
  at({ clientX, clientY }) {
    const box = this.stage.getBoundingClientRect();
    return [clientX - box.left - box.width / 2, clientY - box.top - box.height / 2];
  }

  wheel(event) {
    event.preventDefault();
    this.zoomBy(Math.exp(-event.deltaY / 400), this.at(event));
  }

  toggleZoom(event) {
    if (this.zoom.scale > 1) this.fit();
    else this.zoomTo(Math.max(2, this.natural), this.at(event));
  }

  press(event) {
    this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
    this.start = [event.clientX, event.clientY];
    this.stage.setPointerCapture(event.pointerId);
  }

  drag(event) {
    const before = this.pointers.get(event.pointerId), /** @type {[number, number]} */ now = [event.clientX, event.clientY];
    if (!before) return;
    const others = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
    this.pointers.set(event.pointerId, now);
    if (others.length) {
      const spread = place => Math.hypot(place[0] - others[0][0], place[1] - others[0][1]);
      this.start = null;  // of a pinch nothing is a swipe
      this.zoomBy(spread(now) / Math.max(1, spread(before)), this.at({ clientX: (now[0] + others[0][0]) / 2, clientY: (now[1] + others[0][1]) / 2 }));
    } else if (this.zoom.scale > 1) this.moveBy(now[0] - before[0], now[1] - before[1]);
  }

  release(event) {
    this.pointers.delete(event.pointerId);
    if (event.type !== "pointerup" || event.pointerType !== "touch" || !this.start || this.zoom.scale > 1) return;
    const [x, y] = [event.clientX - this.start[0], event.clientY - this.start[1]];
    if (Math.abs(x) > SWIPE_PX && Math.abs(x) > 2 * Math.abs(y)) this.step(x < 0 ? 1 : -1);
  }
}
