"""What the figures of a view mean in its own case, as sentences: the one place where they are put into words.

Who draws a view shows the sentences beside the figures; a static copy, which computes its figures in the browser, has those of hubs
and, by static_verdict.js, of judges.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfvision.apps.explorer import distributions
from tfvision.apps.explorer.precision import FEWEST_QUERIES
from tfvision.evaluation.retrieval import bootstrap_interval

Found = Mapping[str, Any]
_PREFERRED = (10, 20, 5, 50)  # of which k a verdict speaks: the first that is judged as good as in full
_AS_GOOD_AS_FULL = 0.9


def distribution_words(scores: np.ndarray, pairs: np.ndarray, counts: np.ndarray, pair_counts: np.ndarray, shortlist: int) -> list[str]:
    """Of a query's similarities (ascending) beside those of random pairs, and their histograms over the same bins."""
    if not len(scores) or not len(pairs):
        return []
    value, below, below_pairs = distributions.widest_gap(scores, pairs)
    distance = abs(below - below_pairs)
    side = f"{_much(distance)} {'more' if below < below_pairs else 'less'} alike than two pictures are as a rule"
    guess = _guess("whether it is this query’s or a random pair’s", counts, pair_counts)
    words = [
        f"Kolmogorov-Smirnov {distance:.3f}: {_percent(below)} of the pictures, but {_percent(below_pairs)} of random pairs, have a similarity of "
        f"{value:.3f} at most; nowhere do the two differ more. To this query the collection is {side}.",
        f"Jensen-Shannon {distributions.jensen_shannon(counts, pair_counts):.3f}: {guess}",
    ]
    if len(scores) > shortlist:
        reach = float(scores[-shortlist])
        words.append(f"The first {shortlist} hits begin at {reach:.3f}: {_percent(_share_from(pairs, reach))} of random pairs are as alike as that.")
    return words


def comparison_words(
    titles: Sequence[str], samples: Sequence[np.ndarray], counts: Sequence[np.ndarray], overlaps: Sequence[Sequence[float]], shortlist: int
) -> list[str]:
    """Of several queries' similarities (ascending), their histograms over the same bins, and the overlap of their first hits: the extreme pairs."""
    pairs = [pair for pair in itertools.combinations(range(len(titles)), 2) if all(len(samples[one]) for one in pair)]
    if not pairs:
        return []
    named = [f"{number} ({title})" for number, title in enumerate(titles, 1)]
    distances = {pair: distributions.kolmogorov_smirnov(samples[pair[0]], samples[pair[1]]) for pair in pairs}
    a, b = farthest = max(pairs, key=distances.__getitem__)
    value, below_a, below_b = distributions.widest_gap(samples[a], samples[b])
    widest = f"{_percent(below_a)} of the pictures have a similarity of {value:.3f} at most to {named[a]}, {_percent(below_b)} to {named[b]}."
    most = "" if len(pairs) == 1 else f" {a + 1} and {b + 1} are the farthest apart;"
    words = [
        f"Kolmogorov-Smirnov {distances[farthest]:.3f}:{most} {widest}",
        f"Jensen-Shannon {distributions.jensen_shannon(counts[a], counts[b]):.3f}: {_guess(f'whether it is of {a + 1} or of {b + 1}', counts[a], counts[b])}",
    ]
    if len(pairs) > 1:
        nearest = min(pairs, key=distances.__getitem__)
        words.append(f"{nearest[0] + 1} and {nearest[1] + 1} see the collection most alike: their distributions are {distances[nearest]:.3f} apart.")
    a, b = max(pairs, key=lambda pair: overlaps[pair[0]][pair[1]])
    sizes = [min(shortlist, len(samples[one])) for one in (a, b)]
    shared, by_chance = round(overlaps[a][b] * min(sizes)), sizes[0] * sizes[1] / max(len(samples[a]), len(samples[b]))
    told = "" if len(pairs) == 1 else ", more than any other two"
    return [*words, f"Of their first {min(sizes)} hits {a + 1} and {b + 1} share {shared}{told}; two lists at random would share about {_count(by_chance)}."]


def hub_words(counts: np.ndarray, skewness: float, neighbours: int) -> str:
    """Of how many pictures have each picture among their nearest."""
    if not len(counts):
        return ""
    tenth = np.sort(counts)[::-1][: max(1, len(counts) // 10)]
    kind = "there are hardly any hubs" if skewness < 0.5 else "there are some hubs" if skewness < 1.5 else "a few pictures are near to very many"
    return (
        f"Skewness {skewness:.2f}: {kind}. The middle picture is among the {neighbours} nearest of {_count(float(np.median(counts)))} others, "
        f"the greatest hub of {int(counts.max()):,}; the tenth of the pictures that is there most often has "
        f"{_percent(tenth.sum() / max(1, counts.sum()))} of all places."
    )


def label_sentence(found: Found) -> str:
    """The answer by label as a person would say it: of the first ten hits in the first layer; then how the others differ."""
    column, queries, possible = (found[name] for name in ("column", "queries", "possible"))
    asked = (
        f"{queries:,} of {possible:,} pictures, drawn at random," if queries < possible else f"All {queries:,} pictures that share their {column} with another"
    )
    first, *others = [{**layer, "name": name} for layer, name in zip(found["layers"], _without_model([one["name"] for one in found["layers"]]), strict=True)]
    share, chance, interval = (first[name][found["measures"].index("precision at 10")] for name in ("values", "chance", "intervals"))
    parts = [
        f"{asked} were asked. Of the first ten hits in {first['name']} {_percent(share)} have the same {column} ({_span(interval)}), "
        f"{_lift(share, chance)} times what chance would give ({_percent(chance)})."
    ]
    for layer in others:
        mean, low, high = layer["differences"][found["measures"].index("mAP")]
        if low <= 0 <= high:
            parts.append(f"{layer['name']} is not clearly different in mAP ({low:.2f} to {high:.2f}).")
        else:
            least, most = sorted(map(abs, (low, high)))
            parts.append(f"{layer['name']} is {abs(mean):.2f} {'better' if mean > 0 else 'worse'} in mAP ({least:.2f} to {most:.2f}).")
    return " ".join(parts)


def label_words(found: Found) -> list[str]:
    """Of the measures by label in the first layer."""
    layer, column = found["layers"][0], found["column"]
    value = dict(zip(found["measures"], layer["values"], strict=True))
    chance = dict(zip(found["measures"], layer["chance"], strict=True))
    interval = dict(zip(found["measures"], layer["intervals"], strict=True))
    ten, r, mean, area = "precision at 10", "R-precision", "mAP", "AUROC"
    words = [
        f"{ten} of {value[ten]:.2f}: {_count(10 * value[ten])} of ten hits have the query’s {column}; in a random order it would be "
        f"{_count(10 * chance[ten])}. The lift, {_lift(value[ten], chance[ten])}, is how many times that.",
        f"{r} of {value[r]:.2f}: where R other pictures have the query’s {column}, {_percent(value[r])} of the first R hits are among them.",
        f"{mean} of {value[mean]:.2f}: on the way down to each picture of the same {column}, {_percent(value[mean])} of what is passed is right, as the mean; "
        f"in a random order {_percent(chance[mean])}.",
        f"{area} of {value[area]:.2f}: of a picture of the same {column} and one of another, the first is the more alike {_percent(value[area])} of the "
        "time; 50 % is chance.",
        f"{mean}’s interval, {interval[mean][0]:.2f} to {interval[mean][1]:.2f}: of {found['queries']:,} other such queries it would mostly lie within.",
    ]
    return ["P" + word[1:] if word.startswith("precision") else word for word in words]


def verdict_draft(found: Found) -> str:
    """A verdict by hand as a person would write it, with its numbers; "" where nothing is judged. `found` is what answers.verdict says, but for its words."""
    if (told := _telling(found)) is None:
        return ""
    (cut, order), names = told, _without_model(found["layers"])
    best, at_random = found["pooled"][order[0]][cut], found["drawn"]
    queries = sum(1 for row in found["queries"] if row["layers"][order[0]][cut]["judged"])
    parts = [
        f"{_degree(best, at_random)}of the first {_plural(best['k'], 'hit')} of {_plural(queries, 'query', 'queries')}, {names[order[0]]} has "
        f"{_percent(best['share'])} right (95 % interval {_span(_ends(best))}){_against(best, at_random)}."
    ]
    parts += [_beside(found, cut, order[0], other, names[other]) for other in order[1:]]
    if not at_random["judged"]:
        parts.append("How often chance would be right was not judged.")
    parts += _bounds(found, cut, order, names)
    if found["agreement"] and found["judge"] is None:
        parts += agreement_words(found["agreement"], is_brief=True)
    text = " ".join(parts)
    return text[0].upper() + text[1:]


def verdict_words(found: Found) -> list[str]:
    """Of the figures beside a verdict by hand: the interval, and what chance gives."""
    words, told = [], _telling(found)
    if told:
        cut, (first, *_) = told
        one, at_random = found["pooled"][first][cut], found["drawn"]
        words.append(
            f"Precision at {found['ks'][cut]} of {one['share']:.2f} in {found['layers'][first]}: {one['right']} of {_plural(one['judged'], 'hit')} that were "
            f"judged are right. So few leave open any share from {_span(_ends(one))}."
        )
        if at_random["judged"]:
            words.append(
                f"Chance: of {_plural(at_random['judged'], 'judged picture')} that were drawn at random {at_random['right']} "
                f"{'is' if at_random['right'] == 1 else 'are'} right, {_percent(at_random['share'])} ({_span(_ends(at_random))})."
            )
    return words


def agreement_words(agreement: Found, is_brief: bool = False) -> list[str]:
    """Of how far judges agree, as judges.agreement says."""
    words = []
    for pair in agreement["pairs"]:
        names = " and ".join(name or "who gave no name" for name in pair["judges"])
        if not pair["pictures"]:
            words.append(f"{names} judged no picture in common.")
            continue
        same = f"{names} say the same of {_percent(pair['same'])} of {_plural(pair['pictures'], 'picture')}"
        if pair["kappa"] is None:
            words.append(f"{same}, and always the same: kappa says nothing.")
        elif is_brief:
            words.append(f"{same} (kappa {pair['kappa']:.2f}, {pair['low']:.2f} to {pair['high']:.2f}).")
        else:
            way = f"{_percent(pair['kappa'])} of the way from chance to complete agreement" if pair["kappa"] > 0 else "no more than chance"
            often = " and ".join(map(_percent, pair["shares"]))
            words.append(
                f"{same}; by chance, who says “right” as often as they do ({often}) would of {_percent(pair['expected'])}. "
                f"Kappa {pair['kappa']:.2f} ({pair['low']:.2f} to {pair['high']:.2f}) is {way}."
            )
    of_all = agreement["all"]
    if of_all and of_all["kappa"] is not None:
        interval = f"{of_all['low']:.2f} to {of_all['high']:.2f}"
        words.append(f"All together, on {_plural(of_all['pictures'], 'picture')}: Fleiss’ kappa {of_all['kappa']:.2f} ({interval}).")
    return words


def _telling(found):
    """(number of the k, layers by their share there, the best first) of which a verdict speaks; None where nothing is judged."""
    known = [number for number, row in enumerate(found["pooled"]) if any(one["judged"] for one in row)]
    if not found["queries"] or not known:
        return None
    cuts = [found["ks"].index(k) for k in _PREFERRED]
    shares = {cut: min(_share_judged(found["pooled"][number][cut]) for number in known) for cut in cuts}
    cut = next((cut for cut in cuts if shares[cut] >= _AS_GOOD_AS_FULL), max(cuts, key=shares.__getitem__))
    judged = [number for number in known if found["pooled"][number][cut]["judged"]]
    return cut, sorted(judged, key=lambda number: -found["pooled"][number][cut]["share"])


def _share_judged(one):
    return one["judged"] / one["hits"] if one["hits"] else 0.0


def _against(best, at_random):
    """Beside what chance gives."""
    if not at_random["judged"]:
        return ""
    if not at_random["right"]:
        return f", against none of {_plural(at_random['judged'], 'picture')} drawn at random"
    chance = f"{_percent(at_random['share'])}, {_span(_ends(at_random))}"
    return f", {_lift(best['share'], at_random['share'])} times as often as pictures drawn at random ({chance})"


def _degree(best, at_random):
    if at_random["judged"] and best["low"] <= at_random["high"]:
        return "Not clearly more than by chance: "
    if not at_random["judged"]:
        return ""
    return next(word for least, word in ((0.8, "Yes: "), (0.5, "Mostly: "), (0.2, "In part: "), (0, "Hardly: ")) if best["least"] >= least)


def _beside(found, cut, best, other, name):
    """How another layer does, by pairs of the same queries where there are enough."""
    one = found["pooled"][other][cut]
    pairs = [[row["layers"][number][cut]["share"] for number in (best, other)] for row in found["queries"]]
    differences = [a - b for a, b in pairs if a is not None and b is not None]
    share = f"{name} has {_percent(one['share'])}"
    if len(differences) < FEWEST_QUERIES:
        return f"{share}; fewer than {FEWEST_QUERIES} queries cannot tell whether that is different."
    low, high = bootstrap_interval(differences)
    if low <= 0 <= high:
        return f"{share}, no clear difference on the same queries ({_points(-low)} points more to {_points(high)} less)."
    return f"{share}, {_points(np.mean(differences))} points less on the same queries ({_points(low)} to {_points(high)})."


def _points(difference):
    return f"{100 * difference:.0f}".replace("-0", "0")


def _bounds(found, cut, order, names):
    """One sentence on what is not judged; none where all is."""
    parts = []
    for number in order:
        one = found["pooled"][number][cut]
        if missing := one["hits"] - one["judged"]:
            parts.append(f"{missing} of {one['hits']} in {names[number]}, with which it would be {_span((one['least'], one['most']))}")
    return [f"Not judged are {'; '.join(parts)}."] if parts else []


def _without_model(layers):
    """Names of layers; where all are of one network, without its name."""
    models = {name.partition(" ")[0] for name in layers}
    return [name.partition(" ")[2] for name in layers] if len(models) == 1 and all(" " in name for name in layers) else list(layers)


def _guess(what, counts_a, counts_b):
    right = 100 * distributions.best_guess(counts_a, counts_b)
    return f"who is told a single similarity guesses {what} rightly {right:.0f} times in 100; 50 is chance."


def _much(distance):
    return next(word for least, word in ((0.5, "far"), (0.25, "clearly"), (0.1, "a little"), (0, "hardly")) if distance >= least)


def _share_from(ordered, value):
    return 1 - np.searchsorted(ordered, value, side="left") / len(ordered)


def _ends(one):
    return one["low"], one["high"]


def _span(ends):
    low, high = (_percent(one) for one in ends)
    return f"{low.removesuffix(' %')} to {high}"


def _percent(share):
    """ "61 %"; near the ends with a decimal, so that almost nothing is not told as nothing."""
    percent = 100 * float(share)
    if 0 < percent < 0.05 or 99.95 < percent < 100:
        return "<0.1 %" if percent < 1 else ">99.9 %"
    return f"{percent:.1f} %".replace(".0 %", " %") if percent < 10 or percent > 99 else f"{percent:.0f} %"


def _lift(share, chance):
    times = share / chance
    return f"{times:.1f}" if times < 100 else f"{times:.0f}"


def _count(value):
    return f"{value:.1f}".removesuffix(".0") if value < 100 else f"{value:,.0f}"


def _plural(count, one, many=""):
    return f"{count:,} {one if count == 1 else many or one + 's'}"
