// Labels that the neighbours speak against: each with its score, the neighbours that speak, and what to do about it.

import { button, h, number, plural, state } from "./dom.js";
import { askLabel, labelOf, relabel } from "./relabel.js";
import { small } from "./thumbnails.js";

const CHECKED = "label checked", ROWS = 40;  // at once

// Draws a list into `host`; returns what shows it anew when labels or tags change.
export function drawSuspects(app, host, found, name) {
  const column = app.columns.find(one => one.name === name), checked = () => new Set(app.notes.tags[CHECKED] || []), before = checked();
  const open = found.places.map((row, index) => ({ row, index })).filter(({ row }) => !before.has(row)), isServer = !app.source.isStatic;
  const head = h("div", { class: "tools-row" }), list = h("ul", { class: "suspects", "aria-label": "suspected labels" }), more = h("p", {}), items = [];
  const add = () => {
    for (const { row, index } of open.slice(items.length, items.length + ROWS)) {
      items.push(item(app, found, column, row, index, checked));
      list.append(items[items.length - 1].element);
    }
    more.replaceChildren(...(items.length < open.length ? [button(`${number(Math.min(ROWS, open.length - items.length))} more of ${number(open.length - items.length)}`, add)] : []));
  };
  const redraw = () => {
    const has = checked(), done = open.filter(({ row, index }) => has.has(row) || labelOf(column, row) !== String(found.given[index])).length;
    const unjudged = found.unjudged ? ` ${plural(found.unjudged, "picture is the only one of its label and is", "pictures are the only ones of their label and are")} not judged.` : "";
    const passed = found.places.length - open.length;
    head.replaceChildren(h("span", { role: "status" }, `${plural(open.length, "label")} in doubt, the surest first; ${number(done)} seen to.${passed ? ` ${number(passed)} more were checked before.` : ""}${unjudged}`), h("span", { class: "grow" }),
      isServer ? h("span", { class: "keys" }, h("kbd", {}, "y"), " take the suggestion  ", h("kbd", {}, "n"), " the label is right  ", h("kbd", {}, "c"), " another  ", h("kbd", {}, "e"), " large") : "");
    items.forEach(one => one.redraw(has));
  };
  if (!open.length) list.hidden = true;
  add();
  redraw();
  host.replaceChildren(head, h("div", { class: "page" }, open.length ? "" : state(found.places.length ? "All labels in doubt were checked." : "No label is contradicted by its picture's neighbours."), list, more));
  return redraw;
}

function item(app, found, column, row, index, checked) {
  const given = String(found.given[index]), suggested = String(found.suggested[index]), [own, typical, other] = found.supports[index], title = app.title(row), isServer = !app.source.isStatic;
  const status = h("span", { class: "status", role: "status" });
  const neighbours = found.neighbours[index].map(one => {
    const label = labelOf(column, one), kind = label === given ? "for" : label === suggested ? "against" : "";
    return h("button", { class: `picture ${kind}`, type: "button", title: `${app.title(one)}: ${label ?? "no label"}`, "aria-label": `${app.title(one)}: ${label ?? "no label"}${kind === "against" ? ", as suggested" : kind === "for" ? ", as given" : ""}`, onclick: () => app.openNeighbours(one) }, small(app.thumbnails, one, 52));
  });
  const isChecked = () => checked().has(row), isRelabelled = () => labelOf(column, row) !== given;
  const accept = async () => { if (isChecked()) await app.tag(CHECKED, [row], false); if (labelOf(column, row) !== suggested && await relabel(app, column.name, [row], suggested)) next(element); };
  const keep = async () => { if (isServer && isRelabelled()) await relabel(app, column.name, [row], null); if (await app.tag(CHECKED, [row], true)) next(element); };
  const ask = () => askLabel(app, [row], column.name);
  const actions = isServer ? [button(`It is ${suggested}`, accept, { class: "primary" }), button(`${given} is right`, keep), button("Another…", ask, { "aria-label": `another label for ${title}` })] : [button(`${given} is right`, keep)];
  const element = h("li", { tabindex: "0", "aria-label": `${title}: ${given}, perhaps ${suggested}`, onkeydown: event => key(event, element, { y: isServer && accept, n: keep, c: isServer && ask, e: () => app.openLarge(null, row), Enter: () => app.openNeighbours(row), " ": () => app.basket.toggle([row], !app.basket.has(row)) }) },
    h("button", { class: "picture own", type: "button", title, "aria-label": `neighbourhood of ${title}`, onclick: () => app.openNeighbours(row) }, small(app.thumbnails, row, 112)),
    h("div", { class: "about" }, h("div", {}, h("strong", {}, given), h("span", { class: "soft" }, " or rather "), h("strong", {}, suggested), h("span", { class: "soft" }, `?  score ${found.scores[index].toFixed(2)}`)),
      h("div", { class: "soft" }, `Of its neighbours ${share(own)} speak for ${given} (${share(typical)} with its other pictures), ${share(other)} for ${suggested}.`),
      h("div", { class: "speaking" }, neighbours), h("div", { class: "chips" }, actions, status)));
  return { element, redraw: has => {
    const text = isRelabelled() ? `now ${labelOf(column, row) ?? "without a label"}` : has.has(row) ? "checked: right" : "";
    status.textContent = text;
    element.classList.toggle("done", Boolean(text));
    element.classList.toggle("picked", app.basket.has(row));
  } };
}

const share = value => `${Math.round(100 * value)} %`;

// Keys of the item itself; those of the buttons in it stay theirs.
function key(event, element, actions) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const isOwn = event.target === element, step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
  if (step) { const other = element[step]; if (other instanceof HTMLElement) other.focus(); }
  else if (actions[event.key] && (isOwn || !["Enter", " "].includes(event.key))) actions[event.key]();
  else return;
  event.preventDefault();
  event.stopPropagation();
}

// The focus goes on to the next that is not seen to.
function next(element) {
  if (!element.contains(document.activeElement)) return;
  let other = element.nextElementSibling;
  while (other?.classList.contains("done")) other = other.nextElementSibling;
  other?.focus();
}
