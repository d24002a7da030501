// Beside the hits that are judged: precision of each layer, the verdict in words, who judged, which queries.

import { change, href, read } from "./address.js";
import { button, h, later, plural, refill, select } from "./dom.js";
import { judgeName, judgesOf, waiting } from "./judges.js";
import { inWords } from "./plain_words.js";
import { queryThumb } from "./query.js";

const EVERYONE = "all", NAMELESS = "unnamed", NAMED = "name:";  // in the address: whose marks are counted

export class PrecisionTable {
  // `isBlind()`: whether hits of the query that is shown wait to be judged without knowing of their layers.
  constructor(app, isBlind) {
    this.app = app;
    this.isBlind = isBlind;
    this.element = h("aside", { class: "side judged", "aria-label": "precision" });
    this.figures = h("div");
    this.draft = h("div");
    this.rest = h("div");
    this.words = h("textarea", { rows: "4", placeholder: "The verdict in words, such as: no, they retrieve things", "aria-label": "the verdict in words", oninput: () => { this.isTyped = true; this.save(this.x, this.words.value); } });
    this.verdict = h("section", {}, h("h2", {}, "Verdict"), this.words, this.draft);
    this.save = later(0.6, async (x, text) => { await app.write(() => app.source.conclude(x, text)); if (text === this.words.value) this.isTyped = false; });
  }

  // Whose marks are counted: null = what most judges say.
  whose() {
    const asked = read().params.get("whose") || "";
    if (asked === EVERYONE) return null;
    return asked === NAMELESS ? "" : asked.startsWith(NAMED) ? asked.slice(NAMED.length) : judgeName(this.app);
  }

  async draw(x, q) {
    const mine = (this.token = (this.token || 0) + 1);
    if (!x) { this.x = null; return this.element.replaceChildren(this.questions(q)); }
    if (!this.element.children.length) this.element.replaceChildren(h("p", { class: "soft" }, "Precision is being computed."));
    const found = await this.app.source.verdict(x, this.whose());
    if (mine !== this.token) return;
    if (this.x !== x) this.isTyped = false;  // what was typed is another question's, and on its way
    if (!this.isTyped) this.words.value = found.conclusion;
    this.x = x;
    this.found = found;
    this.fill(q);
    if (this.verdict.parentNode !== this.element) this.element.replaceChildren(this.figures, this.verdict, this.rest);
  }

  fill(q) {
    const { found } = this, isBlind = this.isBlind();
    refill(this.figures, [this.judgeChoice(), ...(isBlind ? [this.blind(q)] : this.measured(q))].flat(2).filter(Boolean));
    const isTaken = !found.draft || found.conclusion === found.draft;
    refill(this.draft, isBlind || isTaken ? [] : [h("p", { class: "draft" }, found.draft), button("Take this sentence", () => this.take())]);
    refill(this.rest, [this.agreement(), this.judged(), this.lost()].filter(Boolean));
  }

  // So that no figure leads who judges, they wait for the last picture.
  blind(q) {
    return h("section", {}, h("h2", {}, "Precision"), h("p", {}, "Which layer found a picture is hidden, and so are the figures until all are judged: who sees them grow may favour one."),
      button("Show them now", () => { this.shown = q; this.fill(q); }));
  }

  measured(q) {
    const { found } = this, current = found.queries.find(query => query.name === q), many = found.queries.length > (q ? 1 : 0);
    return [...(q || !found.queries.length ? [h("h2", {}, "Precision of this query"), current ? this.precisions(current.layers, current.drawn) : h("p", { class: "soft" }, "Nothing is judged yet.")] : []),
      many ? [h("h2", {}, found.queries.length > 1 ? `All ${found.queries.length} queries together` : "The query that is judged"), this.precisions(found.pooled, found.drawn)] : "",
      h("p", { class: "soft" }, "The share of the first k that is right, with its 95 % interval; where some are not judged, what it is at least and at most."), inWords(found.words)];
  }

  precisions(layers, drawn) {
    const { found } = this, line = (name, one) => h("tr", {}, h("td", {}, name), h("td", {}, interval(one)), h("td", {}, one.judged < one.hits
      ? [h("strong", {}, `${one.least.toFixed(2)} to ${one.most.toFixed(2)}`), h("div", { class: "soft" }, `${one.judged} of ${one.hits} judged, ${one.right} right`)]
      : [h("strong", {}, one.share.toFixed(2)), h("span", { class: "soft" }, ` ${one.low.toFixed(2)}–${one.high.toFixed(2)}`)]));
    const lines = layers.map((row, layer) => {
      const name = h("tr", {}, h("th", { colspan: "3", scope: "colgroup" }, found.layers[layer]));
      const judged = row.filter(one => one.judged), most = judged.filter(one => 2 * one.judged >= one.hits);
      const shown = (most.length ? most : judged).map(one => line(`at ${one.k}`, one));
      return [found.layers.length > 1 ? name : "", ...(shown.length ? shown : [h("tr", {}, h("td", { colspan: "3", class: "soft" }, "none of the first is judged"))])];
    });
    const chance = drawn?.judged ? [h("tr", {}, h("th", { colspan: "3", scope: "colgroup" }, "pictures drawn at random")), line(`of ${drawn.hits}`, drawn)] : [];
    return h("table", { style: "width:100%;margin-bottom:12px" }, h("tbody", {}, lines.flat(), chance));
  }

  judgeChoice() {
    const { app } = this, you = judgeName(app), others = this.found.judges.map(one => one.name).filter(name => name !== you);
    if (!others.length) return "";
    const valueOf = name => (name === null ? EVERYONE : name ? NAMED + name : NAMELESS), options = [you, ...others].map(name => [valueOf(name), name === you ? `you${you && ` (${you})`}` : name || "who gave no name"]);
    options.push([EVERYONE, "what most judges say"]);
    return select("Marks of", options, valueOf(this.whose()), value => change({ whose: value === valueOf(you) ? null : value }));
  }

  agreement() {
    const { agreement } = this.found;
    return agreement && !this.isBlind() ? h("section", {}, h("h2", {}, "Judges"), agreement.words.map(text => h("p", {}, text))) : "";
  }

  async take() {
    const { app, x, found } = this, before = found.conclusion;
    this.isTyped = false;
    this.words.focus();
    await app.write(() => app.source.conclude(x, found.draft), () => app.source.conclude(x, before));
  }

  judged() {
    const { found, app } = this, others = waiting(app.notes, this.x, judgeName(app)), { params } = read();
    const line = (name, title, told) => h("div", { class: "judged-query" }, queryThumb(app, name, 36), h("a", { href: href("verdict", { q: name, x: this.x, k: params.get("k"), order: params.get("order") }) }, title), h("span", { class: "soft" }, told));
    const list = (title, lines) => (lines.length ? h("section", {}, h("h2", {}, title), lines) : "");
    return h("div", {}, list("Judged queries", found.queries.map(query => line(query.name, query.title, plural(query.marked, "mark")))), list("Judged by others, not by you", others.map(name => line(name, app.queryTitle(name), ""))));
  }

  // Queries that cannot be opened any more: they are named, and the others go on.
  lost() {
    if (!this.found.lost.length) return "";
    return h("section", { class: "lost" }, h("h2", {}, "Lost queries"), h("p", { class: "soft" }, "They count for nothing above; their marks are kept."),
      h("ul", {}, this.found.lost.map(query => h("li", {}, `${plural(query.marked, "mark")}: ${query.why}`))));
  }

  questions(q) {
    const known = Object.keys(this.app.notes.marks);
    if (!known.length) return h("p", { class: "soft" }, "Marks and precision appear here.");
    return h("div", {}, h("h2", {}, "Questions"), known.map(one => h("p", {}, h("a", { href: href("verdict", { x: one, q }) }, one), h("span", { class: "soft" }, judgesOf(this.app.notes, one).length ? `  ${judgesOf(this.app.notes, one).join(", ")}` : ""))));
  }
}

function interval(one) {
  const isWhole = one.judged === one.hits, [low, high] = isWhole ? [one.low, one.high] : [one.least, one.most];
  return h("span", { class: isWhole ? "interval" : "interval bounds", role: "img", "aria-label": `${isWhole ? `${one.share.toFixed(2)}, ` : ""}from ${low.toFixed(2)} to ${high.toFixed(2)}` },
    h("i", { style: `left:${100 * low}%;right:${100 * (1 - high)}%` }), isWhole ? h("b", { style: `left:${100 * one.share}%` }) : "");
}
