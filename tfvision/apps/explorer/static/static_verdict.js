// The server's verdict (precision.py, judges.py, plain_words.py) for the static site, where the browser computes it.

import { plural } from "./dom.js";
import * as numbers from "./numbers.js";

const FEWEST_QUERIES = 5;  // of which something can be said by drawing among them

/** @typedef {Record<string, Record<string, boolean>>} Marks  query -> row of a hit -> whether it is right */

// Precision of the first k hits (rows) by marks.
export function precision(hits, marks, k) {
  const first = hits.slice(0, k), judged = first.filter(row => row in marks);
  return judgement(first.length, first.length, judged.filter(row => marks[row]).length, judged.length);
}

// That of several queries' hits together; of enough queries the interval is that of a bootstrap over them where it is wider.
export function pooled(precisions) {
  const [hits, right, judged] = ["hits", "right", "judged"].map(part => precisions.reduce((sum, one) => sum + one[part], 0)), asked = precisions.filter(one => one.judged);
  const together = judgement(Math.max(0, ...precisions.map(one => one.k)), hits, right, judged);
  if (asked.length < FEWEST_QUERIES) return together;
  const [low, high] = numbers.bootstrapInterval(asked.map(one => [one.right, one.judged]));
  return { ...together, low: Math.min(together.low ?? low, low), high: Math.max(together.high ?? high, high) };
}

function judgement(k, hits, right, judged) {
  const [least, most] = hits ? [right / hits, (right + hits - judged) / hits] : [null, null];
  if (!judged) return { k, hits, right: 0, judged: 0, share: null, low: null, high: null, least, most };
  const [low, high] = numbers.wilson(right, judged);
  return { k, hits, right, judged, share: right / judged, low, high, least, most };
}

// [judge, marks] of those who marked anything; "" is who gave no name.
/** @returns {[string, Marks][]} */
export function byJudge(notes, question) {
  const all = /** @type {[string, Marks][]} */ ([["", notes.marks[question] || {}], ...Object.entries(notes.judges[question] || {})]);
  return all.filter(([, marks]) => Object.keys(marks).length);
}

// What most judges of a picture say; where as many say the one as the other, it is not judged.
/** @param {[string, Marks][]} judged  @returns {Marks} */
export function majority(judged) {
  const votes = {};
  for (const [, marks] of judged) {
    for (const [query, byRow] of Object.entries(marks)) {
      const counts = (votes[query] ||= {});
      for (const [row, isRight] of Object.entries(byRow)) counts[row] = (counts[row] || 0) + (isRight ? 1 : -1);
    }
  }
  const decided = counts => Object.fromEntries(Object.entries(counts).filter(([, count]) => count).map(([row, count]) => [row, count > 0]));
  return Object.fromEntries(Object.entries(votes).map(([query, counts]) => [query, decided(counts)]));
}

// How far judges agree, { words }; null of a single one.
/** @param {[string, Marks][]} judged */
export function agreement(judged) {
  if (judged.length < 2) return null;
  const said = judged.map(([, marks]) => new Map(Object.entries(marks).flatMap(([query, byRow]) => Object.entries(byRow).map(([row, isRight]) => [`${row} ${query}`, Number(isRight)]))));
  const shared = those => [...those[0].keys()].filter(one => those.every(other => other.has(one))).map(one => those.map(other => other.get(one)));
  const words = [];
  for (let a = 0; a < said.length; a++) {
    for (let b = a + 1; b < said.length; b++) words.push(pairInWords([judged[a][0], judged[b][0]].map(name => name || "who gave no name").join(" and "), shared([said[a], said[b]])));
  }
  const together = shared(said), all = said.length > 2 && together.length ? fleissKappa(together) : null;
  if (all?.kappa !== undefined) words.push(`All together, on ${plural(together.length, "picture")}: Fleiss’ kappa ${all.kappa.toFixed(2)} (${all.low.toFixed(2)} to ${all.high.toFixed(2)}).`);
  return { words };
}

function pairInWords(names, said) {
  if (!said.length) return `${names} judged no picture in common.`;
  const { same, expected, shares, kappa, low, high } = cohensKappa(said), alike = `${names} say the same of ${percent(same)} of ${plural(said.length, "picture")}`;
  if (kappa === undefined) return `${alike}, and always the same: kappa says nothing.`;
  const way = kappa > 0 ? `${percent(kappa)} of the way from chance to complete agreement` : "no more than chance";
  return `${alike}; by chance, who says “right” as often as they do (${shares.map(percent).join(" and ")}) would of ${percent(expected)}. Kappa ${kappa.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)}) is ${way}.`;
}

// Cohen's kappa (1960) of what two judges said, 1 or 0: [pictures][judges].
function cohensKappa(said) {
  const same = said.filter(([a, b]) => a === b).length, shares = [0, 1].map(judge => mean(said.map(one => one[judge]))), expected = shares[0] * shares[1] + (1 - shares[0]) * (1 - shares[1]);
  return { shares, ...kappaOf(same / said.length, expected, numbers.wilson(same, said.length)) };
}

// Fleiss' kappa (1971) of what several judges said.
function fleissKappa(said) {
  const judges = said[0].length, votes = said.map(one => one.reduce((sum, value) => sum + value, 0)), share = mean(votes) / judges;
  const same = votes.map(right => (right * (right - 1) + (judges - right) * (judges - right - 1)) / (judges * (judges - 1)));
  return kappaOf(mean(same), share ** 2 + (1 - share) ** 2, numbers.bootstrapInterval(same.map(value => [value, 1])));
}

function kappaOf(same, expected, interval) {
  if (expected >= 1) return { same, expected };
  const [kappa, low, high] = [same, ...interval].map(share => (share - expected) / (1 - expected));
  return { same, expected, kappa, low, high };
}

const mean = values => values.reduce((sum, value) => sum + value, 0) / values.length;

// As plain_words.py tells a share.
function percent(share) {
  const value = 100 * share;
  if ((value > 0 && value < 0.05) || (value > 99.95 && value < 100)) return value < 1 ? "<0.1 %" : ">99.9 %";
  return `${value < 10 || value > 99 ? value.toFixed(1).replace(/\.0$/, "") : value.toFixed(0)} %`;
}
