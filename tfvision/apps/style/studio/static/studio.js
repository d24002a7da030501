// The studio: before there is a photo and a painting, where to take them from; then the large picture, its panel and the versions.

import { QUICK } from "./app.js";
import { h, part } from "./dom.js";
import { chooseFiles, dropAnywhere, InputsPart } from "./inputs.js";
import { LookPart } from "./look.js";
import { PaintPart } from "./paint.js";
import { Stage } from "./stage.js";
import { startPage } from "./start.js";
import { Strip } from "./strip.js";

export function openStudio(app, main) {
  const stage = new Stage(app), strip = new Strip(app), paint = new PaintPart(app);
  const choices = h("div", { class: "choices-list" }, new InputsPart(app).element, new LookPart(app).element, paint.element);
  const panel = h("aside", { class: "panel", "aria-label": "choices" }, choices, paint.footer);
  const room = [h("div", { class: "work" }, stage.element, strip.element), panel];
  let isWorking = null;
  const draw = () => {
    if (isWorking === app.hasBoth && isWorking) return;
    const hadFocus = main.contains(document.activeElement);
    isWorking = app.hasBoth;
    main.className = isWorking ? "studio" : "start";
    if (isWorking) main.replaceChildren(...room);
    else startPage(app, main);
    if (hadFocus && !main.contains(document.activeElement)) main.focus({ preventScroll: true });
  };
  app.on("inputs", draw);
  draw();
  dropAnywhere(app, part("main"));
  addEventListener("paste", event => paste(app, event));
  addEventListener("keydown", event => { if (event.key === "Escape" && app.masked) app.show(QUICK); });
}

// A picture from the clipboard: the photo, where there is none yet, else one more painting.
function paste(app, event) {
  const files = [...(event.clipboardData?.files ?? [])];
  if (!files.length) return;
  event.preventDefault();
  chooseFiles(app, app.status.photo ? "painting" : "photo", files);
}
