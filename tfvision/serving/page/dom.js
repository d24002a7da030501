// Elements in one call: h("button", { class: "plain", onclick: go }, "Go").

export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(2).filter(child => child !== null && child !== undefined && child !== false));
  return element;
}

// The same for a drawing.
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

// An element that index.html has, or that drawBar made.
export const part = id => /** @type {HTMLElement} */ (document.getElementById(id));

// The first element that fits, or null.
export const first = (selector, within = document.body) => /** @type {HTMLElement | null} */ (within.querySelector(selector));

// The focus for what has just come; who types or chooses elsewhere keeps it.
export function takeFocus(element, options = {}) {
  if (!document.activeElement?.closest("input, textarea, select, #filters, #facets")) element.focus({ preventScroll: true, ...options });
}

export function select(label, options, value, onchange, attributes = {}) {
  const list = options.map(([key, text]) => h("option", { value: key, selected: key === value }, text));
  return h("label", { class: "field" }, h("span", {}, label), h("select", { "aria-label": label, onchange: event => onchange(event.target.value), ...attributes }, list));
}

export function segmented(label, options, value, onchange) {
  const buttons = options.map(([key, text]) =>
    h("button", { type: "button", "aria-pressed": String(key === value), onclick: () => onchange(key) }, text));
  return h("div", { class: "segmented", role: "group", "aria-label": label }, buttons);
}

export function button(text, onclick, attributes = {}) {
  return h("button", { type: "button", onclick, ...attributes }, text);
}

export function state(text, ...more) {
  return h("div", { class: "state" }, h("p", {}, text), ...more);
}

export function failed(error, again) {
  return h("div", { class: "state failed", role: "alert" }, h("p", {}, error.message), again && button("Try again", again));
}

let pressed = /** @type {Element | null} */ (null);  // the button or link under a pointer that is down
const afterPress = new Map();  // element -> what it holds from then on

addEventListener("pointerdown", event => { pressed = event.button === 0 && event.target instanceof Element ? event.target.closest("button, a") : null; }, true);
for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => setTimeout(release), true);  // after the click

function release() {
  pressed = null;
  const waiting = [...afterPress];
  afterPress.clear();
  waiting.forEach(([host, children]) => refill(host, ...children));
}

// Replaces what is in an element; the focus stays with what is called the same, and what is pressed stays until it is clicked.
export function refill(host, ...children) {
  if (pressed && host.contains(pressed)) return void afterPress.set(host, children);
  afterPress.delete(host);
  const focusAgain = keepFocus(host);
  host.replaceChildren(...children.flat(2));
  focusAgain();
}

// Where the focus is in an element: a function that gives it, once this was drawn anew, to what is called the same, else to the first that
// takes it, unless somebody went elsewhere meanwhile, and returns true. Else one that returns false.
export function keepFocus(host) {
  const focused = document.activeElement, name = host !== focused && host.contains(focused) ? called(focused) : null;
  return () => {
    if (name === null) return false;
    if (![null, document.body].includes(/** @type {HTMLElement | null} */ (document.activeElement))) return true;
    const all = /** @type {HTMLElement[]} */ ([...host.querySelectorAll(":enabled, a[href]")]);
    (all.find(one => called(one) === name) ?? all[0])?.focus({ preventScroll: true });
    return true;
  };
}

const called = element => `${element.tagName} ${element.getAttribute("aria-label") ?? element.textContent}`;

// What may be wider than the page: the keys reach what lies outside.
export function scrolling(label, child) {
  return h("div", { class: "scroll-x", tabindex: "0", role: "group", "aria-label": label }, child);
}

export function progress(share, text) {
  const bar = h("progress", { max: "1", "aria-label": text });
  if (share !== null) bar.value = share;
  return h("div", { class: "progress" }, bar, h("span", {}, text));
}

export function download(name, data, type) {
  const url = URL.createObjectURL(data instanceof Blob ? data : new Blob([data], { type }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

export function later(seconds, action) {
  let timer;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => action(...values), 1000 * seconds);
  };
}

// At most once in so many seconds, with what was asked last.
export function paced(seconds, action) {
  let timer = 0, latest = [];
  return (...values) => {
    latest = values;
    timer ||= window.setTimeout(() => { timer = 0; action(...latest); }, 1000 * seconds);
  };
}

export function bytesText(bytes) {
  if (bytes < 1000) return plural(bytes, "byte");
  if (bytes < 1e6) return `${Math.round(bytes / 1e3)} kB`;
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}

const NUMBERS = new Intl.NumberFormat("en");
export const number = value => NUMBERS.format(Number(value));
export const score = value => (value === null || value === undefined ? "–" : value.toFixed(3));
// A share just below the whole is not told as the whole.
export const percent = value => (value === null || value === undefined ? "–" : value >= 99.95 && value < 100 ? ">99.9" : value.toFixed(1)) + " %";
export const plural = (count, one, many = one + "s") => `${number(count)} ${count === 1 ? one : many}`;
