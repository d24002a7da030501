// Sentences on what the figures beside them mean here. The server writes them (plain_words.py); a static copy has none.

import { h } from "./dom.js";

const ROOMY_PX = 620;  // of height; in a lower window they are opened when they are wanted

export function inWords(words) {
  if (!words?.length) return "";
  return h("details", { class: "words", open: innerHeight > ROOMY_PX }, h("summary", {}, "In plain words"), [words].flat().map(text => h("p", {}, text)));
}
