// Light or dark: as the system is, or as was chosen here, in this browser.

import { button } from "./dom.js";

const KEY = "tfvision-theme";

// Heeds what was chosen before; to be called first.
export function readTheme() {
  const theme = (() => { try { return localStorage.getItem(KEY); } catch { return null; } })();
  if (theme) document.documentElement.dataset.theme = theme;
}

export function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

// The button that changes it; `changed()` is called then.
export function themeButton(changed = () => {}) {
  const one = button("", () => { setTheme(isDark() ? "light" : "dark"); label(); changed(); }, { class: "icon", id: "theme" });
  const label = () => { one.textContent = isDark() ? "☀" : "☾"; one.setAttribute("aria-label", isDark() ? "light colours" : "dark colours"); };
  label();
  return one;
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  try { localStorage.setItem(KEY, theme); } catch { /* a private window */ }
}
