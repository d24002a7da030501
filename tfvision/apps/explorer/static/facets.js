// The panel beside every view: each column as a histogram with a range, or as values to search and choose from. What one column
// filters, the others show: their bars are of what the filters of all other columns leave.

import { change, read } from "./address.js";
import { Brush } from "./brush.js";
import { binned, binsOf, codeOf, holding, lastUpTo, numberOfText, plain, textOfNumber, totalsOf } from "./columns.js";
import { button, h, later, number, paced, plural } from "./dom.js";
import { NO_FILTERS, filteringOf, filtersOf, parsed, parsedRange, parsedText, rangeText, written } from "./filters.js";

const OPEN_AT_FIRST = 5;
const LISTED = 8, MORE = 40;
const SEARCHED_FROM = 9;  // values
const COLUMNS_SEARCHED_FROM = 9;
const FOLLOWED_SECONDS = 0.06, REST_SECONDS = 0.15;  // between filters while a range is drawn
const ORDERED_BY_NAME = 5000;  // values: of more, those of equal count stay as they come

export class Facets {
  constructor(app, host, onclose) {
    this.app = app;
    this.host = host;
    this.facets = [];
    this.body = h("div", { class: "facets-body" }, h("p", { class: "soft" }, "The columns are being read."));
    this.close = button("Close", onclose, { class: "as-done" });
    host.replaceChildren(h("div", { class: "facets-head" }, h("h2", {}, "Filters"), this.close), this.body);
    host.addEventListener("keydown", event => { if (event.key === "Escape" && !event.defaultPrevented) { event.stopPropagation(); onclose(); } });
  }

  // Draws what changed as soon as the pictures are drawn; nothing while the panel is closed.
  update() {
    clearTimeout(this.timer);
    if (!this.host.hidden) requestAnimationFrame(() => { clearTimeout(this.timer); this.timer = setTimeout(() => this.draw()); });
  }

  draw() {
    const { app } = this, filters = filtersOf(read());
    if (!app.names || this.host.hidden) return;
    if (this.columns !== app.columns) this.build();
    const filtering = filteringOf(app, filters);
    for (const facet of this.facets) facet.update(filters, filtering);
  }

  build() {
    const { app } = this, told = app.columns.filter(column => column.values.length > 1 || (column.values.length && totalsOf(column)[0]));
    const isTelling = column => column.numbers || column.values.length <= app.count / 2;  // a name for each picture tells nothing until it is searched
    const open = new Set(told.filter(isTelling).slice(0, OPEN_AT_FIRST));
    this.columns = app.columns;
    this.facets = told.map(column => new Facet(app, column, open.has(column)));
    const search = h("input", { type: "search", placeholder: "Column …", "aria-label": "column", oninput: () => this.facets.forEach(facet => { facet.element.hidden = !plain(facet.column.name).includes(plain(search.value.trim())); }) });
    this.body.replaceChildren(...(told.length >= COLUMNS_SEARCHED_FROM ? [search] : []), ...this.facets.map(facet => facet.element));
    if (!told.length) this.body.replaceChildren(h("p", { class: "soft" }, "The pictures have no columns: put them into folders by a label, or give a manifest with columns. Names and tags can be searched above."));
  }
}

class Facet {
  constructor(app, column, isOpen) {
    this.app = app;
    this.column = column;
    this.most = LISTED;
    this.searched = "";  // for which the values are searched
    this.values = this.totals = this.left = null;
    /** @type {any} */
    this.range = null;
    /** @type {HTMLInputElement[]} */
    this.ends = [];
    /** @type {any} */
    this.brush = null;
    /** @type {string[] | null} */
    this.before = null;  // the address's ranges, while one is drawn and followed
    this.told = h("span", { class: "soft" });
    this.body = h("div", { class: "facet-body" });
    this.element = h("details", { class: "facet", open: isOpen, ontoggle: () => this.draw() }, h("summary", {}, h("span", { class: "facet-name", title: column.name }, column.name), this.told), this.body);
    this.isNumeric = Boolean(column.numbers);
  }

  update(filters, filtering) {
    const { app, column } = this;
    this.values = filters.getAll("f").map(one => parsed(app, one)).filter(one => one.name === column.name).map(one => one.value);
    this.range = filters.getAll("r").map(one => parsedRange(app, one)).find(one => one.name === column.name) || null;
    this.filtering = filtering;
    this.texts = filters.getAll("has").map(one => parsedText(app, one)).filter(one => one.name === column.name).map(one => one.value);
    const chosen = [this.range && rangeText(this.range), ...this.texts.map(text => `“…${text}…”`), this.values.length && (this.values.length === 1 ? this.values[0] || "none" : `${number(this.values.length)} values`)].filter(Boolean);
    this.element.classList.toggle("is-filtered", chosen.length > 0);
    this.told.textContent = chosen.join(", ") || (this.isNumeric ? "" : plural(column.values.length, "value"));
    this.draw();
  }

  draw() {
    if (!this.element.open || !this.values) return;
    const { column, filtering } = this;
    if (!this.body.children.length) this.build();
    this.totals = totalsOf(column);
    this.left = filtering ? filtering.counts(column, true) : this.totals;
    this.brush?.update(binned(column, this.totals), binned(column, this.left), this.bins());
    this.drawEnds();
    this.drawValues();
  }

  build() {
    const { column } = this;
    this.list = h("div", { class: "facet-values", role: "group", "aria-label": `values of ${column.name}` });
    const search = h("input", { type: "search", placeholder: "Value …", "aria-label": `value of ${column.name}`, oninput: later(0.15, () => { this.searched = search.value.trim(); this.most = LISTED; this.drawValues(); }) });
    const values = [...(column.values.length >= SEARCHED_FROM ? [search] : []), this.list];
    if (!this.isNumeric) return this.body.replaceChildren(...values);
    const follow = (low, high) => { if (this.brush.drawn) this.chooseBins(low, high); }, soon = paced(FOLLOWED_SECONDS, follow), atRest = later(REST_SECONDS, follow), byKeys = later(0.12, (low, high) => this.chooseBins(low, high));  // at rest: other views may ask the server
    const { least, most, count } = binsOf(column), told = (bin, isEnd) => textOfNumber(column, isEnd ? most[bin] : least[bin]);
    this.brush = new Brush({ label: column.name, bins: count, told, onchange: (low, high) => (this.before ? this.chooseBins(low, high) : byKeys(low, high)), oncancel: () => this.takeBack(),
      onmove: (low, high) => { this.tell(told(low, false), told(high, true)); (read().view === "browse" ? soon : atRest)(low, high); } });
    this.ends = ["from", "to"].map((end, index) => h("input", {
      type: "text", class: "figure", inputmode: column.kind === "number" ? "decimal" : "text", "aria-label": `${column.name}, ${end}`, autocomplete: "off",
      placeholder: textOfNumber(column, index ? most[count - 1] : least[0]).slice(0, 10), title: column.kind === "date" ? "a year, a month or a day: 2019, 2019-05 or 2019-05-31" : null, onchange: () => this.chooseEnds(), onkeydown: event => { if (event.key === "Enter") this.chooseEnds(); },
    }));
    const [from, to] = this.ends;
    const all = h("details", { class: "facet-more", ontoggle: event => { event.stopPropagation(); this.drawValues(); } }, h("summary", {}, "Single values"), values);
    this.body.replaceChildren(this.brush.element, h("div", { class: "facet-ends" }, from, h("span", { "aria-hidden": "true" }, "–"), to), this.without = h("div", {}), all);
  }

  // The range in bins, or null.
  bins() {
    if (!this.range || this.range.ends.some(Number.isNaN)) return null;
    const { edges } = this.column, last = edges.length - 2, bin = end => Math.min(last, lastUpTo(edges, end)), [low, high] = this.range.ends;
    return [low === -Infinity ? 0 : bin(low), high === Infinity ? last : bin(high)];
  }

  // From the least that pictures have in a bin to the most in another; open where that is the first, the last.
  chooseBins(low, high) {
    const { column } = this, { least, most, count } = binsOf(column), { edges } = column, isEmpty = least[low] > most[high];
    const [from, to] = isEmpty ? [edges[low], edges[high + 1]] : [least[low], most[high]];
    this.choose(low === 0 ? "" : textOfNumber(column, from), high === count - 1 ? "" : textOfNumber(column, to));
  }

  chooseEnds() {
    const [low, high] = this.ends.map(end => end.value.trim()), { column } = this;
    const wrong = [low && Number.isNaN(numberOfText(column, low)), high && Number.isNaN(numberOfText(column, high, true))].map(Boolean);
    this.ends.forEach((end, index) => end.setAttribute("aria-invalid", String(wrong[index])));
    if (wrong.some(Boolean)) return this.app.say(column.kind === "date" ? "A date is a year, a month or a day: 2019, 2019-05 or 2019-05-31." : "A number is wanted here, or nothing.", true);
    const isTurned = low && high && numberOfText(column, low) > numberOfText(column, high, true);
    this.choose(...(isTurned ? [high, low] : [low, high]));
  }

  choose(low, high) {
    const { hash } = location, before = read().params.getAll("r"), others = before.filter(one => parsedRange(this.app, one).name !== this.column.name);
    this.ask(low || high ? [...others, written(this.app, this.column.name, `${low}..${high}`, parsedRange)] : others);
    if (!this.brush?.drawn) this.before = null;
    else if (location.hash !== hash) this.before ??= before;  // else there is no step yet: the next range would take the place of an older one
  }

  // Ranges while one is drawn are one step of the address.
  ask(r) {
    change({ r, at: null }, !this.before, true);
    if (this.before) dispatchEvent(new Event("hashchange"));
  }

  // Nothing was drawn after all, as by a finger that scrolls.
  takeBack() {
    if (this.before) this.ask(this.before);
    this.before = null;
  }

  tell(low, high) {
    this.ends[0].value = low;
    this.ends[1].value = high;
  }

  drawEnds() {
    if (this.brush?.drawn) return;
    this.ends.forEach((end, index) => {
      end.setAttribute("aria-invalid", "false");
      if (end !== document.activeElement || !this.range) end.value = this.range?.[index ? "high" : "low"] ?? "";
    });
  }

  // The values: those that are chosen first, then what the other columns leave, the most common first; of a search those that fit.
  drawValues() {
    const { totals } = this;
    if (!this.list || !totals) return;
    const focused = this.body.contains(document.activeElement) ? document.activeElement?.getAttribute("data-value") ?? null : null;
    this.without?.replaceChildren(totals[0] ? this.value("") : "");
    if (this.isNumeric && !this.list.parentElement?.hasAttribute("open")) this.list.replaceChildren();
    else this.drawList();
    if (focused !== null) [...this.body.querySelectorAll("input")].find(one => one.getAttribute("data-value") === focused)?.focus();
  }

  drawList() {
    const { column, totals, left, values } = this;
    const fits = this.searched ? holding(column.values, plain(this.searched)) : null, shown = [];
    const order = orderOf(column);
    let more = 0;
    for (const isLeft of [true, false]) {
      for (const code of order) {
        if (!totals[code + 1] || isLeft !== left[code + 1] > 0 || (fits && !fits[code]) || values.includes(column.values[code])) continue;
        if (shown.length < this.most) shown.push(column.values[code]); else more++;
      }
    }
    const chosen = values.filter(value => value !== "" || !this.isNumeric), none = !this.isNumeric && totals[0] && !this.searched && !values.includes("") ? [""] : [];
    this.list.replaceChildren(...[...new Set([...this.texts, ...(fits && shown.length ? [this.searched] : [])])].map(text => this.containing(text)), ...[...chosen, ...shown, ...none].map(value => this.value(value)),
      more ? button(`${number(more)} more`, () => { this.most += MORE; this.drawValues(); }, { class: "more" }) : "", shown.length || chosen.length || !fits ? "" : h("p", { class: "soft" }, "No value fits."));
  }

  // All values that contain a text, as one.
  containing(text) {
    const { column, totals, left } = this, held = holding(column.values, plain(text)), sum = counts => held.reduce((total, isHeld, code) => total + isHeld * counts[code + 1], 0);
    return this.row(`has:${text}`, h("span", { class: "text" }, "all with ", h("em", {}, text)), [sum(left), sum(totals)], this.texts.includes(text), isWanted => this.wish("has", text, isWanted, parsedText));
  }

  value(value) {
    const { column, totals, left } = this, place = value === "" && codeOf(column, "") < 0 ? 0 : codeOf(column, value) + 1;
    return this.row(value, h("span", { class: value ? "text" : "text soft" }, value || "none"), [left[place] ?? 0, totals[place] ?? 0], this.values.includes(value), isWanted => this.wish("f", value, isWanted, parsed));
  }

  row(key, text, [count, all], isChosen, onchange) {
    const most = this.totals[orderOf(this.column)[0] + 1], share = most > 2 ? Math.min(100, Math.round(100 * count / most)) : 0;
    const box = h("input", { type: "checkbox", checked: isChosen, "data-value": key, onchange: () => onchange(box.checked) });
    return h("label", { class: count ? "facet-value" : "facet-value is-empty", title: text.textContent, style: `--share:${share}%` }, box, text, h("span", { class: "soft number" }, count === all ? number(all) : `${number(count)} of ${number(all)}`));
  }

  // Asks for a value, or a text in values, or no longer.
  wish(kind, value, isWanted, parse) {
    const { app, column } = this, all = read().params.getAll(kind), others = all.filter(one => { const found = parse(app, one); return found.name !== column.name || found.value !== value; });
    change({ [kind]: isWanted ? [...others, written(app, column.name, value, parse)] : others, at: null }, true, true);
  }
}

const orders = new WeakMap();  // by what they are made of: totals

// Codes by how many pictures have them, the most first; the same however it is filtered, so that nothing jumps.
function orderOf(column) {
  const held = totalsOf(column);
  if (!orders.has(held)) {
    const codes = Uint32Array.from(column.values, (_, code) => code);
    if (codes.length <= ORDERED_BY_NAME) {
      const { compare } = new Intl.Collator(undefined, { numeric: true });
      codes.sort((a, b) => held[b + 1] - held[a + 1] || compare(column.values[a], column.values[b]));
    } else {
      const keys = Float64Array.from(codes, code => -held[code + 1] * 2 ** 24 + code).sort();
      keys.forEach((key, place) => { codes[place] = ((key % 2 ** 24) + 2 ** 24) % 2 ** 24; });
    }
    orders.set(held, codes);
  }
  return orders.get(held);
}

// The present address without filters; the basket's tag is none.
export const reset = () => change({ ...NO_FILTERS, ...(read().view === "basket" ? { tag: read().params.get("tag") } : {}) }, true, true);
