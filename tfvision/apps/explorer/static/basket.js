// The pictures that were picked: tags, and the ways out of here.

import { change, href } from "./address.js";
import { BASKET } from "./app.js";
import { button, download, h, number, plural, state } from "./dom.js";
import { askLabel } from "./relabel.js";
import { Wall } from "./wall.js";

export class View {
  constructor(app, host) {
    this.app = app;
    this.tools = h("div", { class: "tools-row" });
    this.tags = h("div", { class: "tools-row" });
    this.empty = h("div", { style: "display:contents" });
    this.wall = new Wall(app, { label: "the basket", size: 112 });
    host.append(this.tools, this.tags, this.empty, this.wall.element);
    this.offs = [app.on("notes", () => this.draw()), app.on("details", () => this.draw())];
  }

  update(params) {
    this.tag = params.get("tag") || BASKET;
    this.draw();
  }

  rows() {
    return this.tag === BASKET ? this.app.basket.list() : this.app.notes.tags[this.tag] || [];
  }

  draw() {
    const app = this.app, rows = this.rows(), isBasket = this.tag === BASKET;
    if (!this.name) this.name = h("input", { placeholder: "a tag, or a folder's name", "aria-label": "tag", maxlength: "200" });
    const file = this.tag.replace(/[^\p{L}\p{N}_-]+/gu, "-");
    const actions = rows.length ? [
      this.name,
      button("Tag", () => this.addTag(), { class: "primary" }),
      button("CSV", () => this.save("csv", `${file}.csv`)),
      button("Manifest", () => this.save("manifest", `${file}-manifest.csv`)),
      app.source.isStatic ? "" : button("Folder of links", () => this.link()),
      app.source.isStatic ? "" : button("Correct label…", () => askLabel(app, this.rows())),
      button(isBasket ? "Empty the basket" : "Forget this tag", () => this.clear()),
    ] : [];
    if (!this.tools.contains(document.activeElement) || this.drawnFor !== `${this.tag}${Boolean(rows.length)}`) {
      this.count = h("strong", {});
      this.tools.replaceChildren(this.count, ...actions.filter(Boolean));
      this.drawnFor = `${this.tag}${Boolean(rows.length)}`;
    }
    this.count.textContent = `${isBasket ? "Basket" : `Tag “${this.tag}”`}: ${plural(rows.length, "picture")}`;
    const tags = Object.entries(app.notes.tags).filter(([tag]) => tag !== BASKET);
    this.tags.hidden = !tags.length && isBasket;
    this.tags.replaceChildren(h("a", { class: "as-button", href: href("basket"), "aria-current": isBasket ? "page" : null }, `Basket (${number(app.basket.size)})`),
      ...tags.map(([tag, tagged]) => h("a", { class: "as-button", href: href("basket", { tag }), "aria-current": tag === this.tag ? "page" : null }, `${tag} (${number(tagged.length)})`)));
    this.empty.replaceChildren(...(rows.length ? [] : [state("Nothing is picked. In every wall: Space, Ctrl + click, or Shift + click for all from the last one; by touch: the button ✓ above, and taps; on the map: the lasso.")]));
    this.wall.element.hidden = !rows.length;
    this.wall.show(rows, { keepsPlace: true });
  }

  async addTag() {
    const tag = this.name.value.trim();
    if (!tag) return this.name.focus();
    const rows = this.rows();
    if (await this.app.tag(tag, rows, true)) this.app.say(`${plural(rows.length, "picture")} tagged “${tag}”.`);
  }

  async save(kind, name) {
    try { download(name, await this.app.source.table(this.rows(), kind)); } catch (error) { this.app.say(error.message, true); }
  }

  async link() {
    try {
      const made = await this.app.source.links(this.rows(), this.name.value.trim() || this.tag);
      this.app.say(`${plural(made.pictures, "link")} in ${made.folder}`);
    } catch (error) { this.app.say(error.message, true); }
  }

  async clear() {
    const rows = this.rows();
    if (this.tag === BASKET) return this.app.basket.toggle(rows, false);
    await this.app.tag(this.tag, rows, false);
    change({ tag: null });
  }

  destroy() {
    this.wall.destroy();
    this.offs.forEach(off => off());
  }
}
