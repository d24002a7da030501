// Encoded pictures to bitmaps, in a worker, so that the page goes on meanwhile; where there is none, on the page itself.

export class Decoder {
  constructor() {
    /** @type {Map<number, { encoded: Uint8Array[], done: (bitmaps: (ImageBitmap | null)[]) => void }>} */
    this.waiting = new Map();
    this.asked = 0;
    try { this.worker = new Worker(new URL("./decoding_worker.js", import.meta.url), { type: "module" }); } catch { return; }
    this.worker.addEventListener("message", ({ data: { number, bitmaps } }) => this.answer(number, bitmaps));
    this.worker.addEventListener("error", () => this.goOnWithout());
  }

  // A bitmap for each, null where it cannot be read.
  /** @param {Uint8Array[]} encoded  @returns {Promise<(ImageBitmap | null)[]>} */
  decode(encoded) {
    const { worker } = this;
    if (!worker) return Promise.all(encoded.map(decode));
    return new Promise(done => {
      this.waiting.set(++this.asked, { encoded, done });
      worker.postMessage({ number: this.asked, encoded });
    });
  }

  answer(number, bitmaps) {
    this.waiting.get(number)?.done(bitmaps);
    this.waiting.delete(number);
  }

  goOnWithout() {
    this.worker = undefined;
    this.waiting.forEach(async ({ encoded }, number) => this.answer(number, await Promise.all(encoded.map(decode))));
  }
}

// By WebCodecs where a browser has them: a Blob for each picture is a question to another process, which costs more than the decoding.
/** @param {Uint8Array} encoded  @returns {Promise<ImageBitmap | null>} */
export async function decode(encoded) {
  try { return await decodeByCodecs(encoded); } catch { /* not there, or another kind of picture */ }
  try { return await createImageBitmap(new Blob([/** @type {BlobPart} */ (encoded)])); } catch { return null; }
}

async function decodeByCodecs(encoded) {
  const decoder = new ImageDecoder({ data: encoded, type: encoded[0] === 0xff ? "image/jpeg" : "image/webp" });
  try {
    const { image } = await decoder.decode(), bitmap = await createImageBitmap(image);
    image.close();
    return bitmap;
  } finally {
    decoder.close();
  }
}
