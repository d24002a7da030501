// Questions in words, where the server was started with a text model.

import { go, read } from "./address.js";
import { h } from "./dom.js";
import { addToComparison } from "./query.js";

const MOST_CHARACTERS = 500;
const PATIENCE_SECONDS = 0.7;
let asked = 0;  // texts: only the last one leads on

// A field that asks for what a text says, or nothing where no layer can be asked in words.
export function textField(app) {
  if (!app.status.text_layers?.length) return "";
  const field = h("input", { type: "search", id: "words", maxlength: MOST_CHARACTERS, placeholder: "Ask in words …", "aria-label": "ask in words", enterkeyhint: "search" });
  return h("form", { role: "search", "aria-label": "in words", class: "words", onsubmit: event => { event.preventDefault(); ask(app, field.value); } }, field);
}

async function ask(app, text) {
  if (!text.trim()) return;
  const mine = ++asked, layers = app.status.text_layers, layer = layers.includes(app.layer()) ? app.layer() : layers[0];
  const waiting = setTimeout(() => app.say("The text is being read. The first time, this takes a while."), 1000 * PATIENCE_SECONDS);
  try {
    const { name } = await app.source.askInWords(text, layer), { view, params } = read();
    if (mine !== asked) return;
    if (view === "compare") return addToComparison(app, name);
    go(["distribution", "verdict"].includes(view) ? view : "near", { q: name, layer: layer || null, x: view === "verdict" ? params.get("x") : null });
  } catch (error) {
    app.say(error.message, true);
  } finally {
    clearTimeout(waiting);
  }
}
