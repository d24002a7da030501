// Before the page is printed: light colours, also on canvases, and charts as wide as the paper; style.css does the rest. Afterwards as before.

const PAPER_PX = 690;  // A4 within its margins, at 96 dots an inch

export function prepareForPrinting(app) {
  const root = document.documentElement, charts = () => [...document.querySelectorAll(".chart.js-plotly-plot")];
  let theme = /** @type {string | undefined} */ (undefined);
  addEventListener("beforeprint", () => {
    theme = root.dataset.theme;
    root.dataset.theme = "light";
    app.readColours();
    app.emit("print");  // now: no frame is drawn before the paper
    charts().forEach(chart => window.Plotly.relayout(chart, { width: Math.min(PAPER_PX, chart.clientWidth) }));
  });
  addEventListener("afterprint", () => {
    if (theme) root.dataset.theme = theme;
    else delete root.dataset.theme;
    charts().forEach(chart => window.Plotly.relayout(chart, { width: null, autosize: true }));
    app.readColours();
  });
}
