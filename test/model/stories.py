"""A trained Llama (stories260k): exact greedy text, logits, the way through .lmx, tokens, eval."""
import json
import math

import endtoend
from endtoend import SHARED, read_npy

MODEL = SHARED / "models/stories260k"
BEGINNING = ("Once upon a time, there was a little girl named Lily. She loved to play outside in the "
             "park. One day, she saw a big, red ball. ")
TOKENS = ",".join(str(token) for token in [1, 403, 407, 261, 378, 432, 317, 299, 500, 421, 33, 97])


@endtoend.needs_shared
class Stories(endtoend.Test):
    def generate(self, model, *more, tokens=64):
        return self.json("generate", model, "--temperature", 0, "--max-tokens", tokens, *more)

    def largest_difference(self, first, second):
        a, b = read_npy(self.folder / first), read_npy(self.folder / second)
        self.assertEqual([len(row) for row in a], [len(row) for row in b])
        return max(abs(x - y) for r, s in zip(a, b) for x, y in zip(r, s))

    def test_greedy_text_is_exact(self):
        answer = self.generate(MODEL)
        self.assertEqual(answer["text"].strip()[:len(BEGINNING.strip())], BEGINNING.strip())
        self.assertEqual(answer["completion_tokens"], 64)
        self.assertEqual(self.generate(MODEL, "--threads", 1)["token_ids"],
                         self.generate(MODEL, "--threads", 3)["token_ids"])

    def test_executable_answers_like_the_folder(self):
        self.ok("compile", MODEL, "-o", "stories.lmx")
        self.assertEqual(self.generate("stories.lmx")["token_ids"], self.generate(MODEL)["token_ids"])
        prompt = ("--prompt", "Tom and his dog went")
        self.assertEqual(self.generate("stories.lmx", *prompt)["text"],
                         self.generate(MODEL, *prompt)["text"])

    def test_logits_agree_with_the_reference(self):
        self.ok("run", MODEL, "--tokens", TOKENS, "--output", "fast.npy")
        self.ok("run", MODEL, "--tokens", TOKENS, "--output", "reference.npy", "--reference")
        self.assertLess(self.largest_difference("fast.npy", "reference.npy"), 1e-4)
        self.ok("compile", MODEL, "-o", "stories.lmx")
        self.ok("run", "stories.lmx", "--tokens", TOKENS, "--output", "lmx.npy")
        self.assertEqual(self.largest_difference("fast.npy", "lmx.npy"), 0)

    def test_bf16_tells_the_same_story(self):
        answer = self.generate(MODEL, "--precision", "bf16")
        self.assertEqual(answer["text"].strip()[:len(BEGINNING.strip())], BEGINNING.strip())
        self.assertEqual(self.generate(MODEL, "--precision", "bf16", "--threads", 1)["token_ids"],
                         self.generate(MODEL, "--precision", "bf16", "--threads", 3)["token_ids"])
        self.ok("run", MODEL, "--tokens", TOKENS, "--output", "f32.npy")
        self.ok("run", MODEL, "--tokens", TOKENS, "--output", "bf16.npy", "--precision", "bf16")
        difference = self.largest_difference("f32.npy", "bf16.npy")
        self.assertGreater(difference, 1e-4)  # it did round
        self.assertLess(difference, 0.5)      # logits reach 12
        self.ok("compile", MODEL, "-o", "bf16.lmx", "--precision", "bf16")
        self.assertEqual(self.generate("bf16.lmx")["token_ids"], answer["token_ids"])
        done = self.lmc("generate", "bf16.lmx", "--precision", "bf16", "--prompt", "x")
        self.assertEqual(done.returncode, 1)
        self.assertIn("--precision is chosen where a model is compiled", done.stderr.decode())

    def test_bench_times_a_model_that_is_there(self):
        for model, *more in ((MODEL,), (MODEL / "stories260k-q8_0.gguf",), (MODEL, "--precision", "bf16"),
                             (MODEL, "--kv-cache", "q8_0")):
            rows = [json.loads(line) for line in
                    self.ok("bench", model, "--tokens", 100, "--rounds", 3, "--json", *more).splitlines()]
            name = "stories260k-q8_0" if str(model).endswith(".gguf") else "stories260k"
            self.assertEqual([row["case"] for row in rows],
                             [f"prefill.{name}.t100", f"decode.{name}.past16", f"decode.{name}.past100"])
            for row in rows:
                self.assertRegex(row["check"], "^decode as prefill, ")
                self.assertGreater(row["tokens_per_second"], 0)
                self.assertGreater(row["peak_resident_bytes"], 1e6)
            near, far = (row["bytes_per_second"] * row["microseconds"] * 1e-6 for row in rows[1:])
            # Five layers, four key heads of 8: keys and values of 84 more tokens.
            width = {"bf16": 2, "q8_0": 10 / 8}.get(more[-1] if more else "", 4)
            self.assertAlmostEqual(far - near, 5 * 2 * 4 * 8 * width * 84, delta=1)
            if model == MODEL and not more:  # each weight once, the tied table too
                weights = sum(4 * math.prod(t["shape"]) for t in self.json("inspect", MODEL)["tensors"])
                self.assertAlmostEqual(near - 5 * 2 * 4 * 8 * 4 * 16, weights, delta=0.06 * weights)  # panels are padded
        self.fails("bench", MODEL, "--tokens", 512, says="--tokens 512 leave no room for an answer in a context of 512")

    def test_q8_0_caches_tell_the_same_story(self):
        with_bytes = ("--kv-cache", "q8_0")
        answer = self.generate(MODEL, *with_bytes)
        self.assertEqual(answer["text"].strip()[:len(BEGINNING.strip())], BEGINNING.strip())
        for more in (("--threads", 1), ("--threads", 3), ("--speculate", "lookup")):
            self.assertEqual(self.generate(MODEL, *with_bytes, *more)["token_ids"], answer["token_ids"], more)
        self.ok("compile", MODEL, "-o", "q8.lmx", *with_bytes)
        self.assertEqual(self.generate("q8.lmx")["token_ids"], answer["token_ids"])
        caches = [t for t in self.json("inspect", "q8.lmx")["tensors"] if t["name"].startswith("cache.0.")]
        self.assertEqual([(t["blocks"], t["shape"][-1]) for t in caches], [("q8_0", 10)] * 2)  # a scale, 8 codes
        self.fails("generate", MODEL, *with_bytes, "--precision", "bf16",
                   says="--kv-cache q8_0 is for the CPU with --precision f32")
        self.fails("generate", "q8.lmx", *with_bytes, says="lmc compile --kv-cache q8_0")

    def test_second_start_compiles_nothing(self):
        self.ok("run", MODEL, "--tokens", "1,2,3")
        done = self.lmc("run", MODEL, "--tokens", "1,2,3", "--time-passes")
        self.assertIn(", 0 compiled", (done.stdout + done.stderr).decode())

    def test_tokens_round_trip(self):
        for text in (b"One day, a girl saw a red ball.", "naïve café – 東京 🙂\n\ttabs".encode(), b"", b"  "):
            with self.subTest(text):
                ids = self.ok("tokenize", MODEL, stdin=text)
                self.assertEqual(self.ok("tokenize", MODEL, "--decode", stdin=ids), text)
                ids = self.ok("tokenize", "byte", stdin=text)
                self.assertEqual(self.ok("tokenize", "byte", "--decode", stdin=ids), text)
                self.assertEqual([int(id) for id in ids.split()], list(text))

    def test_eval_prefers_the_models_own_text(self):
        own = self.generate(MODEL, tokens=200)["text"]
        self.write("own.txt", own)
        self.write("other.txt", "".join(reversed(own)))
        likely = self.json("eval", MODEL, "--data", "own.txt", "--length", 32)
        unlikely = self.json("eval", MODEL, "--data", "other.txt", "--length", 32)
        self.assertLess(likely["loss"], 1.5)
        self.assertGreater(unlikely["loss"], 3)
        self.assertAlmostEqual(likely["perplexity"], 2.718281828459045 ** likely["loss"], places=4)


if __name__ == "__main__":
    endtoend.main()
