// Pictures sharper than thumbnails, for tiles that are larger: fetched when nothing moves, a few at a time; the least used are forgotten.

const REST_SECONDS = 0.15;
const IN_FLIGHT = 4;
const KEPT_PIXELS = 48e6;

export class SharpPictures {
  constructor(source, tell) {
    this.source = source;
    this.tell = tell;  // is called when one is there
    this.kept = new Map();  // row -> { bitmap, px }; a bitmap may be null where there is none
    this.wanted = new Map();  // row -> pixels of its longer side
    this.asked = new Map();  // row -> pixels, of what is on its way
    this.timer = 0;
  }

  // { bitmap, isEnough } of a row for a side of so many pixels, or undefined while there is none.
  get(row, px) {
    const known = this.kept.get(row), wished = this.source.sizedUrl(row, px);
    if (known) {
      this.kept.delete(row);
      this.kept.set(row, known);  // the youngest now
    }
    if (!wished || (known && known.px >= wished.px)) return known?.bitmap ? { bitmap: known.bitmap, isEnough: true } : undefined;
    if (!(this.asked.get(row) >= wished.px)) {
      this.wanted.set(row, px);
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.fetch(), 1000 * REST_SECONDS);
    }
    return known?.bitmap ? { bitmap: known.bitmap, isEnough: false } : undefined;
  }

  forgetWishes() {
    this.wanted.clear();
  }

  fetch() {
    for (const [row, px] of this.wanted) {
      if (this.asked.size >= IN_FLIGHT) return;
      const wished = this.source.sizedUrl(row, px);
      this.wanted.delete(row);
      this.asked.set(row, wished.px);
      this.load(row, wished).finally(() => { this.asked.delete(row); this.fetch(); });
    }
  }

  async load(row, { url, px }) {
    let bitmap = null;
    try {
      const answer = await fetch(url);
      if (answer.ok) bitmap = await createImageBitmap(await answer.blob());
    } catch { /* the thumbnail stays */ }
    this.kept.get(row)?.bitmap?.close();
    this.kept.delete(row);
    this.kept.set(row, { bitmap, px });
    this.forget();
    this.tell();
  }

  forget() {
    let pixels = 0;
    for (const [row, { bitmap }] of [...this.kept].reverse()) {
      pixels += bitmap ? bitmap.width * bitmap.height : 0;
      if (pixels <= KEPT_PIXELS) continue;
      bitmap?.close();
      this.kept.delete(row);
    }
  }
}
