// Near duplicates: groups in which every two pictures are alike; the best of each is kept, the others get a tag. Nothing is deleted.

import { href } from "./address.js";
import { classColumns } from "./by_label.js";
import { button, bytesText, download, h, number, plural, refill, score, state } from "./dom.js";
import { labelOf } from "./relabel.js";
import { small } from "./thumbnails.js";

const TAG = "duplicate", CARDS = 60;  // at once

// Draws groups into `host`; returns what shows marks anew.
export function drawDuplicates(app, host, found, groups) {
  if (!groups.length) return host.replaceChildren(state(found.total ? "No group has a picture that the filters keep." : "No two pictures are as alike as that: a lower threshold above finds more."));
  const head = h("div", { class: "tools-row" }), plan = h("div", {}), cards = h("div", { class: "groups" }), more = h("p", {}), shown = [];
  const redraw = () => { drawHead(app, head, plan, found, groups); shown.forEach(card => card.redraw()); };
  const add = () => {
    for (const group of groups.slice(shown.length, shown.length + CARDS)) {
      shown.push(card(app, group));
      cards.append(shown[shown.length - 1].element);
    }
    more.replaceChildren(...(shown.length < groups.length ? [button(`${number(Math.min(CARDS, groups.length - shown.length))} more groups of ${number(groups.length - shown.length)}`, add)] : []));
  };
  add();
  redraw();
  host.replaceChildren(head, h("div", { class: "page" }, plan, cards, more));
  return redraw;
}

const marked = app => new Set(app.notes.tags[TAG] || []);
const others = group => group.places.filter(row => row !== group.best);

function drawHead(app, head, plan, found, groups) {
  const count = marked(app).size, shown = groups.length < found.total ? `, ${number(groups.length)} shown` : "";
  refill(head, h("span", {}, `${plural(found.total, "group")} of ${plural(found.pictures, "picture")}${shown}`),
    button("Keep the best of each…", () => drawPlan(app, plan, groups), { class: "primary" }),
    ...(count ? [h("a", { class: "as-button", href: href("basket", { tag: TAG }) }, `${plural(count, "picture")} marked`), button("Manifest without them", () => save(app))] : []));
}

// Says what will be marked before it is.
function drawPlan(app, plan, groups) {
  const has = marked(app), rows = groups.flatMap(others), wanted = rows.filter(row => !has.has(row)), kept = groups.map(group => group.best).filter(row => has.has(row));
  const bytes = groups.flatMap(group => group.places.map((row, index) => (row === group.best ? 0 : group.files[index]?.[2] || 0))).reduce((sum, one) => sum + one, 0);
  const close = () => plan.replaceChildren();
  const text = `Of each of the ${plural(groups.length, "group")} shown the picture with the most pixels is kept, of as many pixels the largest file. ${rows.length === 1 ? "The other one gets" : `The ${number(rows.length)} others (${bytesText(bytes)}) get`} the tag “${TAG}”${rows.length > wanted.length ? `, which ${number(rows.length - wanted.length)} have already` : ""}. No file is deleted or changed.`;
  const start = button(wanted.length || kept.length ? `Mark ${plural(wanted.length, "picture")}` : "All are marked", async () => {
    close();
    if (await keepBest(app, groups)) app.say(`${plural(wanted.length, "picture")} marked “${TAG}”. z undoes it.`);
  }, { class: "primary", disabled: !wanted.length && !kept.length });
  plan.replaceChildren(h("section", { class: "plan", role: "group", "aria-label": "what will be marked" }, h("p", {}, text), h("div", { class: "chips" }, start, button("Cancel", close))));
  start.focus();
}

// Marks all but the best of each group, and these no longer: one act, one undo.
function keepBest(app, groups) {
  return app.tagEach(TAG, [[groups.map(group => group.best), false], [groups.flatMap(others), true]]);
}

async function save(app) {
  const has = marked(app), rows = Array.from({ length: app.count }, (_, row) => row).filter(row => !has.has(row));
  if (!rows.length) return app.say("Every picture is marked: nothing would be left.", true);
  try { download("without-duplicates-manifest.csv", await app.source.table(rows, "manifest")); } catch (error) { app.say(error.message, true); }
}

function card(app, group) {
  const [column] = classColumns(app), labels = column ? [...new Set(group.places.map(row => labelOf(column, row)))] : [];
  const alike = group.places.length === 2 ? `alike by ${score(group.weakest)}` : `weakest pair ${score(group.weakest)}`;
  const head = h("div", { class: "soft" }, `${plural(group.places.length, "picture")}, ${alike}`, labels.length > 1 ? h("div", { class: "wrong" }, `${column.name} differs: ${labels.slice(0, 3).map(one => one ?? "none").join(", ")}${labels.length > 3 ? " …" : ""}`) : "");
  const members = group.places.map((row, index) => member(app, group, row, group.files[index]));
  const element = h("div", { class: "card", role: "group", "aria-label": `${plural(group.places.length, "picture")} alike` }, head, h("div", { class: "members" }, members.map(one => one.element)),
    button("Keep the best", () => keepBest(app, [group])));
  return { element, redraw: () => { const has = marked(app); members.forEach(one => one.redraw(has)); } };
}

function member(app, group, row, file) {
  const isBest = row === group.best, isWeakest = group.places.length > 2 && group.pair.includes(row), title = app.title(row);
  const open = event => (event.ctrlKey || event.metaKey || app.isPicking ? app.basket.toggle([row], !app.basket.has(row)) : app.openNeighbours(row));
  const picture = h("button", { class: "picture", type: "button", title: `${title}${isWeakest ? ", of the weakest pair" : ""}`, "aria-label": `neighbourhood of ${title}`, onclick: open }, small(app.thumbnails, row, 104));
  const mark = h("button", { type: "button", class: "mark", "aria-pressed": "false", "aria-label": `mark ${title} as ${TAG}`, onclick: () => app.tag(TAG, [row], !marked(app).has(row)) });
  const facts = file ? [h("span", {}, `${file[0]} × ${file[1]}`), h("span", { class: "soft" }, bytesText(file[2]), isBest ? h("strong", { class: "best" }, " best") : "")] : [h("span", { class: "wrong" }, "cannot be read")];
  const element = h("figure", { class: isWeakest ? "weakest" : null }, picture, h("figcaption", {}, facts, mark));
  return { element, redraw: has => {
    mark.setAttribute("aria-pressed", String(has.has(row)));
    mark.textContent = has.has(row) ? "marked" : "mark";
    element.classList.toggle("marked", has.has(row));
    element.classList.toggle("picked", app.basket.has(row));
  } };
}
