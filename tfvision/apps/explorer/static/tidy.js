// Housekeeping: near duplicates, outliers, hubs, labels that the neighbours contradict, labels that were corrected.

import { change, read } from "./address.js";
import { classColumns } from "./by_label.js";
import { drawCorrected } from "./corrected.js";
import { failed, first, h, number, plural, progress, refill, segmented, select, state } from "./dom.js";
import { drawDuplicates } from "./duplicates.js";
import { filtersOf, keptIndices, keptOf } from "./filters.js";
import { drawOutliers } from "./outliers.js";
import { noVectors } from "./query.js";
import { loadCorrections } from "./relabel.js";
import { drawSuspects } from "./suspects.js";
import { Wall } from "./wall.js";

const LEASTS = ["0.99", "0.97", "0.95", "0.9", "0.85"];
const LISTED = 2000;
const TEXTS = {
  duplicates: "Groups in which every two pictures are alike by at least the threshold. Nothing is deleted: pictures get a tag.",
  outliers: "The least like their sixteen nearest neighbours, by the mean similarity to these.",
  hubs: "Near to everything: how many pictures have each one among their sixteen nearest. In a space without hubs this is about sixteen for all.",
  labels: "Each label is judged by as many of the nearest, sixteen at most, as it has other pictures.",
  corrected: "Kept beside the collection; the source stays as it is.",
};

export class View {
  constructor(app, host) {
    this.app = app;
    this.tools = h("div", { class: "tools-row" });
    this.body = h("div", { class: "tidy-body" });
    host.append(this.tools, this.body);
    const again = () => { this.key = null; this.update(read().params).catch(() => {}); };
    this.offs = [app.on("layers", again), app.on("notes", () => this.redraw?.()), app.on("details", () => {
      if (this.columns !== app.columns) return again();  // they were loaded; else a label was corrected
      this.redraw?.();
    })];
  }

  async update(params) {
    const app = this.app, kinds = this.kinds(), asked = params.get("kind") || "duplicates", kind = kinds.some(([name]) => name === asked) ? asked : "duplicates", layer = app.layer();
    const columns = classColumns(app), column = params.get("column") || columns[0]?.name || "", least = params.get("least") || "0.95";
    this.drawTools(kinds, kind, columns, column, least);
    if (!app.layers.length && kind !== "corrected") return this.body.replaceChildren(noVectors(app));
    const key = [kind, layer, column, least, filtersOf(read())].join("|");
    if (key === this.key) return;
    this.key = key;
    this.columns = app.columns;
    if (this.signal) this.signal.stopped = true;
    const signal = (this.signal = { stopped: false });
    this.clear();
    try {
      if (kind === "corrected") {
        await loadCorrections(app);
        if (!signal.stopped) this.redraw = drawCorrected(app, this.body);
        return;
      }
      if (kind === "labels" && !column) return this.body.replaceChildren(state(app.names ? "These pictures have no labels: put them into folders by their label, or give a manifest with a column." : "The labels are being loaded."));
      const tell = (share, stage) => !signal.stopped && this.body.replaceChildren(h("div", { class: "state" }, progress(share, stage)));
      tell(null, "The nearest neighbours of all pictures are being looked for. This is done once.");
      const found = await app.source.tidy(kind, { layer, column, least, limit: LISTED }, tell, signal, keptOf(app));
      if (found && !signal.stopped) this.draw(kind, found, column);
    } catch (error) {
      if (!signal.stopped) this.body.replaceChildren(failed(error, () => { this.key = null; this.update(read().params); }));
    }
  }

  kinds() {
    const kinds = [["duplicates", "Near duplicates"], ["outliers", "Outliers"], ["hubs", "Hubs"], ["labels", "Labels"]];
    return this.app.source.isStatic ? kinds : [...kinds, ["corrected", "Corrected"]];
  }

  drawTools(kinds, kind, columns, column, least) {
    refill(this.tools, segmented("what", kinds, kind, value => change({ kind: value === "duplicates" ? null : value, cut: null })),
      kind === "duplicates" ? select("at least", LEASTS.map(value => [value, value]), least, value => change({ least: value })) : "",
      kind === "labels" && columns.length ? select("Label", columns.map(one => [one.name, one.name]), column, value => change({ column: value })) : "",
      h("span", { class: "soft grow" }, TEXTS[kind]));
    first("[aria-pressed=true]", this.tools)?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  draw(kind, found, column) {
    const app = this.app, kept = keptIndices(app, found.places || []), of = list => list && kept.map(index => list[index]);
    const groups = (found.groups || []).filter(group => keptIndices(app, group.places).length);
    this.listed = { duplicates: () => groups.flatMap(group => group.places), labels: () => of(found.places) }[kind];
    if (kind === "duplicates") this.redraw = drawDuplicates(app, this.body, found, groups);
    else if (kind === "outliers") ({ wall: this.wall, redraw: this.redraw } = drawOutliers(app, this.body, found));
    else if (kind === "labels") this.redraw = drawSuspects(app, this.body, { ...found, ...Object.fromEntries(["places", "given", "suggested", "scores", "supports", "neighbours"].map(name => [name, of(found[name])])) }, column);
    else this.drawHubs({ ...found, places: of(found.places), counts: of(found.counts) });
  }

  drawHubs(found) {
    if (!found.places.length) return this.body.replaceChildren(state("There is nothing to show."));
    const caption = place => [`${number(found.counts[place])} pictures`];
    const note = `${found.words} ${plural(found.never, "picture is", "pictures are")} never among the nearest ${found.neighbours}.`;
    this.wall = new Wall(this.app, { label: "Hubs", size: 128, lines: 1, caption, hover: caption });
    this.body.replaceChildren(h("div", { class: "tools-row" }, note), this.wall.element);
    this.wall.show(found.places);
  }

  // What the page lists where there is no wall.
  shownRows() {
    return this.listed?.();
  }

  clear() {
    this.wall?.destroy();
    this.wall = this.redraw = this.listed = null;
  }

  destroy() {
    if (this.signal) this.signal.stopped = true;
    this.key = null;
    this.clear();
    this.offs.forEach(off => off());
  }
}
