// Every view has an address: #view?name=value&name=value. A name may stand several times.

export function read() {
  const [view, query = ""] = location.hash.slice(1).split("?");
  return { view: view || "browse", params: new URLSearchParams(query) };
}

export function href(view, params = {}) {
  const query = params instanceof URLSearchParams ? new URLSearchParams(params) : new URLSearchParams();
  if (!(params instanceof URLSearchParams)) {
    for (const [name, value] of Object.entries(params)) {
      for (const one of [value].flat()) if (one !== null && one !== undefined && one !== "") query.append(name, one);
    }
  }
  const text = query.toString();
  return `#${view}${text ? "?" + text : ""}`;
}

export function go(view, params) {
  location.hash = href(view, params);
}

// Changes some names of the present address; null takes one away. `isStep` makes it a step that Back undoes.
export function change(changes, isStep = true) {
  const { view, params } = read();
  for (const [name, value] of Object.entries(changes)) {
    params.delete(name);
    for (const one of [value].flat()) if (one !== null && one !== undefined && one !== "") params.append(name, one);
  }
  const next = href(view, params);
  if (next === location.hash) return;
  if (isStep) location.hash = next;
  else history.replaceState(null, "", next);
}
