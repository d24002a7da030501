// What the views of one query share: its picture, its name, the ways on from it; and how to choose one.

import { go, href } from "./address.js";
import { button, h, part, state } from "./dom.js";
import { small } from "./thumbnails.js";

export const isPicture = name => /^\d+$/.test(name);

// The picture of a query as an <img>, or null for a group and for what is gone.
export function queryImage(app, name, attributes = {}) {
  if (!isPicture(name) && !name.startsWith("u:")) return null;
  const image = h("img", { alt: app.queryTitle(name), onerror: event => event.target.remove(), ...attributes });
  if (isPicture(name)) app.pictureUrl(Number(name)).then(url => { image.src = url; });
  else image.src = app.source.outsideUrl(name);
  return image;
}

export function queryThumb(app, name, size = 40) {
  if (isPicture(name)) return small(app.thumbnails, Number(name), size);
  if (name.startsWith("u:")) return h("img", { class: "small", src: app.source.outsideUrl(name), alt: "", width: size, height: size, style: "object-fit:cover;border-radius:4px" });
  return "";
}

// Links to the same query's other views.
export function waysOn(app, name, current) {
  const ways = [["near", "Neighbourhood"], ["distribution", "Distribution"], ["verdict", "Verdict"]];
  const links = ways.filter(([view]) => view !== current).map(([view, title]) => h("a", { class: "as-button", href: href(view, { q: name }) }, title));
  return [...links, button("Compare", () => addToComparison(app, name)), isPicture(name) && basketButton(app, Number(name))];
}

function basketButton(app, row) {
  const label = () => (app.basket.has(row) ? "Out of the basket" : "Into the basket");
  const one = button(label(), async () => { await app.basket.toggle([row], !app.basket.has(row)); one.textContent = label(); });
  return one;
}

export function addToComparison(app, name) {
  const names = [...new Set([...app.compared, name])].slice(-8);
  app.compared = names;  // in a private window nothing is kept
  go("compare", { q: names });
}

export function queryBar(app, name, current) {
  const image = queryImage(app, name);
  const facts = isPicture(name) ? Object.entries(app.metadata(Number(name))).map(([key, value]) => `${key} ${value}`).join(" · ") : "";
  return h("div", { class: "query" }, image, h("div", { class: "about" }, h("strong", {}, app.queryTitle(name)), h("span", { class: "soft" }, facts)), h("div", { class: "actions" }, waysOn(app, name, current)));
}

// Shown where a view has no query yet.
export function chooseQuery(app, view) {
  const any = () => go(view, { q: Math.floor(Math.random() * app.count) });
  return state("Ask with a picture: click one in Browse or on the map, or drop one from outside on this page, or paste it.",
    h("p", {}, h("a", { class: "as-button", href: href("browse") }, "Choose in Browse"), " ", button("Take any", any), " ", app.source.isStatic ? "" : button("Open a file", () => part("outside-file").click())));
}

export function noVectors(app) {
  const { indexing, thumbnails, asking } = app.status;
  return state(indexing || thumbnails || asking ? "The pictures are being indexed, or will be next. Neighbours can be shown as soon as the first are seen." : "This collection has no vectors.");
}
