// The canvases of the map: the points below, by WebGL or without, and what lies over them.

import { h } from "./dom.js";
import { CanvasPainter } from "./map_canvas.js";
import { drawContours, drawLasso, drawMiddle, drawPictures, drawRing } from "./map_overlay.js";
import { WebglPainter } from "./map_webgl.js";

const REST_SECONDS = 0.16;  // without a move
const SLOW_SECONDS = 0.034, FAST_SECONDS = 0.02;  // of a frame while the map is moved
const AFFORDABLE = 250_000;  // points in such a frame, before anything was measured
const MOST_BY_ZOOM = 3000;  // points in sight, for pictures to be shown of themselves
const SHOWN = 1, DIMMED = 9;  // map_webgl.js

export class Drawing {
  // view: the View of map.js.
  constructor(view) {
    this.view = view;
    this.overlay = freshCanvas();
    this.given = /** @type {Uint32Array | null} */ (null);  // the looks that the painter has
    this.movedAt = this.drawnAt = this.drawn = this.frame = 0;
    this.canvas = freshCanvas();
    this.painter = /** @type {WebglPainter | CanvasPainter} */ (new CanvasPainter(this.canvas));
    this.affordable = AFFORDABLE;
    view.stage.prepend(this.overlay);
    this.paintBy(true);
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(view.stage);
  }

  destroy() {
    clearTimeout(this.restTimer);
    cancelAnimationFrame(this.frame);
    this.observer.disconnect();
    this.canvas.remove();
    this.painter.destroy();
  }

  // A new canvas for the points and who draws on it: without WebGL where there is none, or where it was lost.
  paintBy(isWebgl) {
    const { view } = this;
    this.canvas.remove();
    this.canvas = freshCanvas();
    this.painter = (isWebgl && WebglPainter.of(this.canvas)) || new CanvasPainter((this.canvas = freshCanvas()));
    this.canvas.addEventListener("webglcontextlost", () => { if (this.canvas.isConnected) this.paintBy(false); });
    view.stage.prepend(this.canvas);
    view.stage.dataset.painter = this.painter.kind;
    if (view.points) this.painter.take(view.points);
    if (this.given) this.painter.look(this.given);
    this.resize();
  }

  /** @param {import("./map_points.js").Points} points */
  take(points) {
    this.given = null;
    this.painter.take(points);
  }

  // looks: of each row its colour, the red in the lowest byte, and its shape in the highest; what is not selected is dimmed.
  /** @param {Uint32Array} looks  @param {Uint8Array} isShown  @param {Uint8Array | null | undefined} selected */
  look(looks, isShown, selected) {
    const given = (this.given = looks.map((look, row) => (isShown[row] ? look + ((selected && !selected[row] ? DIMMED : SHOWN) << 24) : 0)));
    this.painter.look(given);
    this.redraw();
  }

  resize() {
    const { camera, stage } = this.view, ratio = devicePixelRatio || 1;
    [camera.width, camera.height] = [stage.clientWidth, stage.clientHeight];
    for (const canvas of [this.canvas, this.overlay]) {
      canvas.width = Math.max(1, Math.round(camera.width * ratio));
      canvas.height = Math.max(1, Math.round(camera.height * ratio));
      canvas.style.width = `${camera.width}px`;
      canvas.style.height = `${camera.height}px`;
    }
    this.redraw();
  }

  redraw() {
    this.frame ||= requestAnimationFrame(() => { this.frame = 0; this.draw(); });
  }

  // Draws while the map is moved: as many points as this machine draws smoothly; all of them as soon as it rests.
  move() {
    this.movedAt = performance.now();
    clearTimeout(this.restTimer);
    this.restTimer = setTimeout(() => this.redraw(), 1000 * REST_SECONDS + 20);
    this.redraw();
  }

  draw() {
    const { view } = this, { points, camera, stage } = view, { width, height } = camera, ratio = devicePixelRatio || 1;
    if (!width || !height) return;
    const context = /** @type {CanvasRenderingContext2D} */ (this.overlay.getContext("2d")), { colours } = view.app;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    if (!points || !this.given) return this.painter.clear();
    const box = camera.box(), seen = points.countIn(box), place = { x: camera.x, y: camera.y, scale: camera.scale(), width, height, ratio };
    this.painter.draw({ ...place, box, levels: this.levels(box), size: sizeOf(seen, view.hasShapes), opacity: seen > 300_000 ? 0.4 : seen > 20_000 ? 0.65 : 1 });
    const isNear = seen <= MOST_BY_ZOOM && camera.zoom > 1.4;
    if (view.mode === "pictures" || (view.mode === "auto" && isNear)) drawPictures(context, view, box);
    drawContours(context, view.contours, place, colours);
    const asked = /^\d+$/.test(view.q ?? "") ? 2 * Number(view.q) : null, line = view.line;
    if (asked !== null) drawRing(context, camera.toScreen(points.plane[asked], points.plane[asked + 1]), colours);
    if (line?.length > 1) drawLasso(context, line.map(([x, y]) => camera.toScreen(x, y)), colours.accent);
    if (stage.matches(":focus-visible")) drawMiddle(context, camera, colours.ink);
    view.names.place(camera);
    stage.dataset.points = String(this.drawn);
  }

  // How many levels of points are drawn now; the time between frames tells how many may be.
  levels(box) {
    const { points } = this.view, now = performance.now(), gap = (now - this.drawnAt) / 1000, isMoving = now - this.movedAt < 1000 * REST_SECONDS;
    this.drawnAt = now;
    if (isMoving && this.wasMoving && gap < 1) {
      if (gap > SLOW_SECONDS) this.affordable = Math.max(points.countIn(box, 1), 0.75 * Math.min(this.affordable, this.drawn));
      this.isFast &&= gap < FAST_SECONDS;
    } else if (isMoving) this.isFast = true;
    else if (this.wasMoving && this.isFast) this.affordable *= 1.5;
    this.wasMoving = isMoving;
    let levels = points.levels;
    while (isMoving && levels > 1 && points.countIn(box, levels) > this.affordable) levels--;
    this.drawn = points.countIn(box, levels);
    return levels;
  }
}

const freshCanvas = () => /** @type {HTMLCanvasElement} */ (h("canvas", { "aria-hidden": "true" }));

// Pixels across a point, where so many are in sight; shapes need some to be told apart.
function sizeOf(seen, hasShapes) {
  const size = seen > 300_000 ? 1.5 : seen > 20_000 ? 2 : seen > 4000 ? 3 : seen > 1000 ? 5 : 7;
  return hasShapes && seen <= 20_000 ? Math.max(5, size + 1) : size;
}
