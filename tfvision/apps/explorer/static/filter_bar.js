// The bar over all views: what is filtered, how many pictures that leaves, and how what is shown gets into the basket.

import { change, read } from "./address.js";
import { BASKET } from "./app.js";
import { prepareSearch } from "./columns.js";
import { button, h, keepFocus, later, number, plural, select } from "./dom.js";
import { Facets, reset } from "./facets.js";
import { chips, countText, filterOf, filtersOf, forgetFiltering } from "./filters.js";

const KEPT = "tfvision-filters";
const OF_ALL = { verdict: "a verdict is of all pictures", basket: "the basket is of all pictures" };

export class FilterBar {
  // `shownView` returns the view that is on the page.
  constructor(app, row, panel, shownView) {
    this.app = app;
    this.row = row;
    this.panel = panel;
    this.shownView = shownView;
    this.facets = new Facets(app, panel, () => this.toggle(false));
    this.opener = button("Filters", () => this.toggle(panel.hidden), { id: "filters-button", "aria-expanded": "false", "aria-controls": panel.id, disabled: true, title: "Columns as histograms and lists (f)" });
    const search = later(0.25, () => { change({ text: this.search.value.trim() || null }, false, true); dispatchEvent(new Event("hashchange")); });
    this.search = h("input", { type: "search", placeholder: "Name contains …", "aria-label": "name contains", oninput: search, onfocus: () => app.names && prepareSearch(app.names) });
    this.count = h("strong", { role: "status", id: "count" });
    this.parts = h("span", { class: "group filter-parts" });
    this.ways = h("span", { class: "group filter-parts" });
    row.replaceChildren(this.opener, this.search, this.count, this.parts, this.ways);
    row.hidden = false;
    app.on("details", () => { forgetFiltering(app); this.key = null; });
    let isOpen = false;
    try { isOpen = localStorage.getItem(KEPT) === "open" && innerWidth > 820; } catch { /* a private window */ }
    if (isOpen) this.toggle(true, false);
  }

  toggle(isOpen, isAsked = true) {
    this.panel.hidden = !isOpen;
    this.opener.setAttribute("aria-expanded", String(isOpen));
    if (isAsked) { try { localStorage.setItem(KEPT, isOpen ? "open" : "closed"); } catch { /* a private window */ } }
    this.facets.update();
    if (isAsked) (isOpen ? this.facets.close : this.opener).focus({ preventScroll: true });
  }

  // Draws what changed for the view of that name.
  update(view) {
    const { app } = this, filters = filtersOf(read()), basket = app.basket;
    const tagged = filters.get("tag") ? app.notes.version : "", key = [view, filters, tagged, basket.size, Object.keys(app.notes.tags).length, Boolean(app.names), app.count].join();
    if (this.search !== document.activeElement) this.search.value = filters.get("text") || "";
    if (key === this.key && !filters.get("tag")) return;
    this.key = key;
    this.opener.disabled = !app.names;
    this.count.textContent = countText(app);
    const kept = filterOf(app, filters), picked = basket.list().filter(row => !kept || kept(row)).length, told = chips(app, filters);
    if (basket.size) this.count.append(h("span", { class: "soft" }, ` · ${number(picked)} picked`));
    const tags = Object.keys(app.notes.tags).filter(tag => tag !== BASKET);
    const isBasket = filters.get("tag") === BASKET;
    const focusAgain = keepFocus(this.row);  // the first that takes it is the opener
    this.parts.replaceChildren(...told, told.length ? button("Reset", reset, { "aria-label": "reset the filters" }) : "", told.length && view in OF_ALL ? h("span", { class: "soft" }, OF_ALL[view]) : "");
    this.ways.replaceChildren(
      tags.length && view !== "basket" ? select("Tag", [["", "any"], ...tags.map(tag => [tag, tag])], isBasket ? "" : filters.get("tag") || "", value => change({ tag: value || null, at: null }, true, true), { class: "narrow" }) : "",
      basket.size && view !== "basket" ? button("Picked only", () => change({ tag: isBasket ? null : BASKET, at: null }, true, true), { "aria-pressed": String(isBasket), title: "Only what is in the basket" }) : "",
      view === "basket" ? "" : button("Pick all shown", () => this.pickShown(), { title: "All that this view shows into the basket: on the map those of the lasso, or all that the filters and the legend leave" }));
    focusAgain();
    this.facets.update();
  }

  // What the view says that it shows, else what its walls hold.
  pickShown() {
    const { app } = this, view = this.shownView();
    const walls = (view?.walls?.length ? view.walls : [view?.wall]).filter(wall => wall && !wall.element.hidden);
    const rows = view?.shownRows?.() ?? [...new Set(walls.flatMap(wall => Array.from(wall.rows)))];
    const fresh = rows.filter(row => !app.basket.has(row)).length;
    if (!rows.length) return app.say("This view shows no wall of pictures: there is nothing to pick.");
    app.basket.toggle(rows, true);
    app.say(fresh ? `${plural(fresh, "picture")} more in the basket. z takes that back.` : "All of these are in the basket already.");
  }
}
