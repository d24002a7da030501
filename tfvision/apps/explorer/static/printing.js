// Before the page is printed: light colours, also on canvases, charts and the map as wide as the paper, and sentences opened; style.css
// does the rest. Afterwards as before.

import { h } from "./dom.js";

const PAPER_PX = 690;  // A4 within its margins, at 96 dots an inch

export function prepareForPrinting(app) {
  const root = document.documentElement, charts = () => [...document.querySelectorAll(".chart.js-plotly-plot")];
  const maps = () => /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(".map"));
  let theme = /** @type {string | undefined} */ (undefined);
  addEventListener("beforeprint", () => {
    theme = root.dataset.theme;
    root.dataset.theme = "light";
    app.readColours();
    app.emit("print");  // now: no frame is drawn before the paper
    /** @type {NodeListOf<HTMLDetailsElement>} */ (document.querySelectorAll("details.words")).forEach(one => { one.open = true; });
    maps().forEach(keepDrawn);
    maps().forEach(map => Object.assign(map.style, { width: `${map.clientWidth}px`, height: `${map.clientHeight}px`, zoom: String(Math.min(1, PAPER_PX / map.clientWidth)) }));
    charts().forEach(chart => window.Plotly.relayout(chart, { width: Math.min(PAPER_PX, chart.clientWidth) }));
  });
  addEventListener("afterprint", () => {
    if (theme) root.dataset.theme = theme;
    else delete root.dataset.theme;
    maps().forEach(keepDrawn);
    document.querySelectorAll(".on-paper").forEach(one => one.remove());
    maps().forEach(map => Object.assign(map.style, { width: "", height: "", zoom: "" }));
    charts().forEach(chart => window.Plotly.relayout(chart, { width: null, autosize: true }));
    app.readColours();
  });
}

// What WebGL has drawn is gone when the paper is there, and a canvas of another size is empty: a copy of all is printed in their place.
function keepDrawn(map) {
  const [first, ...others] = map.querySelectorAll(":scope > canvas:not(.on-paper)");
  if (!first) return;
  const copy = h("canvas", { class: "on-paper", width: first.width, height: first.height, style: first.getAttribute("style") || "", "aria-hidden": "true" });
  for (const one of [first, ...others]) copy.getContext("2d").drawImage(one, 0, 0);
  (others.at(-1) ?? first).after(copy);
}
