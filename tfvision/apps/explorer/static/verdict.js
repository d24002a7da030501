// "Do deep features retrieve X?": hits are marked right or wrong, precision at k is read with its interval.

import { change, numberOf, read } from "./address.js";
import { button, failed, h, keepFocus, percent, refill, score, segmented, select, state, takeFocus } from "./dom.js";
import { classColumns, drawByLabel } from "./by_label.js";
import { judgeName, judgesOf, marksOf, nameJudge, setMarks, waiting } from "./judges.js";
import { PrecisionTable } from "./precision_table.js";
import { chooseQuery, noVectors, queryBar } from "./query.js";
import { Wall } from "./wall.js";

const RANKED = 50;  // hits of one layer
const DEPTHS = ["5", "10", "20", "50"];  // hits of each layer, mixed

export class View {
  constructor(app, host) {
    this.app = app;
    this.top = h("div", { class: "tools-row" });
    this.head = h("div");
    this.left = h("div", { class: "main" });
    this.hint = h("div", { class: "tools-row" });
    this.count = h("span", { class: "soft", role: "status" });
    this.table = new PrecisionTable(app, () => this.isBlind());
    host.append(this.top, this.head, h("div", { class: "split" }, this.left, this.table.element));
    this.offs = [app.on("notes", () => this.notesChanged()), app.on("details", () => { if (this.key) this.drawTitles(); this.refresh(); }), app.on("layers", () => { this.key = null; this.refresh(); })];
  }

  refresh() {
    this.update(read().params).catch(error => this.app.say(error.message, true));
  }

  async update(params) {
    this.x = params.get("x") || Object.keys(this.app.notes.marks)[0] || "";
    this.q = params.get("q");
    this.by = params.get("by");
    this.isRanked = params.get("order") === "ranked";
    this.judge = judgeName(this.app);
    this.depth = Math.round(numberOf(params, "k", 10, 1, RANKED));
    this.drawTop();
    if (!this.app.layers.length) return this.left.replaceChildren(noVectors(this.app));
    this.table.element.hidden = Boolean(this.by);
    if (this.by) return this.drawByLabel(params.get("most") || "200");
    await this.drawHits().catch(error => this.tellFailed(this.left, error));  // the question itself stays reachable
    await this.table.draw(this.x, this.q).catch(error => this.tellFailed(this.table.element, error));
  }

  tellFailed(host, error) {
    host.replaceChildren(failed(error, () => { this.key = null; this.refresh(); }));
  }

  drawTop() {
    if (this.top.contains(document.activeElement) && document.activeElement?.matches("input") && this.drawnX === this.x && this.drawnBy === this.by) return;
    this.drawnX = this.x;
    this.drawnBy = this.by;
    const known = Object.keys(this.app.notes.marks);
    const field = h("input", { id: "question", list: "questions", value: this.x, placeholder: "X, such as: faces in things", style: "width:18em", "aria-label": "X: what should be retrieved", maxlength: "200", onchange: () => change({ x: field.value.trim() || null }), onkeydown: event => event.key === "Enter" && field.blur() });
    const judge = h("input", { list: "judges", value: this.judge, placeholder: "your name", style: "width:9em", "aria-label": "judge: who marks", maxlength: "200", onchange: () => this.judgeIs(judge.value.trim()), onkeydown: event => event.key === "Enter" && this.wall && (judge.blur(), this.wall.element.focus()) });
    refill(this.top, h("strong", {}, "Do deep features retrieve"), field, h("strong", {}, "?"), h("datalist", { id: "questions" }, known.map(one => h("option", { value: one }))),
      this.by ? "" : h("label", { class: "field" }, h("span", {}, "judged by"), judge), h("datalist", { id: "judges" }, judgesOf(this.app.notes, this.x).map(one => h("option", { value: one }))),
      h("span", { class: "grow" }), this.byLabel(),
      this.x && !this.app.source.isStatic ? h("a", { class: "as-button", href: this.app.source.reportUrl(this.x), download: "verdict.html" }, "Report") : "",
      this.x && known.includes(this.x) ? button("Forget this question", () => this.forget()) : "");
  }

  // The question of every picture's own label, in the place of hits to judge.
  async drawByLabel(most) {
    const key = ["by", this.by, most, this.app.layer(), this.app.columns.length].join("|");
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

  judgeIs(name) {
    nameJudge(this.app, this.judge = name);
    this.table.shown = null;
    this.refresh();
    this.wall?.redraw();
    this.drawCount();
  }

  async drawHits() {
    const key = [this.q, this.isRanked ? this.app.layer() : this.depth, this.isRanked, this.x].join("|");
    if (key === this.key) return;
    const isSame = this.wall && this.wallKey === key, focusAgain = keepFocus(this.hint);  // the same but for what a layer has gained since
    this.key = this.wallKey = key;
    if (!isSame) this.clearWall();
    this.drawTitles();
    if (!this.q) return this.left.replaceChildren(chooseQuery(this.app, "verdict"));
    if (!this.x) return this.left.replaceChildren(state("What should be retrieved? Write it into the field above: “faces in things”, “the same species”, “chairs from above”."));
    if (!isSame) this.left.replaceChildren(state("The nearest are being looked for."));
    const answer = await (this.isRanked ? this.app.source.neighbours(this.q, this.app.layer(), RANKED) : this.app.source.pool(this.q, this.x, this.depth));
    if (key !== this.key || (isSame && answer.places.join() === this.wall?.rows.join())) return;
    this.clearWall();
    const mark = value => (row, index, wall) => this.mark(row, value, wall);
    const told = this.isRanked ? {
      lines: 1, caption: index => [`${index + 1}.  ${score(answer.scores[index])}`],
      hover: index => [`similarity ${score(answer.scores[index])}, percentile ${percent(answer.percentiles[index])}`],
    } : {};
    this.wall = new Wall(this.app, {
      label: `${this.isRanked ? "hits" : "pictures of all layers, mixed,"} to judge: y right, n wrong, u not judged`, size: 128, ...told,
      mark: row => this.marks()[row], actions: { y: mark(true), n: mark(false), u: mark(null), r: mark(true), w: mark(false) },
      onopen: row => this.mark(row, { undefined: true, true: false, false: null }[this.marks()[row]]),
    });
    this.drawn = answer.drawn || 0;
    this.left.replaceChildren(this.hint, this.wall.element);
    this.wall.show(answer.places);
    this.drawTitles();
    if (!focusAgain()) takeFocus(this.wall.element);
  }

  // What names and labels stand in, which come after the first pictures: drawn anew then, while the wall stays where somebody judges.
  drawTitles() {
    refill(this.head, this.q && !this.by ? queryBar(this.app, this.q, "verdict") : "");
    if (!this.wall) return;
    const rows = this.wall.rows, layers = this.app.layers.length;
    refill(this.hint, h("span", { class: "marking" }, h("span", { class: "keys" }, h("kbd", {}, "y"), " right  ", h("kbd", {}, "n"), " wrong  ", h("kbd", {}, "u"), " not judged; "), "a click or tap: right, wrong, not judged"), this.count,
      segmented("order", [["mixed", "mixed"], ["ranked", "ranked by one layer"]], this.isRanked ? "ranked" : "mixed", value => change({ order: value === "mixed" ? null : value })),
      this.isRanked ? "" : select("hits", DEPTHS.map(depth => [depth, `the first ${depth}${layers > 1 ? " of each layer" : ""}`]), String(this.depth), value => change({ k: value === "10" ? null : value })),
      h("span", { class: "grow" }), ...this.sameLabel(rows), button("The rest is wrong", () => this.markMany(Object.fromEntries(rows.filter(row => !(row in this.marks())).map(row => [row, false])))), button("Next query", () => this.next()));
    this.drawCount();
  }

  // One that others judged, else any.
  next() {
    const [first] = waiting(this.app.notes, this.x, this.judge).filter(name => name !== this.q);
    change({ q: first ?? String(Math.floor(Math.random() * this.app.count)) });
  }

  drawCount() {
    if (!this.wall) return;
    const rows = this.wall.rows, marks = this.marks(), done = rows.filter(row => row in marks).length;
    this.count.textContent = `${done} of ${rows.length} judged${!this.isRanked && this.drawn ? `; ${Math.min(this.drawn, rows.length)} of them are drawn at random` : ""}`;
  }

  // Whether somebody judges hits of all layers and has some left: nothing is told of the layers until then.
  isBlind() {
    if (!this.wall || this.isRanked || this.app.layers.length < 2 || this.table.shown === this.q) return false;
    const marks = this.marks();
    return this.wall.rows.some(row => !(row in marks));
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
    return marksOf(this.app.notes, this.x, this.judge, this.q);
  }

  mark(row, value, wall) {
    if (wall) wall.move(Math.min(wall.rows.length - 1, wall.cursor + 1));
    return this.markMany({ [row]: value });
  }

  async markMany(marks) {
    if (!Object.keys(marks).length) return;
    const before = this.marks(), all = { ...before }, { x, q, app, judge } = this;  // shown at once
    const back = Object.fromEntries(Object.keys(marks).map(row => [row, before[row] ?? null]));
    for (const [row, value] of Object.entries(marks)) if (value === null) delete all[row]; else all[row] = value;
    setMarks(app.notes, x, judge, q, all);
    this.wall?.redraw();
    this.drawCount();
    await app.write(() => app.source.mark(x, q, marks, judge), () => app.source.mark(x, q, back, judge));
  }

  notesChanged() {
    if (this.noted === this.app.notes.version) return;
    this.noted = this.app.notes.version;
    if (!this.x && Object.keys(this.app.notes.marks).length) return this.refresh();
    this.drawTop();
    this.wall?.redraw();
    this.drawCount();
    this.table.draw(this.x, this.q).catch(() => {});
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
