// What is seen first: a photo and a painting are to be chosen, from files or from examples.

import { button, h, refill } from "./dom.js";
import { chooseFiles, filePicker, sampleButtons } from "./inputs.js";

const TEXTS = {
  photo: ["A photo", "Drop a photo here", "What the picture shows."],
  painting: ["A painting", "Drop a painting here", "How it is painted; several can be mixed."],
};

export function startPage(app, main) {
  refill(main,
    h("div", { class: "welcome" }, h("h2", {}, "A photo in the manner of a painting"), h("p", { class: "soft" }, "Nothing leaves this machine, and nothing is written to its disk but what you download.")),
    h("div", { class: "choices" }, ["photo", "painting"].map(kind => choice(app, kind))));
}

function choice(app, kind) {
  const [title, wish, about] = TEXTS[kind], chosen = chosenOf(app, kind), picker = filePicker(app, kind);
  const zone = h("div", { class: "zone", "data-kind": kind },
    chosen ? h("img", { src: chosen.url, alt: chosen.name }) : h("p", {}, wish),
    picker, button(chosen ? "Choose another" : `Choose ${title.toLowerCase()}`, () => picker.click(), { class: chosen ? "" : "primary" }));
  for (const type of ["dragenter", "dragover"]) zone.addEventListener(type, event => { event.preventDefault(); zone.classList.add("over"); });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", event => { event.preventDefault(); event.stopPropagation(); chooseFiles(app, kind, [...event.dataTransfer.files]); });
  return h("section", { class: "choice" }, h("h3", {}, title, chosen && h("span", { class: "soft" }, " chosen")), h("p", { class: "soft" }, about), zone, h("p", { class: "soft" }, "Or an example:"), sampleButtons(app, kind));
}

function chosenOf(app, kind) {
  const { photo, paintings } = app.status, one = kind === "photo" ? photo : paintings[0];
  return one && { url: `picture/${kind}/${one.key}`, name: one.name };
}
