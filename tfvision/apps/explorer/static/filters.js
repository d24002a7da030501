// Which pictures are shown: the filters of the address, which stay from view to view. Text in the name (`text`), values of columns
// (`f=column:value`; `f=column:` is of those without one), ranges of numbers and dates (`r=column:low..high`), a text in a value
// (`has=column:text`), a tag (`tag`). A picture must fit every column, in any of what is asked of it.

import { change, read } from "./address.js";
import { BASKET } from "./app.js";
import { codeOf, countsIn, forgetColumns, indicesHolding, numberOfText, plain, totalsOf } from "./columns.js";
import { button, number, plural } from "./dom.js";

const FILTERS = ["f", "r", "has", "text", "tag"];
export const NO_FILTERS = Object.fromEntries(FILTERS.map(name => [name, null]));

// The column and the value of `name:value`, where either may hold a colon: the first split that the columns know.
export function parsed(app, text, isKnown = ({ name, value }) => app.columns.some(column => column.name === name && (value === "" || codeOf(column, value) >= 0))) {
  const escaped = /^((?:[^\\:]|\\.)*):/.exec(text), ends = [...text.matchAll(/:/g)].map(match => match.index), split = end => ({ name: text.slice(0, end), value: text.slice(end + 1) });
  const first = escaped && { name: escaped[1].replaceAll("\\:", ":"), value: text.slice(escaped[0].length) };
  return (first?.name.includes(":") && isKnown(first) && first) || ends.map(split).find(isKnown) || split(ends[0] ?? text.length);
}

export function parsedRange(app, text) {
  const ofName = name => app.columns.find(column => column.name === name && column.numbers);
  const { name, value } = parsed(app, text, one => ofName(one.name) && one.value.includes(".."));
  const column = ofName(name), [low, high] = value.split("..").map(end => end.trim());
  if (!column || high === undefined) return { name, low: "", high: "", value, ends: [NaN, NaN] };
  return { name, low, high, value, ends: [low ? numberOfText(column, low) : -Infinity, high ? numberOfText(column, high, true) : Infinity] };
}

export const parsedText = (app, text) => parsed(app, text, ({ name }) => app.columns.some(column => column.name === name));

// `name:value` as `parsed` reads it: a colon of the name is escaped where another column would be meant.
export function written(app, name, value, parse = parsed) {
  const text = `${name}:${value}`;
  return parse(app, text).name === name ? text : `${name.replaceAll(":", "\\:")}:${value}`;
}

// What is asked of each column: {name: {values, ranges, texts}}.
export function wantedOf(app, filters) {
  const found = new Map(), of = name => found.get(name) || found.set(name, { values: [], ranges: [], texts: [] }).get(name);
  filters.getAll("f").map(one => parsed(app, one)).forEach(({ name, value }) => of(name).values.push(value));
  filters.getAll("r").map(one => parsedRange(app, one)).forEach(({ name, ends }) => of(name).ranges.push(ends));
  filters.getAll("has").map(one => parsedText(app, one)).forEach(({ name, value }) => of(name).texts.push(plain(value)));
  return found;
}

// Which rows the filters keep: computed once, then asked by all views.
class Filtering {
  constructor(app, filters) {
    this.app = app;
    /** @type {Int32Array | null} */
    this.listed = null;  // rows that the name and the tag keep, ascending; null: all
    /** @type {Map<string, { codes: Int32Array | undefined, table: Uint8Array }>} */
    this.wanted = new Map();  // column's name -> 1 for each of [no value, values[0], ...] that is wanted
    const text = plain(filters.get("text") || ""), tag = filters.get("tag");
    if (text && app.names) this.listed = indicesHolding(app.names, text);
    if (tag) {
      const tagged = Int32Array.from(tag === BASKET ? app.basket.rows : app.notes.tags[tag] || []).sort();
      this.listed = this.listed ? inBoth(this.listed, tagged) : tagged;
    }
    if (app.names) {  // columns come with the names
      for (const [name, wanted] of wantedOf(app, filters)) this.wanted.set(name, tableOf(app.columns.find(column => column.name === name), wanted));
    }
    this.rows = this.keep();
  }

  // The rows that are kept, but for what a column filters, ascending; null for all.
  keep(but = "") {
    let rows = this.listed;
    for (const [name, { codes, table }] of this.wanted) if (name !== but) rows = codes ? having(rows, codes, table) : new Int32Array(0);
    return rows;
  }

  get count() {
    return this.rows?.length ?? this.app.count;
  }

  // 1 for each row that is kept.
  get kept() {
    if (!this.mask) {
      this.mask = new Uint8Array(this.app.count);
      if (!this.rows) this.mask.fill(1);
      else for (const row of this.rows) this.mask[row] = 1;
    }
    return this.mask;
  }

  // How many pictures of each value, as `totalsOf`, are left by the filters; with `isOthers` by those of the other columns alone.
  counts(column, isOthers = false) {
    const rows = isOthers && this.wanted.has(column.name) ? this.keep(column.name) : this.rows;
    return rows ? countsIn(column, rows) : totalsOf(column);
  }
}

// 1 for each of [no value, values[0], ...] that is wanted; without codes where a column is no more: it has no pictures.
function tableOf(column, { values, ranges, texts }) {
  const table = new Uint8Array((column?.values.length ?? 0) + 1), { codes, numbers } = column ?? {};
  if (!codes) return { codes, table };
  for (const value of values) {
    if (value === "") table[0] = 1;
    const code = codeOf(column, value);
    if (code >= 0) table[code + 1] = 1;
  }
  for (const [low, high] of numbers ? ranges : []) for (let code = 0; code < numbers.length; code++) if (numbers[code] >= low && numbers[code] <= high) table[code + 1] = 1;
  for (const text of texts) for (const code of indicesHolding(column.values, text)) table[code + 1] = 1;
  return { codes, table };
}

let room = new Int32Array(0);  // used again and again: of a million rows, memory for each key that is typed would have to be collected

// Those of some rows, null for all, whose value is wanted.
function having(rows, codes, table) {
  const { length } = rows ?? codes;
  let next = 0;
  if (room.length < length) room = new Int32Array(length);
  if (rows) for (let index = 0; index < length; index++) { const row = rows[index]; room[next] = row; next += table[codes[row] + 1]; }
  else for (let row = 0; row < length; row++) { room[next] = row; next += table[codes[row] + 1]; }
  return room.slice(0, next);
}

// Of two ascending lists.
function inBoth(first, second) {
  let at = 0;
  return first.filter(row => { while (second[at] < row) at++; return second[at] === row; });
}

/** @type {{ key: string, notes: any, filtering: Filtering | null }} */
let known = { key: "", notes: null, filtering: null };

// After "details": columns came, or their labels were corrected.
export function forgetFiltering(app) {
  forgetColumns(app.columns);
  known = { key: "", notes: null, filtering: null };
}

// The Filtering of an address, or null where there are no filters.
export function filteringOf(app, filters = filtersOf(read())) {
  if (!FILTERS.some(name => filters.get(name))) return null;
  const key = [FILTERS.map(name => filters.getAll(name).map(encodeURIComponent)).join("&"), Boolean(app.names), filters.get("tag") && app.basket.changes].join(" "), notes = filters.get("tag") ? app.notes : null;
  if (known.key !== key || known.notes !== notes) known = { key, notes, filtering: new Filtering(app, filters) };
  return known.filtering;
}

// A function that says whether a row is kept, or null where there are no filters.
export function filterOf(app, filters) {
  const filtering = filteringOf(app, filters);
  return filtering && (row => filtering.kept[row] === 1);
}

// 1 for each row that the present filters keep, or null where there are none; to be read only.
export function keptOf(app) {
  return filteringOf(app)?.kept ?? null;
}

// The rows that filters keep, ascending, in a list of the caller's own: by plain loops, for a million functions that are called take a tenth of a second.
export function keptRows(app, filters) {
  const kept = filteringOf(app, filters)?.rows;
  if (kept) return kept.slice();
  const rows = new Int32Array(app.count);
  for (let row = 0; row < rows.length; row++) rows[row] = row;
  return rows;
}

// Those of a list of rows that the filters keep, as indices into it; all where there are no filters.
export function keptIndices(app, rows) {
  const kept = filterOf(app, filtersOf(read()));
  return Array.from(rows, (_, index) => index).filter(index => !kept || kept(rows[index]));
}

// The filters of an address; the basket's tag is none.
export function filtersOf({ view, params }) {
  const found = new URLSearchParams([...params].filter(([name]) => FILTERS.includes(name)));
  if (view === "basket") found.delete("tag");
  return found;
}

// How many pictures the present filters keep, and how many of each value of a column, as in a legend: {left, total, ofValue(code)}.
/** @param {any} app  @param {any} column */
export function leftOf(app, column = null) {
  const filtering = filteringOf(app), counts = column?.codes && (filtering ? filtering.counts(column) : totalsOf(column));
  return { left: filtering ? filtering.count : app.count, total: app.count, ofValue: code => counts?.[code + 1] ?? 0 };
}

// "583 of 1,200 pictures", or "1,200 pictures" where there are no filters.
export function countText(app) {
  const { left, total } = leftOf(app);
  return filteringOf(app) ? `${number(left)} of ${plural(total, "picture")}` : plural(total, "picture");
}

export function rangeText({ low, high, value }) {
  if (low && high) return low === high ? low : `${low} to ${high}`;
  return low ? `from ${low}` : high ? `up to ${high}` : value;
}

// A button for each filter that takes it away.
export function chips(app, params) {
  const chip = (text, onclick) => button(`${text}  ×`, onclick, { class: "chip", "aria-label": `no longer ${text}` });
  const without = (name, one) => () => change({ [name]: params.getAll(name).filter(other => other !== one) }, true, true);
  const values = params.getAll("f").map(one => ({ ...parsed(app, one), one })).map(({ name, value, one }) => chip(value ? `${name}: ${value}` : `without ${name}`, without("f", one)));
  const ranges = params.getAll("r").map(one => chip(`${parsedRange(app, one).name}: ${rangeText(parsedRange(app, one))}`, without("r", one)));
  const texts = params.getAll("has").map(one => ({ ...parsedText(app, one), one })).map(({ name, value, one }) => chip(`${name}: “…${value}…”`, without("has", one)));
  const found = [...values, ...ranges, ...texts];
  if (params.get("text")) found.push(chip(`named “…${params.get("text")}…”`, () => change({ text: null }, true, true)));
  if (params.get("tag")) found.push(chip(params.get("tag") === BASKET ? "in the basket" : `tag: ${params.get("tag")}`, () => change({ tag: null }, true, true)));
  return found;
}
