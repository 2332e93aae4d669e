"""lmc embed: vectors that follow from the weights by hand, and what encoders refuse."""
import json
import math
import struct

import endtoend
from endtoend import read_npy

WIDTH, CONTEXT = 4, 9
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "ships", "sail", "##ed", "far"]


def normed(row):
    mean = sum(row) / len(row)
    deviation = math.sqrt(sum((x - mean) ** 2 for x in row) / len(row) + 1e-12)
    return [(x - mean) / deviation for x in row]


class Embed(endtoend.Test):
    """Projections are zero, so that hidden states are the normed sums of a token's and its position's rows."""

    def setUp(self):
        super().setUp()
        self.word = [[math.sin(3 * i + k * k) for k in range(WIDTH)] for i in range(len(WORDS))]
        self.position = [[math.cos(i - 2 * k) / 3 for k in range(WIDTH)] for i in range(CONTEXT)]
        tensors = {"embeddings.word_embeddings.weight": self.word,
                   "embeddings.position_embeddings.weight": self.position,
                   "embeddings.token_type_embeddings.weight": [[0.0] * WIDTH] * 2,
                   "pooler.dense.weight": [[7.0] * WIDTH] * WIDTH}
        norm = lambda name: tensors.update({name + ".weight": [1.0] * WIDTH, name + ".bias": [0.0] * WIDTH})
        linear = lambda name, n, k: tensors.update({name + ".weight": [[0.0] * k] * n, name + ".bias": [0.0] * n})
        norm("embeddings.LayerNorm")
        layer = "encoder.layer.0."
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            linear(layer + "attention." + part, WIDTH, WIDTH)
        norm(layer + "attention.output.LayerNorm")
        linear(layer + "intermediate.dense", 6, WIDTH)
        linear(layer + "output.dense", WIDTH, 6)
        norm(layer + "output.LayerNorm")
        header, data = {}, b""
        for name, rows in tensors.items():
            shape = [len(rows)] + ([len(rows[0])] if isinstance(rows[0], list) else [])
            flat = [x for row in rows for x in row] if len(shape) == 2 else rows
            start = len(data)
            data += struct.pack(f"<{len(flat)}f", *flat)
            header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, len(data)]}
        text = json.dumps(header).encode()
        self.write("bert/model.safetensors", struct.pack("<Q", len(text)) + text + data)
        self.write("bert/config.json", json.dumps({
            "model_type": "bert", "hidden_size": WIDTH, "num_hidden_layers": 1, "num_attention_heads": 2,
            "intermediate_size": 6, "vocab_size": len(WORDS), "max_position_embeddings": CONTEXT}))
        self.write("bert/tokenizer.json", json.dumps({
            "version": "1.0", "truncation": None, "padding": None, "added_tokens": [],
            "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                           "strip_accents": None, "lowercase": True},
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": {"type": "TemplateProcessing",
                               "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}},
                                          {"Sequence": {"id": "A", "type_id": 0}},
                                          {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
                               "pair": [{"Sequence": {"id": "A", "type_id": 0}},
                                        {"Sequence": {"id": "B", "type_id": 1}}],
                               "special_tokens": {word: {"id": word, "ids": [WORDS.index(word)], "tokens": [word]}
                                                  for word in ("[CLS]", "[SEP]")}},
            "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                      "max_input_chars_per_word": 100, "vocab": {word: i for i, word in enumerate(WORDS)}}}))

    def rows(self, *words):
        return [normed([a + b for a, b in zip(self.word[WORDS.index(word)], self.position[i])])
                for i, word in enumerate(["[CLS]", *words, "[SEP]"])]

    def assert_close(self, found, expected):
        self.assertEqual(len(found), len(expected))
        for a, b in zip(found, expected):
            self.assertAlmostEqual(a, b, delta=1e-5)

    def mean(self, *words):
        return [sum(column) / len(column) for column in zip(*self.rows(*words))]

    def test_vectors(self):
        lines = self.ok("embed", "bert", "--text", "Ships sailed FAR", "--text", "").decode().splitlines()
        self.assert_close(json.loads(lines[0]), self.mean("ships", "sail", "##ed", "far"))
        self.assert_close(json.loads(lines[1]), self.mean())
        answer = self.json("embed", "bert", "--text", "far", "--pooling", "first", "--normalize")
        self.assertEqual(answer["tokens"], 3)
        first = self.rows("far")[0]
        self.assert_close(answer["embedding"], [x / math.hypot(*first) for x in first])

    def test_file_and_executable(self):
        self.write("texts.txt", "far\n\nships sailed\n")
        self.ok("embed", "bert", "--file", "texts.txt", "-o", "a.npy", "--threads", "1")
        rows = read_npy(self.folder / "a.npy")
        for row, expected in zip(rows, [self.mean("far"), self.mean(), self.mean("ships", "sail", "##ed")], strict=True):
            self.assert_close(row, expected)
        self.ok("compile", "bert", "-o", "bert.lmx", "--mode", "infer")
        self.ok("embed", "bert.lmx", "--file", "texts.txt", "-o", "b.npy", "--threads", "3")
        self.assertEqual(read_npy(self.folder / "b.npy"), rows)
        self.ok("run", "bert", "--tokens", "2,7,3", "--output", "c.npy")
        for row, expected in zip(read_npy(self.folder / "c.npy"), self.rows("far"), strict=True):
            self.assert_close(row, expected)

    def test_served(self):
        self.ok("compile", "bert", "-o", "bert.lmx", "--mode", "infer")
        for model in ("bert", "bert.lmx"):
            server = endtoend.Server(self, model, "--http", "127.0.0.1:0")
            status, text = server.call("/v1/embeddings", {"input": ["Ships sailed FAR", ""]})
            self.assertEqual(status, 200, text)
            for row, words in zip(json.loads(text)["data"], [("ships", "sail", "##ed", "far"), ()], strict=True):
                self.assert_close(row["embedding"], self.mean(*words))
            status, text = server.call("/v1/embeddings", {"input": "far " * 8})
            self.assertEqual(status, 400)
            self.assertIn("input has 10 tokens, the model takes 1 to 9", text)
            self.assertEqual(server.call("/readyz")[0], 200)
            self.assertEqual(server.stop(), 0)

    def test_refusals(self):
        self.fails("embed", "bert", code=2, says="--text or --file")
        self.write("texts.txt", "far\n" + "far " * 8)
        self.fails("embed", "bert", "--file", "texts.txt",
                   says="texts.txt:2: 10 tokens do not fit into the model's context of 9")
        self.fails("generate", "bert", says=["bert is an encoder", "use lmc embed"])
        self.fails("serve", "bert", "--grpc", "127.0.0.1:0", code=2, says="an encoder is served over HTTP")
        self.fails("eval", "bert", "--data", "text.txt", says=["no loss", "lmc embed"])
        self.fails("train", "train.yaml", "--set", "model=bert", says=["no loss", "lmc embed"])
        self.ok("train", "train.yaml", "--set", "steps=1")
        self.fails("embed", "run", "--text", "far", says="gpt2 predicts tokens; lmc embed takes an encoder")


if __name__ == "__main__":
    endtoend.main()
