// Labels that are corrected: a field that asks for one, and what the page shows then. The server keeps them with who and when.

import { classColumns } from "./by_label.js";
import { button, first, h, plural, select } from "./dom.js";
import { judgeName } from "./judges.js";
import { small } from "./thumbnails.js";

const WHO = "tfvision-who", MOST_LISTED = 2000;  // labels that a field offers
const SEEN = 12;  // pictures that the dialog shows

// The corrections as this page knows them: app.corrected = { version, who, columns: { column: { row: { label, given, who, when } } } }.
export async function loadCorrections(app) {
  app.corrected ||= await app.source.corrections();
  return app.corrected;
}

export const labelOf = (column, row) => (column.codes?.[row] >= 0 ? column.values[column.codes[row]] : null);

// Gives rows a label, or (null) that of their source, with undo; says what followed.
export async function relabel(app, column, rows, label) {
  let before = {};
  const change = async () => {
    await loadCorrections(app);
    const answer = await app.source.relabel(column, rows, label, who(app));
    before = answer.before;
    take(app, answer);
    return app.notes;
  };
  const undo = async () => { take(app, await app.source.restoreLabels(before)); return app.notes; };
  if (!(await app.write(change, undo))) return false;
  const above = Object.keys(before).filter(name => name !== column);
  app.say(`${plural(rows.length, "picture")}: ${label === null ? `${column} as in the source again` : `${column} “${label}”`}${above.length ? `, and with it ${above.join(", ")}` : ""}. z undoes it.`);
  return true;
}

// Shows labels as they are corrected now.
function take(app, told) {
  const known = app.corrected?.columns || {};
  for (const column of app.columns) {
    const before = known[column.name] || {}, now = told.columns[column.name] || {};
    for (const row of new Set([...Object.keys(before), ...Object.keys(now)])) {
      const label = row in now ? now[row].label : before[row].given;
      column.codes[Number(row)] = label === null ? -1 : codeOf(column, label);
    }
  }
  app.corrected = told;
  app.labelled = told.version;
  app.emit("details");
}

function codeOf(column, label) {
  const code = column.values.indexOf(label);
  return code < 0 ? column.values.push(label) - 1 : code;
}

let typed = "";  // the name, in a private window

function who(app) {
  try { return typed || localStorage.getItem(WHO) || judgeName(app) || app.corrected.who; } catch { return judgeName(app) || app.corrected.who; }
}

function keepWho(name) {
  typed = name;
  try { localStorage.setItem(WHO, name); } catch { /* a private window */ }
}

// A dialog that asks for the label of some rows.
export async function askLabel(app, rows, suggestedColumn = null) {
  const columns = classColumns(app).filter(column => column.codes && !column.is_answer), back = document.activeElement;
  if (!rows.length) return app.say("No picture is chosen.");
  if (!columns.length) return app.say("These pictures have no labels: put them into folders by their label, or give a manifest with a column.", true);
  try { await loadCorrections(app); } catch (error) { return app.say(error.message, true); }
  if (first("dialog.relabel")) return;  // a key that was held
  let column = columns.find(one => one.name === suggestedColumn) || columns[0];
  const label = h("input", { list: "labels", "aria-label": "the right label", maxlength: "200", autocomplete: "off", required: true, autofocus: true });
  const list = h("datalist", { id: "labels" }), now = h("p", { class: "soft" }), name = h("input", { "aria-label": "your name", maxlength: "200", value: who(app), required: true });
  const isCorrected = () => rows.some(row => row in (app.corrected.columns[column.name] || {}));
  const again = button("As in the source", () => save(null), { title: "Takes the correction back" });
  const draw = () => {
    list.replaceChildren(...[...new Set(column.values)].sort((a, b) => a.localeCompare(b, undefined, { numeric: true })).slice(0, MOST_LISTED).map(value => h("option", { value })));
    now.textContent = `Now ${summary(rows.map(row => labelOf(column, row)))}.`;
    again.hidden = !isCorrected();
  };
  const save = async value => {
    if (!name.reportValidity()) return;
    keepWho(name.value.trim());
    dialog.close();
    await relabel(app, column.name, rows, value);
  };
  const form = h("form", { class: "form", onsubmit: event => { event.preventDefault(); if (label.value.trim()) save(label.value.trim()); } },
    columns.length > 1 ? select("Column", columns.map(one => [one.name, one.name]), column.name, value => { column = columns.find(one => one.name === value) || column; draw(); }) : h("p", {}, h("span", { class: "soft" }, "Column "), column.name),
    now, h("label", { class: "field" }, h("span", {}, "Right is"), label), list, h("label", { class: "field" }, h("span", {}, "Your name"), name),
    h("p", { class: "soft" }, "Kept beside the collection with your name and the time; the source stays as it is. Housekeeping, “Corrected”, writes a manifest to train from."),
    h("div", { class: "chips" }, h("button", { type: "submit", class: "primary" }, "Correct"), again, button("Cancel", () => dialog.close())));
  const dialog = h("dialog", { class: "relabel", "aria-labelledby": "relabel-title", onclose: () => { dialog.remove(); if (back instanceof HTMLElement) back.focus({ preventScroll: true }); } },
    h("header", {}, h("h2", { id: "relabel-title" }, rows.length === 1 ? `Label of ${app.title(rows[0])}` : `Label of ${plural(rows.length, "picture")}`)),
    h("div", { class: "chips", "aria-hidden": "true" }, rows.slice(0, SEEN).map(row => small(app.thumbnails, row, rows.length === 1 ? 112 : 64)), rows.length > SEEN ? h("span", { class: "soft" }, `and ${rows.length - SEEN} more`) : ""), form);
  draw();
  document.body.append(dialog);
  dialog.showModal();
  label.focus();
}

// “apple” of 3, “pear” of 2 and 4 others
function summary(labels) {
  const counts = new Map();
  labels.forEach(one => counts.set(one, (counts.get(one) || 0) + 1));
  const named = [...counts].sort((a, b) => b[1] - a[1]), told = ([label, count]) => `${label === null ? "without a label" : `“${label}”`}${named.length > 1 ? ` (${count})` : ""}`;
  return `${named.slice(0, 4).map(told).join(", ")}${named.length > 4 ? ` and ${named.length - 4} others` : ""}`;
}
