// Opens the studio, or the view of a picture that `--preview` shows, and draws its parts.

import { App } from "./app.js";
import { failed, h, part } from "./dom.js";
import { themeButton, readTheme } from "./theme.js";

const main = part("main");

async function start() {
  readTheme();
  const app = new App();
  try {
    await app.open();
  } catch (error) {
    main.replaceChildren(failed(error, () => location.reload()));
    return;
  }
  const name = app.status.is_watching ? "stylize" : "studio";
  document.title = `tfvision ${name}`;
  part("bar").replaceChildren(h("h1", {}, `tfvision ${name}`), h("div", { class: "grow" }), themeButton());
  if (app.status.is_watching) (await import("./watching.js")).openWatching(app, main);
  else (await import("./studio.js")).openStudio(app, main);
  app.poll();
}

start();
