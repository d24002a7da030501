// Where the page's data come from: the server. The static site has the same functions in static_source.js.

import { ask as askServer } from "./ask.js";

const PENDING = 0xffffffff;
const SIZES_PX = [320, 640, 1280, 2560, 5120];
let collection = { pictures: "", version: 0 };  // of which the page knows the pictures by number

function ask(path, options = {}) {
  const headers = collection.pictures ? { "X-Pictures": collection.pictures } : {};
  const reload = found => { if (found.is_outdated) location.reload(); };  // the numbers are those of other pictures now
  return askServer(path, { headers, ...options }, "tfvision explore", reload);
}

const json = async (path, options) => (await ask(path, options)).json();
const query = (path, params) => {
  const parts = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    for (const one of [value].flat()) if (one !== undefined && one !== null) parts.append(name, one);
  }
  return `${path}?${parts}`;
};
const post = (path, value) => json(path, { method: "POST", body: JSON.stringify(value) });
const wait = seconds => new Promise(done => setTimeout(done, 1000 * seconds));

// What asks for the rows alone that `kept` (1 or 0 for each, or null for all) has: a bit each.
function ofKept(kept) {
  if (!kept) return {};
  const bits = new Uint8Array(Math.ceil(kept.length / 8));
  kept.forEach((isKept, row) => { bits[row >> 3] |= isKept << (row & 7); });
  return { method: "POST", body: bits };
}

// Asks until a job is done; `tell(share, stage)` on the way. `signal.stopped` ends it.
async function job(path, tell, signal, options = {}) {
  for (let pause = 0.15; ; pause = Math.min(1, pause * 1.4)) {
    const answer = await ask(path, options);
    if (answer.status !== 202) return answer;
    const { share, stage } = await answer.json();
    if (signal?.stopped) return null;
    tell(share, stage);
    await wait(pause);
  }
}

export class ServerSource {
  isStatic = false;

  async status() {
    const status = await json("api/status", { headers: {} });
    if (!collection.pictures) collection = status;
    return status;
  }

  names = () => json("api/names");
  columns = () => json("api/columns");
  codes = async number => new Int32Array(await (await ask(`api/codes/${number}`)).arrayBuffer());
  numbers = async number => new Float64Array(await (await ask(`api/numbers/${number}`)).arrayBuffer());
  notes = () => json("api/notes");
  update = gone => post("api/update", { gone });

  imageUrl = row => `image/${row}?of=${collection.pictures}-${collection.version}`;
  // { url, px } of a picture of so many pixels on its longer side at least, of the least size that the server makes.
  sizedUrl(row, px) {
    const size = SIZES_PX.find(one => one >= px) ?? SIZES_PX.at(-1);
    return { url: `${this.imageUrl(row)}&px=${size}`, px: size };
  }

  facts = row => json(`api/facts/${row}`);

  // A PNG of where the network looks in a picture, for a query or, where that is null, for itself; null where it was stopped.
  async attention(row, layer, q, tell, signal) {
    const answer = await job(query(`api/attention/${row}`, { layer, q }), tell, signal);
    return answer && answer.blob();
  }

  outsideUrl = name => `outside/${name.slice(2)}`;

  // row -> Uint8Array; null where the picture cannot be read; missing where it is not made yet
  async thumbnails(rows) {
    const data = await (await ask(`api/thumbnails?rows=${rows.join(",")}`)).arrayBuffer();
    const lengths = new Uint32Array(data, 4, new Uint32Array(data, 0, 1)[0]);
    const found = new Map();
    let start = 4 + 4 * lengths.length;
    rows.forEach((row, index) => {
      const length = lengths[index];
      if (length === PENDING) return;
      found.set(row, length ? new Uint8Array(data, start, length) : null);
      start += length;
    });
    return found;
  }

  titles = names => json(query("api/titles", { q: names }));
  neighbours = (q, layer, k, kept = null) => json(query("api/neighbours", { q, layer, k }), ofKept(kept));
  similarities = async (q, layer) => new Float32Array(await (await ask(query("api/similarities", { q, layer }))).arrayBuffer());
  distribution = (q, layer) => json(query("api/distribution", { q, layer }));
  range = (q, layer, low, high, order, kept = null) => json(query("api/range", { q, layer, low, high, order }), ofKept(kept));
  compare = (names, layer, kept = null) => json(query("api/compare", { q: names, layer }), ofKept(kept));
  pool = (q, x, k) => json(query("api/pool", { q, x, k }));
  verdict = (x, judge = null) => json(query("api/verdict", { x, judge }));  // null: what most judges say

  async map(layer, method, tell, signal) {
    const answer = await job(query("api/map", { layer, method }), tell, signal);
    return answer && new Float32Array(await answer.arrayBuffer());
  }

  async tidy(kind, params, tell, signal, kept = null) {
    const answer = await job(query(`api/tidy/${kind}`, params), tell, signal, ofKept(kept));
    return answer && answer.json();
  }

  async labelRetrieval(column, most, layer, tell, signal) {
    const answer = await job(query("api/label-retrieval", { column, most, layer }), tell, signal);
    return answer && answer.json();
  }

  upload = file => json(query("api/queries", { name: file.name }), { method: "POST", body: file });
  askInWords = (text, layer) => post("api/texts", { text, layer });
  tag = (tag, rows, isTagged) => post("api/tag", { tag, places: rows, is_tagged: isTagged });
  mark = (question, name, marks, judge = "") => post("api/mark", { question, query: name, marks, judge });
  corrections = () => json("api/corrections");
  relabel = (column, rows, label, who) => post("api/relabel", { column, places: rows, label, who });
  restoreLabels = before => post("api/restore-labels", { before });
  correctedManifest = () => post("api/corrected-manifest", {});
  conclude = (question, conclusion) => post("api/conclude", { question, conclusion });
  restore = question => post("api/drop", { question, is_undone: true });
  drop = question => post("api/drop", { question });
  links = (rows, name) => post("api/export", { kind: "links", places: rows, name });
  table = async (rows, kind) => (await ask("api/export", { method: "POST", body: JSON.stringify({ kind, places: rows }) })).blob();
  reportUrl = x => query("report", { x });
}
