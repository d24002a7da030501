// The photo and the paintings: chosen, dropped or taken from the examples; of each painting its share and its mask.

import { button, first, h, plural, refill } from "./dom.js";

const MOST_PAINTINGS = 6;
const SAMPLES = { photo: ["Hills", "Butterfly", "Fish"], painting: ["Swirls", "Flames", "Mosaic"] };

// Sends files as photo or paintings, one after the other.
export async function chooseFiles(app, kind, files) {
  const pictures = kind === "photo" ? files.slice(0, 1) : files;
  if (!pictures.length) return;
  app.say(`${plural(pictures.length, "picture")} being read.`);
  for (const file of pictures) {
    if (!await app.send(`${kind}?name=${encodeURIComponent(file.name)}`, file)) return;
  }
  app.say(kind === "photo" ? "The photo is here." : `${plural(pictures.length, "painting is", "paintings are")} here.`);
}

// A hidden field for files of a kind; click() opens the system's dialog.
export function filePicker(app, kind) {
  const picker = h("input", { type: "file", accept: "image/*", multiple: kind === "painting", hidden: true, "aria-label": `${kind} from a file`, "data-picker": kind,
    onchange: () => { chooseFiles(app, kind, [...picker.files]); picker.value = ""; } });
  return picker;
}

export function sampleButtons(app, kind) {
  const one = name => h("button", { type: "button", class: "sample", onclick: () => app.send("sample", { kind, name }) },
    h("img", { src: `sample/${kind}/${name}`, alt: "" }), h("span", {}, name));
  return h("div", { class: "samples" }, SAMPLES[kind].map(one));
}

// Files dropped on the page at large: a sheet with two halves asks what they are.
export function dropAnywhere(app, main) {
  const halves = ["photo", "painting"].map(kind => h("div", { "data-kind": kind }, kind === "photo" ? "As the photo" : "As a painting"));
  const sheet = h("div", { class: "dropping", hidden: true }, halves);
  document.body.append(sheet);
  const half = event => halves.find(one => one.contains(event.target));
  addEventListener("dragover", event => {
    if (![...event.dataTransfer?.types ?? []].includes("Files")) return;
    event.preventDefault();
    sheet.hidden = main.className !== "studio";
    halves.forEach(one => one.classList.toggle("over", one === half(event)));
  });
  addEventListener("dragleave", event => { if (!event.relatedTarget) sheet.hidden = true; });
  addEventListener("drop", event => {
    event.preventDefault();
    sheet.hidden = true;
    const files = [...event.dataTransfer?.files ?? []];
    chooseFiles(app, half(event)?.dataset.kind ?? (app.status.photo ? "painting" : "photo"), files);
  });
}

export class InputsPart {
  constructor(app) {
    this.app = app;
    this.pickers = { photo: filePicker(app, "photo"), painting: filePicker(app, "painting") };
    this.photo = h("div", { class: "input-card" });
    this.list = h("ul", { class: "paintings" });
    this.notes = h("div", { class: "notes" });
    this.examples = h("details", { class: "examples" }, h("summary", {}, "Examples"));
    this.add = button("Add a painting", () => this.pickers.painting.click(), {});
    this.element = h("section", { "aria-label": "photo and paintings" },
      h("h2", {}, "Photo"), this.pickers.photo, this.photo,
      h("h2", {}, "Paintings"), this.pickers.painting, this.list, this.notes, h("div", { class: "row" }, this.add), this.examples);
    this.examples.addEventListener("toggle", () => { if (this.examples.open && !first(".samples", this.examples)) this.examples.append(sampleButtons(app, "painting")); });
    app.on("inputs", () => this.draw());
    app.on("shown", () => this.draw());
    app.on("status", () => this.drawNotes());
    this.draw();
  }

  draw() {
    const { app } = this, { photo, paintings } = app.status;
    if (!photo) return;
    refill(this.photo, h("img", { src: `picture/photo/${photo.key}`, alt: "" }), about(photo), button("Change", () => this.pickers.photo.click(), { "aria-label": "change the photo" }));
    refill(this.list, paintings.map(one => this.card(one, paintings.length)));
    this.add.disabled = paintings.length >= MOST_PAINTINGS;
    this.drawNotes();
  }

  card(one, count) {
    const { app } = this, hasMasks = app.status.paintings.some(other => other.mask), isEdited = app.masked === one.key;
    const share = app.look.blend[one.key] ?? 1;
    const slider = h("input", { type: "range", min: "0", max: "1", step: "0.05", value: String(share), "aria-label": `share of ${one.name}`,
      oninput: event => app.change({ blend: { ...app.look.blend, [one.key]: Number(event.target.value) } }) });
    return h("li", { class: "input-card" },
      h("img", { src: `picture/painting/${one.key}`, alt: "" }), about(one),
      h("div", { class: "row" },
        h("button", { type: "button", "aria-pressed": String(isEdited), "aria-label": `mask of ${one.name}`, onclick: () => (isEdited ? app.show("quick") : app.editMask(one.key)) }, one.mask ? "Mask ✓" : "Mask"),
        button("×", () => app.send("remove-painting", { key: one.key }), { class: "icon", "aria-label": `remove ${one.name}` })),
      count > 1 && !hasMasks && h("label", { class: "share" }, h("span", { class: "soft" }, "Share"), slider));
  }

  drawNotes() {
    const { paintings, quick } = this.app.status, texts = [], isAbsent = quick.state === "absent";
    for (const one of paintings) if (one.is_plain) texts.push(`${one.name} has one colour: there are no strokes to take from it.`);
    if (paintings.length > 1 && paintings.some(one => one.mask)) texts.push("Masks say where each painting rules; one without a mask takes what the others leave.");
    if (quick.state === "ready" && !quick.has_painting) texts.push(`The quick result is by ${quick.name}, which knows one manner by heart, whatever the painting.`);
    if (isAbsent) texts.push("There is no fast network here. The optimiser at a small size shows what the picture will be like, in some seconds.");
    const text = texts.join(" ");
    if (this.noted === text) return;
    this.noted = text;
    refill(this.notes, ...texts.map(one => h("p", {}, one)), ...(isAbsent ? [h("details", {}, h("summary", {}, "Why, and how to get one"), h("p", {}, quick.why))] : []));
  }
}

function about(one) {
  return h("div", { class: "about" }, h("strong", {}, one.name), h("span", { class: "soft" }, `${one.width} × ${one.height}`));
}
