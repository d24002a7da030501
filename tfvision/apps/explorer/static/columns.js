// What a column of the manifest holds: its values as numbers or dates, the bins of its histogram, and a search over its texts.

let haystacks = new WeakMap(), totals = new WeakMap(), bins = new WeakMap();
const codes = new WeakMap();
const FEW = 4;  // a part of the texts so small is looked through one by one
const DATE = /^(\d{4})(?:-(\d{1,2})(?:-(\d{1,2})(?:[T ](\d{1,2})(?::(\d{2})(?::(\d{2}))?)?)?)?)?$/;

// Columns have changed, as by a label that was corrected: what was computed of them is computed anew, a new value is read.
export function forgetColumns(columns) {
  haystacks = new WeakMap();
  totals = new WeakMap();
  bins = new WeakMap();
  for (const column of columns) {
    const { values, numbers } = column;
    if (numbers && numbers.length < values.length) column.numbers = Float64Array.from(values, (value, code) => (code < numbers.length ? numbers[code] : numberOfText(column, value)));
  }
}

// Names and values are compared but for their spelling, as in data/names.py.
export const plain = text => text.normalize("NFC").toLowerCase().replaceAll("_", " ");

// 1 for each of the texts that holds another.
export function holding(texts, wanted) {
  const found = new Uint8Array(texts.length);
  for (const index of indicesHolding(texts, wanted)) found[index] = 1;
  return found;
}

// Which of the texts hold another, ascending, in one search over all of them; of a wish that goes on, among those that held the one before.
/** @returns {Int32Array} */
export function indicesHolding(texts, wanted) {
  prepareSearch(texts);
  const haystack = haystacks.get(texts), { last } = haystack;
  const isFurther = last && wanted.includes(last.wanted) && FEW * last.found.length < texts.length;
  const found = isFurther ? last.found.filter(index => lineOf(haystack, index).includes(wanted)) : searched(haystack, wanted);
  haystack.last = { wanted, found };
  return found;
}

const lineOf = ({ whole, starts }, index) => whole.slice(starts[index], index + 1 < starts.length ? starts[index + 1] - 1 : whole.length);

function searched({ whole, starts }, wanted) {
  const found = [], last = starts.length - 1;
  let index = 0;
  for (let at = whole.indexOf(wanted); at >= 0 && last >= 0;) {
    while (index < last && starts[index + 1] <= at) index++;
    found.push(index);
    if (index === last) break;
    at = whole.indexOf(wanted, starts[index + 1]);
  }
  return Int32Array.from(found);
}

// Reads texts for their first search: half a second for a million.
export function prepareSearch(texts) {
  haystacks.has(texts) || haystacks.set(texts, haystackOf(texts));
}

function haystackOf(texts) {
  const lines = texts.some(text => text.includes("\n")) ? texts.map(text => text.replaceAll("\n", " ")) : texts;
  const whole = plain(lines.join("\n")), starts = new Uint32Array(lines.length);
  for (let index = 1; index < lines.length; index++) starts[index] = whole.indexOf("\n", starts[index - 1]) + 1;
  return { whole, starts, last: null };
}

// The last index whose number is at most `value`; the numbers ascend.
export function lastUpTo(numbers, value) {
  let low = 0, high = numbers.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (numbers[middle] <= value) low = middle; else high = middle - 1;
  }
  return low;
}

// How many pictures have each value: [without, of values[0], of values[1], ...].
export function totalsOf(column) {
  if (!totals.has(column)) totals.set(column, countsIn(column));
  return totals.get(column);
}

// The same of some rows; null for all.
/** @param {any} column  @param {Int32Array | null} rows */
export function countsIn({ codes, values }, rows = null) {
  const found = new Uint32Array(values.length + 1);
  if (rows) for (let index = 0; index < rows.length; index++) found[codes[rows[index]] + 1]++;
  else for (let row = 0; row < codes.length; row++) found[codes[row] + 1]++;
  return found;
}

// The code of a value, -1 where a column has none such: looked for once, as there may be a value for each picture.
export function codeOf(column, value) {
  const known = codes.get(column) ?? codes.set(column, new Map()).get(column);
  const code = known.get(value) ?? column.values.indexOf(value);
  if (code >= 0) known.set(value, code);
  return code;
}

// Of a column of numbers or dates: the bin of each value (-1 for what is none), and the least and most that pictures have from a bin on, up to a bin.
export function binsOf(column) {
  if (!bins.has(column)) {
    const count = column.edges.length - 1, of = new Int16Array(column.values.length).fill(-1), held = totalsOf(column);
    const least = new Float64Array(count).fill(Infinity), most = new Float64Array(count).fill(-Infinity);
    column.numbers.forEach((value, code) => {
      if (Number.isNaN(value) || !held[code + 1]) return;
      const bin = (of[code] = Math.min(lastUpTo(column.edges, value), count - 1));
      least[bin] = Math.min(least[bin], value);
      most[bin] = Math.max(most[bin], value);
    });
    for (let bin = 1; bin < count; bin++) {
      most[bin] = Math.max(most[bin], most[bin - 1]);
      least[count - 1 - bin] = Math.min(least[count - 1 - bin], least[count - bin]);
    }
    bins.set(column, { of, least, most, count });
  }
  return bins.get(column);
}

// Counts of values, added up by bin.
export function binned(column, counts) {
  const { of, count } = binsOf(column), found = new Uint32Array(count);
  for (let code = 0; code < of.length; code++) if (of[code] >= 0) found[of[code]] += counts[code + 1];
  return found;
}

// The number that a person's text means in a column, NaN for none; of a date that names a year, a month or a day, its beginning or its end.
export function numberOfText(column, text, isEnd = false) {
  if (column.kind === "number") return text.trim() ? Number(text.trim().replace(/^(-?\d+),(\d+)$/, "$1.$2")) : NaN;
  const iso = text.trim().replace(/^(?:(\d{1,2})\.)?(\d{1,2})\.(\d{4})/, (_, day, month, year) => [year, month, ...(day ? [day] : [])].join("-")).replace(/^(\d{4})[/:](\d{1,2})(?:[/:](\d{1,2}))?/, (_, ...parts) => parts.slice(0, 3).filter(Boolean).join("-"));
  const found = DATE.exec(iso)?.slice(1);
  if (!found) return NaN;
  const given = found.filter(part => part !== undefined).length, parts = found.map((part, index) => (part === undefined ? Number(index === 1 || index === 2) : Number(part)));
  if (isEnd) parts[given - 1] += 1;
  const seconds = Date.UTC(parts[0], parts[1] - 1, parts[2], parts[3], parts[4], parts[5]) / 1000;
  return isEnd ? seconds - 0.001 : seconds;
}

// A number of a column as people write it, and as `numberOfText` reads it.
export function textOfNumber(column, value) {
  if (column.kind === "number") return String(value);
  const text = new Date(1000 * value).toISOString();
  return hasTimes(column) ? text.slice(0, 19).replace("T", " ").replace(/:00$/, "") : text.slice(0, 10);
}

const hasTimes = column => (column.hasTimes ??= column.numbers.some(value => value % 86400));
