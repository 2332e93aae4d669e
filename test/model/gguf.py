"""GGUF: a trained Llama (stories260k) as safetensors and as GGUF, quantising, and the way back."""
import json
import struct

import endtoend
from endtoend import SHARED, read_npy

MODEL = SHARED / "models/stories260k"
SPEC_LLAMA = endtoend.SPEC.format(architecture="llama")
TOKENS = ",".join(str(token) for token in [1, 403, 407, 261, 378, 432, 317, 299, 500, 421, 33, 97])


@endtoend.needs_shared
class Gguf(endtoend.Test):
    def logits(self, model, tokens=TOKENS, *more):
        self.ok("run", model, "--tokens", tokens, "--output", "logits.npy", *more)
        return read_npy(self.folder / "logits.npy")

    def text(self, model):
        return self.json("generate", model, "--temperature", 0, "--max-tokens", 64)["text"]

    def test_logits_are_the_folders_to_the_bit(self):
        self.assertEqual(self.logits(MODEL / "stories260k-f32.gguf"), self.logits(MODEL))
        quantised = self.logits(MODEL / "stories260k-q8_0.gguf")
        difference = max(abs(x - y) for r, s in zip(quantised, self.logits(MODEL)) for x, y in zip(r, s))
        self.assertGreater(difference, 1e-4)
        self.assertLess(difference, 0.5)  # logits reach 12

    def test_the_tokenizer_inside_is_the_folders(self):
        for text in (b"One day, a girl saw a red ball.", "naïve café – 東京 🙂\n\ttabs".encode(), b"", b"  "):
            for more in ((), ("--special",)):
                ids = self.ok("tokenize", MODEL, *more, stdin=text)
                self.assertEqual(self.ok("tokenize", MODEL / "stories260k-f32.gguf", *more, stdin=text), ids)
        self.assertEqual(self.text(MODEL / "stories260k-f32.gguf"), self.text(MODEL))

    def test_a_model_without_a_tokenizer_answers_in_ids(self):
        (self.folder / "bare").mkdir()
        for name in ("config.json", "model.safetensors"):
            (self.folder / "bare" / name).symlink_to(MODEL / name)
        greedy = ("--temperature", 0, "--max-tokens", 4)
        prompt = ("--tokens", TOKENS, *greedy)
        known = self.json("generate", MODEL, *prompt)
        for model, more in (("bare", ()), ("bare", ("--speculate", "draft:bare:2"))):
            answer = self.json("generate", model, *prompt, *more)
            self.assertEqual(answer["token_ids"], known["token_ids"])
            self.assertIsNone(answer["text"])
        written = self.ok("generate", "bare", *prompt).split()
        self.assertEqual(written, [str(i).encode() for i in [*map(int, TOKENS.split(",")), *known["token_ids"]]])
        self.fails("generate", "bare", "--prompt", "x", *greedy, says="give token ids instead of text")

    def test_folder_to_gguf_and_back(self):
        self.ok("quantize", MODEL, "--type", "f32", "-o", "f32.gguf")
        self.assertEqual(self.logits("f32.gguf"), self.logits(MODEL))
        ours = self.json("inspect", "f32.gguf")
        theirs = self.json("inspect", MODEL / "stories260k-f32.gguf")
        by_name = lambda rows: sorted(rows, key=lambda row: row["name"])
        self.assertEqual(by_name(ours["tensors"]), by_name(theirs["tensors"]))
        for row in theirs["metadata"]:  # ours has more keys, and scores from ranks
            if row["key"] not in ("general.name", "tokenizer.ggml.scores"):
                self.assertIn(row, ours["metadata"])

        self.ok("import", MODEL / "stories260k-f32.gguf", "-o", "back", "--shard-size", "300KB")
        names = sorted(path.name for path in (self.folder / "back").glob("*.safetensors"))
        self.assertEqual(names, [f"model-{i:05}-of-00004.safetensors" for i in range(1, 5)])
        self.assertEqual(self.logits("back"), self.logits(MODEL))
        self.assertEqual(self.text("back"), self.text(MODEL))

    def test_every_form_becomes_every_other(self):
        self.write("model.yaml", SPEC_LLAMA)
        self.ok("train", "train.yaml", "--steps", 2)
        answer = self.json("export", "run", "--format", "safetensors", "-o", "folder")
        self.assertEqual(answer["lost"], ["the state of training (moments, step, place in the data)"])
        self.assertEqual(answer["architecture"], "llama")
        lost = self.json("export", "folder", "--format", "gguf", "-o", "m.gguf")["lost"]
        self.assertEqual(lost, ["a tokenizer for other programs than lmc, which have no name for its kind or its way to cut text"])
        self.assertEqual(self.json("import", "m.gguf", "-o", "again")["lost"], ["metadata (general.name)"])
        expected = self.logits("run", "1,77,255")
        for model in ("folder", "m.gguf", "again"):
            self.assertEqual(self.logits(model, "1,77,255"), expected)
            told = self.json("inspect", model)
            self.assertEqual(told["architecture"], "llama")
            self.assertEqual((told["tokenizer"]["kind"], told["tokenizer"]["tokens"]), ("bytes", 256))
            self.assertEqual(told["parameters"], self.json("inspect", "run")["parameters"])
        self.assertEqual((self.folder / "again/model.safetensors").read_bytes(), (self.folder / "folder/model.safetensors").read_bytes())
        self.ok("export", "folder", "--format", "safetensors", "--type", "bf16", "-o", "half")
        self.assertEqual({row["type"] for row in self.json("inspect", "half")["tensors"]}, {"BF16"})
        self.fails("export", "folder", "--format", "safetensors", "--type", "q8_0", "-o", "x", code=2, says="folders have f32")
        self.fails("export", "folder", "--format", "gguf", "-o", "x", code=2, says="does not end in .gguf")
        self.fails("import", "folder", "-o", "folder", says="is the model itself")

    def test_inspect_says_what_is_in_a_model(self):
        for form in (MODEL, MODEL / "stories260k-f32.gguf", MODEL / "stories260k-q8_0.gguf"):
            told = self.json("inspect", form)
            self.assertEqual(told["architecture"], "llama")
            self.assertEqual(told["tokenizer"]["kind"], "SentencePiece BPE")
            self.assertEqual((told["tokenizer"]["tokens"], told["tokenizer"]["bos"], told["tokenizer"]["eos"]), (512, 1, 2))
            self.assertIs(told["chat_template"], False)
            self.assertEqual(sum(row["tensors"] for row in told["types"]), len(told["tensors"]))
            self.assertIn("layers: 5", told["spec"])
        self.assertIn("Q8_0", {row["type"] for row in told["types"]})

    def test_quantised_models_tell_the_story(self):
        beginning = self.text(MODEL)[:60]
        for kind in ("q8_0", "q6_k", "q4_k_m"):
            answer = self.json("quantize", MODEL, "--type", kind, "-o", f"{kind}.gguf")
            self.assertEqual(answer["bytes"], sum(row["bytes"] for row in answer["tensors"]))
            self.assertEqual(self.text(f"{kind}.gguf")[:60], beginning, kind)
        said = self.ok("quantize", MODEL, "--type", "q4_k_m", "-o", "again.gguf").decode()
        self.assertIn("Q5_0, since rows of 64 are no multiple of 256 (Q4_K)", said)
        self.assertIn("have another type than q4_k_m asks for", said)

    def test_a_table_is_read_where_its_file_has_it(self):
        """A head of its own, equal to the table of embeddings: then no product reads the table, which stays as it is
        in the file, while the tied one is panels. The numbers must be the same."""
        data = (MODEL / "model.safetensors").read_bytes()
        length = struct.unpack("<Q", data[:8])[0]
        header, values = json.loads(data[8:8 + length]), data[8 + length:]
        table = header["model.embed_tokens.weight"]
        header["lm_head.weight"] = {**table, "data_offsets": [len(values) + at - table["data_offsets"][0] for at in table["data_offsets"]]}
        header.pop("__metadata__", None)
        text = json.dumps(header).encode()
        begin, end = table["data_offsets"]
        (self.folder / "untied").mkdir()
        (self.folder / "untied/model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + values + values[begin:end])
        config = json.loads((MODEL / "config.json").read_text())
        (self.folder / "untied/config.json").write_text(json.dumps({**config, "tie_word_embeddings": False}))
        for ours, theirs in zip(self.logits("untied"), self.logits(MODEL)):  # a head of panels adds in another order
            for x, y in zip(ours, theirs):
                self.assertAlmostEqual(x, y, places=3)
        for kind in ("q8_0", "q4_0", "q4_1", "mxfp4", "q5_0", "f16"):
            self.ok("quantize", "untied", "--type", kind, "-o", "own.gguf")
            own = self.logits("own.gguf")
            if kind == "q8_0":  # of other kinds the tied table has another type than either of the two
                self.ok("quantize", MODEL, "--type", kind, "-o", "tied.gguf")
                self.assertTrue(own == self.logits("tied.gguf"))
            exact = self.logits("own.gguf", TOKENS, "--reference")  # of the weights as they are, expanded
            difference = max(abs(x - y) for r, s in zip(own, exact) for x, y in zip(r, s))
            self.assertLess(difference, 0.5, kind)  # activations are rounded; logits reach 12
            self.ok("compile", "own.gguf", "-o", "own.lmx")
            self.assertTrue(self.logits("own.lmx") == own, kind)

    def test_an_executable_from_a_gguf_has_its_tokenizer(self):
        self.ok("compile", MODEL / "stories260k-q8_0.gguf", "-o", "q8.lmx")
        self.assertEqual(self.text("q8.lmx"), self.text(MODEL / "stories260k-q8_0.gguf"))

    def test_what_cannot_be_done_is_said(self):
        q8 = MODEL / "stories260k-q8_0.gguf"
        self.fails("quantize", q8, "--type", "q4_0", "-o", "x.gguf", says=["is Q8_0 already", "--allow-requantize"])
        self.fails("quantize", MODEL, "--type", "q9", "-o", "x.gguf", code=2, says="known are f32, f16")
        self.fails("quantize", MODEL, "--type", "q8_0", "-o", "folder", code=2, says="does not end in .gguf")
        self.fails("import", q8, "-o", "folder", says=["is Q8_0", "give the type"])
        self.ok("import", q8, "-o", "folder", "--type", "f16")
        self.write("cut.gguf", q8.read_bytes()[:100000])
        for command in (("inspect", "cut.gguf"), ("generate", "cut.gguf"), ("quantize", "cut.gguf", "--type", "f16", "-o", "x.gguf")):
            self.fails(*command, says=["cut.gguf", "is it truncated?"])
        self.ok("quantize", q8, "--type", "q4_0", "-o", "x.gguf", "--allow-requantize")


@endtoend.needs_shared
class Training(endtoend.Test):
    def test_training_starts_from_a_gguf(self):
        text = self.write("t.txt", endtoend.TEXT)
        config = {"model": str(MODEL / "stories260k-f32.gguf"), "seed": 1, "data": {"train": str(text)},
                  "batch": {"sequences": 2, "length": 16}, "optimizer": {"name": "adamw", "lr": 1e-4}, "steps": 2,
                  "checkpoint": {"dir": "run", "every": 2}, "log": {"jsonl": "a.jsonl"}}
        self.write("a.yaml", json.dumps(config))
        self.ok("train", "a.yaml")
        self.write("b.yaml", json.dumps(config | {"model": str(MODEL), "checkpoint": {"dir": "other", "every": 2},
                                                  "log": {"jsonl": "b.jsonl"}}))
        self.ok("train", "b.yaml")
        losses = [[line["loss"] for line in endtoend.log_lines(self.folder / name)] for name in ("a.jsonl", "b.jsonl")]
        self.assertEqual(*losses)


if __name__ == "__main__":
    endtoend.main()
