"""What may be made of taps, judged on classes that were not trained on: tuning networks anew, corrections of the taps, weights of the taps, whitening.

    python benchmarks/retrieval_frozen.py SOURCE --protocol labels --recipe small --frozen block_12_add --set image_size=128 --set held_out_fraction=0.5
        --set "tuning=[]" --set index=out_relu --seeds 1 --out DIR
    python benchmarks/retrieval_tries.py DIR/not-fine-tuned-0.npz DIR/cosface-0.npz [--epochs 16] [--only whitened]

Prints MAP@R of photos of unseen classes among all photos, for each try after 1, 2, 4, 8, ... epochs. Plain numpy: the taps are of MobileNetV2.
"""

import functools

import click
import numpy as np

from tfvision.apps.retrieval.recipes import small

WIDTHS = (24, 32, 64, 96, 160, 1280)  # of the taps of MobileNetV2
MOMENTUM, CLIP_NORM, BATCH, WARMUP_STEPS = 0.9, small().gradient_clip_norm, small().batch_size, small().warmup_steps
DECAYED = ("first", "second", "classes")


def unit(vectors):
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def parts(table):
    return np.split(table, np.cumsum(WIDTHS)[:-1], axis=1)


def map_at_r(vectors, labels, asked):
    """Mean of the average precisions among the first R of each asked photo, R being the number of others of its label."""
    vectors, values = unit(vectors), []
    for query in asked:
        similar = vectors @ vectors[query]
        similar[query] = -9
        relevant = int((labels == labels[query]).sum()) - 1
        if relevant:
            hits = labels[np.argsort(-similar, kind="stable")[:relevant]] == labels[query]
            values.append((hits * np.cumsum(hits) / np.arange(1, relevant + 1)).sum() / relevant)
    return float(np.mean(values))


def whitened(base, labels, trained, shrinkage, is_within):
    """`base`, centred, times the inverse root of the shrunk covariance of the trained photos, of all of it or of that within classes."""
    base = base - base[trained].mean(axis=0)
    known = base[trained].astype(np.float64)
    if is_within:
        known = known - np.stack([known[labels == label].mean(axis=0) for label in range(labels.max() + 1)])[labels]
    _, roots, directions = np.linalg.svd(known / np.sqrt(len(known)), full_matrices=False)
    floor = shrinkage * (roots**2).sum() / base.shape[1]
    gains, rest = 1 / np.sqrt((1 - shrinkage) * roots**2 + floor), 1 / np.sqrt(floor)
    return base * rest + ((base @ directions.T) * (gains - rest)) @ directions


class Try:
    """An index of taps that is learnt: "anew" (1024 and 512 units, as tuned3), "residual" (a base and a correction that begins at 0) or "weights" (of taps)."""

    def __init__(self, kind, inputs, base, labels, seed, hidden=256):
        random, classes, width = np.random.default_rng(seed), labels.max() + 1, inputs.shape[1]

        def he(rows, columns):
            return random.normal(0, np.sqrt(2 / rows), (rows, columns)).astype(np.float32)

        self.kind = kind
        if kind == "anew":
            self.values = {"first": he(width, 1024), "bias1": np.zeros(1024, np.float32), "second": he(1024, 512), "bias2": np.zeros(512, np.float32)}
            self.values["classes"] = (random.uniform(-1, 1, (512, classes)) * np.sqrt(6 / (512 + classes))).astype(np.float32)
        else:
            means = [unit(base)[labels == label].mean(axis=0) for label in range(classes)]
            self.values = {"first": he(width, hidden), "second": np.zeros((hidden, base.shape[1]), np.float32)} if kind == "residual" else {}
            self.values |= {"weights": np.ones(len(WIDTHS), np.float32)} if kind == "weights" else {}
            self.values["classes"] = unit(np.stack(means)).T.astype(np.float32)
        self.values["bias"] = np.zeros(classes, np.float32)
        self.speed = {name: np.zeros_like(values) for name, values in self.values.items()}

    def index(self, inputs, base):
        values, self.inputs, self.base = self.values, inputs, base
        if self.kind == "weights":
            return np.concatenate([part * weight for part, weight in zip(parts(base), values["weights"], strict=True)], axis=1)
        self.hidden = np.maximum(inputs @ values["first"] + values.get("bias1", 0), 0)
        found = self.hidden @ values["second"]
        self.found = np.maximum(found + values["bias2"], 0) if self.kind == "anew" else base + found
        return self.found

    def gradients(self, of_index):
        if self.kind == "weights":
            return {"weights": np.array([(a * b).sum() for a, b in zip(parts(self.base), parts(of_index), strict=True)], np.float32)}
        if self.kind == "anew":
            of_index = of_index * (self.found > 0)
        of_hidden = (of_index @ self.values["second"].T) * (self.hidden > 0)
        found = {"second": self.hidden.T @ of_index, "first": self.inputs.T @ of_hidden}
        return found | ({"bias1": of_hidden.sum(axis=0), "bias2": of_index.sum(axis=0)} if self.kind == "anew" else {})

    def step(self, gradients, rate):
        gradients = {name: g + 5e-4 * self.values[name] if name in DECAYED else g for name, g in gradients.items()}
        norm = np.sqrt(sum((g.astype(np.float64) ** 2).sum() for g in gradients.values()))
        for name, gradient in gradients.items():
            self.speed[name] = MOMENTUM * self.speed[name] - rate * min(1, CLIP_NORM / max(norm, 1e-9)) * gradient
            self.values[name] += self.speed[name].astype(np.float32)


def loss_gradients(learnt, index, labels, loss, margin, scale, smoothing):
    """{"classes", "bias"} and the gradient of the index."""
    rows, values = np.arange(len(labels)), learnt.values
    if loss == "cosface":
        lengths, of_classes = (np.maximum(np.linalg.norm(v, axis=axis, keepdims=True), 1e-6) for v, axis in ((index, 1), (values["classes"], 0)))
        u, c = index / lengths, values["classes"] / of_classes
        logits = scale * (u @ c)
        logits[rows, labels] -= scale * margin
    else:
        logits = index @ values["classes"] + values["bias"]
    wanted = np.full_like(logits, smoothing / logits.shape[1])
    wanted[rows, labels] += 1 - smoothing
    chances = np.exp(logits - logits.max(axis=1, keepdims=True))
    of_logits = ((chances / chances.sum(axis=1, keepdims=True) - wanted) / len(labels)).astype(np.float32)
    if loss != "cosface":
        return {"classes": index.T @ of_logits, "bias": of_logits.sum(axis=0)}, of_logits @ values["classes"].T
    of_u, of_c = scale * of_logits @ c.T, scale * u.T @ of_logits
    of_c = (of_c - c * (of_c * c).sum(axis=0, keepdims=True)) / of_classes
    return {"classes": of_c, "bias": np.zeros_like(values["bias"])}, (of_u - u * (of_u * u).sum(axis=1, keepdims=True)) / lengths


def train(kind, inputs, base, labels, trained, judge, epochs, rate=0.01, loss="cosface", margin=0.2, scale=30.0, smoothing=0.0, seed=0):
    """Yields (epochs, score) after 1, 2, 4, ... epochs of SGD whose rate falls as a cosine."""
    learnt, random, steps, queue = (
        Try(kind, inputs[trained], base[trained], labels, seed),
        np.random.default_rng(seed),
        round(epochs * len(trained) / BATCH),
        [],
    )
    marks = {max(1, round(2**power * len(trained) / BATCH)): 2**power for power in range(int(np.log2(epochs)) + 1)}
    for step in range(steps):
        while len(queue) < BATCH:
            queue += random.permutation(len(trained)).tolist()
        rows, queue = np.array(queue[:BATCH]), queue[BATCH:]
        index = learnt.index(inputs[trained[rows]], base[trained[rows]])
        gradients, of_index = loss_gradients(learnt, index, labels[rows], loss, margin, scale, smoothing)
        learnt.step(gradients | learnt.gradients(of_index), rate * (1 + np.cos(np.pi * step / steps)) / 2 * min(1, (step + 1) / WARMUP_STEPS))
        if step + 1 in marks:
            yield marks[step + 1], judge(learnt.index(inputs, base))


@click.command()
@click.argument("files", nargs=-1, required=True)
@click.option("--epochs", default=16, show_default=True)
@click.option("--only", default="", help="Tries whose name begins so.")
def main(files, epochs, only):
    """Print MAP@R of each try."""
    for file in files:
        with np.load(file) as kept:
            table, names, is_training = kept["gallery"].astype(np.float32), kept["labels"], kept["is_training"]
        trained, asked = np.flatnonzero(is_training), np.flatnonzero(~is_training & (names != ""))
        labels = np.unique(names[trained], return_inverse=True)[1]
        judge = functools.partial(map_at_r, labels=names, asked=asked)
        units = [unit(part) for part in parts(table)]
        inputs = np.concatenate([np.sqrt(width) * part for width, part in zip(WIDTHS, units, strict=True)], axis=1)
        bases = {"last tap": units[-1], "addition": unit(table), "normalised": np.concatenate(units, axis=1) / np.sqrt(len(units))}
        print(f"\n{file}: {len(trained)} photos of {labels.max() + 1} classes train, {len(asked)} ask")
        print({name: round(judge(base), 4) for name, base in bases.items()})
        tries = {
            "anew, margin 0.2, scale 30": ("anew", "last tap", {}),
            "anew, margin 0.45, scale 60": ("anew", "last tap", {"margin": 0.45, "scale": 60.0}),
            "anew, softmax, smoothing 0.1": ("anew", "last tap", {"loss": "softmax", "smoothing": 0.1}),
            "residual of the last tap": ("residual", "last tap", {}),
            "residual of the last tap, no margin": ("residual", "last tap", {"margin": 0.0}),
            "residual of the addition": ("residual", "addition", {}),
            "weights of the taps": ("weights", "normalised", {"rate": 0.1}),
        }
        for name, (kind, base, settings) in tries.items():
            if name.startswith(only):
                scores = train(kind, inputs, bases[base], labels, trained, judge, epochs, **settings)
                print(f"  {name:<38}{ {epoch: round(score, 4) for epoch, score in scores} }", flush=True)
        for base, is_within, shrinkage in ((base, within, s) for base in ("addition", "normalised") for within in (False, True) for s in (0.7, 0.5)):
            name = f"whitened {base}{' within classes' if is_within else ''}, {shrinkage}"
            if name.startswith(only):
                print(f"  {name:<38}{judge(whitened(bases[base], labels, trained, shrinkage, is_within)):.4f}", flush=True)


if __name__ == "__main__":
    main()
