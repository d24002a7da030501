// The enlarged picture beside the one under the pointer.

import { h } from "./dom.js";

export class Preview {
  constructor(app) {
    this.app = app;
    this.image = h("img", { alt: "" });
    this.caption = h("figcaption");
    this.element = h("figure", { class: "preview", role: "tooltip", hidden: true }, this.image, this.caption);
    document.body.append(this.element);
  }

  get isShown() {
    return !this.element.hidden;
  }

  // `box` is of the tile, in the window's coordinates; `more` are lines to add to the caption.
  show(row, box, more = []) {
    this.row = row;
    this.image.onload = () => this.place(box);
    this.image.onerror = () => { this.image.hidden = true; this.place(box); };
    this.image.hidden = false;
    this.image.src = this.app.source.imageUrl(row);
    const metadata = Object.entries(this.app.metadata(row)).map(([name, value]) => h("div", {}, h("span", { class: "soft" }, `${name} `), String(value)));
    this.caption.replaceChildren(h("strong", {}, this.app.title(row)), ...more.map(line => h("div", {}, line)), ...metadata.slice(0, 8));
    this.element.hidden = false;
    this.place(box);
  }

  hide() {
    this.element.hidden = true;
  }

  place(box) {
    const { offsetWidth: width, offsetHeight: height } = this.element;
    const isRight = box.left + box.width + 10 + width < innerWidth;
    const left = isRight ? box.left + box.width + 10 : Math.max(8, box.left - width - 10);
    const top = Math.max(8, Math.min(innerHeight - height - 8, box.top + box.height / 2 - height / 2));
    this.element.style.left = `${left}px`;
    this.element.style.top = `${top}px`;
  }
}

