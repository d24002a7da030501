// What is drawn over the points of the map: pictures, contours, the query, the lasso.

import { drawCover } from "./thumbnails.js";

const MIDDLE_PX = 7;
const PICTURE_SIZES = [120, 96, 72, 54, 40, 28];

// Where pictures would lie on each other, one for each cell of a grid that stays where it is on the map. `view` is the View of map.js.
export function drawPictures(context, view, box) {
  const { points, app, camera } = view, fits = (camera.width * camera.height) / Math.max(20, countUpTo(points, box, 4000));
  const size = PICTURE_SIZES.find(one => one * one < fits) ?? 28, cell = size / 2 ** (Math.floor(2 * Math.log2(camera.scale())) / 2);
  const [left, bottom] = [Math.floor(box.left / cell) - 1, Math.floor(box.bottom / cell) - 1], columns = Math.ceil(box.right / cell) - left + 2, lines = Math.ceil(box.top / cell) - bottom + 2;
  const taken = new Uint8Array(columns * lines), wide = { left: box.left - cell, right: box.right + cell, bottom: box.bottom - cell, top: box.top + cell };
  let looked = 0;
  app.thumbnails.forgetWishes();
  points.visit(wide, (row, x, y) => {
    const place = (Math.floor(y / cell) - bottom) * columns + Math.floor(x / cell) - left;
    looked++;
    if (taken[place]) return;
    taken[place] = 1;
    const bitmap = app.thumbnails.get(row), [sx, sy] = camera.toScreen(x, y);
    if (!bitmap) return;
    context.globalAlpha = view.selected && !view.selected[row] ? 0.25 : 1;
    context.fillStyle = view.shownColour ? unpacked(view.looks[row]) : app.colours.ground;
    context.fillRect(sx - size / 2 - 2, sy - size / 2 - 2, size + 4, size + 4);
    drawCover(context, bitmap, sx - size / 2, sy - size / 2, size);
  }, () => looked > 20_000);
  context.globalAlpha = 1;
}

function countUpTo(points, box, most) {
  let count = 0;
  points.visit(box, () => { count++; }, () => count > most);
  return count;
}

// contours: as Density.contours gives them.
export function drawContours(context, contours, { x, y, width, height, ratio, scale }, colours) {
  context.save();
  context.setTransform(scale * ratio, 0, 0, -scale * ratio, (width / 2 - x * scale) * ratio, (height / 2 + y * scale) * ratio);
  context.lineCap = "round";
  for (const [line, colour] of [[3, colours.ground], [1.3, colours.ink]]) {
    context.strokeStyle = colour;
    contours.forEach(({ path }, index) => {
      context.lineWidth = line / scale;
      context.globalAlpha = 0.45 + 0.15 * index;
      context.stroke(path);
    });
  }
  context.restore();
}

export function drawRing(context, [x, y], colours) {
  for (const [width, colour] of [[5, colours.ground], [2.5, colours.ink]]) {
    context.lineWidth = width;
    context.strokeStyle = colour;
    context.beginPath();
    context.arc(x, y, 10, 0, 2 * Math.PI);
    context.stroke();
  }
}

// line: corners on the screen.
export function drawLasso(context, line, accent) {
  context.beginPath();
  line.forEach(([x, y], index) => { index ? context.lineTo(x, y) : context.moveTo(x, y); });
  context.closePath();
  context.fillStyle = accent + "22";
  context.fill();
  context.strokeStyle = accent;
  context.lineWidth = 1.5;
  context.stroke();
}

// Where Enter and Space look.
export function drawMiddle(context, { width, height }, ink) {
  context.strokeStyle = ink;
  context.lineWidth = 1;
  for (const [dx, dy] of [[MIDDLE_PX, 0], [0, MIDDLE_PX]]) {
    context.beginPath();
    context.moveTo(width / 2 - dx, height / 2 - dy);
    context.lineTo(width / 2 + dx, height / 2 + dy);
    context.stroke();
  }
}

const unpacked = value => `rgb(${value & 255},${(value >> 8) & 255},${(value >> 16) & 255})`;
