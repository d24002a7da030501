// How tiles are shown: their size, a caption, and whether their label is that of the query. Kept in the address; the latter two from view to view.

import { change, numberOf, read } from "./address.js";
import { classColumns } from "./by_label.js";
import { button, h, select } from "./dom.js";

const SIZES = [48, 64, 88, 112, 144, 184, 232, 320, 440, 640, 960, 1600, 2400];
const LARGEST_THUMBNAIL = 232;

const NONE = "none";
const OUTCOMES = ["outcome when tested", "outcome"];  // columns of a run; the first is that of "confidence where wrong"

const columnOf = (app, text) => app.columns.find(column => column.codes && `c:${column.name}` === text);

// The size that the address asks for, else the view's usual one.
export function sizeOf(params, usual) {
  return params.has("size") ? SIZES.findLast(one => one <= numberOf(params, "size", usual, SIZES[0])) ?? usual : usual;
}

// Whether tiles can be larger: up to one as wide as the window; a static copy with thumbnails alone has none that large.
function canGrow(app, wall) {
  const next = SIZES.find(one => one > wall.size);
  return next !== undefined && wall.columns !== 1 && (next <= LARGEST_THUMBNAIL || app.source.sizedUrl(0, next) !== null);
}

// Makes tiles a step larger or smaller, and writes the size to the address.
export function resize(app, walls, by, usual) {
  if (!walls.length || (by > 0 && !canGrow(app, walls[0]))) return;
  const next = by > 0 ? SIZES.find(one => one > walls[0].size) : SIZES.findLast(one => one < walls[0].size);
  if (next === undefined) return;
  change({ size: next === usual ? null : next }, false);
  walls.forEach(wall => wall.resize(next));
}

export function sizeButtons(app, walls, onresize) {
  const isLeast = walls[0]?.size <= SIZES[0];
  return h("span", { class: "group" }, button("−", () => onresize(-1), { class: "icon", "aria-label": "smaller pictures", disabled: isLeast }), button("+", () => onresize(1), { class: "icon", "aria-label": "larger pictures", disabled: walls[0] && !canGrow(app, walls[0]) }));
}

// A function that says what is written under a row's tile, or null where nothing is.
export function captionOf(app) {
  const chosen = read().params.get("caption");
  if (!chosen) return null;
  if (chosen === "name") return row => app.title(row).split("/").at(-1);
  if (!columnOf(app, chosen)) return null;  // it comes with the labels, or with a run's answers
  return row => { const column = columnOf(app, chosen), code = column?.codes[row] ?? -1; return code >= 0 ? column.values[code] : ""; };
}

export function captionChooser(app) {
  const columns = app.columns.map(column => [`c:${column.name}`, column.name]);
  return select("Caption", [["", NONE], ["name", "name"], ...columns], read().params.get("caption") || "", value => change({ caption: value || null }), { class: "narrow" });
}

// The column whose labels are compared with the query's: that of the address, else the one with the most sensible number of classes.
function edgeColumn(app) {
  const chosen = read().params.get("edge");
  return chosen === NONE ? null : columnOf(app, chosen) || classColumns(app).find(column => column.codes) || null;
}

// A function that says whether a row has the query's label, null where one of them has none; `of(row)` says it in words.
export function edgeOf(app, query) {
  const column = edgeColumn(app), label = column && labelOf(app, column, query);
  const edge = row => (label === null || column.codes[row] < 0 ? null : column.codes[row] === label);
  const words = row => (edge(row) === null ? [] : [`${edge(row) ? "the same" : "another"} ${column.name}: ${column.values[column.codes[row]]}`]);
  return { edge, words };
}

// The same of what a run answered, where there is no query: whether it is right.
export function outcomeOf(app) {
  const column = OUTCOMES.map(name => app.columns.find(one => one.is_answer && one.codes && one.name === name)).find(Boolean);
  const edge = row => (!column || column.codes[row] < 0 ? null : column.values[column.codes[row]] === "right");
  return { edge, words: row => (edge(row) === null ? [] : [`${column.name}: ${edge(row) ? "right" : "wrong"}`]) };
}

export function edgeChooser(app) {
  const columns = classColumns(app);
  if (!columns.length) return "";
  const current = edgeColumn(app);
  return select("Edge by", [[NONE, NONE], ...columns.map(column => [`c:${column.name}`, column.name])], current ? `c:${current.name}` : NONE, value => change({ edge: value }), { class: "narrow", title: "✓ the query's label, ✗ another" });
}

// The code of a query's label; null where it has none, or no other picture has it.
function labelOf(app, column, query) {
  const isGroup = query?.startsWith(`g:${column.name}=`);
  const code = isGroup ? column.values.indexOf(query.slice(`g:${column.name}=`.length)) : /^\d+$/.test(query ?? "") ? column.codes[Number(query)] : -1;
  if (!(code >= 0)) return null;
  const first = column.codes.indexOf(code);
  return first < 0 || column.codes.indexOf(code, first + 1) < 0 ? null : code;
}

// The sign of an edge, for what is no canvas.
export function edgeSign(edge) {
  return edge === null ? "" : h("span", { class: edge ? "edge right" : "edge wrong", "aria-hidden": "true" }, edge ? "✓" : "×");
}
