// A site that was opened as a file: browsers load no modules from there, so it says how to serve it.

if (location.protocol === "file:") {
  const folder = decodeURIComponent(location.pathname).replace(/[^/]*$/, ""), quoted = `'${folder.replaceAll("'", "'\\''")}'`;
  const lines = ["This page needs a web server, for browsers let no page read files beside it. In a terminal:", `python3 -m http.server -d ${quoted}`, "Then open http://localhost:8000/"];
  document.getElementById("main")?.replaceChildren(...lines.map((text, index) => {
    const line = document.createElement(index === 1 ? "pre" : "p");
    line.className = "state";
    line.textContent = text;
    return line;
  }));
}
