// A query's neighbours in order, with a trail of the way; the same query in every layer side by side.

import { change, href, numberOf, read } from "./address.js";
import { filtersOf, keptOf } from "./filters.js";
import { button, failed, h, keepFocus, percent, plural, refill, score, segmented, state, takeFocus } from "./dom.js";
import { chooseQuery, isPicture, noVectors, queryImage, queryThumb, waysOn } from "./query.js";
import { askLabel } from "./relabel.js";
import { captionChooser, edgeChooser, resize, sizeButtons, sizeOf } from "./tiles.js";
import { Wall } from "./wall.js";

const ANSWERS = [30, 60, 200, 1000];
const USUAL_SIZE = 128, SIDE_SIZE = 96;

export class View {
  constructor(app, host) {
    this.app = app;
    this.tools = h("div", { class: "tools-row" });
    this.host = host;
    this.walls = [];
    this.k = 60;
    this.isSide = false;
    this.asked = 0;  // counts what is asked: an answer to an earlier question is none
    this.size = USUAL_SIZE;
    this.offs = [app.on("details", () => (filtersOf(read()).size ? this.reload() : this.drawDetails())), app.on("tiles", () => this.drawTools()), app.on("layers", () => this.reload())];
  }

  async update(params) {
    const q = params.get("q"), layer = this.app.layer(), isSide = params.get("side") === "1" && this.app.layers.length > 1;
    const k = Math.round(numberOf(params, "k", 60, 1, 2000));
    this.q = q;
    if (!this.app.layers.length) return this.empty(noVectors(this.app));
    if (!q) return this.empty(chooseQuery(this.app, "near"));
    const filters = filtersOf(read()).toString(), key = [q, layer, isSide, k, filters].join();
    const size = sizeOf(params, isSide ? SIDE_SIZE : USUAL_SIZE);
    if (key === this.key) return this.walls.forEach(wall => wall.size === size || wall.resize(size));
    this.key = key;
    const mine = ++this.asked, focusAgain = keepFocus(this.tools);
    this.clear();
    Object.assign(this, { k, isSide, size });
    const waiting = state("The nearest are being looked for.");
    this.trail = h("nav", { class: "trail", "aria-label": "the way here" });
    this.side = h("aside", { class: "side", "aria-label": "the query" });
    this.main = h("div", { class: "main" }, waiting);
    this.host.replaceChildren(this.trail, h("div", { class: "split" }, this.side, this.main));
    this.drawTrail(params);
    this.drawSide();
    const numbers = isSide ? this.app.layers.map((_, number) => number) : [layer];
    const answers = await Promise.all(numbers.map(number => this.app.source.neighbours(q, number, k, keptOf(this.app)).catch(error => error)));
    if (mine !== this.asked) return;
    const sections = answers.map((answer, index) => this.section(answer, numbers[index], isSide));
    this.main.replaceChildren(this.tools, h("div", { class: "columns" }, sections));
    this.drawTools();
    if (!focusAgain() && !isSide && this.walls[0]) takeFocus(this.walls[0].element, { focusVisible: false });
  }

  drawTools() {
    const { app, k, isSide } = this;
    refill(this.tools,
      segmented("answers", ANSWERS.map(count => [count, String(count)]), k, count => change({ k: count === 60 ? null : count })),
      app.layers.length > 1 ? segmented("layers", [["0", "one layer"], ["1", "all layers side by side"]], isSide ? "1" : "0", value => change({ side: value === "1" ? "1" : null })) : "",
      sizeButtons(app, this.walls, by => this.zoom(by)), captionChooser(app), edgeChooser(app),
      h("span", { class: "soft grow" }, "Score and percentile: the share of the collection that is less alike."));
  }

  zoom(by) {
    resize(this.app, this.walls, by, this.isSide ? SIDE_SIZE : USUAL_SIZE);
    this.drawTools();
  }

  // What stands in names and labels, which come after the first pictures.
  drawDetails() {
    this.drawSide();
    if (this.walls.length) this.drawTools();
  }

  section(answer, layer, isSide) {
    const head = isSide ? h("h2", {}, this.app.layers[layer].name) : "";
    if (answer instanceof Error) return h("section", {}, head, failed(answer));
    if (!answer.places.length) return h("section", {}, head, state(filtersOf(read()).size ? "The filters leave no other picture." : "There is no other picture to be near to."));
    const wall = new Wall(this.app, {
      label: `the nearest in ${this.app.layers[layer].name}`, size: this.size, lines: 2, query: this.q, actions: { "+": () => this.zoom(1), "-": () => this.zoom(-1) },
      caption: index => [score(answer.scores[index]), percent(answer.percentiles[index])],
      hover: index => [`similarity ${score(answer.scores[index])}`, `more alike than ${percent(answer.percentiles[index])} of the collection`, `and than ${percent(answer.above_random[index])} of random pairs`],
    });
    this.walls.push(wall);
    const section = h("section", {}, head, isSide ? h("p", { class: "soft" }, this.agreement(layer, answer)) : "", wall.element);
    wall.show(answer.places);
    return section;
  }

  // How far a layer's answers are those of the first layer shown.
  agreement(layer, answer) {
    if (layer === 0) { this.first = new Set(answer.places); return plural(answer.places.length, "answer"); }
    const shared = answer.places.filter(row => this.first?.has(row)).length;
    return `${shared} of ${answer.places.length} are also in ${this.app.layers[0].name}`;
  }

  drawTrail(params) {
    const steps = params.getAll("trail");
    const links = [...steps, this.q].map((name, index) => {
      const isHere = index === steps.length;
      return h("a", { href: href("near", { q: name, side: params.get("side"), size: params.get("size"), trail: steps.slice(0, index) }), "aria-current": isHere ? "page" : null, "aria-label": this.app.queryTitle(name), title: this.app.queryTitle(name) },
        queryThumb(this.app, name, 36) || this.app.queryTitle(name));
    });
    this.trail.replaceChildren(h("span", { class: "soft" }, "Trail"), ...links);
    this.trail.hidden = !steps.length;
  }

  drawSide() {
    if (!this.side || !this.q) return;
    const app = this.app, picture = queryImage(app, this.q, { class: "large" });
    const image = picture && isPicture(this.q) ? button(picture, () => app.openLarge(null, Number(this.q)), { class: "query-picture", "aria-label": "the query, large" }) : picture;
    const facts = isPicture(this.q) ? Object.entries(app.metadata(Number(this.q))).map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]) : [];
    refill(this.side, [image, h("h2", {}, app.queryTitle(this.q)), facts.length && h("dl", { class: "facts" }, facts),
      h("div", { class: "actions" }, waysOn(app, this.q, "near"), isPicture(this.q) && !app.source.isStatic && app.columns.length ? button("Correct label…", () => askLabel(app, [Number(this.q)])) : "", h("a", { class: "as-button", href: href("map", { q: this.q, colour: "similarity" }) }, "On the map"),
        h("a", { class: "as-button", href: href("browse", { q: this.q, sort: "similarity" }) }, "Whole collection in this order"))].filter(Boolean));
  }

  empty(element) {
    this.asked += 1;
    this.clear();
    this.key = null;
    this.host.replaceChildren(element);
  }

  reload() {
    this.key = null;
    this.update(read().params).catch(error => this.app.say(error.message, true));
  }

  clear() {
    this.walls.forEach(wall => wall.destroy());
    this.walls = [];
  }

  destroy() {
    this.asked += 1;
    this.clear();
    this.offs.forEach(off => off());
  }
}
