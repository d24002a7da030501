// The collection in two dimensions: points or pictures, by zoom; lasso to a selection; coloured by label or similarity.

import { change, read } from "./address.js";
import { countText, filtersOf, keptOf } from "./filters.js";
import { button, failed, first, h, plural, progress, refill, score, segmented, select, state } from "./dom.js";
import { Camera } from "./map_camera.js";
import { Density } from "./map_density.js";
import { Drawing } from "./map_drawing.js";
import { Gestures } from "./map_gestures.js";
import { labelled, legendOf } from "./map_legend.js";
import { Names } from "./map_names.js";
import { Points } from "./map_points.js";
import { MOST_SIGNS, packed, RAMP, ramp } from "./palette.js";
import { noVectors } from "./query.js";
import { Wall } from "./wall.js";

const PCA_MEANWHILE_SECONDS = 0.5;  // before PCA is shown in the place of UMAP that is not there yet
const NARROW_PX = 600, LOW_PX = 420;  // of a stage, where the legend is folded
const NEARER = 2.5;  // by a click on a cluster's name

export class View {
  constructor(app, host) {
    this.app = app;
    this.camera = new Camera();
    this.points = /** @type {Points | null} */ (null);
    this.tools = h("div", { class: "tools-row" });
    this.names = new Names(app, (x, y) => this.goTo(x, y));
    this.legend = h("div", { class: "map-legend", role: "group", "aria-label": "legend", hidden: true });
    this.message = h("div", { style: "display:contents" });
    this.notice = h("div", { class: "map-notice", role: "status", hidden: true });
    this.stage = h("div", {
      class: "map", tabindex: "0", role: "application", "aria-label": "map of the collection: arrows move, + and − zoom, 0 shows everything, Enter opens the picture in the middle, Space picks it, s selects what is in sight, l is the lasso",
      onfocus: () => this.redraw(), onblur: () => this.redraw(),
    }, this.names.element, this.message);
    this.told = h("div", { class: "hidden", role: "status" });  // the picture in the middle, for those who hear
    this.drawer = h("aside", { class: "drawer", "aria-label": "selection", hidden: true });
    host.append(this.tools, h("div", { class: "split" }, h("div", { class: "main" }, this.stage, this.legend, this.notice, this.told), this.drawer));
    this.contours = [];
    this.keepTimer = 0;  // while it runs, the address does not have the place yet
    this.drawing = new Drawing(this);
    this.gestures = new Gestures(this);
    this.onthumbnails = () => this.redraw();
    app.thumbnails.listeners.add(this.onthumbnails);
    const again = () => this.points && this.update(read().params);
    this.offs = [app.on("details", () => { this.densityText = ""; again(); }), app.on("theme", again), app.on("print", () => this.drawing.draw()), app.on("notes", () => (read().params.has("tag") ? again() : this.redraw())), app.on("layers", () => { this.key = null; this.update(read().params).catch(() => {}); })];
  }

  async update(params) {
    const { app } = this, layer = app.layer(), method = params.get("method") || "pca", key = [layer, method].join();
    this.mode = params.get("show") || "auto";
    this.q = params.get("q");
    if (!app.layers.length) return this.say(noVectors(app));
    if (key !== this.key) return this.load(layer, method, key);
    if (!this.points) return;  // under way
    if (!this.isMeanwhile && !this.keepTimer && !this.gestures.pointers.size) this.camera.take(params.get("at"));  // else it was moved since, or is
    await this.show(params, method);
  }

  // The coordinates; while UMAP is computed, those of PCA.
  async load(layer, method, key) {
    this.key = key;
    if (this.signal) this.signal.stopped = true;
    const signal = (this.signal = { stopped: false }), isNow = () => key === this.key && !signal.stopped;
    this.forget();
    this.say(state("The map is being drawn."));
    this.drawTools(method);
    try {
      const wanted = this.app.source.map(layer, method, (share, stage) => isNow() && this.tellProgress(share, stage), signal);
      if (method === "umap") await this.meanwhile(layer, wanted, isNow);
      const plane = await wanted;
      if (plane && isNow()) await this.take(plane, method, false);
    } catch (error) {
      if (isNow()) this.tellFailed(error, method);
    }
  }

  // What is of another plane: a lasso would hold other pictures.
  forget() {
    this.points = this.selected = null;
    this.lasso = /** @type {number[][] | null} */ (null);
    this.lassoText = this.densityText = "";
    this.isMeanwhile = false;
    this.notice.hidden = this.legend.hidden = true;
    this.contours = [];
    this.clearDrawer();
    this.names.show(null, "off");
    this.redraw();
  }

  async meanwhile(layer, wanted, isNow) {
    const isThere = await Promise.race([wanted.then(() => true, () => false), new Promise(done => setTimeout(() => done(false), 1000 * PCA_MEANWHILE_SECONDS))]);
    if (isThere || !isNow()) return;
    const plane = await this.app.source.map(layer, "pca", () => {}, this.signal).catch(() => null);  // what is wrong is told of UMAP
    if (plane && isNow()) await this.take(plane, "umap", true);
  }

  async take(plane, method, isMeanwhile) {
    const { params } = read();
    this.isMeanwhile = isMeanwhile;
    if (!isMeanwhile) this.notice.hidden = true;
    this.points = new Points(this.camera.scaled(plane));
    this.drawing.take(this.points);
    this.camera.take(isMeanwhile ? null : params.get("at"));
    this.lassoText = this.densityText = "";
    await this.show(params, method);
  }

  // Draws the controls, colours and selection of an address.
  async show(params, method) {
    const { points } = this;
    this.drawTools(method);
    await this.recolour(params);
    if (!points || points !== this.points) return;
    this.message.replaceChildren();
    this.takeLasso(this.isMeanwhile ? null : params.get("lasso"));
    this.takeDensity(params);
  }

  say(element) {
    this.message.replaceChildren(element);
  }

  tell(text) {
    this.told.textContent = text;
  }

  tellProgress(share, stage) {
    if (!this.points) return this.say(h("div", { class: "state" }, progress(share, stage)));
    this.notice.hidden = false;
    this.notice.replaceChildren(progress(share, `PCA is shown until UMAP is there: ${stage}`), button("Stay with PCA", () => change({ method: null })));
  }

  tellFailed(error, method) {
    if (!this.points) return this.say(failed(error, method === "umap" ? null : () => { this.key = null; this.update(read().params); }));
    this.notice.hidden = false;
    this.notice.replaceChildren(h("span", { class: "failed", role: "alert" }, `PCA is shown. ${error.message}`), button("Stay with PCA", () => change({ method: null })));
  }

  drawTools(method) {
    const { app } = this, labels = app.labelColumns(), { params } = read(), asked = params.get("colour") || "", names = params.get("names") || "labels", hasContours = params.has("contours");
    const colours = [["", "one colour"], ...(this.q ? [["similarity", `similarity to ${app.queryTitle(this.q)}`]] : []), ...app.columns.filter(column => column.values.length > 1).map(column => [`c:${column.name}`, column.name])];
    this.telling = labels.filter(column => column.values.length <= MOST_SIGNS).at(-1) || labels.at(-1);  // each value has a sign of its own
    this.shownColour = asked === "none" ? "" : asked || (this.telling ? `c:${this.telling.name}` : "");
    this.lassoButton = button("Lasso", () => this.toggleLasso(), { "aria-pressed": String(Boolean(this.gestures?.isLasso)), disabled: this.isMeanwhile, title: "select by a line around; or Shift + drag" });
    refill(this.tools,
      segmented("method", [["pca", "PCA"], ["umap", "UMAP"]], method, value => change({ method: value === "pca" ? null : value, at: null, lasso: null })),
      segmented("show", [["auto", "by zoom"], ["points", "points"], ["pictures", "pictures"]], this.mode, value => { change({ show: value === "auto" ? null : value }, false); this.update(read().params); }),
      select("Colour", colours, this.shownColour, value => change({ colour: value || "none", hide: null, only: null })),
      select("Clusters", [["labels", "by label"], ["pictures", "by picture"], ["off", "not named"]], names, value => change({ names: value === "labels" ? null : value })),
      button("Contours", () => change({ contours: hasContours ? null : "on" }), { "aria-pressed": String(hasContours), title: "around the densest parts, which hold 25, 50, 70 and 90 % of the pictures" }),
      h("span", { class: "group" }, button("−", () => this.zoom(1 / 1.5), { class: "icon", "aria-label": "farther" }), button("+", () => this.zoom(1.5), { class: "icon", "aria-label": "nearer" }), button("Everything", () => this.reset())),
      this.lassoButton);
  }

  // Which rows are shown, and in which colour and shape.
  async recolour(params) {
    const { app, points, shownColour: colour } = this, isKept = keptOf(app);
    const scores = colour === "similarity" && this.q ? await app.similarities(this.q) : null;
    if (!points || points !== this.points) return;
    const column = colour?.startsWith("c:") ? app.columns.find(one => one.name === colour.slice(2)) : null, looks = new Uint32Array(app.count).fill(packed(app.isDark ? "#6cb6ee" : "#17639c"));
    let isShown = isKept || new Uint8Array(app.count).fill(1), legend = /** @type {Node[]} */ ([]);
    this.hasShapes = false;
    if (scores) legend = this.lookBySimilarity(looks, scores);
    else if (column?.codes) {
      const { entries, ofCode } = labelled(column, isKept, params, app.isDark), none = ofCode.length - 1;
      const lookOf = Uint32Array.from(ofCode, one => packed(one.colour) | (one.shape << 24)), shownOf = Uint8Array.from(ofCode, one => Number(one.isShown));
      isShown = isShown.slice();
      column.codes.forEach((code, row) => { looks[row] = lookOf[code < 0 ? none : code]; isShown[row] &= shownOf[code < 0 ? none : code]; });
      this.hasShapes = entries.some(one => one.shape > 0);
      legend = legendOf(entries, column.name, change);
    }
    this.looks = looks;
    this.column = column || this.telling;
    points.show(isShown);
    this.drawing.look(looks, isShown, this.selected);
    this.drawLegend(legend);
  }

  lookBySimilarity(looks, scores) {
    const known = scores.filter(value => !Number.isNaN(value)).sort(), [low, high] = [known[Math.floor(0.02 * known.length)] ?? 0, known[Math.floor(0.998 * (known.length - 1))] ?? 1];
    scores.forEach((value, row) => { looks[row] = Number.isNaN(value) ? packed(this.app.colours.ink) : ramp((value - low) / Math.max(1e-9, high - low)); });
    return [h("div", { class: "entry" }, score(low), h("i", { class: "ramp", style: `background:linear-gradient(90deg,${RAMP.map(rgb => `rgb(${rgb})`).join()})` }), score(high))];
  }

  // Folded on a narrow page until it is asked for; the focus and what is scrolled stay.
  drawLegend(lines) {
    const focused = /** @type {HTMLElement | null} */ (document.activeElement), key = focused && this.legend.contains(focused) ? focused.dataset.key ?? "" : null, top = this.legend.scrollTop;
    const details = h("details", { open: this.isLegendOpen ?? (this.camera.width > NARROW_PX && this.camera.height > LOW_PX) }, h("summary", { onclick: () => { this.isLegendOpen = !details.open; } }, "Legend: ", h("span", { class: "soft" }, countText(this.app))), lines);
    this.legend.hidden = !lines.length;
    this.legend.replaceChildren(details);
    this.legend.scrollTop = top;
    if (key !== null) ([...this.legend.querySelectorAll("button")].find(one => one.dataset.key === key) ?? first("summary", this.legend))?.focus();
  }

  takeDensity(params) {
    const names = params.get("names") || "labels", hasContours = params.has("contours"), points = /** @type {Points} */ (this.points);
    const key = [names, hasContours, this.column?.name, points.total, ...["hide", "only"].flatMap(name => params.getAll(name)), filtersOf(read())].join(" ");
    if (key === this.densityText) return;
    this.densityText = key;
    const density = names !== "off" || hasContours ? new Density(points) : null;
    this.contours = hasContours && density ? density.contours() : [];
    this.names.show(density, names, this.column?.codes ? this.column : null);
    this.redraw();
  }

  redraw() {
    this.drawing?.redraw();
  }

  move() {
    this.drawing.move();
  }

  // at: the pixel that stays where it is; the middle where none is given.
  zoom(factor, at = [this.camera.width / 2, this.camera.height / 2]) {
    this.camera.zoomAt(factor, at[0], at[1]);
    this.move();
    this.keepPlace();
  }

  goTo(x, y) {
    [this.camera.x, this.camera.y] = [x, y];
    this.stage.focus({ preventScroll: true });
    this.zoom(NEARER);
  }

  reset() {
    this.camera.reset();
    this.leavePlace();
    change({ at: null }, false);
    this.redraw();
  }

  // What is not yet in the address does not come into it.
  leavePlace() {
    clearTimeout(this.keepTimer);
    this.keepTimer = 0;
  }

  keepPlace() {
    this.leavePlace();
    const { camera } = this, keep = () => {
      this.keepTimer = 0;
      if (this.stage.isConnected) change({ at: `${camera.written([[camera.x, camera.y]])},${camera.zoom.toFixed(2)}` }, false);
    };
    if (!this.isMeanwhile) this.keepTimer = setTimeout(keep, 300);
  }

  pick(row) {
    const { app } = this;
    app.basket.toggle([row], !app.basket.has(row));
    this.tell(`${app.title(row)} ${app.basket.has(row) ? "picked" : "no longer picked"}`);
  }

  toggleLasso() {
    if (this.isMeanwhile) return;
    this.gestures.isLasso = !this.gestures.isLasso;
    this.stage.classList.toggle("lasso", this.gestures.isLasso);
    this.lassoButton.setAttribute("aria-pressed", String(this.gestures.isLasso));
  }

  // The line that is being drawn, or was.
  get line() {
    return this.gestures.corners || this.lasso;
  }

  takeLasso(text) {
    const points = /** @type {Points} */ (this.points), { params } = read(), key = [text, points.total, ...["hide", "only"].flatMap(name => params.getAll(name)), filtersOf(read())].join(" ");
    if (key === this.lassoText) return;
    this.lassoText = key;
    const line = text?.split(";").map(point => point.split(",").map(Number)).filter(point => point.length === 2 && point.every(Number.isFinite));
    this.clearDrawer();
    this.lasso = line?.length > 2 ? line : null;
    const found = this.lasso && points.inside(this.lasso);
    if (this.looks && (found || this.selected)) this.drawing.look(this.looks, points.isShown, found?.mask);
    this.selected = found?.mask;
    if (found) this.openDrawer(found.rows);
    this.redraw();
  }

  // What the lasso holds; without one, all that the filters and the legend leave.
  shownRows() {
    if (this.wall) return Array.from(this.wall.rows);
    return Array.from({ length: this.app.count }, (_, row) => row).filter(row => this.points?.isShown[row]);
  }

  openDrawer(rows) {
    const { app } = this;
    this.wall = new Wall(app, { label: "the selection", size: 84 });
    this.drawer.replaceChildren(h("div", { class: "tools-row" }, h("strong", {}, plural(rows.length, "picture")), button("Into the basket", () => app.basket.toggle(Array.from(rows), true)), button("Close", () => change({ lasso: null }))), rows.length ? this.wall.element : state("The lasso holds no picture."));
    this.drawer.hidden = false;
    this.wall.show(rows);
  }

  clearDrawer() {
    this.wall?.destroy();
    this.wall = null;
    this.drawer.hidden = true;
  }

  destroy() {
    if (this.signal) this.signal.stopped = true;
    this.points = null;  // colours that come late draw nothing
    this.leavePlace();
    this.gestures.destroy();
    this.drawing.destroy();
    this.clearDrawer();
    this.app.thumbnails.listeners.delete(this.onthumbnails);
    this.offs.forEach(off => off());
  }
}
