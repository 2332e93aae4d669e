#!/usr/bin/env python3
"""Compares lmc with Hugging Face transformers on small random models of every family.

For each case: a model with odd sizes and random weights is saved by transformers; logits of `lmc run`
must agree within 1e-3 of the largest, and 64 greedy tokens of `lmc generate` must be the same. Of an
encoder: hidden states of `lmc run`, and vectors of `lmc embed` against a padded batch with its mask.

Needs torch, transformers and numpy, which are no dependencies of lmc: run it from an environment that
has them. Without them it says so and exits with 77 (skipped).
usage: families.py LMC [CASE...]
"""
import json
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import tokenizers
    import torch
    import transformers
except ImportError as missing:
    print(f"skipped: {missing}; needs torch, transformers and numpy")
    sys.exit(77)

LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 40}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}
LONG = {"rope_type": "longrope", "short_factor": [1.0 + 0.1 * i for i in range(6)],
        "long_factor": [1.5 + 0.7 * i for i in range(6)]}

DECODER = dict(vocab_size=263, hidden_size=60, intermediate_size=92, num_hidden_layers=3,
               num_attention_heads=5, num_key_value_heads=5, max_position_embeddings=128,
               bos_token_id=1, eos_token_id=None, pad_token_id=None, initializer_range=0.2)


def case(name, **changes):
    return name, {**DECODER, **changes}


# name -> (config class, arguments)
CASES = {
    "gpt2": ("GPT2", dict(vocab_size=263, n_embd=60, n_head=5, n_layer=3, n_positions=128,
                          bos_token_id=1, eos_token_id=None, initializer_range=0.2)),
    "llama2": case("Llama"),
    "llama3": case("Llama", num_attention_heads=6, num_key_value_heads=2, rope_parameters={"rope_theta": 5e5, **LLAMA3}),
    "llama_linear": case("Llama", rope_parameters={"rope_theta": 1e4, "rope_type": "linear", "factor": 3.0}),
    "llama_yarn": case("Llama", rope_parameters={"rope_theta": 1e4, **YARN}),
    "llama_yarn_mscale": case("Llama", rope_parameters={"rope_theta": 1e4, **YARN, "mscale": 0.7, "mscale_all_dim": 1.3,
                                                        "beta_fast": 16.0, "beta_slow": 2.0, "truncate": False}),
    "llama_biases": case("Llama", attention_bias=True, mlp_bias=True, tie_word_embeddings=True),
    "mistral": case("Mistral", head_dim=16, num_attention_heads=6, num_key_value_heads=3, sliding_window=None),
    "mistral_window": case("Mistral", sliding_window=13),
    "qwen2": case("Qwen2", num_attention_heads=6, num_key_value_heads=2),
    "qwen2_window": case("Qwen2", use_sliding_window=True, sliding_window=9, max_window_layers=1),
    "qwen3": case("Qwen3", head_dim=14, num_attention_heads=6, num_key_value_heads=2),
    "mixtral": case("Mixtral", num_attention_heads=6, num_key_value_heads=2, num_local_experts=5),
    "mixtral_one_of_many": case("Mixtral", num_local_experts=17, num_experts_per_tok=1, sliding_window=19),
    "mixtral_all": case("Mixtral", num_local_experts=3, num_experts_per_tok=3, hidden_size=80, intermediate_size=36),
    "qwen3_moe": case("Qwen3Moe", head_dim=14, num_attention_heads=6, num_key_value_heads=2, num_experts=11,
                      num_experts_per_tok=3, moe_intermediate_size=20, norm_topk_prob=True),
    "qwen3_moe_plain_layers": case("Qwen3Moe", num_hidden_layers=4, head_dim=12, num_experts=6, num_experts_per_tok=2,
                                   moe_intermediate_size=36, norm_topk_prob=False, decoder_sparse_step=2,
                                   mlp_only_layers=[3], attention_bias=True),
    "qwen3_moe_window": case("Qwen3Moe", head_dim=12, num_experts=9, num_experts_per_tok=1, moe_intermediate_size=28,
                             norm_topk_prob=False, use_sliding_window=True, sliding_window=9),
    "phi3": case("Phi3", num_attention_heads=6, num_key_value_heads=2, sliding_window=17),
    "phi3_long": case("Phi3", rope_parameters={"rope_theta": 1e4, **LONG}, original_max_position_embeddings=22),
    "phi3_partial": case("Phi3", hidden_size=64, num_attention_heads=4, num_key_value_heads=2,
                         rope_parameters={"rope_theta": 1e4, "rope_type": "default", "partial_rotary_factor": 0.75}),
    "gemma2": case("Gemma2", head_dim=18, num_attention_heads=4, num_key_value_heads=2, query_pre_attn_scalar=24,
                   sliding_window=11, attn_logit_softcapping=5.0, final_logit_softcapping=3.0),
    "gemma3": case("Gemma3Text", head_dim=18, num_hidden_layers=7, num_attention_heads=4, num_key_value_heads=2,
                   query_pre_attn_scalar=24, sliding_window=11),
}

# name -> (changes of BertConfig, pooling module, normalised)
ENCODERS = {
    "bert": (dict(), "mean_tokens", False),
    "bert_first": (dict(num_attention_heads=4, hidden_size=68, hidden_act="gelu_new"), "cls_token", True),
    "bert_no_modules": (dict(type_vocab_size=1, layer_norm_eps=1e-5, intermediate_size=37), None, False),
}
TEXTS = ["An odd text, with wörds and 12 numbers!", "a", "", "the longest of these texts is " + "padded " * 9]


def build(name, folder):
    kind, arguments = CASES[name]
    torch.manual_seed(len(name) * 7919 + 17)
    config = getattr(transformers, kind + "Config")(**arguments)
    config._attn_implementation = "eager"  # the one form that has windows and caps everywhere
    model = getattr(transformers, {"GPT2": "GPT2LMHeadModel", "Gemma3Text": "Gemma3ForCausalLM"}.get(kind, kind + "ForCausalLM"))(config)
    with torch.no_grad():  # norms and biases that are not their neutral element
        for parameter_name, parameter in model.named_parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    model.eval().save_pretrained(folder)
    # Bytes and a few more, so that every id of the model is a token.
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE({c: i for i, c in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    tokenizer.add_tokens([f"<extra_{i}>" for i in range(model.config.vocab_size - len(alphabet))])
    tokenizer.save(os.path.join(folder, "tokenizer.json"))
    return model


def build_encoder(name, folder):
    changes, pooling, normalised = ENCODERS[name]
    torch.manual_seed(len(name) * 7919 + 17)
    config = transformers.BertConfig(**{**dict(
        vocab_size=263, hidden_size=60, intermediate_size=92, num_hidden_layers=3, num_attention_heads=5,
        max_position_embeddings=96, initializer_range=0.2), **changes})
    config._attn_implementation = "eager"
    model = transformers.BertModel(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    model.eval().save_pretrained(folder)
    letters = [chr(c) for c in range(33, 127)]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *("##" + c for c in letters), "text", "##ed", "num"]
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordPiece({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    tokenizer.decoder = tokenizers.decoders.WordPiece()
    tokenizer.add_special_tokens(words[:5])
    tokenizer.enable_padding(pad_id=0, pad_token="[PAD]")
    tokenizer.enable_truncation(96)
    tokenizer.save(os.path.join(folder, "tokenizer.json"))
    if pooling:
        module = lambda i, path, kind: {"idx": i, "name": str(i), "path": path, "type": "sentence_transformers.models." + kind}
        modules = [module(0, "", "Transformer"), module(1, "1_Pooling", "Pooling")]
        os.mkdir(os.path.join(folder, "1_Pooling"))
        with open(os.path.join(folder, "1_Pooling", "config.json"), "w") as file:
            json.dump({"word_embedding_dimension": config.hidden_size, "pooling_mode_max_tokens": False,
                       "pooling_mode_" + pooling: True}, file)
        if normalised:
            modules.append(module(2, "2_Normalize", "Normalize"))
        with open(os.path.join(folder, "modules.json"), "w") as file:
            json.dump(modules, file)
    return model, tokenizer


def relative(found, expected):
    return np.abs(found - expected).max() / max(1.0, np.abs(expected).max())


def check_encoder(program, name, folder):
    model, tokenizer = build_encoder(name, folder)
    _, pooling, normalised = ENCODERS[name]
    tokens = torch.randint(0, model.config.vocab_size, (1, 61), generator=torch.Generator().manual_seed(3))
    output = os.path.join(folder, "hidden.npy")
    lmc(program, "run", folder, "--tokens", ",".join(map(str, tokens[0].tolist())), "--output", output)
    with torch.no_grad():
        hidden = relative(np.load(output), model(tokens).last_hidden_state[0].numpy())
        encoded = tokenizer.encode_batch(TEXTS)
        ids, mask = (torch.tensor([getattr(e, key) for e in encoded]) for key in ("ids", "attention_mask"))
        states = model(ids, attention_mask=mask).last_hidden_state
    pooled = {"mean": (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True), "first": states[:, 0]}
    error = hidden
    own = ["first" if pooling == "cls_token" else "mean", normalised]
    for flags, (which, norm) in [([], own), (["--pooling", "first", "--normalize"], ("first", True)),
                                 (["--pooling", "mean", "--no-normalize"], ("mean", False))]:
        expected = pooled[which] / pooled[which].norm(dim=1, keepdim=True) if norm else pooled[which]
        lines = lmc(program, "embed", folder, *(x for text in TEXTS for x in ("--text", text)), *flags).splitlines()
        error = max(error, relative(np.array([json.loads(line) for line in lines]), expected.numpy()))
    texts = os.path.join(folder, "texts.txt")
    with open(texts, "w") as file:
        file.write("".join(text + "\n" for text in TEXTS))
    lmc(program, "embed", folder, "--file", texts, "-o", output)
    same = relative(np.load(output), np.array([json.loads(line) for line in lmc(
        program, "embed", folder, "--file", texts).splitlines()])) < 1e-6
    print(f"{name:20} hidden {hidden:.1e}  vectors {error:.1e}  file {'equal' if same else 'DIFFERENT'}")
    return error <= 1e-3 and same


def lmc(program, *arguments):
    run = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)
    if run.returncode:
        raise RuntimeError(f"lmc {arguments[0]} ended with {run.returncode}: {run.stderr.strip()}")
    return run.stdout


def check(program, name, folder):
    model = build(name, folder)
    vocab = model.config.vocab_size
    tokens = torch.randint(0, vocab, (1, 61), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        expected = model(tokens).logits[0].numpy()
    output = os.path.join(folder, "logits.npy")
    lmc(program, "run", folder, "--tokens", ",".join(map(str, tokens[0].tolist())), "--output", output)
    found = np.load(output)
    error = np.abs(found - expected).max() / max(1.0, np.abs(expected).max())

    prompt = tokens[:, :23]
    sequence = prompt  # longer than any original context above: Phi-3's long factors hold for all of it
    margin = np.inf
    with torch.no_grad():
        for _ in range(64):
            row = model(sequence).logits[0, -1]
            best = row.topk(2).values
            margin = min(margin, float(best[0] - best[1]))
            sequence = torch.cat([sequence, row.argmax().reshape(1, 1)], 1)
    greedy = sequence[0, 23:].tolist()
    answer = json.loads(lmc(program, "generate", folder, "--tokens", ",".join(map(str, prompt[0].tolist())),
                            "--max-tokens", 64, "--temperature", 0, "--json"))
    same = answer["token_ids"] == greedy
    print(f"{name:20} logits {error:.1e}  greedy {'equal' if same else 'DIFFERENT'}  least margin {margin:.1e}")
    return error <= 1e-3 and same


def run_cases(names, check):
    """Calls check(name, folder) for each case; the exit status."""
    failed = []
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            try:
                good = check(name, folder)
            except Exception as error:  # a case that fails must not hide the others
                print(f"{name:20} {error}")
                good = False
            if not good:
                failed.append(name)
    if failed:
        print("failed:", " ".join(failed))
    return 1 if failed else 0


def main():
    program, names = sys.argv[1], sys.argv[2:] or [*CASES, *ENCODERS]
    return run_cases(names, lambda name, folder: (check_encoder if name in ENCODERS else check)(program, name, folder))


if __name__ == "__main__":
    sys.exit(main())
