// What all parts of the page share: what the server says, the look, and which picture is shown.

import { ask } from "./ask.js";
import { say } from "./toast.js";

const POLL_SECONDS = 3, PAINTING_POLL_SECONDS = 0.5;
const LOOK = { strength: 1, stroke: 1, colour: "", size: 512, style_weight: 100, blend: {} };
export const QUICK = "quick", GROWTH = "growth";  // besides the keys of versions: what can be shown

export class App {
  constructor() {
    this.listeners = {};
    /** @type {any} */
    this.status = null;
    /** @type {{ strength: number, stroke: number, colour: string, size: number, style_weight: number, blend: Record<string, number> }} */
    this.look = { ...LOOK };
    this.shown = QUICK;
    this.beside = "";  // what it is compared with; "" = nothing
    this.masked = "";  // the key of the painting whose mask is edited; "" = none
    this.quickUrl = "";  // of the last quick result
    this.sends = 0;  // begun and ended
    this.isBusy = false;  // a picture is being sent, or kept
    this.flush = async () => {};  // sends the strokes of a mask that were not sent yet
  }

  on(event, listener) { (this.listeners[event] ||= new Set()).add(listener); }
  emit(event) { this.listeners[event]?.forEach(listener => listener()); }

  async open() {
    this.status = await this.get("api/status");
    if (this.status.look) this.look = { ...this.look, ...this.status.look };
    if (this.status.is_painting) this.shown = GROWTH;
  }

  async get(path) { return (await ask(path, {}, "tfvision studio")).json(); }

  // Sends something and takes the status that is answered; tells an error. Returns whether it went well.
  async send(path, value) {
    this.sends++;
    try {
      const body = value instanceof Blob ? value : JSON.stringify(value ?? {});
      this.take(await (await ask(`api/${path}`, { method: "POST", body }, "tfvision studio")).json());
      return true;
    } catch (error) {
      this.say(error.message, true);
      return false;
    } finally {
      this.sends++;
    }
  }

  // The quick result: a Blob, or null where a newer look was asked for.
  async glance() {
    const answer = await ask("api/quick", { method: "POST", body: JSON.stringify(this.look) }, "tfvision studio");
    const found = await answer.blob();
    return found.size ? found : null;
  }

  take(status) {
    const before = this.status;
    this.status = status;
    const inputs = ({ photo, paintings, quick }) => JSON.stringify([photo, paintings, quick.state]);
    if (this.version(this.beside) === null) this.beside = "";
    if (this.version(this.shown) === null) this.shown = QUICK;
    if (this.masked && !status.paintings.some(one => one.key === this.masked)) this.masked = "";
    this.emit("status");
    if (!status.is_watching && inputs(before) !== inputs(status)) { this.emit("inputs"); this.emit("look"); }
    if (before.is_painting && !status.is_painting) this.ended();
  }

  // The optimiser has ended: its picture is shown where it was watched.
  ended() {
    const { growth, versions } = this.status, made = versions.find(one => one.name === growth.output);
    if (growth.stage === "failed") this.say(growth.error, true);
    if (growth.stage === "done") this.say("The picture is ready.");
    if (growth.stage === "stopped") this.say(growth.output ? "Stopped; the picture so far is kept." : "Stopped.");
    if (this.shown === GROWTH) this.show(made?.key ?? QUICK);
  }

  change(look) {
    this.look = { ...this.look, ...look };
    this.emit("look");
  }

  show(shown, beside = "") {
    Object.assign(this, { shown, beside, masked: "" });
    this.emit("shown");
  }

  editMask(key) {
    this.masked = key;
    this.emit("shown");
  }

  // The version of a key, undefined where the key is none of a version, null where it is gone.
  version(key) {
    return /^\d+$/.test(key) ? this.status.versions.find(one => one.key === key) ?? null : undefined;
  }

  get hasBoth() { return Boolean(this.status.photo && this.status.paintings.length); }

  say(text, isError = false) { say(text, isError); }

  async poll() {
    for (;;) {
      await new Promise(done => setTimeout(done, 1000 * (this.isWatchedClosely ? PAINTING_POLL_SECONDS : POLL_SECONDS)));
      if (document.visibilityState !== "visible") continue;
      try {
        const { sends } = this, status = await this.get("api/status");
        if (sends === this.sends) this.take(status);  // else it may be from before what was sent
        this.lost(false);
      } catch (error) {
        this.lost(true, error.message);
      }
    }
  }

  get isWatchedClosely() { return this.status.is_painting || this.status.is_watching || this.status.quick.state === "loading"; }

  lost(isLost, text = "") {
    if (isLost && !this.isLost) this.emit("lost");
    if (isLost && !this.isLost && !this.status.is_watching) this.say(text, true);
    this.isLost = isLost;
  }
}
