"""The page of `preview`: one document and its script, without anything from elsewhere."""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>tfvision stylize</title>
<style>
:root { color-scheme: dark; --ink: #e8e6e1; --soft: #a09c94; --line: #3a3834; --ground: #1e1d1b; --wall: #272623 }
:root { --content: #56b4e9; --style: #e69f00 }
* { box-sizing: border-box }
body { margin: 0; min-height: 100vh; background: var(--ground); color: var(--ink) }
body { font: 15px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; display: grid; grid-template-columns: 1fr 320px }
figure { margin: 0; padding: 28px; display: grid; place-items: center; background: var(--wall); min-height: 100vh }
figure img { max-width: 100%; max-height: calc(100vh - 56px); box-shadow: 0 8px 40px #0009; display: block }
figure img.small { width: min(100%, 720px); height: auto; object-fit: contain; image-rendering: auto }
figure p { color: var(--soft) }
aside { padding: 28px 24px; display: flex; flex-direction: column; gap: 22px; border-left: 1px solid var(--line) }
h1 { font-size: 1rem; font-weight: 600; margin: 0; overflow-wrap: anywhere }
#when { font-size: 1.7rem; font-weight: 600; line-height: 1.2; font-variant-numeric: tabular-nums }
#where { color: var(--soft); font-variant-numeric: tabular-nums; overflow-wrap: anywhere }
.track { height: 6px; border-radius: 3px; background: var(--line); overflow: hidden; margin-top: 10px }
.track i { display: block; height: 100%; width: 0; background: var(--ink); transition: width .3s }
svg { width: 100%; height: 130px; background: var(--wall); border-radius: 6px; display: block }
polyline { fill: none; stroke-width: 1.6; vector-effect: non-scaling-stroke }
dl { display: grid; grid-template-columns: auto 1fr; gap: 2px 12px; margin: 8px 0 0; font-variant-numeric: tabular-nums }
dt::before { content: ""; display: inline-block; width: 14px; height: 3px; margin-right: 8px; vertical-align: middle; background: var(--colour) }
dd { margin: 0; text-align: right }
small { color: var(--soft); font-size: .82rem }
#inputs { display: grid; grid-template-columns: 1fr 1fr; gap: 10px; align-items: start }
#inputs img { width: 100%; display: block; border-radius: 3px }
@media (max-width: 760px) { body { display: block } figure { min-height: 0; padding: 14px } aside { border: 0 } }
</style>
</head>
<body>
<figure><p id="wait">The first picture comes in a moment.</p><img id="picture" alt="the picture as it is now" hidden></figure>
<aside>
<h1 id="title">tfvision stylize</h1>
<div><div id="when">&hellip;</div><div id="where"></div><div class="track"><i id="bar"></i></div></div>
<div><svg viewBox="0 0 100 100" preserveAspectRatio="none" role="img" aria-label="the losses so far">
<polyline id="content-curve" stroke="#56b4e9"></polyline><polyline id="style-curve" stroke="#e69f00"></polyline></svg>
<dl><dt style="--colour: var(--content)">content loss</dt><dd id="content"></dd>
<dt style="--colour: var(--style)">style loss</dt><dd id="style"></dd></dl>
<small>each from its highest to its lowest, on a logarithmic scale</small></div>
<div id="inputs"></div>
</aside>
<script src="/preview.js"></script>
</body>
</html>
"""

SCRIPT = """"use strict";
const at = name => document.getElementById(name);
let version = 0, started = 0, failures = 0, done = false;

function duration(seconds) {
  if (seconds < 90) return Math.round(seconds) + " s";
  if (seconds < 5400) return Math.round(seconds / 60) + " min";
  return (seconds / 3600).toFixed(1) + " h";
}

function curve(name, values) {
  const logs = values.map(value => Math.log(Math.max(value, 1e-30)));
  const low = Math.min(...logs), span = Math.max(...logs) - low || 1, last = Math.max(logs.length - 1, 1);
  at(name).setAttribute("points", logs.map((value, i) => (100 * i / last).toFixed(2) + "," + (95 - 90 * (value - low) / span).toFixed(2)).join(" "));
}

function showInputs(count) {
  at("inputs").replaceChildren(...Array.from({ length: count }, (_, i) => {
    const image = new Image();
    image.src = "/input/" + i + "?" + started;
    image.alt = i ? "painting" : "photo";
    return image;
  }));
}

function showPicture(now) {
  const next = new Image();  // swapped when it is there, so that nothing flickers
  next.onload = () => {
    at("picture").src = next.src;
    at("picture").classList.toggle("small", Math.max(next.naturalWidth, next.naturalHeight) < 720);
    at("picture").hidden = false;
    at("wait").hidden = true;
  };
  next.src = "/picture?" + now;
}

function show(state) {
  at("title").textContent = state.title || "tfvision stylize";
  if (state.started !== started) { started = state.started; showInputs(state.inputs); }
  if (state.version !== version) { version = state.version; showPicture(version); }
  if (state.iteration !== undefined) {
    const where = state.scales > 1 ? "scale " + state.scale + " of " + state.scales + ", " : "";
    at("where").textContent = where + "iteration " + state.iteration + " of " + state.iterations + ", " + duration(state.seconds);
    at("bar").style.width = 100 * state.share + "%";
    at("content").textContent = state.content_loss.toPrecision(4);
    at("style").textContent = state.style_loss.toPrecision(4);
    if (state.curve.length > 1) {
      curve("content-curve", state.curve.map(point => point[0]));
      curve("style-curve", state.curve.map(point => point[1]));
    }
  }
  done = state.is_done;
  if (done) {
    at("when").textContent = "Ready";
    at("where").textContent = state.output + ", " + duration(state.seconds);
    at("bar").style.width = "100%";
  } else if (state.seconds_left !== null && state.seconds_left !== undefined) {
    at("when").textContent = duration(state.seconds_left) + " left";
  }
  document.title = at("when").textContent + " \\u2013 tfvision stylize";
}

async function ask() {
  try {
    show(await (await fetch("/state")).json());
    failures = 0;
  } catch (error) {
    failures += 1;
    if (failures > 2) {
      if (!done) at("when").textContent = "The command has ended";
      return;
    }
  }
  setTimeout(ask, 500);
}

ask();
"""
