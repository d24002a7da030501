// The optimiser: how large, how much of the painting, and how far it is.

import { GROWTH } from "./app.js";
import { button, h, select } from "./dom.js";
import { GrowthPanel, whenText } from "./growth.js";
import { slider } from "./look.js";

/** @type {[string, string][]} */
const SIZES = ["256", "384", "512", "768", "1024", "1536", "2048", "3072", "4096"].map(size => [size, `${size} pixels`]);

export class PaintPart {
  constructor(app) {
    this.app = app;
    this.size = select("Size", SIZES, String(app.look.size), size => app.change({ size: Number(size) }));
    this.weight = slider("Style weight", { min: "0", max: "3", step: "0.1" }, () => Math.log10(Math.max(1, app.look.style_weight)), value => String(Number((10 ** value).toPrecision(2))), value => app.change({ style_weight: Number((10 ** value).toPrecision(2)) }));
    this.begin = button("Paint", () => this.paint(), { class: "primary" });
    this.stop = button("Stop", () => app.send("stop"));
    this.growth = new GrowthPanel();
    this.note = h("p", { class: "soft" }, "The page may be closed meanwhile: the studio paints on and shows the picture when you come back.");
    this.running = h("div", { class: "running", hidden: true }, this.growth.element, this.note, this.stop);
    this.said = h("p", { class: "hidden", role: "status" });  // now and then, for who does not see the bar
    this.failed = h("p", { class: "notice error", hidden: true });
    this.footer = h("div", { class: "begin", role: "group", "aria-label": "the optimiser" }, this.failed, this.begin, this.running, this.said);
    this.element = h("section", { "aria-label": "paint" }, h("h2", {}, "Paint"),
      h("p", { class: "soft" }, "The optimiser paints the picture stroke by stroke: finer than the quick result, in minutes."),
      this.size, this.weight.element);
    app.on("status", () => this.draw());
    app.on("look", () => this.drawLook());
    this.draw();
  }

  async paint() {
    const { app } = this;
    this.begin.disabled = true;
    await app.flush();
    if (await app.send("paint", app.look)) {
      app.show(GROWTH);
      app.say("The optimiser begins.");
      this.stop.focus();
    }
    this.begin.disabled = false;
  }

  drawLook() {
    this.weight.draw();
    const field = /** @type {HTMLSelectElement} */ (this.size.querySelector("select"));
    if (field.value !== String(this.app.look.size)) field.value = String(this.app.look.size);
  }

  draw() {
    const { status } = this.app, hadFocus = this.running.contains(document.activeElement);
    this.running.hidden = !status.is_painting;
    this.begin.hidden = status.is_painting;
    this.failed.hidden = status.is_painting || status.growth.stage !== "failed";
    this.failed.textContent = this.failed.hidden ? "" : `The last painting ended early: ${status.growth.error}`;
    if (hadFocus && !status.is_painting) this.begin.focus();
    if (!status.is_painting) return;
    this.growth.draw(status.growth);
    const quarter = 25 * Math.floor(4 * status.growth.share);
    if (quarter !== this.quarter) this.said.textContent = quarter ? `${quarter} % painted, ${whenText(status.growth)}` : "";
    this.quarter = quarter;
    this.stop.disabled = status.is_stopping;
    this.stop.textContent = status.is_stopping ? "Stopping after this iteration" : "Stop and keep the picture so far";
  }
}
