#!/usr/bin/env python3
"""Compares lmc's GGUF files with those that llama.cpp's convert_hf_to_gguf.py writes.

For each model of families.py: the converter's .gguf gives the logits of the folder, to the bit where
f32 holds what the folder says, and the same greedy tokens; `lmc quantize --type f32` writes the same
tensors to the byte and the same values of every key that the converter writes, and what it writes loads
back to the bit.

LLAMA_CPP is a checkout with convert_hf_to_gguf.py and gguf-py. Needs torch and transformers too; without
them it says so and exits with 77 (skipped).
usage: gguf_models.py LMC LLAMA_CPP [CASE...]
"""
import json
import os
import subprocess
import sys

import families
from families import lmc, np

# What only tells where a file comes from, or stands in ours for what has no place in the config.
UNCOMPARED = {"general.name", "general.quantization_version", "general.size_label", "general.sampling.temp",
              "tokenizer.ggml.pre"}
# llama.cpp's reader and writer know nothing of these, so their logits are other ones.
LOST = {"mistral_window": "the window", "qwen2_window": "the window", "gemma2": "query_pre_attn_scalar",
        "gemma3": "query_pre_attn_scalar", "llama_yarn_mscale": "mscale, truncate",
        "mixtral_one_of_many": "the window", "qwen3_moe_window": "the window, norm_topk_prob"}

# The tokenizers of families.py are none that the converter knows.
WRAPPER = """
import sys
root = sys.argv.pop(1)
sys.path[:0] = [root, root + "/gguf-py"]
import conversion
from conversion.base import TextModel
TextModel.get_vocab_base_pre = lambda self, tokenizer: "gpt-2"
import importlib
for name in ("llama", "qwen", "phi", "gemma", "gpt2"):
    for kind in vars(importlib.import_module("conversion." + name)).values():
        if isinstance(kind, type) and issubclass(kind, TextModel):
            kind.set_vocab = TextModel._set_vocab_gpt2
import convert_hf_to_gguf
convert_hf_to_gguf.main()
"""


def convert(llama_cpp, folder, output):
    config = os.path.join(folder, "config.json")
    with open(config) as file:
        told = json.load(file)
    with open(os.path.join(folder, "tokenizer_config.json"), "w") as file:
        json.dump({"tokenizer_class": "PreTrainedTokenizerFast"}, file)
    if told["model_type"] == "gpt2":
        told["n_ctx"] = told["n_positions"]
        with open(config, "w") as file:
            json.dump(told, file)
    run = subprocess.run([sys.executable, "-c", WRAPPER, llama_cpp, folder, "--outtype", "f32", "--outfile", output],
                         capture_output=True, text=True)
    if run.returncode:
        raise RuntimeError(f"the converter fails: {run.stderr.strip().splitlines()[-1]}")


def read(path):
    """Keys and tensors of a .gguf, by the gguf package."""
    reader = gguf.GGUFReader(path)
    keys = {name: field.contents() for name, field in reader.fields.items() if not name.startswith("GGUF.")}
    return keys, {tensor.name: tensor for tensor in reader.tensors}


def differences(theirs, ours):
    their_keys, their_tensors = read(theirs)
    our_keys, our_tensors = read(ours)
    for key, value in their_keys.items():
        if key not in UNCOMPARED and our_keys.get(key) != value:
            yield f"{key} is {str(our_keys.get(key))[:60]}, theirs {str(value)[:60]}"
    for name in sorted(their_tensors.keys() ^ our_tensors.keys()):
        yield f"only {'theirs' if name in their_tensors else 'ours'} has {name}"
    for name in their_tensors.keys() & our_tensors.keys():
        a, b = their_tensors[name].data, our_tensors[name].data
        if a.shape != b.shape:
            yield f"{name} is {b.shape}, theirs {a.shape}"
        elif a.tobytes() != b.tobytes() and not (name == "rope_freqs.weight" and np.allclose(a, b, rtol=1e-5)):
            yield f"{name} has other values"


def logits(program, model, tokens, folder):
    output = os.path.join(folder, "logits.npy")
    lmc(program, "run", model, "--tokens", ",".join(map(str, tokens)), "--output", output)
    return np.load(output)


def check(program, llama_cpp, name, folder):
    model = families.build(name, folder)
    theirs, ours = os.path.join(folder, "theirs.gguf"), os.path.join(folder, "ours.gguf")
    try:
        convert(llama_cpp, folder, theirs)
    except RuntimeError as error:
        print(f"{name:20} {error}")
        theirs = None
    lmc(program, "quantize", folder, "--type", "f32", "-o", ours)
    tokens = np.random.default_rng(3).integers(0, model.config.vocab_size, 61).tolist()
    expected = logits(program, folder, tokens, folder)
    greedy = lambda model: json.loads(lmc(program, "generate", model, "--tokens", ",".join(map(str, tokens[:23])),
                                          "--max-tokens", "40", "--temperature", "0", "--json"))["token_ids"]
    good = True
    for path in filter(None, (theirs, ours)):
        same = np.array_equal(logits(program, path, tokens, folder), expected) and greedy(path) == greedy(folder)
        if same:
            continue
        excuse = LOST.get(name) if path == theirs else None
        print(f"{name:20} {os.path.basename(path)} computes something else" + (f" ({excuse} is not in it)" if excuse else ""))
        good = good and bool(excuse)
    found = list(differences(theirs, ours)) if theirs else []
    for text in found:
        print(f"{name:20} {text}")
    if good:
        print(f"{name:20} equal")
    return good and not found


def main():
    program, llama_cpp, names = sys.argv[1], sys.argv[2], sys.argv[3:] or list(families.CASES)
    return families.run_cases(names, lambda name, folder: check(program, llama_cpp, name, folder))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.path.insert(0, os.path.join(sys.argv[2], "gguf-py"))
    import gguf
    sys.exit(main())
