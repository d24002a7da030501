// What all views share: the collection, notes, the basket, colours, and what is said to people.

import { change, go, inside, knows, learn, learnAll, outside, read } from "./address.js";
import { first } from "./dom.js";
import { Preview } from "./preview.js";
import { SharpPictures } from "./sharp.js";
import { isDark } from "./theme.js";
import { Thumbnails } from "./thumbnails.js";
import { say } from "./toast.js";

export const BASKET = "basket";
const COLOURS = ["ground", "panel", "tile", "ink", "soft", "line", "accent", "right", "wrong"];

export class App {
  constructor(source) {
    this.source = source;
    this.listeners = {};
    this.thumbnails = new Thumbnails(source);
    this.sharp = new SharpPictures(source, () => this.thumbnails.tell());
    this.preview = new Preview(this);
    /** @type {Set<any>} */
    this.walls = new Set();  // on the page
    /** @type {any} */
    this.large = null;
    this.isLargeStep = false;  // whether Back closes the large view
    this.names = null;
    this.columns = [];
    this.writes = 0;
    this.writing = 0;  // changes of notes that are not answered yet
    this.written = Promise.resolve();  // once the last of them is answered
    this.undos = [];  // functions that take a change of notes back, the last one last
    this.isPicking = false;  // whether a click or tap picks
    this.titles = new Map();  // of pictures from outside
    this.notes = { version: -1, tags: {}, marks: {}, conclusions: {} };
    this.basket = new Basket(this);
    this.readColours();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.readColours());
  }

  // Loads what is small; names and labels come later, behind the first pictures.
  async open() {
    this.status = await this.source.status();
    this.count = this.status.count;
    this.labelled = this.status.corrections;  // the version of the corrections that the columns show
  }

  async loadDetails() {
    const { labelled } = this;
    // The notes as well: a filter by tag needs them.
    const [columns, names] = await Promise.all([this.source.columns(), this.source.names(), this.refreshNotes().catch(() => {})]);
    await Promise.all(columns.map(async (column, number) => {
      column.codes = await this.source.codes(number);
      column.values = column.values.map(String);
      column.numbers = column.kind ? await this.source.numbers(number) : null;
    }));
    if (labelled !== this.labelled) return this.loadDetails();  // a label was corrected meanwhile
    [this.columns, this.names] = [columns, names];  // whole: whoever sees them asks for the codes
    learnAll(this.names);
    this.emit("details");
  }

  // Labels as another page corrected them; until they are here, the page goes on with those that it knows.
  async reloadLabels() {
    const before = this.corrected;
    this.labelled = this.status.corrections;
    try {
      const corrected = before && await this.source.corrections();
      if (before === this.corrected) this.corrected = corrected;
      await this.loadDetails();
    } catch {
      this.labelled = null;  // once more with the next status
    }
  }

  // Learns what the address calls by id or by checksum, before a view is drawn of it.
  async resolve() {
    const { params } = read(), isUnknown = name => (name.startsWith("id:") && !this.names) || (name.startsWith("u:") && !this.titles.has(name));
    const names = [...new Set(["q", "trail", "at", "large"].flatMap(name => params.getAll(name)))].filter(isUnknown);
    if (!names.length) return;
    (await this.source.titles(names)).forEach(({ title, place }, index) => {
      if (names[index].startsWith("u:")) { if (title) this.titles.set(names[index], title); }
      else if (place !== null && !knows(names[index].slice(3))) learn(place, names[index].slice(3));
    });
  }

  on(event, listener) {
    (this.listeners[event] ||= new Set()).add(listener);
    return () => this.listeners[event].delete(listener);
  }

  emit(event, value) {
    this.listeners[event]?.forEach(listener => listener(value));
  }

  title(row) {
    return this.names ? this.names[row] : `picture ${row}`;
  }

  metadata(row) {
    const found = {};
    for (const column of this.columns) {
      const code = column.codes?.[row];
      if (code >= 0) found[column.name] = column.values[code];
    }
    return found;
  }

  // Columns that sort the pictures into groups, the finest last; numbers in the place of names do not count.
  labelColumns(most = 2000) {
    const fits = column => column.values.length > 1 && column.values.length <= Math.min(most, this.count / 2);
    const isNamed = column => column.values.some(value => Number.isNaN(Number(value)));
    const found = this.columns.filter(column => fits(column) && !column.is_answer);
    return found.some(isNamed) ? found.filter(isNamed) : found;
  }

  // The address of a picture, once there is one: a static copy of many pictures makes it of the thumbnail.
  async pictureUrl(row) {
    const { source } = this;
    if (!source.imageUrl(row)) await source.thumbnails([row]).catch(() => {});
    return source.imageUrl(row);
  }

  // The name of a query for people.
  queryTitle(name) {
    if (/^\d+$/.test(name)) return this.title(Number(name));
    if (name.startsWith("id:")) return `${name.slice(3)} (gone)`;
    if (name.startsWith("t:")) return `“${name.slice(2)}”`;
    return name.startsWith("u:") ? this.titles.get(name) || "a picture from outside" : name.slice(2).replace("=", " ");
  }

  // The queries that Compare shows, kept for this tab.
  get compared() {
    try { return JSON.parse(sessionStorage.getItem(this.comparedKey) || "[]").map(inside); } catch { return []; }
  }

  set compared(names) {
    try { sessionStorage.setItem(this.comparedKey, JSON.stringify(names.map(outside))); } catch { /* a private window */ }
  }

  get comparedKey() { return `tfvision-compare-${this.status.key}`; }

  get layers() {
    return this.status.layers;
  }

  // Similarities to a query, or null where it is lost, which is told: the view goes on without.
  similarities(name) {
    return this.source.similarities(name, this.layer()).catch(error => { this.say(error.message, true); return null; });
  }

  // The number of the layer that the address asks for.
  layer() {
    const number = Number(read().params.get("layer") || 0);
    return number in this.layers ? number : 0;
  }

  openNeighbours(row) {
    const { view, params } = read();
    const trail = view === "near" && params.get("q") ? [...params.getAll("trail"), params.get("q")].slice(-30) : [];
    go("near", { q: row, ...(view === "near" ? { side: params.get("side"), size: params.get("size") } : {}), trail });
  }

  // The large view of a picture, which leafs through those of its wall.
  openLarge(wall, row) {
    this.largeFrom = wall;
    this.isLargeStep = true;
    change({ large: row });
  }

  // Opens, moves or closes the large view, as the address says.
  async followLarge() {
    if (!this.large && !read().params.has("large")) return;
    this.large ||= new (await import("./large_view.js")).LargeView(this);
    this.large.follow();
  }

  // Asks for what is like a picture that was dropped or pasted.
  async askOutside(file) {
    if (this.source.isStatic) return this.say("A picture from outside needs the server: this is a static copy.", true);
    this.say("The picture is being seen by the network. The first time, this takes a while.");
    try {
      const { name, title } = await this.source.upload(file);
      this.titles.set(name, title);
      go("near", { q: name });
    } catch (error) {
      this.say(error.message, true);
    }
  }

  // A function that says whether nothing was changed since, nor was under way: what is asked now may be answered as it was before a change.
  get isQuiet() {
    const { writes, writing } = this;
    return () => !writing && writes === this.writes;
  }

  async refreshNotes() {
    const { isQuiet } = this, notes = await this.source.notes();
    if (isQuiet()) this.takeNotes(notes);  // else they may be older than what was changed
  }

  takeNotes(notes) {
    const plain = one => Object.assign(Object.create(null), one);  // a tag may be called constructor
    this.notes = { ...notes, tags: plain(notes.tags), marks: plain(notes.marks), conclusions: plain(notes.conclusions) };
    this.basket.take(notes.tags[BASKET] || []);
    this.emit("notes");
  }

  // Changes notes by `change` (a function that asks for it; it returns a promise of the new notes) and says what went wrong; `undo` is one
  // that takes it back. One at a time: asked at once, they might arrive in another order than they were made in.
  /** @param {() => Promise<any>} change  @param {(() => Promise<any>) | null} undo */
  async write(change, undo = null) {
    this.writes += 1;
    if (!this.writing++) this.latest = this.notes;
    const changed = this.written.then(change);
    this.written = changed.catch(() => {});
    if (undo) this.undos.push(undo);  // at once: what is undone next is what was done last, answered or not
    let error = null;
    try {
      const notes = await changed;
      if (notes.version > this.latest.version) this.latest = notes;
    } catch (caught) {
      error = caught;
      this.undos = this.undos.filter(one => one !== undo);
      this.say(error.message, true);
    }
    if (--this.writing) return !error;  // what is shown is ahead of this answer
    if (error) await this.refreshNotes().catch(() => {});
    else this.takeNotes(this.latest);
    return !error;
  }

  async undo() {
    const undo = this.undos.pop();
    if (!undo) return this.say("There is nothing to undo.");
    if (await this.write(undo)) this.say("Undone.");
  }

  // Tags rows, or takes the tag from them; those that had it, or had it not, stay so when this is undone.
  tag(tag, rows, isTagged) {
    return this.tagEach(tag, [[rows, isTagged]]);
  }

  // The same for several lists of rows, each with whether it is tagged, as one change.
  /** @param {string} tag  @param {[number[], boolean][]} lists */
  tagEach(tag, lists) {
    const tagged = new Set(this.notes.tags[tag] || []);
    const changes = lists.map(([rows, isTagged]) => ({ rows: rows.filter(row => tagged.has(row) !== isTagged), isTagged })).filter(({ rows }) => rows.length);
    if (!changes.length) return Promise.resolve(true);
    const written = async isUndone => { let notes; for (const { rows, isTagged } of changes) notes = await this.source.tag(tag, rows, isTagged !== isUndone); return notes; };
    return this.write(() => written(false), () => written(true));
  }

  say(text, isError = false) {
    say(text, isError, first("dialog.large[open]") ?? document.body);
  }

  get isDark() { return isDark(); }

  readColours() {
    const style = getComputedStyle(document.documentElement);
    this.colours = Object.fromEntries(COLOURS.map(name => [name, style.getPropertyValue(`--${name}`).trim()]));
    this.emit("theme");
  }
}

// The pictures that were picked: a tag of its own, so that every page of this collection has the same.
class Basket {
  constructor(app) {
    this.app = app;
    this.rows = new Set();
    this.changes = 0;
  }

  has(row) { return this.rows.has(row); }
  get size() { return this.rows.size; }
  list() { return [...this.rows]; }
  take(rows) { this.rows = new Set(rows); this.changes++; }

  toggle(rows, isIn) {
    const changed = rows.filter(row => this.has(row) !== isIn), { app } = this;
    if (!changed.length) return Promise.resolve(true);
    changed.forEach(row => (isIn ? this.rows.add(row) : this.rows.delete(row)));
    this.changes++;
    app.emit("notes");
    return app.write(() => app.source.tag(BASKET, changed, isIn), () => app.source.tag(BASKET, changed, !isIn));
  }
}
