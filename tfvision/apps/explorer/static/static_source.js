// The static site: files in the place of the server's answers; tags and marks stay in this browser.

import * as numbers from "./numbers.js";
import { agreement, byJudge, majority, pooled, precision } from "./static_verdict.js";

const PAIRS = 20000, KS = [1, 5, 10, 20, 50], DRAWN = 10, SHORTLIST = 100, MOST_LISTED = 2000;
const LARGE_PX = 640;

let exported = "";  // of which export the files are: a browser may still have those of another site that was at this address

async function file(name, options = {}) {
  let answer;
  try { answer = await fetch(`data/${name}${exported}`, options); } catch { throw new Error(`data/${name} cannot be read: open this site through a web server.`); }
  if (!answer.ok) throw new Error(`data/${name} is missing from this site.`);
  return answer;
}

const json = async name => (await file(name)).json();
const bytes = async name => (await file(name)).arrayBuffer();

export class StaticSource {
  isStatic = true;
  /** @type {any} */
  state = null;  // of status.json, once it is read
  /** @type {Promise<any> | null} */
  allNames = null;
  /** @type {Promise<Map<string, number>> | null} */
  allRows = null;  // by id
  /** @type {Promise<any> | null} */
  allColumns = null;
  /** @type {any} */
  notesFile = null;
  /** @type {{ row: number, at: number }[] | null} */
  scattered = null;  // rows in an order by chance
  layers = new Map();
  sheets = new Map();
  encoded = new Map();  // thumbnails, where these are all that there is
  urls = new Map();
  dropped = new Map();  // questions, until the page is closed

  async status() {
    this.state ||= await (await file("status.json", { cache: "no-store" })).json();
    exported = `?${this.state.export}`;
    return this.state;
  }

  names = () => (this.allNames ||= json("names.json"));
  rows = () => (this.allRows ||= this.names().then(names => new Map(names.map((id, row) => [id, row]))));
  columns = async () => structuredClone(await (this.allColumns ||= json("columns.json")));
  numbers = async number => new Float64Array(await bytes(`numbers-${number}.bin`));
  codes = async number => new Int32Array(await bytes(`codes-${number}.bin`));
  update = async () => ({});
  outsideUrl = () => "";

  imageUrl(row) {
    if (this.state.has_large) return `data/large/${row}.jpg${exported}`;
    if (!this.urls.has(row) && this.encoded.has(row)) this.urls.set(row, URL.createObjectURL(new Blob([this.encoded.get(row)])));
    return this.urls.get(row) || "";
  }

  sizedUrl = row => (this.state.has_large ? { url: this.imageUrl(row), px: LARGE_PX } : null);
  facts = async () => ({});  // of the files it knows nothing

  async thumbnails(rows) {
    const { sheet: length, has_large: hasLarge } = await this.status(), found = new Map();
    await Promise.all(rows.map(async row => {
      const number = Math.floor(row / length);
      if (!this.sheets.has(number)) this.sheets.set(number, bytes(`sheet-${String(number).padStart(5, "0")}.bin`));
      const data = await this.sheets.get(number), head = new Uint32Array(data, 0, 1)[0], offsets = new Uint32Array(data, 4, head + 1), index = row % length;
      const encoded = offsets[index + 1] > offsets[index] ? new Uint8Array(data.slice(8 + 4 * head + offsets[index], 8 + 4 * head + offsets[index + 1])) : null;
      if (encoded && !hasLarge) this.encoded.set(row, encoded);
      found.set(row, encoded);
    }));
    return found;
  }

  async layer(number) {
    if (!this.layers.has(number)) {
      this.layers.set(number, (async () => {
        const { count, layers } = await this.status(), data = await bytes(`vectors-${number}.bin`), { dimension } = layers[number];
        const layer = { count, dimension, scales: new Float32Array(data, 0, count), values: new Int8Array(data, 4 * count), known: new Map() };
        layer.pairs = randomPairs(layer);
        return layer;
      })());
    }
    return this.layers.get(number);
  }

  async members(name) {
    if (/^\d+$/.test(name)) return [Number(name)];
    if (name.startsWith("id:")) {
      const row = (await this.names()).indexOf(name.slice(3));
      if (row < 0) throw new Error(`the picture ${name.slice(3)} is not in the collection (any more)`);
      return [row];
    }
    if (name.startsWith("t:")) throw new Error("A question in words needs the server: this is a static copy.");
    if (!name.startsWith("g:")) throw new Error("A picture from outside needs the server: this is a static copy.");
    const columns = await this.columns(), number = columns.findIndex(one => one.values.some(value => name === `g:${one.name}=${value}`));
    if (number < 0) throw new Error(`there is no picture with ${name.slice(2).replace("=", " = ")}`);
    const code = columns[number].values.findIndex(value => name === `g:${columns[number].name}=${value}`);
    const rows = [];
    (await this.codes(number)).forEach((one, row) => { if (one === code) rows.push(row); });
    return rows;
  }

  async asked(name, number) {
    const layer = await this.layer(number);
    if (!layer.known.has(name)) {
      const rows = await this.members(name), scores = numbers.similarities(layer, numbers.meanVector(layer, rows), rows);
      layer.known.set(name, { name, scores, ordered: numbers.sorted(scores) });
    }
    return { layer, ...layer.known.get(name) };
  }

  // Similarities to a query in each layer, none in one that does not know it. Throws where none does.
  async inLayers(name) {
    const { layers } = await this.status();
    await Promise.all(layers.map((_, number) => this.layer(number)));  // whose file is missing, that is told
    const tried = await Promise.all(layers.map((_, number) => this.asked(name, number).catch(error => ({ scores: new Float32Array(0), error }))));
    if (tried.length && tried.every(one => one.error)) throw tried[0].error;
    return tried.map(one => one.scores);
  }

  async title(name) {
    const rows = await this.members(name);
    return name.startsWith("g:") ? `${name.slice(2).replace("=", " ")} (${rows.length})` : (await this.names())[rows[0]];
  }

  titles = names => Promise.all(names.map(async name => {
    try { return { title: await this.title(name), place: name.startsWith("id:") ? (await this.members(name))[0] : null }; } catch { return { title: null, place: null }; }
  }));

  async neighbours(name, number, k, kept = null) {
    const { layer, scores, ordered } = await this.asked(name, number), rows = numbers.nearest(only(scores, kept), k);
    const of = sample => rows.map(row => 100 * numbers.below(scores[row], sample));
    return { title: await this.title(name), places: rows, scores: rows.map(row => scores[row]), percentiles: of(ordered), above_random: of(layer.pairs) };
  }

  similarities = async (name, number) => (await this.asked(name, number)).scores;

  async distribution(name, number) {
    const { layer, ordered } = await this.asked(name, number), edges = numbers.edges([ordered, layer.pairs], numbers.binsFor(ordered.length));
    const [counts, randomCounts] = [ordered, layer.pairs].map(sample => numbers.histogram(sample, edges));
    return {
      title: await this.title(name), edges, counts, random_counts: randomCounts, query: numbers.summary(ordered), random: numbers.summary(layer.pairs),
      kolmogorov_smirnov: numbers.kolmogorovSmirnov(ordered, layer.pairs), jensen_shannon: numbers.jensenShannon(counts, randomCounts),
      shortlist_from: ordered.length ? ordered[ordered.length - Math.min(SHORTLIST, ordered.length)] : null,
    };
  }

  async range(name, number, low, high, order, kept = null) {
    const { scores, ordered } = await this.asked(name, number), sign = order === "lowest" ? 1 : -1, all = [];
    let whole = 0;
    scores.forEach((score, row) => { if (score >= low && score <= high) { whole++; if (!kept || kept[row]) all.push(row); } });
    const rows = all.sort((a, b) => sign * (scores[a] - scores[b]) || a - b).slice(0, MOST_LISTED);
    return { places: rows, total: all.length, whole, scores: rows.map(row => scores[row]), percentiles: rows.map(row => 100 * numbers.below(scores[row], ordered)) };
  }

  async compare(names, number, kept = null) {
    const tried = await Promise.all(names.map(name => this.asked(name, number).catch(error => ({ name, error })))), pairs = (await this.layer(number)).pairs;
    const asked = tried.filter(one => !one.error), lost = tried.filter(one => one.error).map(one => ({ name: one.name, why: one.error.message }));
    if (!asked.length) throw new Error(lost.map(one => one.why).join("; "));
    const seen = asked.map(one => only(one.scores, kept)), samples = kept ? seen.map(numbers.sorted) : asked.map(one => one.ordered), edges = numbers.edges([...samples, pairs], numbers.binsFor(Math.min(...samples.map(sample => sample.length))));
    const counts = samples.map(sample => numbers.histogram(sample, edges)), shortlists = seen.map(scores => numbers.nearest(scores, SHORTLIST));
    const matrix = (measure, items) => items.map(a => items.map(b => measure(a, b)));
    return {
      lost, edges, random_counts: numbers.histogram(pairs, edges), shortlist: SHORTLIST,
      queries: await Promise.all(asked.map(async ({ name }, index) => ({ name, title: await this.title(name), counts: counts[index], shortlist: shortlists[index], ...numbers.summary(samples[index]) }))),
      kolmogorov_smirnov: matrix(numbers.kolmogorovSmirnov, samples), jensen_shannon: matrix(numbers.jensenShannon, counts), overlap: matrix(numbers.overlap, shortlists),
    };
  }

  async map(number, method) {
    try { return new Float32Array(await bytes(`map-${number}-${method}.bin`)); } catch (error) {
      throw method === "umap" ? new Error("This static copy has no UMAP: ask for it in `tfvision explore` once, then export again.") : error;
    }
  }

  async tidy(kind, { layer, column, least }) {
    const all = await json(`tidy-${layer}.json`);
    const found = kind === "duplicates" ? all.duplicates[String(Number(least))] : kind === "labels" ? all.labels[column] : all[kind];
    if (!found) throw new Error(`This static copy has no ${kind} for ${kind === "labels" ? column : least}: choose above.`);
    return found;
  }

  async labelRetrieval() {
    throw new Error("A verdict by label needs the server: this is a static copy.");
  }

  // Notes: as they were exported, then changed in this browser; by ids, so that they stay those pictures' in a later export.
  async kept() {
    const { drawn: _, ...notes } = await this.exported();
    this.unkept ||= { version: 0, ...structuredClone(notes) };
    return this.stored() || this.unkept;  // another tab may have written
  }

  exported = async () => (this.notesFile ||= await json("notes.json"));

  get key() { return `tfvision-notes-${this.state.key}`; }
  stored() { try { return JSON.parse(localStorage.getItem(this.key) || "null"); } catch { return null; } }

  // The same with numbers in the place of ids.
  async notes() {
    const { version, tags, marks, judges, conclusions } = await this.kept(), rows = await this.rows();
    const known = ids => ids.filter(id => rows.has(id)), name = key => rows.get(key.slice(3))?.toString() ?? key;
    const judged = one => Object.fromEntries(known(Object.keys(one)).map(id => [rows.get(id), one[id]]));
    const each = (object, change) => Object.fromEntries(Object.entries(object || {}).map(([key, one]) => [key, change(one)]));
    const marked = queries => Object.fromEntries(Object.entries(queries).map(([key, one]) => [name(key), judged(one)]));
    return {
      version, conclusions: { ...conclusions },
      tags: Object.fromEntries(Object.entries(tags).map(([tag, ids]) => [tag, known(ids).map(id => rows.get(id))])),
      marks: each(marks, marked), judges: each(judges, ofQuestion => each(ofQuestion, marked)),
    };
  }

  async changed(change) {
    const names = await this.names();
    await this.kept();
    const kept = structuredClone(this.stored() || this.unkept);  // no waiting from here on: changes must not cross
    change(kept, names);
    kept.version += 1;
    this.unkept = kept;
    try { localStorage.setItem(this.key, JSON.stringify(kept)); } catch {
      if (!this.isTold) { this.isTold = true; throw new Error("This browser keeps nothing for this site: what you mark is forgotten when the page is closed."); }
    }
    return this.notes();
  }

  tag = (tag, rows, isTagged) => this.changed((notes, names) => {
    const ids = new Set(rows.map(row => names[row])), others = (notes.tags[tag] || []).filter(id => !ids.has(id));
    notes.tags[tag] = isTagged ? [...others, ...ids] : others;
    if (!notes.tags[tag].length) delete notes.tags[tag];
  });

  mark = (question, name, marks, judge = "") => this.changed((notes, names) => {
    const unnamed = (notes.marks[question] ||= {}), own = judge ? (((notes.judges ||= {})[question] ||= {})[judge] ||= {}) : unnamed;
    const key = /^\d+$/.test(name) ? `id:${names[name]}` : name, judged = (own[key] ||= {});
    for (const [row, value] of Object.entries(marks)) if (value === null) delete judged[names[row]]; else judged[names[row]] = value;
    if (!Object.keys(judged).length) delete own[key];
  });

  conclude = (question, text) => this.changed(notes => { notes.marks[question] ||= {}; notes.conclusions[question] = text; });
  drop = question => this.changed(notes => {
    const parts = [notes.marks, notes.conclusions, (notes.judges ||= {})];
    this.dropped.set(question, parts.map(part => part[question]));
    parts.forEach(part => delete part[question]);
  });

  restore = question => this.changed(notes => {
    [notes.marks, notes.conclusions, (notes.judges ||= {})].forEach((part, number) => { part[question] = this.dropped.get(question)[number]; });
  });

  // The first hits of all layers and some pictures drawn at random, in an order of the question's own.
  async pool(name, question, k) {
    const names = await this.names(), asked = await this.inLayers(name);
    const rows = [...new Set([...asked.flatMap(scores => numbers.nearest(scores, k)), ...await this.drawn(name, question)])];
    const place = new Map(rows.map(row => [row, numbers.hash(`${question}\0${name}\0${names[row]}`)]));
    return { places: rows.sort((a, b) => (place.get(a) ?? 0) - (place.get(b) ?? 0)), drawn: DRAWN };
  }

  // Pictures at random for a question and query, none of them its own: those that the server drew where it was asked there.
  async drawn(name, question) {
    const names = await this.names(), key = /^\d+$/.test(name) ? `id:${names[name]}` : name, exported = (await this.exported()).drawn[question]?.[key];
    if (exported) { const rows = await this.rows(); return exported.map(id => rows.get(id)); }
    const own = new Set(await this.members(name)), start = numbers.hash(`${question}\0${key}`);
    const order = (this.scattered ||= names.map((id, row) => ({ row, at: numbers.hash(id) })).sort((a, b) => a.at - b.at || a.row - b.row));
    const first = Math.max(0, order.findIndex(one => one.at >= start)), found = [];
    for (let step = 0; step < order.length && found.length < DRAWN; step++) {
      const { row } = order[(first + step) % order.length];
      if (!own.has(row)) found.push(row);
    }
    return found;
  }

  // judge: whose marks count, "" those of who gives no name; null = what most judges say.
  async verdict(question, judge = "") {
    const notes = await this.notes(), { layers } = await this.status(), judged = byJudge(notes, question), queries = [], lost = [], chances = [];
    const everybody = judge === null ? judged.map(([, marks]) => marks) : judged.filter(([name]) => name === judge).map(([, marks]) => marks);
    for (const [name, marks] of Object.entries(judge === null ? majority(judged) : everybody[0] || {})) {
      try {
        const rows = (await this.inLayers(name)).map(scores => { const hits = numbers.nearest(scores, Math.max(...KS)); return KS.map(k => precision(hits, marks, k)); });
        const places = await this.drawn(name, question), drawn = precision(places, marks, DRAWN);
        queries.push({ name, title: await this.title(name), marked: Object.keys(marks).length, layers: rows, drawn });
        if (places.every(row => everybody.some(one => row in (one[name] || {})))) chances.push(drawn);  // else a part may be judged as hits are: too often right
      } catch (error) {
        lost.push({ name, marked: Object.keys(marks).length, why: error.message });
      }
    }
    const together = layers.map((_, layer) => KS.map((_, cut) => pooled(queries.map(query => query.layers[layer][cut]))));
    const judges = judged.map(([name, marks]) => ({ name, marked: Object.values(marks).reduce((sum, one) => sum + Object.keys(one).length, 0) }));
    return { question, conclusion: notes.conclusions[question] || "", ks: KS, layers: layers.map(layer => layer.name), queries, pooled: together, drawn: pooled(chances), lost, judge, judges, agreement: agreement(judged), draft: "", words: [] };
  }

  // As selection.py writes it, without paths: a site has none.
  async table(rows, kind) {
    const names = await this.names(), columns = await this.columns(), codes = await Promise.all(columns.map((_, number) => this.codes(number))), { tags } = await this.notes();
    const isCsv = kind === "csv", titles = columns.map(column => column.name), ownTags = titles.includes("tags") ? "tags (explorer)" : "tags";
    const header = isCsv ? ["id", ownTags] : ["image"], tagsOf = row => Object.keys(tags).filter(tag => tags[tag].includes(row)).join("; ");
    const quoted = text => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
    const cell = value => quoted(isCsv && /^[=+@]/.test(value) && !/^\+[\d.,  %]+([eE][+-]?\d+)?$/.test(value) ? `'${value}` : String(value));
    const lines = rows.map(row => [names[row], ...(isCsv ? [tagsOf(row)] : []), ...columns.map((column, number) => column.values[codes[number][row]] ?? "")]);
    return new Blob([[[...header, ...titles.map(title => (header.includes(title) ? `${title} (metadata)` : title))], ...lines].map(line => line.map(cell).join(",")).join("\r\n") + "\r\n"], { type: "text/csv" });
  }
}

// Scores of the rows that are kept; the others are as unknown.
const only = (scores, kept) => (kept ? scores.map((score, row) => (kept[row] ? score : NaN)) : scores);

function randomPairs(layer) {
  const known = [];
  layer.scales.forEach((scale, row) => { if (!Number.isNaN(scale)) known.push(row); });
  if (known.length < 2) return new Float32Array(0);
  const random = numbers.drawing(1);
  return Float32Array.from({ length: PAIRS }, () => {
    const first = random(known.length), a = known[first], b = known[(first + 1 + random(known.length - 1)) % known.length];
    let total = 0;
    for (let index = 0; index < layer.dimension; index++) total += layer.values[a * layer.dimension + index] * layer.values[b * layer.dimension + index];
    return total * layer.scales[a] * layer.scales[b];
  }).sort();
}
