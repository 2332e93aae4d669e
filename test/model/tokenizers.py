"""lmc tokenize: folders with tokenizer.json or tokenizer.model, exact bytes, and what a checkpoint keeps."""
import json
import shutil

import endtoend

DATA = endtoend.ROOT / "test/data/tokenizer"


class Tokenize(endtoend.Test):
    def test_each_kind_of_folder(self):
        kinds = json.loads((DATA / "kinds.json").read_text(encoding="utf-8"))
        for kind in kinds:
            self.write(f"{kind['name']}/tokenizer.json", json.dumps(kind["file"]))
            row = max(kind["rows"], key=lambda row: len(row["text"]))
            with self.subTest(kind["name"]):
                self.assertEqual(self.json("tokenize", kind["name"], "--special", stdin=row["text"].encode()), row["ids"])
        self.assertEqual(len(kinds), 10)

    def test_sentencepiece_model(self):
        for table in json.loads((DATA / "sentencepiece.json").read_text(encoding="utf-8")):
            (self.folder / table["name"]).mkdir()
            shutil.copy(DATA / table["name"], self.folder / table["name"] / "tokenizer.model")
            row = max(table["rows"], key=lambda row: len(row["text"]))
            for model in (table["name"], table["name"] + "/tokenizer.model"):
                with self.subTest(model):
                    self.assertEqual(self.json("tokenize", model, stdin=row["text"].encode()), row["ids"])

    def test_any_bytes_come_back(self):
        data = b"caf\xc3\xa9 \xff\xe6\x97 \xed\xa0\x80\x00\n" + "日本 😀".encode()
        for model in (DATA / "bpe.json", DATA / "bpe.model"):
            shutil.copy(model, self.folder / f"tokenizer{model.suffix}")
            with self.subTest(model.name):
                name = f"tokenizer{model.suffix}"
                ids = self.ok("tokenize", name, stdin=data)
                self.assertEqual(self.ok("tokenize", name, "--decode", stdin=ids), data)

    def test_a_checkpoint_keeps_the_tokenizer(self):
        self.write("model.yaml", endtoend.SPEC.format(architecture="gpt2").replace("256", "620"))
        shutil.copy(DATA / "bpe.model", self.folder / "tokenizer.model")
        self.ok("train", "train.yaml", "--set", "tokenizer=tokenizer.model", "--set", "steps=1", "--set", "checkpoint.every=1")
        text = b"The king said \xff so."
        ids = self.json("tokenize", "tokenizer.model", stdin=text)
        self.assertEqual(self.json("tokenize", "run", stdin=text), ids)
        self.assertEqual(self.ok("tokenize", "run", "--decode", stdin=json.dumps(ids).encode()), text)

    def test_damaged_models(self):
        data = (DATA / "bpe.model").read_bytes()
        for damaged in (b"", b"\x00", data[:1000], b"no model"):
            with self.subTest(damaged[:8]):
                self.write("tokenizer.model", damaged)
                self.fails("tokenize", "tokenizer.model", says="tokenizer.model")


if __name__ == "__main__":
    endtoend.main()
