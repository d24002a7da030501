// Three lines for who sees the page for the first time; dismissed, they do not come back in this browser.

import { button, h } from "./dom.js";

const KEY = "tfvision-first-run";
const LINES = [
  "Click a picture to see what the network finds alike.",
  "Press e, or hold a finger on it: the picture large, and where the network looks.",
  "Space, or the button ✓ and taps, collects pictures in the basket; ? lists the keys.",
];

export function firstRun(host) {
  if (isDismissed()) return;
  const card = h("aside", { class: "first-run", "aria-label": "first steps" }, h("ol", {}, LINES.map(line => h("li", {}, line))), button("Got it", () => dismiss(), { class: "primary" }));
  const dismiss = () => {
    card.remove();
    try { localStorage.setItem(KEY, "seen"); } catch { /* a private window: it comes back with the next page */ }
  };
  host.append(card);
}

function isDismissed() {
  try { return localStorage.getItem(KEY) !== null; } catch { return false; }
}
