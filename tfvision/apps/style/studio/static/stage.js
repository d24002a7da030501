// The large picture with the line beneath it: what it is, the photo while a button is held, a second picture beside it, and what can be done with it.

import { GROWTH, QUICK } from "./app.js";
import { button, h, refill, select } from "./dom.js";
import { whenText } from "./growth.js";
import { Quick } from "./look.js";
import { MaskEditor } from "./mask.js";
import { Sheet } from "./sheet.js";
import { titleOf } from "./strip.js";

export class Stage {
  constructor(app) {
    this.app = app;
    this.sheet = new Sheet();
    this.mask = new MaskEditor(app, this.sheet);
    this.quick = new Quick(app, () => this.draw());
    this.isPhoto = false;  // whether the photo is seen while a button is held
    this.title = h("strong", {});
    this.about = h("span", { class: "soft" });
    this.hold = this.holdButton();
    this.tools = h("div", { class: "tools" });
    this.caption = h("div", { class: "caption" }, h("div", { class: "what" }, this.title, this.about), this.hold, this.tools);
    this.element = h("section", { class: "stage", "aria-label": "the picture" }, this.sheet.element, this.caption, this.mask.tools);
    for (const event of ["status", "shown", "inputs"]) app.on(event, () => this.draw());
    this.quick.ask();
    this.draw();
  }

  // Held by a pointer, or by Space or Enter.
  holdButton() {
    const hold = isHeld => () => { if (this.isPhoto !== isHeld) { this.isPhoto = isHeld; one.setAttribute("aria-pressed", String(isHeld)); this.draw(); } };
    const isKey = event => event.key === " " || event.key === "Enter";
    const one = h("button", { type: "button", "aria-pressed": "false", class: "hold", onpointerdown: hold(true), onpointerup: hold(false), onpointercancel: hold(false), onpointerleave: hold(false), onblur: hold(false),
      oncontextmenu: event => event.preventDefault(),
      onkeydown: event => { if (isKey(event)) { event.preventDefault(); hold(true)(); } }, onkeyup: event => { if (isKey(event)) hold(false)(); } }, "Hold for the photo");
    return one;
  }

  draw() {
    const { app } = this;
    if (!app.hasBoth) return;
    this.mask.draw();
    const isMasking = Boolean(app.masked);
    this.caption.hidden = isMasking;
    if (isMasking) return this.showPhoto();
    this.title.textContent = titleOf(app, app.shown);
    this.about.textContent = this.aboutText();
    this.drawTools();
    if (this.isPhoto) return this.showPhoto();
    const url = this.urlOf(app.shown), beside = app.beside && this.urlOf(app.beside);
    const key = `${url}|${beside}|${url ? "" : this.quick.error}`;
    if (key === this.key) return;
    this.key = key;
    if (!url) return this.sheet.tell(this.quick.error || "The quick result comes in a moment.");
    this.sheet.show(url, altOf(app, app.shown), beside, app.beside && altOf(app, app.beside));
  }

  showPhoto() {
    const key = `photo ${this.app.status.photo.key}`;
    if (key === this.key) return;
    this.key = key;
    this.sheet.show(this.photoUrl, "the photo");
  }

  get photoUrl() { return `picture/photo/${this.app.status.photo.key}`; }

  urlOf(shown) {
    const { growth } = this.app.status;
    if (shown === "photo") return this.photoUrl;
    if (shown === QUICK) return this.quick.url;
    if (shown === GROWTH) return growth.has_picture ? `growth/picture?${growth.version}` : this.photoUrl;
    return `version/${shown}/shown`;
  }

  aboutText() {
    const { app, quick } = this, { status } = app, version = app.version(app.shown);
    if (app.shown === GROWTH) return whenText(status.growth);
    if (version) return `${version.width} × ${version.height}, ${version.iterations > 1 ? `${version.iterations} iterations, ` : ""}${Math.max(1, Math.round(version.seconds))} s`;
    if (quick.error) return quick.error;
    if (status.quick.state === "loading") return "The fast network is being loaded.";
    if (quick.isAsking) return "Looking …";
    return status.quick.state === "absent" ? "by the optimiser, small: there is no fast network here" : "";
  }

  drawTools() {
    const { app } = this, { status } = app, version = app.version(app.shown);
    /** @type {[string, string][]} */
    const others = [["photo", "the photo"], [QUICK, "the quick result"], ...status.versions.map(one => [one.key, titleOf(app, one.key)])];
    const choices = [["", "nothing"], ...others.filter(([key]) => key !== app.shown)];
    const key = JSON.stringify([app.shown, app.beside, choices, status.quick.state, app.isBusy]);
    if (key === this.toolsKey) return;
    this.toolsKey = key;
    const beside = select("Compare with", choices, app.beside, chosen => app.show(app.shown, chosen));
    const isKept = app.shown === QUICK && status.quick.state === "ready";
    refill(this.tools, ...[app.shown !== GROWTH && beside, version && this.versionTools(version), isKept && this.keepButton()].filter(Boolean));
  }

  keepButton() {
    const { app } = this;
    const keep = async () => {
      if (app.isBusy) return;
      app.isBusy = true;
      this.draw();
      await app.flush();
      const isKept = await app.send("keep", app.look);
      app.isBusy = false;
      if (isKept) app.say("Kept as a version.");
      this.draw();
    };
    return button(app.isBusy ? "Keeping …" : "Keep", keep, { "aria-label": "keep the quick result" });
  }

  versionTools(version) {
    const { app } = this, link = (part, text, title) => h("a", { class: "as-button", href: `version/${version.key}/${part}`, download: "", title }, text);
    const drop = async () => {
      const place = app.status.versions.findIndex(one => one.key === version.key);
      if (!await app.send("drop", { key: version.key })) return;
      app.show(app.status.versions[Math.max(0, place - 1)]?.key ?? QUICK);
      app.dropped = true;
      app.emit("shown");
    };
    return [
      h("span", { class: "group downloads", role: "group", "aria-label": "download" }, h("span", { class: "soft" }, "Download"),
        link("picture", "Picture", "The picture as PNG"), link("record", "Record", "The JSON that stylize --like reads"), link("all", "Everything", "Picture, record, photo, paintings and masks in one ZIP")),
      button("Same look", () => { app.change({ ...version.look }); app.say("The sliders stand as for this version."); }),
      button("Remove", drop),
    ];
  }
}

function altOf(app, shown) {
  if (shown === "photo") return "the photo";
  const names = app.version(shown)?.paintings ?? app.status.paintings.map(one => one.name);
  return `${titleOf(app, shown)}: the photo in the manner of ${names.join(" and ")}`;
}
