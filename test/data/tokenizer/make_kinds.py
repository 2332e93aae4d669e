"""Writes kinds.json, components.json, sentencepiece.json and *.model, the expectations of
test/unit/tokenizer/KindsTest.cpp, with Hugging Face's `tokenizers` (0.23) and `sentencepiece` (0.2).

Run in this folder: python make_kinds.py
"""
import base64
import json
import pathlib
import random
import tempfile

import sentencepiece
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from make_tables import BASE, POOLS, dump, table, texts

MORE = ["Straße İstanbul ΟΔΟΣ", "A\u030a \u212b ﬁ ㎏ ２", "한글 \u1112\u1161\u11ab", "don't do not we 've . , ! ?",
        "漢字かなカナ\U00020000", "\u00ad\u200dx\ufffd", "a\u00a0b\u2003c", "x" * 120, "snake_case CamelCase http://a.b/c?d=1",
        "①②③ Ⓐ x\u0301y", "नमस्ते दुनिया", "  two  spaces  ", "<unk> [UNK] </w>", "12ab34 ٣٤", "hi<|x|>there <|x|>  end",
        "thethe the", "the, the<mask>the"]


def corpus():
    return open("corpus.txt", encoding="utf-8", newline="").read()


def byte_fallback(gemma=False, added=False):
    letters = [chr(c) for c in range(33, 127)] + ["▁", "é", "日", "本", "語"]
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)] + letters
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.train_from_iterator([corpus()], trainers.BpeTrainer(vocab_size=300, show_progress=False))
    trained = json.loads(tokenizer.to_str())["model"]
    merges = [m for m in trained["merges"] if "".join(m).isascii() or "▁" in "".join(m)]
    for left, right in merges:
        for token in (left, right, left + right):
            if token not in tokens:
                tokens.append(token)
    steps = [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]
    prepend = [] if gemma else [{"type": "Prepend", "prepend": "▁"}]
    file = {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": i, "content": c, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
                          "special": True} for i, c in enumerate(tokens[:3])],
        "normalizer": {"type": "Sequence", "normalizers": prepend + [
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
        "pre_tokenizer": {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
        if gemma else None,
        "post_processor": {"type": "TemplateProcessing", "single": [
            {"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}], "pair": [],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
        "decoder": {"type": "Sequence", "decoders": steps + (
            [] if gemma else [{"type": "Strip", "content": " ", "start": 1, "stop": 0}])},
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
                  "vocab": {t: i for i, t in enumerate(tokens)}, "merges": merges}}
    if added:
        file["added_tokens"].append({"id": len(tokens), "content": "<|x|>", "single_word": False, "lstrip": False,
                                     "rstrip": True, "normalized": False, "special": True})
    return Tokenizer.from_str(json.dumps(file))


def word_piece(**options):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(**options)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.train_from_iterator([corpus(), " ".join(BASE + MORE)], trainers.WordPieceTrainer(
        vocab_size=500, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]"], show_progress=False))
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer


def unigram(normalizer, **options):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(**options)
    tokenizer.decoder = decoders.Metaspace(**options)
    tokenizer.train_from_iterator((corpus() + "\n".join(BASE)).splitlines(), trainers.UnigramTrainer(
        vocab_size=400, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False))
    return tokenizer


def word_level():
    tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.WordPiece(cleanup=False)
    tokenizer.train_from_iterator([corpus(), " ".join(BASE + MORE)], trainers.WordLevelTrainer(
        vocab_size=400, special_tokens=["<unk>"], show_progress=False))
    return tokenizer


def word_suffix():
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])
    tokenizer.decoder = decoders.BPEDecoder()
    tokenizer.train_from_iterator([corpus()], trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<unk>"], end_of_word_suffix="</w>", show_progress=False))
    return tokenizer


RULES = "41 30A\tE5\n212B\tE5\nFB01\t66 69\n9\t20\nA\t20\nA0\t20\n1F600\t3A 29\nAD\t\n41\t61\n"


def train_sentencepiece(name, **options):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "rules.tsv").write_text(RULES)
        if options["model_type"] == "unigram":
            options["normalization_rule_tsv"] = str(folder / "rules.tsv")
        sentencepiece.SentencePieceTrainer.train(input="corpus.txt", model_prefix=str(folder / "m"), minloglevel=2, **options)
        pathlib.Path(name).write_bytes((folder / "m.model").read_bytes())
    return sentencepiece.SentencePieceProcessor(model_file=name)


def charsmap(name):
    from sentencepiece import sentencepiece_model_pb2
    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString(pathlib.Path(name).read_bytes())
    return base64.b64encode(model.normalizer_spec.precompiled_charsmap).decode()


def byte_level(regex=False):
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": regex}


def steps(*list):
    return {"type": "Sequence", "pretokenizers": [*list, byte_level()]}


def added(content, **options):
    return {"id": 420, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
            "special": False, **options}


# Merged into bpe.json (RFC 7386).
COMPONENTS = {
    **{f"punctuation {b}": {"pre_tokenizer": steps({"type": "Punctuation", "behavior": b})}
       for b in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")},
    "split contiguous": {"pre_tokenizer": steps({"type": "Split", "pattern": {"Regex": r"\w"}, "behavior": "Contiguous", "invert": False})},
    "whitespace": {"pre_tokenizer": steps({"type": "Whitespace"})},
    "whitespace split": {"pre_tokenizer": steps({"type": "WhitespaceSplit"})},
    "bert": {"pre_tokenizer": steps({"type": "BertPreTokenizer"})},
    "digits": {"pre_tokenizer": steps({"type": "Digits", "individual_digits": False})},
    **{form: {"normalizer": {"type": form}} for form in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents")},
    "strip": {"normalizer": {"type": "Strip", "strip_left": True, "strip_right": True}},
    "strip left": {"normalizer": {"type": "Strip", "strip_left": True, "strip_right": False}},
    "replace regex": {"normalizer": {"type": "Replace", "pattern": {"Regex": r"\s+|e$"}, "content": "_"}},
    "bert cased": {"normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": False,
                                  "strip_accents": True, "lowercase": False}},
    "bert plain": {"normalizer": {"type": "BertNormalizer", "clean_text": False, "handle_chinese_chars": True,
                                  "strip_accents": None, "lowercase": True}},
    "single word": {"added_tokens": [added("the", single_word=True)]},
    "strips": {"added_tokens": [added("<mask>", lstrip=True, rstrip=True), added("<|x|>", id=421, lstrip=True)]},
    "normalized token": {"normalizer": {"type": "Lowercase"}, "added_tokens": [added("DON'T", normalized=True)]},
    "decoder replace": {"decoder": {"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"Regex": "Ġ+"}, "content": "_"}, {"type": "Strip", "content": "e", "start": 1, "stop": 0}]}},
}


def main():
    cases = BASE[:30] + MORE + texts(6, 11)
    kinds = {
        "llama 2": byte_fallback(), "gemma": byte_fallback(gemma=True), "phi-3": byte_fallback(added=True),
        "bert": word_piece(), "bert cased": word_piece(lowercase=False, strip_accents=False),
        "unigram": unigram(normalizers.NFKC(), prepend_scheme="always"),
        "unigram first": unigram(normalizers.NFC(), prepend_scheme="first"),
        "word level": word_level(), "word suffix": word_suffix()}

    bpe = train_sentencepiece("bpe.model", model_type="bpe", vocab_size=620, byte_fallback=True,
                              normalization_rule_name="identity", remove_extra_whitespaces=False)
    plain = train_sentencepiece("unigram.model", model_type="unigram", vocab_size=300, user_defined_symbols=["<sep>"])
    file = json.loads(kinds["unigram"].to_str())
    file["normalizer"] = {"type": "Precompiled", "precompiled_charsmap": charsmap("unigram.model")}
    kinds["precompiled"] = Tokenizer.from_str(json.dumps(file))
    dump("kinds.json", [{"name": name, "file": json.loads(t.to_str()), "rows": table(t, cases)} for name, t in kinds.items()])

    base = json.loads(open("bpe.json", encoding="utf-8").read())
    rows = []
    for name, patch in COMPONENTS.items():
        tokenizer = Tokenizer.from_str(json.dumps({**base, **patch}))
        rows.append({"name": name, "patch": patch, "rows": table(tokenizer, MORE + BASE[10:24] + texts(4, 12))})
    dump("components.json", rows)

    symbols = [t for t in cases if not any(s in t for s in ("<s>", "<unk>", "</s>"))] + ["a<sep>b <sep> the<sep>"]
    dump("sentencepiece.json", [
        {"name": name, "rows": [{"text": t, "ids": p.encode(t)} for t in symbols]}
        for name, p in (("bpe.model", bpe), ("unigram.model", plain))])


main()
