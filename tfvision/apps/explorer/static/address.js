// Every view has an address: #view?name=value&name=value. A name may stand several times. Pictures stand in it by their id
// (`id:bees/12.jpg`), for their numbers are others after an update; the page itself knows them by number.

const OF_PICTURES = ["q", "trail", "at", "large"];
const STAYING = ["layer", "f", "r", "has", "text", "tag", "caption", "edge"];  // from view to view: the layer, the filters, what tiles show
const ids = new Map(), rows = new Map();  // number -> id, id -> number; both as texts
let all = /** @type {string[] | null} */ (null);  // every id, by number, once they are loaded
let shown = null;  // the view that is on the page

export function learn(row, id) {
  ids.set(String(row), id);
  rows.set(id, String(row));
}

// All ids at once: of a million, no map is made, for an address names a few.
export function learnAll(names) {
  all = names;
}

function rowOf(id) {
  if (!rows.has(id) && all) {
    const row = all.indexOf(id);
    rows.set(id, row < 0 ? undefined : String(row));
  }
  return rows.get(id);
}

const idOf = row => ids.get(row) ?? (/^\d+$/.test(row) ? all?.[row] : undefined);

export const knows = id => rowOf(id) !== undefined;

// The number of a picture for its name in an address, and back; other names stay.
export const inside = name => (name.startsWith("id:") ? rowOf(name.slice(3)) ?? name : name);
export const outside = name => (idOf(name)?.isWellFormed() ? `id:${idOf(name)}` : name);

export function read() {
  const hash = location.hash.slice(1), end = (hash + "?").indexOf("?"), view = hash.slice(0, end), query = hash.slice(end + 1), params = new URLSearchParams();
  for (const [name, value] of new URLSearchParams(query)) {
    const values = name === "trail" && /^\d+(\.\d+)+$/.test(value) ? value.split(".") : [value];  // tfvision 0.4 wrote 1.2.3
    for (const one of values) params.append(name, OF_PICTURES.includes(name) ? inside(one) : one);
  }
  return { view: view || "browse", params };
}

// A finite number of the address, within its limits; what is none counts as missing.
export function numberOf(params, name, missing, least = -Infinity, most = Infinity) {
  const text = params.get(name)?.trim(), value = Number(text);
  return text && Number.isFinite(value) ? Math.max(least, Math.min(most, value)) : missing;
}

export function href(view, params = {}) {
  const query = new URLSearchParams();
  const add = (name, value) => query.append(name, OF_PICTURES.includes(name) ? outside(String(value)) : value);
  if (params instanceof URLSearchParams) params.forEach((value, name) => add(name, value));
  else {
    for (const [name, value] of Object.entries({ ...staying(view), ...params })) {
      for (const one of [value].flat()) if (one !== null && one !== undefined && one !== "") add(name, one);
    }
  }
  const text = query.toString();
  return `#${view}${text ? "?" + text : ""}`;
}

// What the present address has of what stays; the basket's tag is no filter.
function staying(view) {
  const now = read(), names = STAYING.filter(name => name !== "tag" || ![view, now.view].includes("basket"));
  return Object.fromEntries(names.map(name => [name, now.params.getAll(name)]));
}

export function go(view, params) {
  location.hash = href(view, params);
}

// Writes the present address anew, by ids once these are known.
export function rewrite() {
  const { view, params } = read(), next = href(view, params);
  if (location.hash && next !== location.hash) history.replaceState(null, "", next);
}

// From now on only this view's controls change the address: one that was left may still have something typed.
export function shows(view) {
  shown = view;
}

// Changes some names of the present address; null takes one away. `isStep` makes it a step that Back undoes; `isOfAllViews` is of what
// belongs to no view.
export function change(changes, isStep = true, isOfAllViews = false) {
  const { view, params } = read();
  if (shown !== null && view !== shown && !isOfAllViews) return;
  for (const [name, value] of Object.entries(changes)) {
    params.delete(name);
    for (const one of [value].flat()) if (one !== null && one !== undefined && one !== "") params.append(name, one);
  }
  const next = href(view, params);
  if (next === location.hash) return;
  if (isStep) location.hash = next;
  else {
    history.replaceState(null, "", next);
    dispatchEvent(new Event("readdressed"));
  }
}
