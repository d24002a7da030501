// Asks the page's server; what it refuses becomes an Error with its one line.

// `command` is the one that serves the page; `refused(found)` is called with what the answer says besides.
export async function ask(path, options, command, refused = /** @type {(found: any) => void} */ (() => {})) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error(`The server does not answer. Is \`${command}\` still running?`);
  }
  if (answer.status >= 400) {
    const text = await answer.text();
    let message = text;
    try {
      const found = JSON.parse(text);
      refused(found);
      message = found.error || text;
    } catch { /* a plain text */ }
    throw new Error(message.trim() || `The server answered ${answer.status}.`);
  }
  return answer;
}
