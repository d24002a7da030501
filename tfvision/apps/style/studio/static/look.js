// How far, how large the strokes, and whose colours: each change shows a new quick result.

import { h, paced, refill, segmented } from "./dom.js";

/** @type {[string, string][]} */
const COLOURS = [["", "As painted"], ["luminance", "The photo's"], ["histogram", "Matched"]];
const ABOUT = {
  "": "The painting's colours.",
  luminance: "Light and shade from the painting, every colour from the photo.",
  histogram: "The painting first takes the photo's colours as a whole.",
};

// A slider with its name and its value; `write(value)` is told of each change.
export function slider(label, attributes, read, text, write) {
  const value = h("output", { class: "soft" });
  const input = h("input", { type: "range", "aria-label": label, ...attributes, oninput: () => { write(Number(input.value)); draw(); } });
  const draw = () => {
    if (document.activeElement !== input || Number(input.value) !== read()) input.value = String(read());
    value.textContent = text(read());
    input.setAttribute("aria-valuetext", text(read()));
  };
  draw();
  return { element: h("label", { class: "slider" }, h("span", {}, label), value, input), draw };
}

export class LookPart {
  constructor(app) {
    this.app = app;
    this.sliders = [
      slider("Strength", { min: "0", max: "1", step: "0.05" }, () => app.look.strength, value => `${Math.round(100 * value)} %`, strength => app.change({ strength })),
      slider("Stroke size", { min: "-1", max: "1", step: "0.25" }, () => Math.log2(app.look.stroke), value => strokeText(2 ** value), value => app.change({ stroke: Number((2 ** value).toFixed(3)) })),
    ];
    this.colours = h("div", { class: "colours" });
    this.about = h("p", { class: "soft", "aria-live": "polite" });
    this.element = h("section", { "aria-label": "look" }, h("h2", {}, "Look"), this.sliders.map(one => one.element), h("h3", {}, "Colours"), this.colours, this.about);
    app.on("look", () => this.draw());
    this.colour = null;
    this.draw();
  }

  draw() {
    const { colour } = this.app.look;
    this.sliders.forEach(one => one.draw());
    if (colour === this.colour) return;
    this.colour = colour;
    refill(this.colours, segmented("colours", COLOURS, colour, chosen => this.app.change({ colour: chosen })));
    this.about.textContent = ABOUT[colour];
  }
}

function strokeText(stroke) {
  if (stroke === 1) return "as in the painting";
  return stroke < 1 ? `${Number((1 / stroke).toFixed(1))} × finer` : `${Number(stroke.toFixed(1))} × coarser`;
}

// The quick result: one is asked for at a time, the next one of what is chosen by then.
export class Quick {
  constructor(app, changed) {
    this.app = app;
    this.changed = changed;
    this.url = this.error = "";
    this.isAsking = this.isWanted = false;
    app.on("look", paced(0.06, () => this.ask()));
  }

  async ask() {
    const { app } = this;
    if (!app.hasBoth) return;
    if (this.isAsking) { this.isWanted = true; return; }
    this.isAsking = true;
    this.isWanted = false;
    this.changed();
    try {
      const blob = await app.glance();
      if (blob) {
        const before = this.url;
        app.quickUrl = this.url = URL.createObjectURL(blob);
        setTimeout(() => URL.revokeObjectURL(before), 10000);
        app.emit("quick");
      }
      const isElsewhere = !blob && !this.isWanted && app.status.quick.state !== "loading";
      this.error = isElsewhere ? "another page of this studio asked for a picture meanwhile: move a slider to ask again" : "";
    } catch (error) {
      this.error = error.message;
    }
    this.isAsking = false;
    this.changed();
    if (this.isWanted) this.ask();
  }
}
