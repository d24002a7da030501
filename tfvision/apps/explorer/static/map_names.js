// The names of clusters over the map, by label or picture: a click goes nearer.

import { h, number } from "./dom.js";
import { small } from "./thumbnails.js";

const PICTURE_PX = 44, LETTER_PX = 6.6, LINE_PX = 24;
const TWICE_FROM_ZOOM = 2;  // the same name again, of a smaller cluster

export class Names {
  constructor(app, open) {
    this.app = app;
    this.open = open;
    this.element = h("div", { class: "map-names" });
    this.placed = [];
  }

  // kind: "labels", "pictures" or "off".
  show(density, kind, column) {
    this.placed = [];
    if (density && kind !== "off") {
      const found = density.clusters(), names = kind === "labels" && column ? density.names(found, column) : found.clusters.map(() => null);
      if (found.clusters.length > 1) this.placed = found.clusters.map((cluster, index) => this.named(cluster, names[index], density, column));
    }
    this.element.replaceChildren(...this.placed.map(one => one.element));
  }

  named(cluster, name, density, column) {
    const { x, y, count } = cluster, text = name ? column.values[name.code] : "";
    const told = name ? `${text}: ${Math.round(100 * name.share)} % of the ${number(count)} pictures of this cluster` : `a cluster of ${number(count)} pictures`;
    const inner = name ? text : small(this.app.thumbnails, density.points.nearestOfAll(x, y), PICTURE_PX);
    const element = h("button", { type: "button", class: name ? "name" : "name picture", title: `${told}; a click goes nearer`, "aria-label": `${told}: go nearer`, onclick: () => this.open(x, y) }, inner);
    const size = name ? [Math.min(180, 18 + text.length * LETTER_PX), LINE_PX] : [PICTURE_PX + 4, PICTURE_PX + 4];
    return { element, x, y, size, text };
  }

  // At their places; of two that would lie on each other the smaller cluster waits until the map is nearer.
  /** @param {import("./map_camera.js").Camera} camera */
  place(camera) {
    const { width, height } = camera, taken = [], told = new Set();
    for (const { element, x, y, size: [w, h], text } of this.placed) {
      const [sx, sy] = camera.toScreen(x, y), isFree = taken.every(([ox, oy, ow, oh]) => Math.abs(ox - sx) > (w + ow) / 2 || Math.abs(oy - sy) > (h + oh) / 2);
      const isSaid = text && told.has(text) && camera.zoom < TWICE_FROM_ZOOM;
      element.hidden = isSaid || !isFree || sx < w / 2 || sy < h / 2 || sx > width - w / 2 || sy > height - h / 2;
      if (element.hidden) continue;
      taken.push([sx, sy, w, h]);
      told.add(text);
      element.style.transform = `translate(${Math.round(sx)}px, ${Math.round(sy)}px) translate(-50%, -50%)`;
    }
  }
}
