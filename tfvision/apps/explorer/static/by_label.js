// "Do deep features retrieve X?" answered by labels at once: every picture asks for those of its own label.

import { change, href } from "./address.js";
import { failed, h, number, plural, progress, scrolling, select } from "./dom.js";
import { written } from "./filters.js";
import { inWords } from "./plain_words.js";

const MOST = [["200", "200 at random"], ["1000", "1,000 at random"], ["999999999", "all"]];
const SHOWN_CLASSES = 300;

// Columns that put several pictures into a class, that with the most sensible number of classes first: about the root of the pictures; what a run
// answered, which is no label, last.
export function classColumns(app) {
  const distance = column => Math.abs(Math.log(column.values.length) - Math.log(Math.sqrt(app.count)));
  return app.columns.filter(column => column.values.length > 1 && column.values.length < app.count).sort((a, b) => Number(a.is_answer || 0) - Number(b.is_answer || 0) || distance(a) - distance(b));
}

// Draws the view of a column into `host`; `isCurrent` says whether it is still wanted.
export async function drawByLabel(app, host, column, most, isCurrent) {
  const tools = h("div", { class: "tools-row" },
    select("Label", classColumns(app).map(one => [one.name, one.name]), column, value => change({ by: value })),
    select("Queries", MOST, most, value => change({ most: value === MOST[0][0] ? null : value })),
    h("span", { class: "soft grow" }, "Every picture that is drawn asks for the others of its own label, in every layer."));
  const body = h("div", { class: "page" });
  const wait = (share, stage) => isCurrent() && body.replaceChildren(h("div", { class: "state" }, progress(share, stage)));
  host.replaceChildren(tools, body);
  wait(null, "Queries are being asked.");
  try {
    const found = await app.source.labelRetrieval(column, most, app.layer(), wait, { get stopped() { return !isCurrent(); } });
    if (found && isCurrent()) body.replaceChildren(h("p", { class: "answer" }, found.sentence), measures(found), inWords(found.words), classes(app, found));
  } catch (error) {
    if (isCurrent()) body.replaceChildren(failed(error));
  }
}

const share = value => value.toFixed(2).replace("-0.00", "0.00");
const between = ([low, high]) => (low < 0 ? `${share(low)} to ${share(high)}` : `${share(low)}–${share(high)}`);
const lift = (value, chance) => (value / chance).toFixed(1);

// A line for each measure and layer, so that layers stand below each other and the table is as wide as it is for one.
function measures({ measures: names, layers }) {
  const isSeveral = layers.length > 1, titles = [["measure"], ...(isSeveral ? [["layer"]] : []), ["", "number"], ["chance", "number"], ["lift", "number"], ...(isSeveral ? [[`minus ${layers[0].name}`, "number"]] : [])];
  const head = h("tr", {}, titles.map(([title, kind = null]) => h("th", { scope: "col", class: kind }, title || h("span", { class: "hidden" }, "value, interval"))));
  const line = (name, measure, layer, index) => {
    const value = layer.values[measure], chance = layer.chance[measure], [mean, ...ends] = layer.differences[measure];
    return h("tr", { class: index ? null : "first" }, index ? "" : h("th", { scope: "rowgroup", rowspan: String(layers.length) }, name), isSeveral ? h("td", {}, layer.name) : "",
      h("td", { class: "number" }, h("strong", {}, share(value)), h("span", { class: "soft" }, ` ${between(layer.intervals[measure])}`)), h("td", { class: "number" }, chance.toFixed(3)), h("td", { class: "number" }, `${lift(value, chance)} ×`),
      isSeveral ? h("td", { class: "number" }, index ? [`${mean > 0 ? "+" : ""}${share(mean)} `, h("span", { class: "soft" }, between(ends))] : "") : "");
  };
  const groups = names.map((name, measure) => h("tbody", {}, layers.map((layer, index) => line(name, measure, layer, index))));
  const text = "Chance is what a random order gives; lift how many times that. Intervals of 95 % by bootstrap over queries; differences by pairs of the same queries, from the layer that is chosen above: where 0 lies outside, they differ.";
  return h("section", {}, h("h2", {}, "All queries"), scrolling("measures", h("table", { class: "measures" }, h("thead", {}, head), groups)), h("p", { class: "soft" }, text));
}

// Each label with its mAP; its name opens its pictures.
function classes(app, { column, classes: found, layers }) {
  const head = h("tr", {}, h("th", { scope: "col" }, column), ["pictures", "queries", ...layers.map(layer => `mAP, ${layer.name}`)].map(title => h("th", { scope: "col", class: "number" }, title)));
  const lines = found.slice(0, SHOWN_CLASSES).map(one => h("tr", {}, h("td", {}, h("a", { href: href("browse", { f: written(app, column, String(one.value)), r: null, has: null, text: null, tag: null }) }, String(one.value))), [one.pictures, one.queries].map(count => h("td", { class: "number" }, number(count))), one.values.map(value => h("td", { class: "number" }, share(value)))));
  const title = found.length > SHOWN_CLASSES ? `The worst ${SHOWN_CLASSES} of ${plural(found.length, "label")}` : `By ${column}, the worst first`;
  return h("section", {}, h("h2", {}, title), scrolling("by label", h("table", {}, h("thead", {}, head), h("tbody", {}, lines))));
}
