// What the labels of a column look like on the map, how many pictures of each are left, and which of them are shown: by a click on the legend.

import { button, h, number, svg } from "./dom.js";
import { colourOf, MOST_SIGNS, OTHER, shapeOf, shapePath } from "./palette.js";

const OTHERS = "others", NONE = "none";  // beside "=LABEL", in the address

// { entries: [{ key, text, count, colour, shape, isShown }], ofCode: the entry of each code, that of no value last }
/** @param {Uint8Array | null} isKept  which rows the filters leave */
export function labelled(column, isKept, params, isDark) {
  const { codes, values } = column, all = new Uint32Array(values.length + 1), left = new Uint32Array(values.length + 1);
  for (let row = 0; row < codes.length; row++) {
    const code = codes[row] < 0 ? values.length : codes[row];
    all[code]++;
    if (!isKept || isKept[row]) left[code]++;
  }
  const counts = values.length > MOST_SIGNS ? left : all;  // where all have a sign of their own, it stays theirs under any filter
  const signed = [...values.keys()].filter(code => all[code]).sort((a, b) => counts[b] - counts[a] || a - b).slice(0, MOST_SIGNS);
  const [hidden, only] = ["hide", "only"].map(name => new Set(params.getAll(name)));
  const entry = (key, text, colour, shape) => ({ key, text, colour, shape, count: 0, isShown: only.size ? only.has(key) : !hidden.has(key) });
  const ofCode = /** @type {ReturnType<typeof entry>[]} */ (new Array(all.length));
  const entries = signed.map((code, index) => (ofCode[code] = entry(`=${values[code]}`, values[code], colourOf(index, isDark), shapeOf(index))));
  const others = entry(OTHERS, `${number(values.length - signed.length)} others`, OTHER, 0), none = entry(NONE, `without ${column.name}`, OTHER, 0);
  all.forEach((count, code) => {
    const mine = (ofCode[code] ||= code === values.length ? none : others);
    mine.count += left[code];
  });
  if (values.length > signed.length && values.some((_, code) => all[code] && ofCode[code] === others)) entries.push(others);
  if (all[values.length]) entries.push(none);
  return { entries, ofCode };
}

// What to write into the address so that just these keys are shown.
export function shownOnly(entries, keys) {
  const hidden = entries.map(one => one.key).filter(key => !keys.has(key));
  if (!hidden.length) return { hide: null, only: null };
  return hidden.length <= entries.length / 2 ? { hide: hidden, only: null } : { hide: null, only: [...keys] };
}

// The list; `show` is given what to write into the address.
export function legendOf(entries, title, show) {
  const shown = new Set(entries.filter(one => one.isShown).map(one => one.key));
  const toggled = key => new Set(shown.has(key) ? [...shown].filter(one => one !== key) : [...shown, key]);
  const lines = entries.map(({ key, text, count, colour, shape, isShown }) => {
    const isOnly = isShown && shown.size === 1, next = toggled(key);
    return h("div", { class: count ? "entry" : "entry none-left" },
      h("button", { type: "button", class: "label", "aria-pressed": String(isShown), title: isShown ? "hide" : "show", "data-key": key, onclick: () => show(shownOnly(entries, next.size ? next : new Set(entries.map(one => one.key)))) }, signOf(colour, shape), h("span", { class: "text" }, text), h("span", { class: "soft" }, number(count))),
      button(isOnly ? "all" : "only", () => show(isOnly ? { hide: null, only: null } : shownOnly(entries, new Set([key]))), { class: "only", "data-key": `only ${key}`, "aria-label": isOnly ? "show all labels" : `only ${text}` }));
  });
  return [h("div", { class: "head" }, h("strong", {}, title), shown.size < entries.length ? button("Show all", () => show({ hide: null, only: null }), { class: "only" }) : ""), ...lines];
}

const signOf = (colour, shape) => svg("svg", { viewBox: "-1.1 -1.1 2.2 2.2", "aria-hidden": "true" }, svg("path", { d: shapePath(shape), fill: colour }));
