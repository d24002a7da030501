// What can be shown large, side by side: the quick result, the picture in the making, and the versions.

import { GROWTH, QUICK } from "./app.js";
import { button, h, refill } from "./dom.js";

export function titleOf(app, shown) {
  if (shown === "photo") return "Photo";
  if (shown === QUICK) return "Quick result";
  if (shown === GROWTH) return "Being painted";
  const version = app.version(shown);
  return version ? `Version ${version.key}, ${version.kind}` : "";
}

export class Strip {
  constructor(app) {
    this.app = app;
    this.list = h("ul", {});
    this.undo = button("Undo the removal", async () => { app.dropped = false; await app.send("restore"); this.draw(); }, { hidden: true });
    this.element = h("nav", { class: "strip", "aria-label": "versions" }, this.list, this.undo);
    for (const event of ["status", "shown", "quick"]) app.on(event, () => this.draw());
    this.draw();
  }

  draw() {
    const { app } = this, { status } = app;
    this.undo.hidden = !app.dropped;
    const places = [QUICK, ...(status.is_painting ? [GROWTH] : []), ...status.versions.map(one => one.key).reverse()];
    const share = status.is_painting ? Math.round(100 * status.growth.share) : 0;
    const key = JSON.stringify([places, app.shown, Boolean(app.masked), share, app.quickUrl]);
    if (key === this.key) return;
    this.key = key;
    refill(this.list, ...places.map(shown => h("li", {}, this.tile(shown, share))));
  }

  tile(shown, share) {
    const { app } = this, version = app.version(shown), isShown = app.shown === shown && !app.masked;
    const url = version ? `version/${shown}/thumbnail` : shown === QUICK ? app.quickUrl : "";
    const face = url ? h("img", { src: url, alt: "" }) : h("span", { class: "face" }, shown === QUICK ? "…" : `${share} %`);
    const [before, name] = version ? ["Version ", `${version.key} ${version.kind}`] : ["", shown === QUICK ? "quick" : "painting"];
    return h("button", { type: "button", class: "tile", "aria-pressed": String(isShown), onclick: () => app.show(shown) }, face, h("span", {}, h("span", { class: "hidden" }, before), name));
  }
}
