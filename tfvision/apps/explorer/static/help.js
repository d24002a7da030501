// What the keys do.

import { button, h } from "./dom.js";

/** @type {[string, [string, string][]][]} */
const KEYS = [
  ["Everywhere", [["1 to 8", "the views"], ["/", "search by name"], ["f", "filters"], ["p", "to the pictures"], ["t", "light or dark"], ["z, Ctrl + z", "undo a mark, tag or pick"], ["Backspace", "back"], ["?", "this help"]]],
  ["Pictures", [["arrows", "move"], ["Enter", "open the neighbourhood"], ["Space", "into the basket, or out"], ["Shift + arrows", "pick on the way"], ["v", "enlarge"], ["c", "correct its label"], ["e", "large view; or the sign ⤢ under the pointer"], ["Home, End", "first, last"], ["Page Up, Page Down", "a page back, a page on"], ["+ −", "larger, smaller"], ["Ctrl + a", "all into the basket"], ["Ctrl + click", "into the basket"], ["Shift + click", "all from the last one, no more"], ["long press", "large view, by touch; the button ✓ and taps pick"]]],
  ["Large view", [["← →", "the picture before, the next; or swipe"], ["+ −", "zoom; or wheel, pinch, double click"], ["Shift + arrows", "move"], ["0", "the whole picture"], ["1", "a pixel for a pixel"], ["g", "where the network looks"], ["c", "correct its label"], ["Space", "into the basket, or out"], ["Enter", "open the neighbourhood"], ["e, Esc", "close"]]],
  ["Verdict", [["y", "right"], ["n", "wrong"], ["u", "not judged"]]],
  ["Map", [["arrows", "move"], ["+ −", "nearer, farther"], ["0", "everything"], ["Enter", "open the picture in the middle"], ["Space", "pick it"], ["s", "select what is in sight"], ["l", "lasso, or Shift + drag"], ["Esc", "ends the lasso, then the selection"]]],
];

export function openHelp() {
  const sections = KEYS.map(([title, keys]) => h("section", {}, h("h3", {}, title), h("dl", {}, keys.map(([key, what]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, what)]))));
  const dialog = h("dialog", { class: "help", "aria-labelledby": "help-title", onclose: () => dialog.remove() },
    h("header", {}, h("h2", { id: "help-title" }, "Keys"), button("Close", () => dialog.close())),
    h("p", {}, "Drop a picture on the page, paste one, or open one with the button ⇧, to ask for what is like it. The address of the page always leads back to what you see."),
    h("div", { class: "help-keys" }, sections));
  document.body.append(dialog);
  dialog.addEventListener("keydown", event => {
    if (event.key !== "?") return;
    event.stopPropagation();  // or the page would open it again
    dialog.close();
  });
  dialog.showModal();
}
