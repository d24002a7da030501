// The worker of decoding.js: { number, encoded: Uint8Array[] } -> { number, bitmaps }.

import { decode } from "./decoding.js";

addEventListener("message", async ({ data: { number, encoded } }) => {
  const bitmaps = await Promise.all(encoded.map(decode));
  postMessage({ number, bitmaps }, { transfer: /** @type {ImageBitmap[]} */ (bitmaps.filter(Boolean)) });
});
