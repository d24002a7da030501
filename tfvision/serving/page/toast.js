// What is said to people for a few seconds.

import { part } from "./dom.js";

const SECONDS = 5;
let timer = 0;

// Shows a text in #toast, within `host`: what lies under a dialog is not seen.
export function say(text, isError = false, host = document.body) {
  const toast = part("toast");
  if (toast.parentNode !== host) host.append(toast);
  toast.textContent = text;
  toast.className = isError ? "shown error" : "shown";
  clearTimeout(timer);
  timer = window.setTimeout(() => { toast.className = ""; }, 1000 * SECONDS);
}
