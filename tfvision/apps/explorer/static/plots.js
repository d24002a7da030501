// Plotly, loaded when the first plot is drawn, in this page's colours.

import { h } from "./dom.js";

export const LINES = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#56b4e9", "#7b4fb5", "#6b6b6b"];
export const LINES_ON_DARK = ["#5ab4ee", "#f28e4c", "#3ecf9c", "#eaa3cd", "#e0c14a", "#9fd4f5", "#b89be8", "#b5b5b5"];

let loading;

export function plotly() {
  loading ||= new Promise((resolve, reject) => {
    document.head.append(h("script", {
      src: "static/plotly.min.js",
      onload: () => resolve(window.Plotly),
      onerror: () => { loading = null; reject(new Error("Plotly's script could not be loaded: is the package plotly installed?")); },
    }));
  });
  return loading;
}

export function lineColours(app) {
  return app.isDark ? LINES_ON_DARK : LINES;
}

export function layoutOf(app, more = {}) {
  const { ink, soft, line, ground } = app.colours;
  const axis = { gridcolor: line, linecolor: line, zerolinecolor: line, tickfont: { color: soft }, title: { font: { color: soft, size: 13 } }, automargin: true };
  return {
    font: { family: "system-ui, sans-serif", size: 12, color: ink }, paper_bgcolor: ground, plot_bgcolor: ground,
    margin: { l: 56, r: 16, t: 12, b: 44 }, showlegend: true, legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, font: { color: ink } },
    hoverlabel: { bgcolor: ground, bordercolor: line, font: { color: ink } }, uirevision: "same", ...more,
    xaxis: { ...axis, ...more.xaxis, title: { ...axis.title, ...more.xaxis?.title } },
    yaxis: { ...axis, rangemode: "tozero", ...more.yaxis, title: { ...axis.title, ...more.yaxis?.title } },
  };
}

export const CONFIG = { displayModeBar: false, responsive: true, showTips: false, doubleClick: false };

export const centres = edges => edges.slice(1).map((edge, index) => (edge + edges[index]) / 2);

// Counts as a share of the whole in percent, so that samples of different size can be laid over each other.
export function shares(counts) {
  const total = counts.reduce((sum, count) => sum + count, 0) || 1;
  return counts.map(count => (100 * count) / total);
}
