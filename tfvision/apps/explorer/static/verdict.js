// "Do deep features retrieve X?": hits are marked right or wrong, precision at k is read with its interval.

import { change, href, read } from "./address.js";
import { button, failed, h, later, percent, plural, score, select, state } from "./dom.js";
import { classColumns, drawByLabel } from "./by_label.js";
import { chooseQuery, noVectors, queryBar, queryThumb } from "./query.js";
import { Wall } from "./wall.js";

const JUDGED = 50;

export class View {
  constructor(app, host) {
    this.app = app;
    this.top = h("div", { class: "tools-row" });
    this.head = h("div");
    this.left = h("div", { class: "main" });
    this.hint = h("div", { class: "tools-row" });
    this.table = h("aside", { class: "side", style: "width:430px;border-right:0;border-left:1px solid var(--line)", "aria-label": "precision" });
    host.append(this.top, this.head, h("div", { class: "split" }, this.left, this.table));
    this.saveWords = later(0.6, (question, text) => app.write(() => app.source.conclude(question, text)));
    this.offs = [app.on("notes", () => this.notesChanged()), app.on("details", () => { if (this.key) this.drawTitles(); this.refresh(); }), app.on("layers", () => { this.key = null; this.refresh(); })];
  }

  refresh() {
    this.update(read().params).catch(error => this.app.say(error.message, true));
  }

  async update(params) {
    this.x = params.get("x") || Object.keys(this.app.notes.marks)[0] || "";
    this.q = params.get("q");
    this.by = params.get("by");
    this.drawTop();
    if (!this.app.layers.length) return this.left.replaceChildren(noVectors(this.app));
    this.table.hidden = Boolean(this.by);
    if (this.by) return this.drawByLabel(params.get("most") || "200");
    await this.drawHits().catch(error => this.tellFailed(this.left, error));  // the question itself stays reachable
    await this.drawTable().catch(error => this.tellFailed(this.table, error));
  }

  tellFailed(host, error) {
    host.replaceChildren(failed(error, () => { this.key = null; this.refresh(); }));
  }

  drawTop() {
    if (this.top.contains(document.activeElement) && document.activeElement?.id === "question" && this.drawnX === this.x && this.drawnBy === this.by) return;
    this.drawnX = this.x;
    this.drawnBy = this.by;
    const known = Object.keys(this.app.notes.marks);
    const field = h("input", { id: "question", list: "questions", value: this.x, placeholder: "X, such as: faces in things", style: "width:18em", "aria-label": "X: what should be retrieved", maxlength: "200", onchange: () => change({ x: field.value.trim() || null }) });
    this.top.replaceChildren(h("strong", {}, "Do deep features retrieve"), field, h("strong", {}, "?"), h("datalist", { id: "questions" }, known.map(one => h("option", { value: one }))),
      h("span", { class: "grow" }), this.byLabel(),
      this.x && !this.app.source.isStatic ? h("a", { class: "as-button", href: this.app.source.reportUrl(this.x), download: "verdict.html" }, "Report") : "",
      this.x && known.includes(this.x) ? button("Forget this question", () => this.forget()) : "");
  }

  // The question of every picture's own label, in the place of hits to judge.
  async drawByLabel(most) {
    const key = ["by", this.by, most, this.app.columns.length].join("|");
    if (key === this.key) return;
    this.key = key;
    this.clearWall();
    this.head.replaceChildren();
    await drawByLabel(this.app, this.left, this.by, most, () => this.key === key);
  }

  byLabel() {
    const [column] = classColumns(this.app);
    if (this.by) return button("By hand", () => change({ by: null, most: null }));
    return column && !this.app.source.isStatic ? button("By label", () => change({ by: column.name })) : "";
  }

  async drawHits() {
    const key = [this.q, this.app.layer(), this.x].join("|");
    if (key === this.key) return;
    this.key = key;
    this.clearWall();
    this.drawTitles();
    if (!this.q) return this.left.replaceChildren(chooseQuery(this.app, "verdict"));
    if (!this.x) return this.left.replaceChildren(state("What should be retrieved? Write it into the field above: “faces in things”, “the same species”, “chairs from above”."));
    this.left.replaceChildren(state("The nearest are being looked for."));
    const answer = await this.app.source.neighbours(this.q, this.app.layer(), JUDGED);
    if (key !== this.key) return;
    const mark = value => (row, index, wall) => this.mark(row, value, wall);
    this.wall = new Wall(this.app, {
      label: "hits to judge: y right, n wrong, u not judged", size: 128, lines: 1, caption: index => [`${index + 1}.  ${score(answer.scores[index])}`],
      hover: index => [`similarity ${score(answer.scores[index])}, percentile ${percent(answer.percentiles[index])}`],
      mark: row => this.marks()[row], actions: { y: mark(true), n: mark(false), u: mark(null), r: mark(true), w: mark(false) },
      onopen: row => this.mark(row, { undefined: true, true: false, false: null }[this.marks()[row]]),
    });
    this.left.replaceChildren(this.hint, this.wall.element);
    this.wall.show(answer.places);
    this.drawTitles();
    this.wall.element.focus({ preventScroll: true });
  }

  // What names and labels stand in, which come after the first pictures: drawn anew then, while the wall stays where somebody judges.
  drawTitles() {
    this.head.replaceChildren(this.q && !this.by ? queryBar(this.app, this.q, "verdict") : "");
    if (!this.wall) return;
    const rows = this.wall.rows;
    this.hint.replaceChildren(h("span", {}, h("kbd", {}, "y"), " right  ", h("kbd", {}, "n"), " wrong  ", h("kbd", {}, "u"), " not judged"), h("span", { class: "soft" }, "A click goes through the three."), h("span", { class: "grow" }),
      ...this.sameLabel(rows), button("The rest is wrong", () => this.markMany(Object.fromEntries(rows.filter(row => !(row in this.marks())).map(row => [row, false])))));
  }

  // Where the pictures have labels: marks by "has the query's label", in any column, to begin with.
  sameLabel(rows) {
    if (!/^\d+$/.test(this.q)) return [];
    const columns = classColumns(this.app).filter(one => one.codes?.[Number(this.q)] >= 0), mark = name => {
      const { codes } = columns.find(one => one.name === name), own = codes[Number(this.q)];
      return this.markMany(Object.fromEntries(rows.map(row => [row, codes[row] === own])));
    };
    if (!columns.length) return [];
    const others = columns.slice(1).map(({ name }) => [name, name]);
    return [button(`Mark by ${columns[0].name}`, () => mark(columns[0].name)), others.length ? select("or by", [["", "…"], ...others], "", name => name && mark(name), { class: "narrow" }) : ""];
  }

  marks() {
    return this.app.notes.marks[this.x]?.[this.q] || {};
  }

  mark(row, value, wall) {
    if (wall) wall.move(Math.min(wall.rows.length - 1, wall.cursor + 1));
    return this.markMany({ [row]: value });
  }

  async markMany(marks) {
    if (!Object.keys(marks).length) return;
    const before = this.marks(), all = { ...before }, { x, q, app } = this;  // shown at once
    const back = Object.fromEntries(Object.keys(marks).map(row => [row, before[row] ?? null]));
    for (const [row, value] of Object.entries(marks)) if (value === null) delete all[row]; else all[row] = value;
    (this.app.notes.marks[this.x] ||= {})[this.q] = all;
    this.wall?.redraw();
    await app.write(() => app.source.mark(x, q, marks), () => app.source.mark(x, q, back));
  }

  notesChanged() {
    if (this.noted === this.app.notes.version) return;
    this.noted = this.app.notes.version;
    if (!this.x && Object.keys(this.app.notes.marks).length) return this.refresh();
    this.drawTop();
    this.wall?.redraw();
    this.drawTable().catch(() => {});
  }

  async drawTable() {
    if (!this.x) return this.table.replaceChildren(this.questions());
    const mine = (this.tableToken = (this.tableToken || 0) + 1);
    if (!this.table.children.length) this.table.replaceChildren(h("p", { class: "soft" }, "Precision is being computed."));
    const found = await this.app.source.verdict(this.x);
    if (mine !== this.tableToken) return;
    const current = found.queries.find(query => query.name === this.q);
    const words = h("textarea", { rows: "2", placeholder: "The verdict in words, such as: no, they retrieve things", "aria-label": "the verdict in words", oninput: () => this.saveWords(this.x, words.value) });
    words.value = found.conclusion;
    const old = this.table.querySelector("textarea"), isWriting = old && old === document.activeElement && this.wordsOf === this.x;
    this.wordsOf = this.x;
    const parts = [h("h2", {}, "Precision of this query"), current ? this.precisions(found, current.layers) : h("p", { class: "soft" }, "Nothing is judged yet."),
      found.queries.length > 1 ? [h("h2", {}, `All ${found.queries.length} queries together`), this.precisions(found, found.pooled)] : "",
      h("p", { class: "soft" }, "The share of the first k that is right, among those judged, with Wilson's 95 % interval."),
      h("h2", { style: "margin-top:18px" }, "Verdict"), isWriting ? old : words, h("div", { style: "height:14px" }), this.judged(found), this.lost(found)];
    if (isWriting) {
      const [before, after] = [parts.slice(0, 5), parts.slice(6)];
      [...this.table.childNodes].forEach(node => node !== old && node.remove());
      old.before(...before.flat().filter(Boolean)); old.after(...after.flat().filter(Boolean));
    } else this.table.replaceChildren(...parts.flat().filter(Boolean));
  }

  precisions(found, layers) {
    const lines = layers.flatMap((row, layer) => {
      const name = h("tr", {}, h("th", { colspan: "3", scope: "colgroup" }, found.layers[layer]));
      const shown = row.filter(one => one.judged).map(one => h("tr", {}, h("td", {}, `at ${one.k}`), h("td", {}, interval(one)),
        h("td", {}, h("strong", {}, one.share.toFixed(2)), h("span", { class: "soft" }, ` ${one.low.toFixed(2)}–${one.high.toFixed(2)}`), one.judged < one.k ? h("div", { class: "soft" }, `${one.judged} of ${one.k} judged`) : "")));
      return [found.layers.length > 1 ? name : "", shown.length ? shown : h("tr", {}, h("td", { colspan: "3", class: "soft" }, "none of the first is judged"))];
    });
    return h("table", { style: "width:100%;margin-bottom:12px" }, h("tbody", {}, lines));
  }

  judged(found) {
    if (!found.queries.length) return "";
    return h("section", {}, h("h2", {}, "Judged queries"), found.queries.map(query => h("div", { style: "display:flex;gap:8px;align-items:center;margin-bottom:6px" }, queryThumb(this.app, query.name, 36),
      h("a", { href: href("verdict", { q: query.name, x: this.x }), style: "overflow:hidden;text-overflow:ellipsis" }, query.title), h("span", { class: "soft" }, plural(query.marked, "mark")))));
  }

  // Queries that cannot be opened any more: they are named, and the others go on.
  lost(found) {
    if (!found.lost.length) return "";
    return h("section", { class: "lost" }, h("h2", {}, "Lost queries"), h("p", { class: "soft" }, "They count for nothing above; their marks are kept."),
      h("ul", {}, found.lost.map(query => h("li", {}, `${plural(query.marked, "mark")}: ${query.why}`))));
  }

  questions() {
    const known = Object.keys(this.app.notes.marks);
    if (!known.length) return h("p", { class: "soft" }, "Marks and precision appear here.");
    return h("div", {}, h("h2", {}, "Questions"), known.map(one => h("p", {}, h("a", { href: href("verdict", { x: one, q: this.q }) }, one))));
  }

  async forget() {
    if (!confirm(`Forget all marks of “${this.x}”?`)) return;
    const { x, app } = this;
    await app.write(() => app.source.drop(x), () => app.source.restore(x));
    change({ x: null });
  }

  clearWall() {
    this.wall?.destroy();
    this.wall = null;
  }

  destroy() {
    this.key = null;
    this.clearWall();
    this.offs.forEach(off => off());
  }
}

function interval(one) {
  return h("span", { class: "interval", role: "img", "aria-label": `${one.share.toFixed(2)}, from ${one.low.toFixed(2)} to ${one.high.toFixed(2)}` },
    h("i", { style: `left:${100 * one.low}%;right:${100 * (1 - one.high)}%` }), h("b", { style: `left:${100 * one.share}%` }));
}
