#!/usr/bin/env python3
"""Compares `lmc tokenize` with Hugging Face's `tokenizers` (and `sentencepiece`) on a large mixed text.

    python3 -m venv V && V/bin/pip install tokenizers sentencepiece
    V/bin/python test/oracle/compare_tokenizers.py --lmc build/bin/lmc --work DIR [--vocabularies DIR]

A tokenizer of each published kind is trained on the same text; where --vocabularies has the published
vocabulary itself (gpt2/encoder.json and vocab.bpe, llama3/tokenizer.model, qwen/qwen.tiktoken), that one
is used. Reported for each: whether ids and decoded text are equal, and whether bytes that are not UTF-8
come back. Without the packages it says so and ends with 77, which ctest counts as skipped.
"""
import argparse
import base64
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import unicodedata

try:
    import tokenizers
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
except ImportError:
    print("SKIP: the Python package `tokenizers` is not installed; nothing was compared")
    sys.exit(77)
try:
    import sentencepiece
except ImportError:
    sentencepiece = None

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
LLAMA3 = (CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
GPT4O = (rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{CONTRACTIONS}?|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*{CONTRACTIONS}?|"
         r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
# Not one of the patterns that lmc has scanners for: goes through PCRE2.
DEEPSEEK = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|"
            r"\s*[\r\n]+|\s+(?!\S)|\s+")


def assigned(low, high):
    """Characters that both sides know: Hugging Face's table of punctuation and controls is of Unicode 8."""
    def known(c):
        category = unicodedata.category(c)
        old = category[0] in "PC" and unicodedata.ucd_3_2_0.category(c) == "Cn"
        return category not in ("Cn", "Cs", "Co") and not old
    return [chr(c) for c in range(low, high) if known(chr(c))]


POOLS = {
    "latin": assigned(0x41, 0x250), "greek": assigned(0x370, 0x400), "cyrillic": assigned(0x400, 0x500),
    "hebrew": assigned(0x5D0, 0x5EB), "arabic": assigned(0x600, 0x6E0), "devanagari": assigned(0x900, 0x970),
    "thai": assigned(0xE00, 0xE5C), "hangul": assigned(0xAC00, 0xAD00), "jamo": assigned(0x1100, 0x1200),
    "kana": assigned(0x3041, 0x30FF), "cjk": assigned(0x4E00, 0x4F80), "emoji": assigned(0x1F300, 0x1F640),
    "marks": assigned(0x300, 0x370), "symbols": assigned(0x2000, 0x2300), "numbers": assigned(0x2150, 0x2190),
    "wide": assigned(0xFF00, 0xFFEF), "math": assigned(0x1D400, 0x1D500), "controls": [chr(c) for c in range(1, 32)],
    "compatibility": assigned(0xFB00, 0xFB50), "spaces": list(" \t\n\r\u00a0\u1680\u2003\u2028\u202f\u3000\u200b\u180e"),
    "contractions": ["'s", "'T", "'re", "'LL", "'d", "'", "\u2019s", "'\u017f"], "ascii": [chr(c) for c in range(32, 127)],
}
SAMPLES = ["The quick brown fox jumps over the lazy dog. ", "Жизнь прожить — не поле перейти. ", "你好，世界！今天天气很好。",
           "日本語のテキストです。", "안녕하세요 세계 ", "مرحبا بالعالم ", "שלום עולם ", "नमस्ते दुनिया ", "สวัสดีชาวโลก ",
           "👨‍👩‍👧‍👦🏳️‍🌈🇩🇪 ", "e\u0301a\u0308n\u0303 ", "don't I'LL we've ", "x = {'a': [1, 22, 333, 4444]};\n\n\t", "CamelCaseHTTPServer ",
           "<0x0A> ▁x ", "  \n \r\n\n   indented", "https://example.org/a?b=c&d=%20 ", "ﬁ ﷺ ½ ① Ⅷ ² "]


def mixed_text(size):
    """Source files of the repository, sentences, and words of characters drawn from many scripts."""
    rand, parts, total = random.Random(7), [], 0
    sources = sorted(p for folder in ("frontend", "runtime", "test", "docs") for p in (ROOT / folder).rglob("*")
                     if p.suffix in (".cpp", ".h", ".md", ".py") and p.is_file())
    while total < size:
        kind = rand.random()
        if kind < 0.3:
            source = rand.choice(sources).read_text(encoding="utf-8")
            at = rand.randrange(max(1, len(source) - 1500))
            part = source[at:at + 1500]
        elif kind < 0.7:
            part = "".join(rand.choice(SAMPLES) for _ in range(20))
        else:
            pools = rand.sample(list(POOLS.values()), 3)
            part = "".join(rand.choice(rand.choice(pools)) + (" " if rand.random() < 0.15 else "") for _ in range(300))
        parts.append(part)
        total += len(part.encode())
    return "".join(parts)


def byte_level(pattern=None, normalizer=None, ignore_merges=False, bos=None):
    def make(text):
        tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False) if not pattern else \
            pre_tokenizers.Sequence([pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated"),
                                     pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
        if normalizer:
            tokenizer.normalizer = normalizer()
        tokenizer.decoder = decoders.ByteLevel()
        special = ["<|endoftext|>"] + ([bos] if bos else [])
        tokenizer.train_from_iterator([text], trainers.BpeTrainer(
            vocab_size=8000, special_tokens=special, show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
        if bos:
            tokenizer.post_processor = processors.TemplateProcessing(
                single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))])
        return tokenizer
    return make


BYTES = [f"<0x{b:02X}>" for b in range(256)]


def llama2(added=(), gemma=False):
    """SentencePiece-style BPE: trained by words, then read without a pre-tokenizer, as published files are."""
    def make(text):
        tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never" if gemma else "always")
        tokenizer.train_from_iterator([text], trainers.BpeTrainer(
            vocab_size=9000, special_tokens=["<unk>", "<s>", "</s>"] + BYTES, show_progress=False, limit_alphabet=1500))
        file = json.loads(tokenizer.to_str())
        file["added_tokens"] = [t for t in file["added_tokens"] if t["content"] not in BYTES]
        file["normalizer"] = {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}
        steps = [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]
        file["decoder"] = {"type": "Sequence", "decoders": steps + [{"type": "Strip", "content": " ", "start": 1, "stop": 0}]}
        file["pre_tokenizer"] = None
        if gemma:
            file["normalizer"] = file["normalizer"]["normalizers"][1]
            file["pre_tokenizer"] = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
            file["decoder"]["decoders"] = steps
        for content in added:
            file["added_tokens"].append({
                "id": len(file["model"]["vocab"]) + added.index(content), "content": content, "single_word": False,
                "lstrip": False, "rstrip": True, "normalized": False, "special": True})
        return Tokenizer.from_str(json.dumps(file))
    return make


def bert(text):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.train_from_iterator([text], trainers.WordPieceTrainer(
        vocab_size=8000, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]"], show_progress=False, limit_alphabet=1500))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return tokenizer


def unigram(text):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(tokenizers.Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    tokenizer.train_from_iterator(text.splitlines(), trainers.UnigramTrainer(
        vocab_size=6000, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False))
    # Its JSON reader is off by the last bit for long decimals, which decides between equal sums of scores.
    file = json.loads(tokenizer.to_str())
    file["model"]["vocab"] = [[token, round(score, 6)] for token, score in file["model"]["vocab"]]
    return Tokenizer.from_str(json.dumps(file))


def sentencepiece_model(text, path, **options):
    lines = path.with_suffix(".txt")
    lines.write_text("\n".join(line[:2000] for line in text.splitlines()), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(input=str(lines), model_prefix=str(path.with_suffix("")), minloglevel=2, **options)
    return sentencepiece.SentencePieceProcessor(model_file=str(path))


def charsmap_of(model):
    """normalizer_spec (3) . precompiled_charsmap (2) of a ModelProto."""
    def fields(data):
        at = 0
        def varint():
            nonlocal at
            value = shift = 0
            while True:
                byte = data[at]
                at += 1
                value |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    return value
        while at < len(data):
            key = varint()
            if key & 7 == 2:
                length = varint()
                yield key >> 3, data[at:at + length]
                at += length
            elif key & 7 == 0:
                varint()
            else:
                at += {1: 8, 5: 4}[key & 7]
    normalizer = next(value for number, value in fields(model) if number == 3)
    return next(value for number, value in fields(normalizer) if number == 2)


def t5(work):
    def make(text):
        path = work / "charsmap.model"
        sentencepiece_model("".join(c for c in text[:200000] if c.isascii()), path, vocab_size=500, model_type="unigram")
        file = json.loads(unigram(text).to_str())
        file["normalizer"] = {"type": "Precompiled",
                              "precompiled_charsmap": base64.b64encode(charsmap_of(path.read_bytes())).decode()}
        return Tokenizer.from_str(json.dumps(file))
    return make


def from_ranks(path, pattern, normalizer=None, ignore_merges=False):
    """A tiktoken file: each token's merge is what the lower ranks make of it."""
    def make(_):
        ranks = {base64.b64decode(a): int(b) for a, b in (line.split() for line in path.read_bytes().splitlines() if line)}
        alphabet = spelled_bytes()
        spell = lambda token: "".join(alphabet[b] for b in token)
        merges = []
        for token, rank in ranks.items():
            parts = [bytes([b]) for b in token]
            while len(parts) > 2:
                best = min(range(len(parts) - 1), key=lambda i: ranks.get(parts[i] + parts[i + 1], 1 << 30)
                           if ranks.get(parts[i] + parts[i + 1], 1 << 30) < rank else 1 << 30)
                if not ranks.get(parts[best] + parts[best + 1], 1 << 30) < rank:
                    break
                parts[best:best + 2] = [parts[best] + parts[best + 1]]
            if len(parts) == 2:
                merges.append((spell(parts[0]), spell(parts[1])))
        tokenizer = Tokenizer(models.BPE(vocab={spell(t): r for t, r in ranks.items()}, merges=merges, ignore_merges=ignore_merges))
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
        if normalizer:
            tokenizer.normalizer = normalizer()
        tokenizer.decoder = decoders.ByteLevel()
        return tokenizer
    return make


def spelled_bytes():
    kept = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in kept]
    return {**{b: chr(b) for b in kept}, **{b: chr(0x100 + i) for i, b in enumerate(others)}}


def from_gpt2(folder):
    def make(_):
        vocab = json.loads((folder / "encoder.json").read_text(encoding="utf-8"))
        lines = (folder / "vocab.bpe").read_text(encoding="utf-8").split("\n")[1:]
        tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[tuple(line.split(" ")) for line in lines if line]))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        return tokenizer
    return make


class Comparison:
    def __init__(self, lmc, work, text):
        self.lmc, self.work, self.text, self.failures = lmc, work, text, 0
        rand = random.Random(9)
        self.invalid = bytes(rand.choice(b"ab \xff\xc3\xe6\x97\xa5\x80\xf0\x9f\xed\xa0") for _ in range(20000))

    def run(self, folder, *flags, given):
        return subprocess.run([self.lmc, "tokenize", str(folder), *flags], input=given, stdout=subprocess.PIPE, check=True).stdout

    def ids(self, folder, text, *flags):
        return json.loads(self.run(folder, "--json", *flags, given=text))

    def report(self, name, folder, text, expected, decoded, lossless):
        """expected, decoded: of the oracle. lossless: bytes that are not UTF-8 must come back."""
        ids = self.ids(folder, text.encode())
        if ids == expected:
            verdict = f"{len(ids)} ids equal"
        else:
            at = next((i for i, (a, b) in enumerate(zip(ids, expected)) if a != b), min(len(ids), len(expected)))
            verdict = f"IDS DIFFER from {at}: {ids[at:at + 8]} expected {expected[at:at + 8]}"
        shown = self.run(folder, "--decode", given=" ".join(map(str, expected)).encode())
        # Byte tokens of no character are U+FFFD there; here they are the bytes.
        same = shown.decode(errors="replace") == decoded
        back = self.run(folder, "--decode", given=" ".join(map(str, self.ids(folder, self.invalid))).encode())
        bytes_back = "come back" if back == self.invalid else "do not come back" if not lossless else "LOST"
        self.failures += ids != expected or not same or (lossless and back != self.invalid)
        print(f"{name:24} {verdict}; decoded text {'equal' if same else 'DIFFERS'}; invalid bytes {bytes_back}", flush=True)

    def against_tokenizers(self, name, make, lossless=True):
        folder = self.work / name.replace(" ", "-")
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "tokenizer.json"
        if not file.exists():
            make(self.text).save(str(file))
        tokenizer = Tokenizer.from_file(str(file))
        ids = tokenizer.encode(self.text, add_special_tokens=False).ids
        self.report(name, folder, self.text, ids, tokenizer.decode(ids, skip_special_tokens=False), lossless)
        short = "  Hello, World! naïve 日本 \n"
        if self.ids(folder, short.encode(), "--special") != tokenizer.encode(short).ids:
            self.failures += 1
            print(f"{name:24} TEMPLATE DIFFERS")

    def against_sentencepiece(self, name, lossless, **options):
        folder = self.work / name.replace(" ", "-")
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "tokenizer.model"
        processor = sentencepiece.SentencePieceProcessor(model_file=str(path)) if path.exists() else \
            sentencepiece_model(self.text, path, **options)
        # It leaves control symbols that are written in a text to its caller; lmc recognises them.
        text = self.text.replace("<s>", "").replace("</s>", "").replace("<unk>", "")
        # It adds scores in float32, which in a long text no longer tells paths apart: in parts, at single spaces.
        words, parts = re.split(r"(?<=\w) (?=\w)", text), [text]
        if options["model_type"] == "unigram":
            parts = [" ".join(words[i:i + 20]) for i in range(0, len(words), 20)]
        ids = [token for part in parts for token in processor.encode(part)]
        # Its decoder spells an unknown token " ⁇ ", lmc as the vocabulary does.
        decoded = processor.decode(ids).replace(" \u2047 ", processor.id_to_piece(processor.unk_id()))
        self.report(name, folder, text, ids, decoded, lossless)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lmc", default=str(ROOT / "build/bin/lmc"))
    parser.add_argument("--work", type=pathlib.Path, required=True, help="trained tokenizers are kept here")
    parser.add_argument("--vocabularies", type=pathlib.Path, default=pathlib.Path("/nonexistent"))
    parser.add_argument("--filter", default="", help="only kinds whose name has this in it")
    parser.add_argument("--mebibytes", type=float, default=1.1)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    text = mixed_text(int(args.mebibytes * 2**20))
    (args.work / "text.txt").write_bytes(text.encode())
    given, compare = args.vocabularies, Comparison(args.lmc, args.work, text)
    kinds = {
        "gpt-2 (trained)": byte_level(), "llama 3 (trained)": byte_level(LLAMA3, ignore_merges=True, bos="<|begin_of_text|>"),
        "qwen 2 (trained)": byte_level(QWEN2, normalizers.NFC), "gpt-4o (trained)": byte_level(GPT4O),
        "deepseek (trained)": byte_level(DEEPSEEK), "llama 2 (trained)": llama2(), "gemma (trained)": llama2(gemma=True),
        "phi-3 (trained)": llama2(added=("<|end|>", "<|user|>")), "bert (trained)": bert, "unigram (trained)": unigram}
    if sentencepiece:
        kinds["t5 (trained)"] = t5(args.work)
    if (given / "gpt2").exists():
        kinds["gpt-2"] = from_gpt2(given / "gpt2")
    if (given / "llama3").exists():
        kinds["llama 3"] = from_ranks(given / "llama3/tokenizer.model", LLAMA3, ignore_merges=True)
    if (given / "llama4").exists():
        kinds["llama 4"] = from_ranks(given / "llama4/tokenizer.model", GPT4O)
    if (given / "qwen").exists():
        kinds["qwen 3"] = from_ranks(given / "qwen/qwen.tiktoken", QWEN2, normalizers.NFC)
    for name, make in kinds.items():
        if args.filter in name:
            compare.against_tokenizers(name, make, not any(kind in name for kind in ("bert", "unigram", "t5")))
    models = {"sentencepiece bpe": dict(model_type="bpe", byte_fallback=True, vocab_size=6000, normalization_rule_name="identity",
                                        remove_extra_whitespaces=False, lossless=True),
              "sentencepiece unigram": dict(model_type="unigram", vocab_size=6000, lossless=False)}
    for name, options in models.items():
        if not sentencepiece:
            print(f"{name:24} SKIP: the Python package `sentencepiece` is not installed")
        elif args.filter in name:
            compare.against_sentencepiece(name, character_coverage=0.999, max_sentence_length=20000, **options)
    print(f"{len(text.encode())} bytes of text; {compare.failures} kinds differ; tokenizers {tokenizers.__version__}")
    return 1 if compare.failures else 0


if __name__ == "__main__":
    sys.exit(main())
