// The view that `stylize --preview` opens: the picture as it grows, what it is made of, time left and losses.

import { h, refill } from "./dom.js";
import { GrowthPanel, whenText } from "./growth.js";
import { Sheet } from "./sheet.js";

export function openWatching(app, main) {
  const sheet = new Sheet(), panel = new GrowthPanel();
  panel.losses.open = true;
  const title = h("h2", {}), inputs = h("div", { class: "inputs" });
  main.className = "watching";
  main.replaceChildren(
    h("div", { class: "work" }, sheet.element),
    h("aside", { class: "panel", "aria-label": "the picture" }, h("section", {}, title, panel.element), h("section", {}, h("h2", {}, "Made of"), inputs)),
  );
  let started = -1, version = -1;
  const draw = () => {
    const { growth } = app.status;
    title.textContent = growth.title || "tfvision stylize";
    panel.draw(growth);
    if (growth.started !== started) {
      started = growth.started;
      refill(inputs, ...Array.from({ length: growth.inputs }, (_, index) => h("img", { src: `growth/input/${index}?${started}`, alt: index ? "painting" : "photo" })));
    }
    if (growth.version !== version) {
      version = growth.version;
      if (version) sheet.show(`growth/picture?${version}`, "the picture as it is now");
      else sheet.tell("The first picture comes in a moment.");
    }
    document.title = `${whenText(growth)} – tfvision stylize`;
  };
  app.on("status", draw);
  app.on("lost", () => { if (app.status.growth.stage !== "done") panel.when.textContent = "The command has ended"; });
  draw();
}
