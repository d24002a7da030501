// The histogram of a query's similarity to everything, beside that of random pairs; a brushed range and its pictures.

import { change, numberOf, read } from "./address.js";
import { filtersOf, keptOf } from "./filters.js";
import { button, h, later, number, percent, plural, refill, score, segmented, state } from "./dom.js";
import { inWords } from "./plain_words.js";
import { CONFIG, centres, layoutOf, lineColours, plotly, shares } from "./plots.js";
import { chooseQuery, noVectors, queryBar } from "./query.js";
import { Wall } from "./wall.js";

export class View {
  constructor(app, host) {
    this.app = app;
    this.range = [0, 0];
    /** @type {HTMLInputElement[]} */
    this.ends = [];
    this.typed = new Set();  // those of the ends in which something is typed that does not count yet
    /** @type {{ scores: number[], percentiles: number[] }} */
    this.within = { scores: [], percentiles: [] };  // of the pictures shown
    this.host = host;
    this.offs = [
      app.on("details", () => { if (this.q) { refill(this.head, queryBar(app, this.q, "distribution")); if (filtersOf(read()).size) this.ask(); } }),
      app.on("theme", () => this.draw()),
      app.on("layers", () => { this.key = null; this.update(read().params).catch(() => {}); }),
    ];
    this.ask = later(0.12, () => this.loadRange());
  }

  async update(params) {
    const q = params.get("q"), layer = this.app.layer();
    if (!this.app.layers.length) return this.empty(noVectors(this.app));
    if (!q) return this.empty(chooseQuery(this.app, "distribution"));
    const key = [q, layer].join();
    this.isLog = params.get("scale") === "log";
    if (key !== this.key) {
      this.clear();
      this.key = key;
      this.q = q;
      this.layer = layer;
      this.build();
      const [found] = await Promise.all([this.app.source.distribution(q, layer), plotly()]);
      if (key !== this.key) return;
      this.found = found;
      this.waiting.remove();
    }
    if (!this.found) return;
    if (!this.found.query.count) return this.empty(state("There is no other picture to compare with."));
    const { shortlist_from: from, query: { high: highest } } = this.found, low = numberOf(params, "low", NaN), high = numberOf(params, "high", NaN);
    this.isChosen = !Number.isNaN(low + high);
    this.range = this.isChosen ? [Math.min(low, high), Math.max(low, high)] : [from, highest];
    this.order = params.get("from") === "low" ? "lowest" : "highest";
    this.drawTools();
    await this.draw();
    this.ask();
  }

  build() {
    this.head = h("div", {}, queryBar(this.app, this.q, "distribution"));
    this.chart = h("div", { class: "chart", role: "img", "aria-label": "histogram of similarities; choose a range in the fields below" });
    this.facts = h("p", { class: "soft", style: "padding:0 12px;max-width:none" });
    this.words = h("div", { style: "padding:0 12px" });
    this.ends = ["from", "to"].map((label, index) => h("input", { class: "figure", type: "number", step: "0.005", "aria-label": label, oninput: () => this.typed.add(index), onchange: () => this.chooseEnds(), onblur: () => this.leaveEnd(index) }));
    this.typed.clear();
    this.ways = h("div", { style: "display:contents" });
    this.tools = h("div", { class: "tools-row" }, this.ends.map(end => h("label", { class: "field" }, h("span", {}, end.getAttribute("aria-label")), end)), this.ways);
    this.waiting = state("Similarities are being computed.");
    this.wall = new Wall(this.app, {
      label: "pictures in the range", size: 112, lines: 2, query: this.q,
      caption: index => [score(this.within.scores[index]), percent(this.within.percentiles[index])],
      hover: index => [`similarity ${score(this.within.scores[index])}`, `more alike than ${percent(this.within.percentiles[index])} of the collection`],
    });
    this.host.replaceChildren(this.head, this.waiting, this.chart, this.facts, this.words, this.tools, this.wall.element);
  }

  async draw() {
    const { found, chart } = this;
    if (!found) return;
    const Plotly = await plotly(), app = this.app, { edges, counts, random_counts: randomCounts, query, random } = found;
    if (found !== this.found) return;  // another query or view by now
    const x = centres(edges), [blue, orange] = lineColours(app), width = edges[1] - edges[0];
    const [low, high] = this.range;
    const traces = [
      { type: "bar", name: "this query", x, y: shares(counts), width, marker: { color: x.map(value => (value + 0.49 * width > low && value - 0.49 * width < high ? blue : blue + "70")), line: { width: 0 } }, customdata: counts, selectedpoints: null, selected: { marker: { opacity: 1 } }, unselected: { marker: { opacity: 1 } }, hovertemplate: "%{x:.3f}: %{customdata} pictures<extra></extra>" },
      { type: "scatter", mode: "lines", name: "random pairs", x, y: shares(randomCounts), line: { color: orange, width: 2, shape: "hvh" }, hovertemplate: "%{x:.3f}: %{y:.2f} % of random pairs<extra></extra>" },
    ];
    if (this.isLog) traces.forEach(trace => { trace.y = trace.y.map(value => value || null); });
    const band = { type: "rect", xref: "x", yref: "paper", x0: low, x1: high, y0: 0, y1: 1, fillcolor: blue, opacity: 0.13, line: { width: 0 }, layer: "below" };
    const layout = layoutOf(app, {
      xaxis: { title: { text: "similarity" }, range: [edges[0], edges.at(-1)], fixedrange: true }, dragmode: "select", selectdirection: "h", bargap: 0, barmode: "overlay", shapes: [band],
      yaxis: { title: { text: "% of pictures" }, type: this.isLog ? "log" : "linear", fixedrange: true },
      newselection: { line: { color: blue, width: 1, dash: "solid" } }, margin: { l: 56, r: 16, t: 28, b: 44 },
    });
    await Plotly.react(chart, traces, layout, CONFIG);
    if (found !== this.found) return;
    if (!this.isWired) {
      this.isWired = true;
      this.chart.on("plotly_selected", event => { if (event?.range?.x) this.choose(...this.snapped(event.range.x)); Plotly.relayout(this.chart, { selections: [] }); });
      this.chart.on("plotly_click", event => { const at = event.points[0].x; this.choose(at - width / 2, at + width / 2); });
    }
    const distance = `Kolmogorov-Smirnov ${score(this.found.kolmogorov_smirnov)}, Jensen-Shannon ${score(this.found.jensen_shannon)} from random pairs.`;
    this.facts.textContent = `${plural(query.count, "picture")}, mean ${score(query.mean)} ± ${score(query.deviation)}, from ${score(query.low)} to ${score(query.high)}; random pairs ${score(random.mean)} ± ${score(random.deviation)}. ${distance}`;
    if (!this.words.children.length) this.words.replaceChildren(inWords(this.found.words));
  }

  // A brushed range, to the nearest edges of bins: so that it can begin and end with the outermost pictures.
  snapped(range) {
    const edges = this.found.edges, width = edges[1] - edges[0];
    const [low, high] = range.slice().sort((a, b) => a - b).map(value => Math.max(0, Math.min(edges.length - 1, Math.round((value - edges[0]) / width))));
    return [edges[low], edges[Math.max(high, low + 1)] ?? edges[high]];
  }

  choose(low, high, from = this.order === "lowest" ? "low" : null) {
    change({ low: low.toFixed(4), high: high.toFixed(4), from });
  }

  chooseEnds() {
    const [low, high] = this.ends.map(end => end.value);
    this.typed.clear();
    if (low && high) this.choose(Number(low), Number(high));
    else this.drawTools();
  }

  // What was typed and taken back is no change.
  leaveEnd(index) {
    if (this.typed.delete(index) && this.found) this.drawTools();
  }

  drawTools() {
    const { query, edges } = this.found;
    this.ends.forEach((end, index) => { if (!this.typed.has(index)) end.value = this.range[index].toFixed(3); });
    this.total = h("span", { class: "soft grow", role: "status" });
    refill(this.ways,
      button("First hundred", () => change({ low: null, high: null, from: null })),
      button("Middle", () => this.choose(query.mean - 0.25 * query.deviation, query.mean + 0.25 * query.deviation, null)),
      button("Far tail", () => this.choose(edges[0], Math.max(query.mean - 2 * query.deviation, query.low), "low")),
      segmented("order", [["highest", "most alike first"], ["lowest", "least alike first"]], this.order, value => change({ from: value === "lowest" ? "low" : null })),
      segmented("scale", [["", "linear"], ["log", "logarithmic"]], this.isLog ? "log" : "", value => change({ scale: value || null })),
      this.total);
  }

  async loadRange() {
    if (!this.found) return;
    const key = [this.key, this.range, this.order, filtersOf(read())].join();
    this.rangeKey = key;
    try {
      const epsilon = this.isChosen ? 1e-4 : 2e-6;  // the ends of a range are rounded, in the address more
      const within = await this.app.source.range(this.q, this.layer, this.range[0] - epsilon, this.range[1] + epsilon, this.order, keptOf(this.app));
      if (key !== this.rangeKey || !this.total || !this.wall) return;  // another view or query by now
      const { places, total, whole } = this.within = within;
      const found = total < whole ? `${number(total)} of ${plural(whole, "picture")} by the filters` : plural(total, "picture");
      this.total.textContent = total > places.length ? `${found}, the first ${number(places.length)} shown` : found;
      this.wall.element.hidden = !places.length;
      this.wall.show(places);
    } catch (error) {
      this.app.say(error.message, true);
    }
  }

  empty(element) {
    this.clear();
    this.host.replaceChildren(element);
  }

  clear() {
    this.wall?.destroy();
    if (this.chart && window.Plotly) window.Plotly.purge(this.chart);
    this.wall = this.chart = this.found = this.q = this.key = null;
    this.isWired = false;
  }

  destroy() {
    this.clear();
    this.offs.forEach(off => off());
  }
}
