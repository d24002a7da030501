// Outliers: the histogram of how alike each picture is to its neighbours, with a cut that can be moved; the pictures beyond it.

import { change, href, numberOf, read } from "./address.js";
import { button, h, later, number, plural, refill, score, state, svg } from "./dom.js";
import { keptIndices } from "./filters.js";
import { Wall } from "./wall.js";

const TAG = "outlier";

// Draws into `host`; returns the wall, and what shows marks anew.
export function drawOutliers(app, host, found) {
  if (!found.total) { host.replaceChildren(state("No picture has neighbours yet.")); return { redraw: () => {} }; }
  const { edges, counts } = found, bins = counts.length, below = [0];
  counts.forEach(count => below.push(below[below.length - 1] + count));
  const nearest = value => edges.reduce((best, edge, index) => (Math.abs(edge - value) < Math.abs(edges[best] - value) ? index : best), 0);
  const first = below.findIndex(count => count > 0), fence = Math.max(nearest(found.fence), first);  // somebody is beyond it
  let at = nearest(numberOf(read().params, "cut", edges[fence]));
  const chart = bars(counts), told = h("p", { role: "status" }), actions = h("div", { class: "chips" });
  const slider = h("input", { type: "range", min: "0", max: String(bins), step: "1", value: String(at), "aria-label": "the cut: mean similarity to the sixteen nearest" });
  const wall = new Wall(app, { label: "outliers", size: 128, lines: 1, caption: index => [score(scores[index])], hover: index => [`mean similarity ${score(scores[index])}`] });
  let rows = [], scores = [];
  const keep = later(0.3, () => wall.element.isConnected && change({ cut: at === fence ? null : edges[at] }, false));
  const draw = () => {
    const listed = found.places.slice(0, below[at]), kept = keptIndices(app, listed);
    rows = kept.map(index => listed[index]);
    scores = kept.map(index => found.scores[index]);
    chart.show(at);
    slider.setAttribute("aria-valuetext", `${score(edges[at])}: ${plural(below[at], "picture")} beyond`);
    const filtered = rows.length < listed.length ? `, ${number(rows.length)} of them kept by the filters` : "", cut = listed.length < below[at] ? `, the loneliest ${number(listed.length)} shown` : "";
    told.textContent = `${plural(below[at], "picture")} of ${number(found.total)} beyond the cut at ${score(edges[at])}${cut}${filtered}.`;
    drawActions();
    wall.show(rows);
  };
  const drawActions = () => {
    const has = new Set(app.notes.tags[TAG] || []), wanted = rows.filter(row => !has.has(row));
    refill(actions, button(`Tag ${rows.length === 1 ? "it" : `these ${number(rows.length)}`} “${TAG}”`, async () => { if (await app.tag(TAG, wanted, true)) app.say(`${plural(wanted.length, "picture")} tagged “${TAG}”. z undoes it.`); }, { disabled: !wanted.length }),
      at === fence ? "" : button("Cut at Tukey's fence", () => { at = fence; slider.value = String(at); keep(); draw(); }),
      has.size ? h("a", { class: "as-button", href: href("basket", { tag: TAG }) }, `${plural(has.size, "picture")} tagged`) : "");
  };
  slider.addEventListener("input", () => { at = Number(slider.value); keep(); draw(); });
  const ends = h("div", { class: "ends soft" }, h("span", {}, `lonely ${score(edges[0])}`), h("span", {}, `${score(edges[bins])} in company`));
  host.replaceChildren(h("div", { class: "cut" }, h("div", { class: "chart-of-cut" }, chart.element, slider, ends), h("div", {}, told, actions)), wall.element);
  draw();
  return { wall, redraw: drawActions };
}

// Bars on a line; those before `at` lie beyond the cut.
function bars(counts) {
  const most = Math.max(...counts);
  const rectangles = counts.map((count, index) => {
    const height = count ? Math.max(2, 100 * Math.sqrt(count / most)) : 0;  // the root: a single one is seen beside thousands
    return svg("rect", { x: index + 0.06, y: 100 - height, width: 0.88, height });
  });
  const element = svg("svg", { viewBox: `0 0 ${counts.length} 100`, preserveAspectRatio: "none", "aria-hidden": "true" }, ...rectangles);
  return { element, show: at => rectangles.forEach((one, index) => one.classList.toggle("beyond", index < at)) };
}
