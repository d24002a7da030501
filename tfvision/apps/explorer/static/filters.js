// Which pictures are shown: the filters of the address (text in the name, values of columns, a tag), which stay from view to view.

import { change, read } from "./address.js";
import { button, number } from "./dom.js";

// The column and the value of `name:value`, where either may hold a colon: the first split that the columns know.
export function parsed(app, text) {
  const ends = [...text.matchAll(/:/g)].map(match => match.index), split = end => ({ name: text.slice(0, end), value: text.slice(end + 1) });
  const isKnown = ({ name, value }) => app.columns.some(column => column.name === name && column.values.includes(value));
  return ends.map(split).find(isKnown) || split(ends[0] ?? text.length);
}

// A function that says whether a row is kept, or null where there are no filters.
export function filterOf(app, params) {
  const tests = [], text = plain(params.get("text") || ""), wanted = new Map();
  if (text && app.names) tests.push(row => plain(app.names[row]).includes(text));
  for (const { name, value } of params.getAll("f").map(one => parsed(app, one))) wanted.set(name, [...(wanted.get(name) || []), value]);
  for (const [name, values] of wanted) {
    const column = app.columns.find(one => one.name === name);
    if (!app.names) continue;  // columns come with the names
    const codes = new Set(values.map(value => column?.values.indexOf(value) ?? -1).filter(code => code >= 0));
    tests.push(row => codes.has(column?.codes[row]));  // a column or value that is no more has no pictures
  }
  if (params.get("tag")) {
    const tagged = new Set(app.notes.tags[params.get("tag")] || []);
    tests.push(row => tagged.has(row));
  }
  return tests.length ? row => tests.every(test => test(row)) : null;
}

// Those of a list of rows that the filters keep, as indices into it; all where there are no filters.
export function keptIndices(app, rows) {
  const kept = filterOf(app, filtersOf(read()));
  return Array.from(rows, (_, index) => index).filter(index => !kept || kept(rows[index]));
}

// The filters of an address; the basket's tag is none.
export function filtersOf({ view, params }) {
  const found = new URLSearchParams([...params].filter(([name]) => ["f", "text", "tag"].includes(name)));
  if (view === "basket") found.delete("tag");
  return found;
}

// A button for each filter that takes it away.
export function chips(app, params) {
  const chip = (text, onclick) => button(`${text}  ×`, onclick, { class: "chip", "aria-label": `no longer ${text}` });
  const told = ({ name, value }) => `${name}: ${value}`;
  const found = params.getAll("f").map(one => chip(told(parsed(app, one)), () => change({ f: params.getAll("f").filter(other => other !== one) })));
  if (params.get("text")) found.push(chip(`named “…${params.get("text")}…”`, () => change({ text: null })));
  if (params.get("tag")) found.push(chip(`tag: ${params.get("tag")}`, () => change({ tag: null })));
  return found;
}

export function countText(app, kept) {
  let count = 0;
  for (let row = 0; row < app.count; row++) if (kept(row)) count++;
  return `${number(count)} of ${number(app.count)}`;
}

const plain = name => name.normalize("NFC").toLowerCase().replaceAll("_", " ");  // names are compared but for their spelling, as in data/names.py
