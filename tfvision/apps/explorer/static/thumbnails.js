// Thumbnails as bitmaps, fetched in batches, the latest wish first; the least used are forgotten.

import { Decoder } from "./decoding.js";

const KEPT = 2400;
const BATCH = 96;
const IN_FLIGHT = 3;
const FIRST_BATCH = 16;  // are shown while the others of the first screen are decoded
const AGAIN_SECONDS = 0.4;

export class Thumbnails {
  constructor(source) {
    this.source = source;
    this.decoder = new Decoder();
    this.bitmaps = new Map();  // row -> ImageBitmap, or null where the picture cannot be read
    this.wanted = new Map();  // in the order of wishes
    this.asked = new Set();
    this.listeners = new Set();
    this.flying = 0;
  }

  // The bitmap of a row; undefined while it is not there: it is fetched, and the listeners are called.
  get(row) {
    const bitmap = this.bitmaps.get(row);
    if (bitmap !== undefined) {
      this.bitmaps.delete(row);
      this.bitmaps.set(row, bitmap);  // the youngest now
      return bitmap;
    }
    if (!this.asked.has(row)) {
      this.wanted.delete(row);
      this.wanted.set(row, true);
      this.plan();
    }
    return undefined;
  }

  // Forgets wishes for what has been scrolled away.
  forgetWishes() {
    this.wanted.clear();
  }

  // Tries those again that could not be read.
  retry() {
    this.bitmaps.forEach((bitmap, row) => { if (!bitmap) this.bitmaps.delete(row); });
    this.tell();
  }

  // Resolves when the first pictures are there, or after so many seconds.
  first(seconds) {
    return /** @type {Promise<void>} */ (new Promise(done => {
      const once = () => { this.listeners.delete(once); done(); };
      this.listeners.add(once);
      setTimeout(once, 1000 * seconds);
    }));
  }

  plan() {
    if (this.planned) return;
    this.planned = true;
    queueMicrotask(() => { this.planned = false; this.fetch(); });
  }

  async fetch() {
    if (this.flying >= IN_FLIGHT || !this.wanted.size) return;
    const rows = [...this.wanted.keys()].slice(-BATCH);
    rows.forEach(row => { this.wanted.delete(row); this.asked.add(row); });
    this.flying += 1;
    let isComplete = true;
    try {
      const found = await this.source.thumbnails(rows);
      isComplete = found.size === rows.length;
      await Promise.all(parts([...found], this.bitmaps.size ? BATCH : FIRST_BATCH).map(some => this.take(some)));
    } catch {
      isComplete = false;
    }
    rows.forEach(row => this.asked.delete(row));
    this.flying -= 1;
    if (!isComplete) setTimeout(() => this.tell(), 1000 * AGAIN_SECONDS);  // who still wants the rest will ask again
    this.fetch();
  }

  // [row, encoded] of some; those of null cannot be read.
  async take(some) {
    const there = some.filter(([, encoded]) => encoded), bitmaps = await this.decoder.decode(there.map(([, encoded]) => encoded));
    for (const [row, encoded] of some) this.keep(row, encoded ? bitmaps.shift() ?? null : null);
    this.tell();
  }

  keep(row, bitmap) {
    this.bitmaps.set(row, bitmap);
    if (this.bitmaps.size > KEPT) {
      const oldest = this.bitmaps.keys().next().value;
      this.bitmaps.get(oldest)?.close();
      this.bitmaps.delete(oldest);
    }
  }

  tell() {
    this.listeners.forEach(listener => listener());
  }
}

function parts(list, size) {
  return Array.from({ length: Math.ceil(list.length / size) }, (_, number) => list.slice(number * size, (number + 1) * size));
}

// Draws the middle square of a bitmap.
export function drawCover(context, bitmap, x, y, size) {
  const side = Math.min(bitmap.width, bitmap.height);
  context.drawImage(bitmap, (bitmap.width - side) / 2, (bitmap.height - side) / 2, side, side, x, y, size, size);
}

// Draws all of a bitmap, as large as fits; one that is as sharp as its picture is not blurred where it has to be magnified.
export function drawWhole(context, bitmap, x, y, width, height, isSharp) {
  const scale = Math.min(width / bitmap.width, height / bitmap.height), w = bitmap.width * scale, h = bitmap.height * scale;
  context.imageSmoothingEnabled = !(isSharp && scale * (devicePixelRatio || 1) > 2);
  context.drawImage(bitmap, x + (width - w) / 2, y + (height - h) / 2, w, h);
  context.imageSmoothingEnabled = true;
}

// A small canvas with a thumbnail, for lists.
export function small(thumbnails, row, size = 48) {
  const canvas = document.createElement("canvas"), ratio = devicePixelRatio || 1;
  canvas.className = "small";
  canvas.width = canvas.height = size * ratio;
  canvas.style.width = canvas.style.height = `${size}px`;
  canvas.setAttribute("aria-hidden", "true");
  let tries = 0;
  const draw = () => {
    if (tries++ > 100 || (tries > 2 && !canvas.isConnected)) return thumbnails.listeners.delete(draw);
    const bitmap = thumbnails.get(row);
    if (bitmap === undefined) return;
    thumbnails.listeners.delete(draw);
    if (bitmap) drawCover(canvas.getContext("2d"), bitmap, 0, 0, canvas.width);
  };
  thumbnails.listeners.add(draw);
  draw();
  return canvas;
}
