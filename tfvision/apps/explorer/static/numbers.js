// The server's numbers (similarity.py, distributions.py) for the static site, where the browser computes them.

export function similarities(layer, vector, own) {
  const { scales, values, dimension, count } = layer, found = new Float32Array(count);
  for (let row = 0; row < count; row++) {
    let sum = 0;
    for (let index = 0, at = row * dimension; index < dimension; index++, at++) sum += vector[index] * values[at];
    found[row] = sum * scales[row];
  }
  own.forEach(row => { found[row] = NaN; });
  return found;
}

// The mean of some rows' vectors; of one row, its own.
export function meanVector(layer, rows) {
  const known = rows.filter(row => !Number.isNaN(layer.scales[row])), mean = new Float32Array(layer.dimension);
  if (!known.length) throw new Error("None of these pictures has a vector.");
  known.forEach(row => { for (let index = 0, at = row * layer.dimension; index < layer.dimension; index++, at++) mean[index] += (layer.values[at] * layer.scales[row]) / known.length; });
  return mean;
}

export const sorted = scores => Float32Array.from(scores.filter(score => !Number.isNaN(score))).sort();

export function nearest(scores, k) {
  const known = [];
  scores.forEach((score, row) => { if (!Number.isNaN(score)) known.push(row); });
  return known.sort((a, b) => scores[b] - scores[a] || a - b).slice(0, k);
}

export function below(value, ordered) {
  let [low, high] = [0, ordered.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ordered[middle] < value) low = middle + 1;
    else high = middle;
  }
  return ordered.length ? low / ordered.length : 0;
}

export function edges(samples, count) {
  const filled = samples.filter(sample => sample.length);
  let low = Math.min(...filled.map(sample => sample[0])), high = Math.max(...filled.map(sample => sample.at(-1)));
  if (!filled.length) [low, high] = [0, 1];
  if (!(high > low)) [low, high] = [low - 0.5, high + 0.5];
  return Array.from({ length: count + 1 }, (_, index) => low + ((high - low) * index) / count);
}

export function histogram(sample, limits) {
  const bins = limits.length - 1, counts = new Array(bins).fill(0), width = (limits[bins] - limits[0]) / bins;
  sample.forEach(value => { counts[Math.max(0, Math.min(bins - 1, Math.floor((value - limits[0]) / width)))]++; });
  return counts;
}

export function kolmogorovSmirnov(a, b) {
  if (!a.length || !b.length) return null;
  let [i, j, most] = [0, 0, 0];
  while (i < a.length && j < b.length) {
    const value = Math.min(a[i], b[j]);
    while (i < a.length && a[i] === value) i++;
    while (j < b.length && b[j] === value) j++;
    most = Math.max(most, Math.abs(i / a.length - j / b.length));
  }
  return most;
}

export function jensenShannon(a, b) {
  const total = counts => counts.reduce((sum, count) => sum + count, 0), [ta, tb] = [total(a), total(b)];
  if (!ta || !tb) return null;
  let divergence = 0;
  a.forEach((count, bin) => {
    const p = count / ta, q = b[bin] / tb, middle = (p + q) / 2;
    if (p) divergence += (p * Math.log2(p / middle)) / 2;
    if (q) divergence += (q * Math.log2(q / middle)) / 2;
  });
  return Math.sqrt(Math.max(0, divergence));
}

export function overlap(a, b) {
  const shorter = Math.min(a.length, b.length), there = new Set(b);
  return shorter ? a.filter(row => there.has(row)).length / shorter : 0;
}

export function summary(ordered) {
  const count = ordered.length;
  if (!count) return { count: 0, mean: null, deviation: null, low: null, high: null, median: null };
  const mean = ordered.reduce((sum, value) => sum + value, 0) / count;
  const deviation = Math.sqrt(ordered.reduce((sum, value) => sum + (value - mean) ** 2, 0) / count);
  return { count, mean, deviation, low: ordered[0], high: ordered[count - 1], median: (ordered[(count - 1) >> 1] + ordered[count >> 1]) / 2 };
}

export const binsFor = count => Math.max(24, Math.min(120, Math.floor(1.5 * Math.sqrt(count))));

export function wilson(right, trials, z = 1.959963984540054) {
  const share = right / trials, centre = share + (z * z) / (2 * trials), spread = z * Math.sqrt((share * (1 - share)) / trials + (z * z) / (4 * trials * trials));
  return [right ? (centre - spread) / (1 + (z * z) / trials) : 0, right < trials ? (centre + spread) / (1 + (z * z) / trials) : 1];
}

// A function that draws a whole number below another; the same ones each time.
export function drawing(seed) {
  return most => { seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0; return Math.floor((seed / 4294967296) * most); };
}

// The 95 % interval of sum(a) / sum(b) over pairs [a, b], by drawing as many pairs with replacement a thousand times; the same each time.
export function bootstrapInterval(pairs) {
  const random = drawing(20151208);
  const ratios = Float64Array.from({ length: 1000 }, () => {
    let [above, below] = [0, 0];
    for (let drawn = 0; drawn < pairs.length; drawn++) { const [a, b] = pairs[random(pairs.length)]; above += a; below += b; }
    return above / below;
  }).sort();
  const at = share => { const place = share * (ratios.length - 1), lower = Math.floor(place); return ratios[lower] + (place - lower) * ((ratios[lower + 1] ?? ratios[lower]) - ratios[lower]); };
  return [at(0.025), at(0.975)];
}

// A whole number below 2 ** 32 of a text, even over all of them (FNV-1a, then mixed).
export function hash(text) {
  let found = 2166136261;
  for (const byte of new TextEncoder().encode(text)) found = Math.imul(found ^ byte, 16777619);
  found = Math.imul(found ^ (found >>> 16), 2246822507);
  found = Math.imul(found ^ (found >>> 13), 3266489909);
  return (found ^ (found >>> 16)) >>> 0;
}
