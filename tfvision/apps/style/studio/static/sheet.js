// The large picture: one image, or two of which a slider shows the one to its left and the other to its right.

import { h } from "./dom.js";

export class Sheet {
  constructor() {
    this.image = h("img", { class: "whole", hidden: true, alt: "" });
    this.other = h("img", { class: "other", hidden: true, alt: "" });
    this.divider = h("input", { type: "range", min: "0", max: "100", value: "50", step: "1", "aria-label": "where the pictures meet", hidden: true, oninput: () => this.divide() });
    this.text = h("p", { class: "soft told", role: "status", hidden: true });
    this.sheet = h("div", { class: "sheet", hidden: true }, this.image, this.other, h("i", { class: "seam" }), this.divider);
    this.element = h("div", { class: "frame" }, this.sheet, this.text);
    this.asked = 0;
    this.divide();
  }

  // Shows the picture of an address once it is there, so that nothing flickers; `beside` is that of a second one, or "".
  async show(url, alt, beside = "", besideAlt = "") {
    const asked = ++this.asked;
    const [one, other] = await Promise.all([loaded(url), beside ? loaded(beside) : null]).catch(() => []);
    if (asked !== this.asked || !one) return;
    this.sheet.style.setProperty("--ratio", String(one.naturalWidth / one.naturalHeight));
    this.sheet.style.setProperty("--pixels", `${one.naturalWidth}px`);
    Object.assign(this.image, { src: one.src, alt, hidden: false });
    this.sheet.hidden = false;
    this.text.hidden = true;
    this.sheet.classList.toggle("divided", Boolean(other));
    this.other.hidden = this.divider.hidden = !other;
    if (other) Object.assign(this.other, { src: other.src, alt: besideAlt });
  }

  tell(text) {
    this.asked++;
    this.text.textContent = text;
    this.text.hidden = false;
    this.sheet.hidden = true;
  }

  divide() {
    this.sheet.style.setProperty("--seam", `${this.divider.value}%`);
    this.divider.setAttribute("aria-valuetext", `${this.divider.value} % of the first`);
  }
}

function loaded(url) {
  const image = new Image();
  image.src = url;
  return image.decode().then(() => image);
}
