// Housekeeping: near duplicates, outliers, hubs, labels that the neighbours contradict.

import { change, read } from "./address.js";
import { filtersOf, keptIndices } from "./filters.js";
import { button, failed, h, number, plural, progress, score, segmented, select, state } from "./dom.js";
import { noVectors } from "./query.js";
import { small } from "./thumbnails.js";
import { Wall } from "./wall.js";

const KINDS = [["duplicates", "Near duplicates"], ["outliers", "Outliers"], ["hubs", "Hubs"], ["labels", "Labels"]];
const LEASTS = ["0.99", "0.97", "0.95", "0.9", "0.85"];
const TEXTS = {
  duplicates: "Pictures joined by a chain of similarities of at least the threshold.",
  outliers: "The least like their sixteen nearest neighbours: the mean similarity to these.",
  hubs: "Near to everything: how many pictures have each one among their sixteen nearest. In a space without hubs this is about sixteen for all.",
  labels: "Pictures whose neighbours agree on another label: by how much of their similarity.",
};

export class View {
  constructor(app, host) {
    this.app = app;
    this.tools = h("div", { class: "tools-row" });
    this.body = h("div", { style: "flex:1;display:flex;flex-direction:column;min-height:0" });
    host.append(this.tools, this.body);
    this.offs = [app.on("layers", () => { this.key = null; this.update(read().params).catch(() => {}); }), app.on("details", () => { this.key = null; this.update(read().params).catch(() => {}); })];
  }

  async update(params) {
    const app = this.app, kind = params.get("kind") || "duplicates", layer = app.layer();
    const columns = app.labelColumns();
    const column = params.get("column") || columns.at(-1)?.name || "", least = params.get("least") || "0.95";
    this.drawTools(kind, columns, column, least);
    if (!app.layers.length) return this.body.replaceChildren(noVectors(app));
    const key = [kind, layer, column, least, filtersOf(read())].join("|");
    if (key === this.key) return;
    this.key = key;
    if (this.signal) this.signal.stopped = true;
    const signal = (this.signal = { stopped: false });
    this.clear();
    if (kind === "labels" && !column) return this.body.replaceChildren(state("These pictures have no labels: put them into folders by their label, or give a manifest with a column."));
    const bar = progress(null, "The nearest neighbours of all pictures are being looked for. This is done once.");
    this.body.replaceChildren(h("div", { class: "state" }, bar));
    try {
      const found = await app.source.tidy(kind, { layer, column, least, limit: 500 }, (share, stage) => key === this.key && this.body.replaceChildren(h("div", { class: "state" }, progress(share, stage))), signal);
      if (!found || key !== this.key) return;
      const kept = keptIndices(app, found.places || []), of = list => list && kept.map(index => list[index]);
      if (kind === "duplicates") this.drawGroups({ ...found, groups: found.groups.filter(group => keptIndices(app, group.places).length) });
      else this.drawWall(kind, { ...found, places: of(found.places), scores: of(found.scores), counts: of(found.counts), given: of(found.given), suggested: of(found.suggested) });
    } catch (error) {
      if (key === this.key) this.body.replaceChildren(failed(error, () => { this.key = null; this.update(read().params); }));
    }
  }

  drawTools(kind, columns, column, least) {
    this.tools.replaceChildren(segmented("what", KINDS, kind, value => change({ kind: value === "duplicates" ? null : value })),
      kind === "duplicates" ? select("at least", LEASTS.map(value => [value, value]), least, value => change({ least: value })) : "",
      kind === "labels" && columns.length ? select("Label", columns.map(one => [one.name, one.name]), column, value => change({ column: value })) : "",
      h("span", { class: "soft grow" }, TEXTS[kind]));
  }

  drawGroups(found) {
    if (!found.total) return this.body.replaceChildren(state("No two pictures are as alike as that."));
    const app = this.app, summary = h("p", { class: "soft" }, `${plural(found.total, "group")} of ${plural(found.pictures, "picture")}${found.groups.length < found.total ? `, the first ${found.groups.length} shown` : ""}. `,
      button("All but the first of each into the basket", () => app.basket.toggle(found.groups.flatMap(group => group.places.slice(1)), true)));
    const cards = found.groups.map(group => h("div", { class: "card" }, h("div", { class: "soft" }, `${plural(group.places.length, "picture")}, up to ${score(group.score)}`),
      h("div", { class: "shortlist" }, group.places.slice(0, 24).map(row => h("button", { class: "picture", type: "button", title: app.title(row), "aria-label": app.title(row), onclick: () => app.openNeighbours(row) }, small(app.thumbnails, row, 84)))),
      button("All but the first into the basket", () => app.basket.toggle(group.places.slice(1), true))));
    this.body.replaceChildren(h("div", { class: "page" }, summary, h("div", { class: "groups" }, cards)));
  }

  drawWall(kind, found) {
    if (!found.places.length) return this.body.replaceChildren(state(kind === "labels" ? "No label is contradicted by its picture's neighbours." : "There is nothing to show."));
    const captions = {
      outliers: place => [score(found.scores[place])],
      hubs: place => [`${number(found.counts[place])} pictures`],
      labels: place => [String(found.suggested[place]), `not ${found.given[place]}?`],
    };
    const notes = {
      outliers: () => `${plural(found.places.length, "picture")}, the loneliest first.`,
      hubs: () => `Skewness of the occurrences ${found.skewness.toFixed(2)} (0: no hubs). ${plural(found.never, "picture is", "pictures are")} never among the nearest ${found.neighbours}.`,
      labels: () => `${plural(found.places.length, "picture")}, the surest first. The neighbours' label stands first, the given one below.`,
    };
    this.wall = new Wall(this.app, { label: Object.fromEntries(KINDS)[kind], size: 128, lines: kind === "labels" ? 2 : 1, caption: captions[kind], hover: captions[kind] });
    this.body.replaceChildren(h("div", { class: "tools-row" }, h("span", {}, notes[kind]()), button("All into the basket", () => this.app.basket.toggle(found.places, true))), this.wall.element);
    this.wall.show(found.places);
  }

  clear() {
    this.wall?.destroy();
    this.wall = null;
  }

  destroy() {
    if (this.signal) this.signal.stopped = true;
    this.clear();
    this.offs.forEach(off => off());
  }
}
