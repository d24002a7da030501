// How far a picture is that the optimiser paints: time left, a bar, and both losses as curves.

import { h, svg } from "./dom.js";

export function duration(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

export class GrowthPanel {
  constructor() {
    this.when = h("p", { class: "when" }, "…");
    this.where = h("p", { class: "soft where" });
    this.bar = h("progress", { max: "1", value: "0", "aria-label": "how much is painted" });
    this.curves = ["content", "style"].map(name => svg("polyline", { class: name }));
    this.figures = ["content", "style"].map(() => h("dd", {}));
    const chart = svg("svg", { viewBox: "0 0 100 100", preserveAspectRatio: "none", role: "img", "aria-label": "the losses so far" }, ...this.curves);
    const terms = this.figures.map((figure, index) => [h("dt", { class: ["content", "style"][index] }, ["content loss", "style loss"][index]), figure]);
    this.losses = h("details", { class: "losses" }, h("summary", {}, "Losses"), chart, h("dl", {}, terms), h("small", { class: "soft" }, "each from its highest to its lowest, on a logarithmic scale"));
    this.element = h("div", { class: "growth" }, this.when, this.where, this.bar, this.losses);
  }

  draw(growth) {
    this.when.textContent = whenText(growth);
    this.where.textContent = whereText(growth);
    this.bar.value = growth.stage === "done" ? 1 : growth.share;
    this.losses.hidden = growth.iteration === null;
    if (growth.iteration === null) return;
    [growth.content_loss, growth.style_loss].forEach((loss, index) => { this.figures[index].textContent = loss.toPrecision(4); });
    if (growth.curve.length > 1) this.curves.forEach((line, index) => line.setAttribute("points", points(growth.curve.map(point => point[index]))));
  }
}

export function whenText(growth) {
  if (growth.stage === "waiting") return "Waiting";
  if (growth.stage === "done") return "Ready";
  if (growth.stage === "stopped") return "Stopped";
  if (growth.stage === "failed") return "It could not be painted";
  return growth.seconds_left === null ? "Beginning" : `${duration(growth.seconds_left)} left`;
}

function whereText(growth) {
  if (growth.stage === "failed") return growth.error;
  if (growth.stage === "done") return `${growth.output}, ${duration(growth.seconds)}`;
  if (growth.iteration === null) return "";
  const scale = growth.scales > 1 ? `scale ${growth.scale} of ${growth.scales}, ` : "";
  return `${scale}iteration ${growth.iteration} of ${growth.iterations}, ${duration(growth.seconds)}`;
}

function points(values) {
  const logs = values.map(value => Math.log(Math.max(value, 1e-30)));
  const low = Math.min(...logs), span = Math.max(...logs) - low || 1, last = Math.max(logs.length - 1, 1);
  return logs.map((value, index) => `${(100 * index / last).toFixed(2)},${(95 - 90 * (value - low) / span).toFixed(2)}`).join(" ");
}
