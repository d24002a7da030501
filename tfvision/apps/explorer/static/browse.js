// The wall of all pictures: sorted, filtered, searched by name.

import { change, read } from "./address.js";
import { button, h, later, refill, select, state } from "./dom.js";
import { reset } from "./facets.js";
import { keptRows } from "./filters.js";
import { captionChooser, resize, sizeButtons, sizeOf } from "./tiles.js";
import { Wall } from "./wall.js";

const USUAL_SIZE = 112;

export class View {
  constructor(app, host) {
    this.app = app;
    /** @type {Int32Array | null} */
    this.ordered = null;
    this.tools = h("div", { class: "tools-row" });
    this.wall = new Wall(app, { label: "all pictures", size: USUAL_SIZE, hasOutcomes: true, onscroll: later(0.4, index => this.tools.isConnected && change({ at: index ? this.ordered?.[index] : null }, false)), actions: { "+": () => this.zoom(1), "-": () => this.zoom(-1) } });
    this.empty = h("div");
    host.append(this.tools, this.empty, this.wall.element);
    const again = () => this.update(read().params, true);
    this.offs = [app.on("details", again), app.on("notes", () => { if (read().params.has("tag")) again(); })];
  }

  // `isAgain`: the address is the same, but for what labels or tags say now; whoever goes through the wall stays where they are.
  async update(params, isAgain = false) {
    const key = ["sort", "order", "text", "f", "r", "has", "tag", "q", "layer"].map(name => params.getAll(name).join()).join("|") + Boolean(this.app.names);
    const size = sizeOf(params, USUAL_SIZE);
    if (this.wall.size !== size) this.wall.resize(size);
    const isOfLabels = ["f", "r", "has"].some(name => params.has(name)) || params.get("sort")?.startsWith("c:");
    if (key === this.key && !params.has("tag") && !(isAgain && isOfLabels)) return this.drawTools(params);
    const isFirst = this.key === undefined, stays = isAgain && key === this.key, mine = (this.token = {});
    this.key = key;
    const rows = await this.rows(params);
    if (mine !== this.token) return;
    const isSame = this.ordered?.length === rows.length && rows.every((row, index) => row === this.ordered?.[index]);
    this.ordered = rows;
    this.drawTools(params);
    this.wall.element.hidden = !rows.length;
    this.empty.replaceChildren(...(rows.length ? [] : [state("No picture fits.", button("Show all", reset))]));
    this.wall.show(rows, { keepsPlace: isSame || stays });
    const at = params.has("at") ? rows.indexOf(Number(params.get("at"))) : -1;
    if (at > 0 && (isFirst || this.isWaiting)) requestAnimationFrame(() => this.wall.columns && this.wall.scrollTo(at));
    this.isWaiting = !this.app.names;
  }

  // The rows in the order and with the filters of the address.
  async rows(params) {
    const app = this.app, rows = keptRows(app, params);
    const sort = params.get("sort"), sign = params.get("order") === "down" ? -1 : 1;
    if (sort === "name" && app.names) {
      const compare = new Intl.Collator(undefined, { numeric: true }).compare;
      rows.sort((a, b) => sign * compare(app.names[a], app.names[b]));
    } else if (sort?.startsWith("c:") && app.columns.length) {
      const column = app.columns.find(one => one.name === sort.slice(2));
      if (column?.codes) rows.sort(byColumn(column, sign));
    } else if (sort === "similarity" && params.get("q")) {
      const scores = await app.similarities(params.get("q"));
      if (scores) rows.sort((a, b) => known(scores[b]) - known(scores[a]) || a - b);
    } else if (sort === "random") {
      shuffle(rows);
    } else if (sign < 0) rows.reverse();
    return rows;
  }

  drawTools(params) {
    const app = this.app, sorts = [["", "as indexed"], ["name", "name"], ...app.columns.map(column => [`c:${column.name}`, column.name]), ["random", "random"]];
    if (params.get("q")) sorts.push(["similarity", `similarity to ${app.queryTitle(params.get("q"))}`]);
    const sort = params.get("sort") || "";
    refill(this.tools,
      select("Sort", sorts, sort, value => change({ sort: value || null, order: null, at: null })),
      sort === "random" || sort === "similarity" ? "" : button(params.get("order") === "down" ? "↓" : "↑", () => change({ order: params.get("order") === "down" ? null : "down" }), { class: "icon", "aria-label": "turn the order round" }),
      sizeButtons(app, [this.wall], by => this.zoom(by)),
      captionChooser(app),
    );
  }

  zoom(by) {
    resize(this.app, [this.wall], by, USUAL_SIZE);
    this.drawTools(read().params);
  }

  destroy() {
    this.wall.destroy();
    this.offs.forEach(off => off());
  }
}

function byColumn(column, sign) {
  const areNumbers = column.values.every(value => value !== "" && !Number.isNaN(Number(value)));
  const compare = areNumbers ? (a, b) => Number(a) - Number(b) : new Intl.Collator(undefined, { numeric: true }).compare;
  const order = column.values.map((_, code) => code).sort((a, b) => compare(column.values[a], column.values[b]));
  const rank = [];
  order.forEach((code, index) => { rank[code] = index; });
  const of = row => (column.codes[row] < 0 ? Infinity : sign * rank[column.codes[row]]);  // without a value: last
  return (a, b) => (of(a) === of(b) ? a - b : of(a) - of(b));
}

const known = score => (Number.isNaN(score) ? -2 : score);

function shuffle(rows) {
  let seed = 20151208;  // the same order each time, so that an address tells it
  for (let last = rows.length - 1; last > 0; last--) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    const other = seed % (last + 1);
    [rows[last], rows[other]] = [rows[other], rows[last]];
  }
}
