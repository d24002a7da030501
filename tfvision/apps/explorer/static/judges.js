// Who judges: a name that each types, kept for this tab and offered in the next; and the marks of each, apart from the others'.

const own = (object, name) => (object && Object.hasOwn(object, name) ? object[name] : undefined);
const keyOf = app => `tfvision-judge-${app.status.key}`;
let typed = /** @type {string | null} */ (null);  // in this page, where a private window keeps nothing

export function judgeName(app) {
  try { return typed ?? sessionStorage.getItem(keyOf(app)) ?? localStorage.getItem(keyOf(app)) ?? ""; } catch { return ""; }
}

export function nameJudge(app, name) {
  typed = name;
  try {
    sessionStorage.setItem(keyOf(app), name);
    localStorage.setItem(keyOf(app), name);
  } catch { /* a private window */ }
}

// {row: is right} that a judge gave the hits of a query; "" is who gives no name.
export const marksOf = (notes, x, judge, q) => own(judge ? own(own(notes.judges, x), judge) : notes.marks[x], q) || {};

export function setMarks(notes, x, judge, q, marks) {
  if (!judge) return void ((notes.marks[x] ||= {})[q] = marks);
  const judges = (notes.judges ||= {}), ofQuestion = own(judges, x) || (judges[x] = {});
  (own(ofQuestion, judge) || (ofQuestion[judge] = {}))[q] = marks;
}

// Queries that others judged and this judge has not begun.
export function waiting(notes, x, judge) {
  const all = new Map([["", notes.marks[x] || {}], ...Object.entries(own(notes.judges, x) || {})]), mine = all.get(judge) || {};
  return [...new Set([...all.values()].flatMap(Object.keys))].filter(q => !own(mine, q));
}

// Those who judged a question, by name.
export const judgesOf = (notes, x) => Object.keys(own(notes.judges, x) || {}).filter(name => Object.keys(notes.judges[x][name]).length);
