"""Writes the expectations of test/unit/tokenizer with Hugging Face's `tokenizers` (0.23).

Run in this folder: python make_tables.py [PATH/stories260k/tokenizer.json]
"""
import json
import random
import sys

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers


def train(texts, vocab, specials):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab, special_tokens=specials, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


BASE = [
    "", "a", " ", "  ", "\n", "\n\n \n", "hello world", "First Citizen:\nBefore we proceed any further",
    "I'm you're he'll she'd they've it's DON'T 'S ''''s", "a  b   c    d     ", " lead", "trail ",
    "tab\tx\t\ty", "123 4567 3.14 ½ ² Ⅷ ①", "naïve café über", "日本語のテキスト 中文，标点。", "한국어 텍스트",
    "😀😃 👨‍👩‍👧‍👦 🇩🇪", "عربى نص", "a\u0301 e\u0308", "\u00a0nbsp\u00a0", "\u3000x", "\u180eq", "\u2028l\u2029",
    "\u200b zero", "x\x00y\x01", "<s>hi</s>", "<|endoftext|>foo <|endoftext|>", "<|endoftext|", "<0x0A> <0x41>",
    "▁▁ ▁a", "\r\n\r\n x", "!!??...---", "the " * 30, "x\u0085x\u0085\u0085y", "a\x1cb\x1d \x1f", "\uFFFD\uFEFF",
    "  <s>  x", "ab" * 60, "nobodynotanythingwhatsoever" * 4]
POOLS = ["abcde '", "aeiou \n\t", "'stdmrelv ", "0123456789 .,", "éñüßø ", "日本語中文字 ", "😀🎉🚀 a",
         "\u00a0\u2003\u3000 x1!", "▁ ab<s>"]


def texts(count, seed):
    rand = random.Random(seed)
    result = []
    for _ in range(count):
        pool = "".join(rand.choice(POOLS) for _ in range(rand.choice([1, 2, 3])))
        result.append("".join(rand.choice(pool) for _ in range(rand.randint(1, rand.choice([5, 30, 90])))))
    return result


def table(tokenizer, cases):
    rows = []
    for text in cases:
        plain = tokenizer.encode(text, add_special_tokens=False).ids
        rows.append({"text": text, "ids": tokenizer.encode(text).ids,
                     "decoded": tokenizer.decode(plain, skip_special_tokens=False),
                     "shown": tokenizer.decode(plain, skip_special_tokens=True)})
    return rows


def dump(name, value):
    with open(name, "w", encoding="utf-8") as file:
        if isinstance(value, list):
            file.write("[\n" + ",\n".join(
                json.dumps(row, ensure_ascii=True, separators=(",", ":")) for row in value) + "\n]\n")
        else:
            json.dump(value, file, ensure_ascii=True, separators=(",", ":"))
            file.write("\n")


def byte_level(regex=False, prefix=False):
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": regex}


def split(pattern, behavior, invert=False):
    return {"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}, byte_level()]}


CL100K = {"Regex": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
                   r"\s*[\r\n]+|\s+(?!\S)|\s+"}
MASK = {"id": 420, "content": "<mask>", "single_word": False, "lstrip": True, "rstrip": True,
        "normalized": False, "special": True}
# Merged into bpe.json (RFC 7386).
PATCHES = {
    "prefix space": {"pre_tokenizer": byte_level(True, True)},
    "llama 3": {"pre_tokenizer": split(CL100K, "Isolated"), "model": {"ignore_merges": True}},
    "removed, inverted": {"pre_tokenizer": split(CL100K, "Removed", True)},
    "removed": {"pre_tokenizer": split({"String": "a"}, "Removed")},
    "merged with previous": {"pre_tokenizer": split({"String": "e"}, "MergedWithPrevious")},
    "merged with next": {"pre_tokenizer": split({"String": " "}, "MergedWithNext")},
    "digits": {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [
        {"type": "Digits", "individual_digits": True}, byte_level(True)]}},
    "roberta": {"post_processor": {"type": "RobertaProcessing", "sep": ["a", 5], "cls": ["b", 6],
                                   "trim_offsets": True, "add_prefix_space": False}},
    "mask": {"added_tokens": [MASK]},
}


def main():
    corpus = open("corpus.txt", encoding="utf-8", newline="").read()
    bpe = train([corpus], 420, ["<|endoftext|>"])
    with open("bpe.json", "w", encoding="utf-8") as file:
        file.write(bpe.to_str())
    dump("bpe_ids.json", table(bpe, BASE + texts(60, 1)))

    variants = []
    short = ["", "hello world", " It's  12 three 4567\n\n ok ", "x <mask>  y<mask>", "<|endoftext|>the end"] + texts(6, 2)
    for name, patch in PATCHES.items():
        merged = json.loads(bpe.to_str())
        for key, value in patch.items():
            if key == "model":
                merged["model"].update(value)
            else:
                merged[key] = value
        tokenizer = Tokenizer.from_str(json.dumps(merged))
        variants.append({"name": name, "patch": patch,
                         "rows": [{"text": t, "ids": tokenizer.encode(t).ids} for t in short]})
    dump("variants.json", variants)

    # Few letters: many pairs with equal counts, and pairs that give the same token.
    rand = random.Random(5)
    ties = []
    for pool in ["ab ", "abc ", " a", "abcd\n '", "aab b", "\u65e5\u672c a", "aaaab"]:
        text = "".join(rand.choice(pool) for _ in range(rand.randint(50, 400)))
        vocab = rand.randint(260, 330)
        model = json.loads(train([text], vocab, []).to_str())["model"]
        ties.append({"text": text, "vocab": vocab, "merges": [" ".join(m) for m in model["merges"]],
                     "tokens": len(model["vocab"])})
    dump("ties.json", ties)

    if len(sys.argv) > 1:
        dump("stories260k_ids.json", table(Tokenizer.from_file(sys.argv[1]), BASE + texts(40, 3)))


if __name__ == "__main__":
    main()
