// Several queries or labelled groups overlaid: distributions, distances between them, overlap of their first hundred.

import { change, href, read } from "./address.js";
import { classColumns } from "./by_label.js";
import { filtersOf, keptOf, leftOf } from "./filters.js";
import { button, failed, h, keepFocus, number, score, scrolling, select, state } from "./dom.js";
import { inWords } from "./plain_words.js";
import { CONFIG, centres, layoutOf, lineColours, plotly, shares } from "./plots.js";
import { noVectors, queryThumb } from "./query.js";
import { small } from "./thumbnails.js";

const MOST = 8;
const SHOWN = 24;

export class View {
  constructor(app, host) {
    this.app = app;
    this.page = h("div", { class: "page" });
    this.chart = h("div", { class: "chart", role: "img", "aria-label": "similarity distributions of the queries, overlaid" });
    host.append(this.page);
    this.offs = [app.on("details", () => this.redraw()), app.on("theme", () => this.redraw()), app.on("layers", () => { this.key = null; this.redraw(); })];
  }

  redraw() {
    this.update(read().params).catch(error => this.app.say(error.message, true));
  }

  async update(params) {
    if (!this.app.layers.length) return this.page.replaceChildren(noVectors(this.app));
    const names = params.getAll("q").slice(0, MOST), layer = this.app.layer();
    this.app.compared = names;
    const key = [layer, ...names, filtersOf(read()), filtersOf(read()).size && Boolean(this.app.names)].join("|");
    const focusAgain = keepFocus(this.page);
    if (key !== this.key) {
      this.key = key;
      this.found = this.error = null;
      if (names.length) {
        this.page.replaceChildren(state("Distributions are being compared."));
        const [found] = await Promise.all([this.app.source.compare(names, layer, keptOf(this.app)).catch(error => { this.error = error; return null; }), plotly()]);
        if (key !== this.key) return;
        this.found = found;
      }
    }
    this.draw(names);
    focusAgain();
  }

  draw(names) {
    const app = this.app, colours = lineColours(app), found = this.found, lost = found?.lost ?? [];
    const place = name => found?.queries.findIndex(query => query.name === name) ?? -1;
    const chips = names.map(name => h("span", { class: "query-chip", style: `--colour:${colours[place(name)] ?? "var(--line)"}` }, queryThumb(app, name, 32), h("a", { href: href("distribution", { q: name }) }, app.queryTitle(name)),
      button("×", () => change({ q: names.filter(other => other !== name) }), { "aria-label": `without ${app.queryTitle(name)}` })));
    const parts = [h("section", {}, h("div", { class: "chips" }, chips, names.length < MOST ? this.adder(names) : ""))];
    if (lost.length) parts.push(h("p", { class: "soft", role: "status" }, `Not shown: ${lost.map(one => one.why).join("; ")}.`));
    if (this.error) parts.push(failed(this.error, () => { this.key = null; this.redraw(); }));
    else if (!found) parts.push(state("Choose two or more queries: pictures from the neighbourhood (“Compare”), from the basket, or all pictures with a label."));
    else {
      parts.push(h("section", {}, h("h2", {}, filtersOf(read()).size ? `Similarity to the ${number(leftOf(app).left)} pictures that the filters leave` : "Similarity to everything"), this.chart, this.table(colours)));
      if (found.queries.length > 1) {
        parts.push(h("section", { class: "matrices", style: "max-width:none" },
          this.matrix("Kolmogorov-Smirnov distance", "The largest distance between the two cumulative distributions: 0 the same, 1 apart.", found.kolmogorov_smirnov, colours),
          this.matrix("Jensen-Shannon distance", "From the histograms, in bits: 0 the same, 1 apart.", found.jensen_shannon, colours),
          this.matrix(`Overlap of the first ${found.shortlist}`, "The share of hits that two queries have in common.", found.overlap, colours)));
      }
      parts.push(inWords(found.words));
      parts.push(h("section", {}, h("h2", {}, "First hits"), found.queries.map((query, index) => this.shortlist(query, index, colours))));
    }
    this.page.replaceChildren(...parts);
    if (found) this.plot(colours);
  }

  plot(colours) {
    const { edges, queries, random_counts: randomCounts } = this.found, x = centres(edges);
    const traces = queries.map((query, index) => ({ type: "scatter", mode: "lines", name: this.app.queryTitle(query.name), x, y: shares(query.counts), line: { color: colours[index], width: 2, shape: "spline", smoothing: 0.5 }, hovertemplate: "%{x:.3f}: %{y:.2f} %<extra>%{fullData.name}</extra>" }));
    traces.push({ type: "scatter", mode: "lines", name: "random pairs", x, y: shares(randomCounts), line: { color: this.app.colours.soft, width: 1.5, dash: "dot" }, hovertemplate: "%{x:.3f}: %{y:.2f} %<extra>random pairs</extra>" });
    const layout = layoutOf(this.app, { xaxis: { title: { text: "similarity" }, fixedrange: true }, yaxis: { title: { text: "% of pictures" }, fixedrange: true }, margin: { l: 56, r: 16, t: 30, b: 44 }, showlegend: false });
    window.Plotly.react(this.chart, traces, layout, CONFIG);
  }

  adder(names) {
    const app = this.app, add = name => name && !names.includes(name) && change({ q: [...names, name] });
    const fromBasket = app.basket.list().map(String).filter(name => !names.includes(name)).slice(0, MOST - names.length);
    const groups = classColumns(app).filter(column => column.values.length <= 500).map(column =>
      select(`+ ${column.name}`, [["", "…"], ...column.values.slice().sort((a, b) => a.localeCompare(b, undefined, { numeric: true })).map(value => [`g:${column.name}=${value}`, value])], "", add, { class: "narrow" }));
    const any = () => add(String(Math.floor(Math.random() * app.count)));
    return [button("+ any picture", any), fromBasket.length ? button(`+ ${number(fromBasket.length)} from the basket`, () => change({ q: [...names, ...fromBasket] })) : "", groups];
  }

  table(colours) {
    const lines = this.found.queries.map((query, index) => h("tr", {}, h("td", {}, swatch(colours[index]), this.app.queryTitle(query.name)), ["mean", "deviation", "median", "low", "high"].map(name => h("td", { class: "number" }, score(query[name]))), h("td", { class: "number" }, number(query.count))));
    const head = ["", "mean", "deviation", "median", "lowest", "highest", "pictures"].map((title, index) => h("th", { class: index ? "number" : null, scope: "col" }, title || h("span", { class: "hidden" }, "query")));
    return scrolling("similarity to everything", h("table", {}, h("thead", {}, h("tr", {}, head)), h("tbody", {}, lines)));
  }

  matrix(title, text, values, colours) {
    const names = this.found.queries.map(query => this.app.queryTitle(query.name));
    const cell = (value, row, column) => h("td", { class: "heat", style: row === column ? "color:var(--soft)" : `background:color-mix(in srgb, var(--accent) ${Math.round(60 * (value || 0))}%, transparent)`, title: `${names[row]} and ${names[column]}` }, row === column ? "·" : score(value));
    const letter = index => [swatch(colours[index]), String(index + 1)];
    return h("div", {}, h("h3", {}, title), h("p", { class: "soft" }, text), scrolling(title, h("table", {},
      h("thead", {}, h("tr", {}, h("td"), names.map((name, index) => h("th", { scope: "col", title: name }, letter(index))))),
      h("tbody", {}, values.map((line, row) => h("tr", {}, h("th", { scope: "row", title: names[row] }, letter(row)), line.map((value, column) => cell(value, row, column))))))));
  }

  shortlist(query, index, colours) {
    const thumbs = query.shortlist.slice(0, SHOWN).map(row => h("button", { class: "picture", type: "button", "aria-label": this.app.title(row), title: this.app.title(row), onclick: () => this.app.openNeighbours(row) }, small(this.app.thumbnails, row, 64)));
    return h("div", { style: "margin-bottom:12px" }, h("div", {}, swatch(colours[index]), `${index + 1}  ${this.app.queryTitle(query.name)}`), h("div", { class: "shortlist" }, thumbs));
  }

  destroy() {
    this.key = null;  // what is still asked draws nothing
    window.Plotly?.purge(this.chart);
    this.offs.forEach(off => off());
  }
}

const swatch = colour => h("i", { style: `display:inline-block;width:11px;height:11px;border-radius:3px;background:${colour};margin-right:7px`, "aria-hidden": "true" });
