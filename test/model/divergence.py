"""lmc eval --against: its figures against the same sums, in Python, over dumps of both models' logits."""
import math
import statistics
import struct

import endtoend
from endtoend import SHARED, read_npy

MODEL = SHARED / "models/stories260k"
LENGTH, WINDOWS = 24, 3


def log_softmax(row):
    largest = max(row)
    total = largest + math.log(math.fsum(math.exp(x - largest) for x in row))
    return [x - total for x in row]


def percentile(values, share):
    values = sorted(values)
    rank = share * (len(values) - 1)
    below = math.floor(rank)
    above = min(below + 1, len(values) - 1)
    return values[below] + (rank - below) * (values[above] - values[below])


@endtoend.needs_shared
class Divergence(endtoend.Test):
    def setUp(self):
        super().setUp()
        text = b"One day, a girl named Lily saw a big red ball. She ran to it and said: I like you, ball. " * 4
        ids = [int(i) for i in self.ok("tokenize", MODEL, stdin=text).split()][:LENGTH * WINDOWS + 1]
        self.assertEqual(len(ids), LENGTH * WINDOWS + 1)
        self.ids = ids
        self.write("ids.bin", struct.pack(f"<{len(ids)}H", *ids))

    def log_probabilities(self, model):
        rows = []
        for start in range(0, LENGTH * WINDOWS, LENGTH):
            window = ",".join(map(str, self.ids[start:start + LENGTH]))
            self.ok("run", model, "--tokens", window, "--output", "logits.npy")
            rows += map(log_softmax, read_npy(self.folder / "logits.npy"))
        return rows

    def expected(self, model, reference):
        q, p = self.log_probabilities(model), self.log_probabilities(reference)
        targets = self.ids[1:]
        kl = [math.fsum(math.exp(a) * (a - b) for a, b in zip(x, y)) for x, y in zip(p, q)]
        change = [math.exp(y[t]) - math.exp(x[t]) for x, y, t in zip(p, q, targets)]
        loss = -statistics.fmean(y[t] for y, t in zip(q, targets))
        other = -statistics.fmean(x[t] for x, t in zip(p, targets))
        return {
            "loss": loss, "perplexity": math.exp(loss), "perplexity_ratio": math.exp(loss - other),
            "against": {"loss": other, "perplexity": math.exp(other)},
            "kl": {"mean": statistics.fmean(kl), "mean_error": statistics.stdev(kl) / math.sqrt(len(kl)),
                   "median": percentile(kl, .5), "p90": percentile(kl, .9), "p99": percentile(kl, .99), "max": max(kl)},
            "same_top": statistics.fmean(x.index(max(x)) == y.index(max(y)) for x, y in zip(p, q)),
            "rms_probability_change": math.sqrt(statistics.fmean(c * c for c in change)),
        }

    def check(self, got, expected, path=""):
        for key, value in expected.items():
            if isinstance(value, dict):
                self.check(got[key], value, f"{path}{key}.")
            else:
                self.assertAlmostEqual(got[key], value, delta=1e-6 + 1e-5 * abs(value), msg=path + key)

    def test_figures_are_those_of_the_logits(self):
        means = {}
        for kind in ("q8_0", "q4_0"):
            self.ok("quantize", MODEL, "--type", kind, "-o", f"{kind}.gguf")
            got = self.json("eval", f"{kind}.gguf", "--against", MODEL, "--data", "ids.bin", "--length", LENGTH)
            self.assertEqual(got["tokens"], LENGTH * WINDOWS)
            self.check(got, self.expected(f"{kind}.gguf", MODEL))
            means[kind] = got["kl"]["mean"]
        self.assertGreater(means["q8_0"], 0)
        self.assertGreater(means["q4_0"], 5 * means["q8_0"])

    def test_a_model_against_itself(self):
        got = self.json("eval", MODEL, "--against", MODEL, "--data", "ids.bin", "--length", LENGTH)
        self.assertAlmostEqual(got["kl"]["max"], 0, delta=1e-9)
        self.assertEqual((got["same_top"], got["perplexity_ratio"], got["rms_probability_change"]), (1, 1, 0))
        plain = self.json("eval", MODEL, "--data", "ids.bin", "--length", LENGTH)
        self.assertAlmostEqual(got["loss"], plain["loss"], delta=1e-5)
        said = self.ok("eval", MODEL, "--against", MODEL, "--data", "ids.bin", "--length", LENGTH).decode()
        self.assertIn("same top token      100.000 %", said)

    def test_caches_count_too(self):
        figures = {}
        for form in ("f16", "q8_0"):
            arguments = ("eval", MODEL, "--against", MODEL, "--data", "ids.bin", "--length", LENGTH, "--kv-cache", form)
            got = self.json(*arguments)
            self.assertEqual(got["tokens"], LENGTH * WINDOWS)
            self.assertEqual(got, self.json(*arguments, "--threads", 1))
            figures[form] = got["kl"]["mean"]
        self.assertGreater(figures["f16"], 0)
        self.assertGreater(figures["q8_0"], 10 * figures["f16"])
        self.assertLess(figures["q8_0"], 1e-2)
        self.fails("eval", MODEL, "--data", "ids.bin", "--kv-cache", "q8_0", says="--kv-cache is for --against")

    def test_other_vocabularies_are_refused(self):
        self.ok("train", "train.yaml", "--steps", 7)
        self.fails("eval", MODEL, "--against", "run", "--data", "ids.bin",
                   says="has a vocabulary of 512, 'run' one of 256; their distributions cannot be compared")
        self.fails("eval", MODEL, "--against", MODEL, "--data", "ids.bin", "--length", 100000, says="length: expected")


if __name__ == "__main__":
    endtoend.main()
