"""Mixtures of experts from training to text: pieces in checkpoints, the same bits for any threads, programs agree."""
import json
import struct

import endtoend
from endtoend import log_lines, read_npy

SPEC = """architecture: qwen3_moe
layers: 3
width: 20
heads: 2
vocab: 256
context: 24
experts: 5
experts_per_token: 2
expert_width: 14
dense_layers: [1]
"""


# Rows that are whole blocks.
GGUF_SPEC = """architecture: {architecture}
layers: 3
width: 64
heads: 2
vocab: 256
context: 24
experts: 5
experts_per_token: 2
"""


class Experts(endtoend.Test):
    def setUp(self):
        super().setUp()
        self.write("model.yaml", SPEC)

    def train(self, run, *more):
        self.ok("train", "train.yaml", "--set", f"checkpoint.dir={run}", "--set", f"log.jsonl={run}.jsonl", *more)
        return self.folder / run / (self.folder / run / "latest").read_text().strip()

    def test_trains_to_the_same_bits_with_any_threads_and_resumed(self):
        files = ("model.safetensors", "optimizer.safetensors")
        one = self.train("one", "--threads", "1")
        losses = [line["loss"] for line in log_lines(self.folder / "one.jsonl") if "loss" in line]
        self.assertLess(sum(losses[-5:]), 0.9 * sum(losses[:5]))
        three = self.train("three", "--threads", "3")
        self.assertEqual(self.hashes(three, files), self.hashes(one, files))
        self.train("parts", "--set", "steps=23")
        self.assertEqual(self.hashes(self.train("parts", "--resume"), files), self.hashes(one, files))

        data = (one / "model.safetensors").read_bytes()
        header = json.loads(data[8:8 + struct.unpack("<Q", data[:8])[0]])
        for expert in range(5):
            self.assertEqual(header[f"model.layers.2.mlp.experts.{expert}.down_proj.weight"]["shape"], [20, 14])
        self.assertEqual(header["model.layers.2.mlp.gate.weight"]["shape"], [5, 20])
        self.assertNotIn("model.layers.1.mlp.gate.weight", header)
        self.assertEqual(header["model.layers.1.mlp.gate_proj.weight"]["shape"][1], 20)

        # @forward, the reference evaluator, and @prefill with @decode say the same.
        tokens = list(b"little ships sail")
        text = ",".join(map(str, tokens))
        self.ok("run", one, "--tokens", text, "--output", "a.npy")
        self.ok("run", one, "--tokens", text, "--output", "b.npy", "--reference")
        rows, reference = read_npy(self.folder / "a.npy"), read_npy(self.folder / "b.npy")
        for row, expected in zip(rows, reference, strict=True):
            for a, b in zip(row, expected, strict=True):
                self.assertAlmostEqual(a, b, delta=1e-4)
        answer = self.json("generate", one, "--tokens", text, "--max-tokens", 5, "--temperature", 0)
        for token in answer["token_ids"]:
            self.ok("run", one, "--tokens", ",".join(map(str, tokens)), "--output", "c.npy")
            last = read_npy(self.folder / "c.npy")[-1]
            self.assertEqual(last.index(max(last)), token)
            tokens.append(token)

        self.ok("compile", one, "-o", "m.lmx", "--mode", "infer")
        self.ok("run", "m.lmx", "--tokens", text, "--output", "d.npy")
        self.assertEqual(read_npy(self.folder / "d.npy"), rows)
        loss = self.json("eval", one, "--data", "text.txt")["loss"]
        narrow = self.json("eval", one, "--data", "text.txt", "--precision", "bf16")["loss"]
        self.assertAlmostEqual(narrow, loss, delta=0.02)

    def test_trains_in_bf16(self):
        self.train("run", "--set", "precision=bf16", "--set", "steps=20")
        losses = [line["loss"] for line in log_lines(self.folder / "run.jsonl") if "loss" in line]
        self.assertLess(losses[-1], losses[0])

    def test_weights_stay_as_gguf_stores_them(self):
        """Mixtral too: blocks and 16 bits in memory, near the evaluator's f32 products of the same values."""
        forms = {"f16": ("F16", 2), "q4_0": ("U8", 0.7), "q8_0": ("U8", 1.2)}  # bytes a weight at most
        for architecture, more, kinds in (("qwen3_moe", "expert_width: 32\ndense_layers: [1]\n", ("f16", "q4_0")),
                                          ("mixtral", "ffn_width: 32\n", ("q8_0",))):
            self.write("model.yaml", GGUF_SPEC.format(architecture=architecture) + more)
            run = self.train(architecture, "--set", "steps=8")
            text = ",".join(map(str, b"little ships sail"))
            name = "model.layers.2.{}.experts.*.{}.weight".format(
                *(("mlp", "up_proj") if architecture == "qwen3_moe" else ("block_sparse_moe", "w3")))
            loss = self.json("eval", run, "--data", "text.txt")["loss"]
            for kind in kinds:
                stored, most = forms[kind]
                self.ok("quantize", run, "--type", kind, "-o", "m.gguf")
                self.assertEqual(self.json("inspect", "m.gguf")["spec"], self.json("inspect", run)["spec"])
                types = {row["name"]: row["type"] for row in self.json("inspect", "m.gguf")["tensors"]}
                self.assertEqual(types["blk.2.ffn_up_exps.weight"], kind.upper())
                self.assertEqual(types["blk.2.ffn_gate_inp.weight"], "F32")
                done = self.lmc("run", "m.gguf", "--tokens", text, "--output", "a.npy")
                self.assertEqual((done.returncode, done.stderr), (0, b""))  # nothing is expanded, which is said
                self.ok("run", "m.gguf", "--tokens", text, "--output", "b.npy", "--reference")
                worst = max(abs(x - y) for pair in zip(read_npy(self.folder / "a.npy"), read_npy(self.folder / "b.npy"))
                            for x, y in zip(*pair, strict=True))
                self.assertLess(worst, 1e-4 if kind == "f16" else 0.02)
                self.assertAlmostEqual(self.json("eval", "m.gguf", "--data", "text.txt")["loss"], loss, delta=0.02)

                self.ok("compile", "m.gguf", "-o", "m.lmx", "--mode", "infer")
                row = next(row for row in self.json("inspect", "m.lmx")["tensors"] if row["name"] == name)
                self.assertEqual((row["type"].upper(), row["shape"]), (stored, [5, 32, 64]))
                self.assertLessEqual(row["bytes"], most * 5 * 32 * 64)
                self.ok("run", "m.lmx", "--tokens", text, "--output", "c.npy")
                self.assertEqual(read_npy(self.folder / "c.npy"), read_npy(self.folder / "a.npy"))
                self.ok("run", "m.lmx", "--tokens", text, "--output", "d.npy", "--threads", "3")
                self.assertEqual(read_npy(self.folder / "d.npy"), read_npy(self.folder / "a.npy"))

    def test_gpus_refuse_with_a_reason(self):
        self.fails("compile", "model.yaml", "--mode", "infer", "--target", "cuda:sm_90a", "--emit=cuda",
                   says=["layers.0.mlp.router", "lm.top_k", "sm_90a", "mixtures of experts run on the CPU alone"])


if __name__ == "__main__":
    endtoend.main()
