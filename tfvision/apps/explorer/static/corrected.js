// The labels that were corrected: what was, what is, who and when; a manifest to train from.

import { button, h, number, plural, state } from "./dom.js";
import { askLabel, relabel } from "./relabel.js";
import { small } from "./thumbnails.js";

const SHOWN = 300;

// Draws the list into `host`; returns what draws it anew when labels change.
export function drawCorrected(app, host) {
  const written = h("div", {}), list = h("div", {});
  host.replaceChildren(h("div", { class: "page" }, written, list));
  const draw = () => {
    const found = Object.entries(app.corrected.columns).flatMap(([column, entries]) => Object.entries(entries).map(([row, entry]) => ({ column, row: Number(row), ...entry })));
    found.sort((a, b) => b.when.localeCompare(a.when) || a.row - b.row);
    if (!found.length) {
      written.replaceChildren();
      return list.replaceChildren(state("No label is corrected. “Labels” beside shows those that the neighbours speak against; the key c corrects that of the picture at the cursor, and in the basket all that were picked."));
    }
    const pictures = new Set(found.map(one => one.row)).size;
    list.replaceChildren(h("p", {}, `${plural(pictures, "picture")} with another label than in the source. `, button("Write a manifest to train from", () => writeManifest(app, written), { class: "primary" })),
      h("ul", { class: "corrections" }, found.slice(0, SHOWN).map(one => item(app, one))), found.length > SHOWN ? h("p", { class: "soft" }, `and ${number(found.length - SHOWN)} more`) : "");
  };
  draw();
  return draw;
}

function item(app, { column, row, label, given, who, when }) {
  return h("li", {}, h("button", { class: "picture", type: "button", "aria-label": `neighbourhood of ${app.title(row)}`, title: app.title(row), onclick: () => app.openNeighbours(row) }, small(app.thumbnails, row, 64)),
    h("div", { class: "about" }, h("strong", {}, label), h("span", { class: "soft" }, ` ${column}, was ${given === null ? "without" : given}`), h("div", { class: "soft" }, `${who}, ${new Date(when).toLocaleString()}`)),
    h("div", { class: "chips" }, button("Another…", () => askLabel(app, [row], column), { "aria-label": `another label for ${app.title(row)}` }), button("As in the source", () => relabel(app, column, [row], null), { "aria-label": `${column} of ${app.title(row)} as in the source` })));
}

async function writeManifest(app, host) {
  try {
    const { path, corrected, command } = await app.source.correctedManifest();
    const code = h("code", {}, command), copy = button("Copy", async () => {
      try { await navigator.clipboard.writeText(command); app.say("The command is copied."); } catch { getSelection()?.selectAllChildren(code); app.say("Copy what is marked."); }
    }, { "aria-label": "copy the command" });
    host.replaceChildren(h("section", { class: "written", "aria-label": "the manifest" }, h("p", { role: "status" }, `Written, with ${plural(corrected, "corrected label")}: `, h("strong", {}, path)), h("div", { class: "command" }, code, copy)));
    copy.focus();
  } catch (error) {
    app.say(error.message, true);
  }
}
