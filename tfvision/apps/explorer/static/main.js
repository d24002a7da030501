// Opens the collection, draws the bar and shows the view that the address names.

import { App } from "./app.js";
import { change, href, read, rewrite, shows } from "./address.js";
import { button, failed, first, h, number, part, plural, progress, refill, select } from "./dom.js";
import { FilterBar } from "./filter_bar.js";
import { firstRun } from "./first_run.js";
import { openHelp } from "./help.js";
import { prepareForPrinting } from "./printing.js";
import { textField } from "./text_query.js";
import { readTheme, themeButton } from "./theme.js";

const VIEWS = {
  browse: ["Browse", () => import("./browse.js")],
  map: ["Map", () => import("./map.js")],
  near: ["Neighbourhood", () => import("./near.js")],
  distribution: ["Distribution", () => import("./distribution.js")],
  compare: ["Compare", () => import("./compare.js")],
  verdict: ["Verdict", () => import("./verdict.js")],
  tidy: ["Housekeeping", () => import("./tidy.js")],
  basket: ["Basket", () => import("./basket.js")],
};
const OF_QUERY = ["near", "distribution", "verdict"];
const POLL_SECONDS = 4, BUSY_POLL_SECONDS = 1;
const PICTURES_FIRST_SECONDS = 0.5;  // names and labels, which are larger, wait for them that long

const tabs = Object.fromEntries(Object.entries(VIEWS).map(([name, [title]]) => [name, h("a", { "data-view": name }, title)]));  // kept: a click may be under way
const main = part("main"), bar = part("bar"), notices = part("notices");
let app, shown = null, shownName = null, shownAddress = "", shownLarge = null, token = 0, lastQuery = null, noticesTold = new Map(), filterBar;

async function start() {
  readTheme();
  try {
    const isStatic = document.documentElement.dataset.source === "static";
    app = new App(isStatic ? new (await import("./static_source.js")).StaticSource() : new (await import("./source.js")).ServerSource());
    await app.open();
  } catch (error) {
    main.replaceChildren(failed(error, () => location.reload()));
    return;
  }
  document.title = `${app.status.name} · tfvision`;
  drawBar();
  filterBar = new FilterBar(app, part("filters"), part("facets"), () => shown);
  app.on("notes", () => { drawBasketCount(); drawFilters(); });
  app.on("details", () => { rewrite(); drawTabs(shownName); });
  addEventListener("hashchange", route);
  addEventListener("readdressed", () => drawTabs(shownName));
  addEventListener("focus", () => app.source.isStatic || refreshStatus());
  addEventListener("keydown", globalKey);
  prepareForPrinting(app);
  for (const name of ["dragover", "drop", "paste"]) addEventListener(name, outsidePicture);
  part("skip").addEventListener("click", event => { event.preventDefault(); first("[tabindex='0'], button, input", main)?.focus(); });
  await route();
  firstRun(part("stage"));
  await app.thumbnails.first(PICTURES_FIRST_SECONDS);
  app.loadDetails().catch(error => app.say(error.message, true));
  drawNotices();
  if (!app.source.isStatic) poll();
}

async function route() {
  const mine = ++token, { view } = read(), name = view in VIEWS ? view : "browse";
  app.preview.hide();
  try {
    await app.resolve();
    if (mine !== token) return;
    rewrite();
    const { params } = read(), q = params.get("q");
    if (q && OF_QUERY.includes(name)) lastQuery = q;
    drawTabs(name);
    if (shown && shownName === name) {
      shows(view);  // Browse is what every unknown view is
      if (!notesLargeAlone()) await shown.update(params);
      app.emit("tiles");
      return await app.followLarge();
    }
    const module = await VIEWS[name][1]();
    if (mine !== token) return;
    shown?.destroy?.();
    app.thumbnails.forgetWishes();
    main.replaceChildren();  // a field that loses the focus by it writes to the address of its own view: not to this one
    shows(view);
    main.className = `view-${name}`;
    shownName = name;
    drawTabs(name);  // again: names that came meanwhile drew those of the view before
    shown = new module.View(app, main);
    notesLargeAlone();
    await shown.update(params);
    if (mine === token) await app.followLarge();
  } catch (error) {
    if (mine !== token) return;  // of a view that was left
    main.replaceChildren(failed(error, () => { shown?.destroy?.(); shown = null; route(); }));
    shownName = null;
  }
}

// Notes the address; says whether nothing but the picture of the large view is another than at the last note.
function notesLargeAlone() {
  const { view, params } = read(), before = [shownAddress, shownLarge];
  shownLarge = params.get("large");
  params.delete("large");
  shownAddress = href(view, params);
  return before[0] === shownAddress && before[1] !== shownLarge;
}

function drawBar() {
  const file = h("input", { type: "file", accept: "image/*", hidden: true, id: "outside-file", "aria-label": "a picture of yours", onchange: () => { if (file.files[0]) app.askOutside(file.files[0]); file.value = ""; } });
  const picker = button("✓", () => { app.isPicking = !app.isPicking; picker.setAttribute("aria-pressed", String(app.isPicking)); }, { class: "icon", "aria-label": "pick by click or tap", title: "Pick by click or tap", "aria-pressed": "false" });
  bar.replaceChildren(
    h("div", { class: "name" }, h("h1", {}, app.status.name)),
    h("nav", { "aria-label": "views", id: "tabs" }, Object.values(tabs)),
    h("div", { id: "words-place" }, textField(app)),
    h("div", { class: "tools" }, h("span", { id: "layers" }), ...(app.source.isStatic ? [] : [file, button("⇧", () => file.click(), { class: "icon", "aria-label": "open a picture", title: "Ask with a picture of yours" })]), picker, button("↶", () => app.undo(), { class: "icon", "aria-label": "undo", title: "Undo the last mark, tag or pick" }), themeButton(() => app.readColours()), button("?", () => openHelp(), { class: "icon", "aria-label": "help and keys" })),
  );
  drawTabs(read().view);
}

function drawTabs(current) {
  for (const [name, link] of Object.entries(tabs)) {
    const q = name === "compare" ? app.compared : OF_QUERY.includes(name) ? lastQuery : null, isCurrent = name === current;
    link.href = location.href.split("#")[0] + href(name, { q });
    if (isCurrent && !link.hasAttribute("aria-current")) link.scrollIntoView({ block: "nearest", inline: "nearest" });
    isCurrent ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current");
  }
  drawBasketCount();
  drawFilters();
  const layers = part("layers");
  const names = app.layers.map(layer => layer.name), model = `${names[0]?.split(" ")[0]} `, shared = names.every(name => name.startsWith(model)) ? model.length : 0;
  const options = names.map((name, index) => [String(index), name.slice(shared)]);  // of one model the layers alone: both fit
  refill(layers, options.length > 1 ? select("Layer", options, String(app.layer()), value => change({ layer: value === "0" ? null : value })) : "");
}

// What is filtered, on every view, and how many pictures that leaves.
function drawFilters() {
  filterBar?.update(shownName);
}

function drawBasketCount() {
  tabs.basket.textContent = app.basket.size ? `Basket (${number(app.basket.size)})` : "Basket";
}

function drawNotices() {
  const { indexing, thumbnails, asking, told: lines = [], changed, broken, error } = app.status, found = lines.map(line => h("div", { class: "notice" }, line));
  if (asking) found.push(h("div", { class: "notice" }, progress(asking.done / asking.total, `Answers: ${number(asking.done)} of ${number(asking.total)} pictures. They become columns to sort and filter by.`)));
  if (indexing) {
    const share = indexing.total ? indexing.done / indexing.total : null;
    const count = indexing.total ? `: ${number(indexing.done)} of ${number(indexing.total)}` : "";
    found.push(h("div", { class: "notice" }, progress(share, `Indexing ${indexing.layer}, ${indexing.stage}${count}. What is seen already can be searched.`)));
  }
  if (thumbnails) found.push(h("div", { class: "notice" }, progress(thumbnails.done / thumbnails.total, `Thumbnails: ${number(thumbnails.done)} of ${number(thumbnails.total)}`)));
  if (changed && !indexing) {
    const parts = [[changed.new, "new"], [changed.gone, "gone"], [changed.changed, "changed"]].filter(([count]) => count).map(([count, what]) => `${number(count)} ${what}`);
    const typed = changed.why && changed.gone ? h("input", { class: "figure", type: "text", inputmode: "numeric", "aria-label": "how many are gone", placeholder: "how many?" }) : null;
    const update = changed.can_add || changed.gone ? button("Update", () => startUpdate(typed)) : null;
    const alarm = changed.why ? ` ${changed.why} Nothing is removed${typed ? ` unless you type ${changed.gone} here` : ""}.` : "";
    found.push(h("div", { class: "notice", role: changed.why ? "alert" : null }, h("span", {}, `The pictures changed since they were indexed: ${parts.join(", ") || "the folder cannot be read"}.${alarm}`), typed, update));
  }
  if (broken?.count) {
    const list = broken.named.map(one => h("li", {}, one.reason));
    const more = broken.count - broken.named.length;
    found.push(h("details", { class: "notice" }, h("summary", {}, `${plural(broken.count, "picture")} could not be read`), h("ul", { tabindex: "0", "aria-label": "pictures that could not be read" }, list, more > 0 && h("li", {}, `and ${number(more)} more`))));
  }
  if (error) found.push(h("div", { class: "notice error", role: "alert" }, error));
  // What is told already stays as it is: a number that is being typed, a list that was opened.
  const told = new Map(found.map(one => [one.outerHTML, one])), isOpen = Boolean(first("details[open]", notices));
  for (const text of told.keys()) if (noticesTold.has(text)) told.set(text, noticesTold.get(text));
  noticesTold.forEach((one, text) => told.has(text) || one.remove());
  noticesTold = told;
  [...told.values()].forEach((one, index) => one === notices.children[index] || notices.insertBefore(one, notices.children[index] ?? null));
  first("details", notices)?.toggleAttribute("open", isOpen);
}

// More than a few pictures are removed only if their number was typed.
async function startUpdate(typed) {
  try {
    await app.source.update(/^\d+$/.test(typed?.value.trim() ?? "") ? Number(typed.value) : null);
  } catch (error) {
    app.say(error.message, true);
  }
  refreshStatus();
}

async function refreshStatus() {
  const before = app.status, { isQuiet } = app;
  try {
    app.status = await app.source.status();
  } catch (error) {
    app.status = { ...before, error: error.message };
    drawNotices();
    return;
  }
  if (app.status.version !== before.version || app.status.pictures !== before.pictures) {
    app.say("The collection was updated.");
    return location.reload();
  }
  if (app.status.changed?.gone !== before.changed?.gone) app.thumbnails.retry();  // a disk is back
  if (app.status.corrections !== app.labelled && isQuiet()) app.reloadLabels();  // corrected by another page
  if (app.status.notes_version !== app.notes.version) app.refreshNotes().catch(() => {});
  const counts = status => status.layers.map(layer => layer.count).join();
  if (counts(app.status) !== counts(before)) { app.emit("layers"); drawTabs(shownName); }
  if (app.status.text_layers?.length && !document.getElementById("words")) part("words-place").replaceChildren(textField(app));
  drawNotices();
}

async function poll() {
  for (;;) {
    const isBusy = app.status.indexing || app.status.thumbnails || app.status.asking || !app.layers.length;
    await new Promise(done => setTimeout(done, 1000 * (isBusy ? BUSY_POLL_SECONDS : POLL_SECONDS)));
    if (document.visibilityState === "visible") await refreshStatus();
  }
}

function globalKey(event) {
  const isTyping = event.target.closest?.("input, textarea, select, [contenteditable]");
  if (event.key === "Escape") { app.preview.hide(); if (isTyping) event.target.blur(); return; }
  const isUndo = event.key === "z" && !event.altKey && !isTyping && !document.querySelector("dialog[open]:not(.large)");
  if (isUndo) { event.preventDefault(); return app.undo(); }
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const names = Object.keys(VIEWS);
  if (/^[1-8]$/.test(event.key)) first(`#tabs [data-view=${names[event.key - 1]}]`)?.click();
  else if (event.key === "?") openHelp();
  else if (event.key === "t") part("theme").click();
  else if (event.key === "/") first("#filters input")?.focus();
  else if (event.key === "f") part("filters-button").click();
  else if (event.key === "p") first(".wall, .map, .picture", main)?.focus();
  else if (event.key === "Backspace") history.back();
  else return;
  event.preventDefault();
}

// A picture from outside: dropped on the page or pasted.
async function outsidePicture(event) {
  if (event.type === "dragover") { if ([...event.dataTransfer.types].includes("Files")) event.preventDefault(); return; }
  const files = event.type === "paste" ? event.clipboardData?.files : event.dataTransfer?.files;
  if (!files?.length) return;
  event.preventDefault();
  app.askOutside(files[0]);
}

start();
