// What pointers and keys do on the map: move, zoom, open, pick, and draw a lasso.

import { change } from "./address.js";

const CLICK_PX = 5, LEAST_LASSO_PX = 12, REACH_PX = 14;
const HOVER_SECONDS = 0.12;

export class Gestures {
  // view: the View of map.js, whose stage they are on.
  constructor(view) {
    this.view = view;
    this.pointers = new Map();
    this.moved = 0;
    this.hovered = -1;
    this.corners = /** @type {number[][] | null} */ (null);  // the corners of the lasso so far
    this.isLasso = false;  // whether a drag draws one
    const on = { keydown: "key", wheel: "wheel", pointerdown: "down", pointermove: "move", pointerup: "up", pointercancel: "up", pointerleave: "leave" };
    for (const [event, method] of Object.entries(on)) view.stage.addEventListener(event, given => this[method](given));
    this.onescape = event => event.key === "Escape" && this.escape(event);
    addEventListener("keydown", this.onescape, true);  // wherever the focus is
  }

  destroy() {
    clearTimeout(this.hoverTimer);
    removeEventListener("keydown", this.onescape, true);
  }

  // The pixel of an event on the stage.
  at(event) {
    const box = this.view.stage.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  nearest(event) {
    const { points, camera } = this.view, [x, y] = this.at(event);
    return points ? points.nearest(...camera.toMap(x, y), REACH_PX / camera.scale()) : -1;
  }

  down(event) {
    const { view } = this;
    if (event.button || event.target.closest("button")) return;
    view.stage.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, this.at(event));
    this.moved = 0;
    this.leave();
    if ((event.shiftKey || this.isLasso) && this.pointers.size === 1 && !view.isMeanwhile) this.corners = [view.camera.toMap(...this.at(event))];
  }

  move(event) {
    const { view } = this, before = this.pointers.get(event.pointerId), now = this.at(event);
    if (!before) return this.hover(event);
    const others = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, point]) => point);
    this.moved += Math.hypot(now[0] - before[0], now[1] - before[1]);
    this.pointers.set(event.pointerId, now);
    if (this.corners) this.corners.push(view.camera.toMap(...now));
    else if (others.length) {
      const distance = point => Math.hypot(point[0] - others[0][0], point[1] - others[0][1]);
      view.camera.zoomAt(distance(now) / Math.max(1, distance(before)), (now[0] + others[0][0]) / 2, (now[1] + others[0][1]) / 2);
    } else view.camera.pan(now[0] - before[0], now[1] - before[1]);
    view.move();
  }

  up(event) {
    const { view } = this, { app } = view, isCancelled = event.type === "pointercancel";
    if (!this.pointers.delete(event.pointerId)) return;
    if (this.corners) {
      const line = this.corners;
      this.corners = null;
      if (!isCancelled && line.length > 3 && this.moved > LEAST_LASSO_PX) change({ lasso: view.camera.written(simpler(line)) });
      else view.redraw();
    } else if (this.moved < CLICK_PX && !isCancelled) {
      const row = this.nearest(event);
      if (row >= 0) event.ctrlKey || event.metaKey || app.isPicking ? view.pick(row) : app.openNeighbours(row);
    } else view.keepPlace();
  }

  hover(event) {
    if (event.pointerType === "touch") return;
    const { stage, app } = this.view, row = event.target.closest("button") ? -1 : this.nearest(event);
    stage.style.cursor = row >= 0 && !this.isLasso ? "pointer" : "";
    if (row === this.hovered) return;
    this.leave();
    this.hovered = row;
    if (row >= 0) this.hoverTimer = setTimeout(() => app.preview.show(row, { left: event.clientX, top: event.clientY, width: 8, height: 8 }), 1000 * HOVER_SECONDS);
  }

  leave() {
    clearTimeout(this.hoverTimer);
    this.hovered = -1;
    this.view.app.preview.hide();
  }

  wheel(event) {
    event.preventDefault();
    this.leave();
    this.view.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), this.at(event));
  }

  key(event) {
    const { view } = this, { camera } = view;
    if (event.ctrlKey || event.metaKey || event.altKey || event.target !== view.stage) return;
    const step = 0.15 / camera.zoom, moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] }, middle = this.middle();
    if (event.key in moves) { camera.x += moves[event.key][0]; camera.y += moves[event.key][1]; view.move(); view.keepPlace(); }
    else if (event.key === "+" || event.key === "=") view.zoom(1.4);
    else if (event.key === "-") view.zoom(1 / 1.4);
    else if (event.key === "0") view.reset();
    else if (event.key === "l") view.toggleLasso();
    else if (event.key === "s" && !view.isMeanwhile) this.selectSeen();
    else if (event.key === "Enter" && middle >= 0) view.app.openNeighbours(middle);
    else if (event.key === " " && middle >= 0) view.pick(middle);
    else return;
    const now = this.middle();
    if (event.key !== " ") view.tell(now >= 0 ? view.app.title(now) : "");
    event.preventDefault();
    event.stopPropagation();
  }

  // The row next to the middle of the stage.
  middle() {
    const { points, camera } = this.view;
    return points ? points.nearestOfAll(camera.x, camera.y) : -1;
  }

  // All in sight, as if the lasso went round the window.
  selectSeen() {
    const { camera } = this.view, corners = [[0, 0], [camera.width, 0], [camera.width, camera.height], [0, camera.height]];
    change({ lasso: camera.written(corners.map(([x, y]) => camera.toMap(x, y))) });
  }

  // Ends what is under way first: the line that is drawn, the lasso as a tool, the selection.
  escape(event) {
    const { view } = this;
    if (document.querySelector("dialog[open]") || event.target.closest?.("input, textarea, select, #facets")) return;
    if (this.corners) {
      this.corners = null;
      this.pointers.clear();
      view.redraw();
    } else if (this.isLasso) view.toggleLasso();
    else if (view.lasso) change({ lasso: null });
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}

// At most about sixty points, so that it fits into an address.
function simpler(line) {
  const step = Math.ceil(line.length / 60);
  return line.filter((_, index) => index % step === 0);
}
