"""pack_data.py LMC FOLDER: the models and data that the kit compares on.

Tiny GPT-2 and Llama with random weights after one step of training, text and tokens, the evaluator's
logits, and where NVRTC is here an executable for sm_90a, which needs no NVRTC there."""
import os
import shutil
import struct
import subprocess
import sys

LMC, FOLDER = sys.argv[1], os.path.abspath(sys.argv[2])
TOKENS = ",".join(str(7 * i * i % 251) for i in range(40))  # as numerics.py has it
TEXT = "".join(f"{i} little ships sailed past the {i * i % 97} old walls of the town.\n" for i in range(100))
MODELS = {
    "gpt2": "{architecture: gpt2, layers: 2, width: 64, heads: 4, vocab: 256, context: 64}",
    "llama": "{architecture: llama, layers: 2, width: 64, heads: 4, kv_heads: 2, ffn_width: 176, vocab: 256, context: 64}",
}
CONFIG = """model: {model}
init: random
seed: 42
tokenizer: byte
data: {{train: {folder}/text.txt}}
batch: {{sequences: 1, length: 32}}
optimizer: {{lr: 1.0e-3}}
schedule: {{name: constant}}
steps: 1
checkpoint: {{dir: {work}, every: 0, keep: 1}}
"""


def lmc(*arguments):
    done = subprocess.run([LMC, *arguments], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"gpu-kit: lmc {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


with open(os.path.join(FOLDER, "text.txt"), "w") as file:
    file.write(TEXT)
with open(os.path.join(FOLDER, "tokens.bin"), "wb") as file:
    ids = TEXT.encode() * 2  # 20 steps of 4 x 64 tokens
    file.write(struct.pack(f"<{len(ids)}H", *ids))
for name, model in MODELS.items():
    work = os.path.join(FOLDER, "work")
    config = os.path.join(FOLDER, "train.yaml")
    with open(config, "w") as file:
        file.write(CONFIG.format(model=model, folder=FOLDER, work=work))
    lmc("train", config)
    with open(os.path.join(work, "latest")) as file:
        latest = os.path.join(work, file.readline().strip())
    to = os.path.join(FOLDER, name)
    os.mkdir(to)
    for part in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        if os.path.exists(os.path.join(latest, part)):
            shutil.copy(os.path.join(latest, part), to)
    shutil.rmtree(work)
    os.remove(config)
    lmc("run", to, "--tokens", TOKENS, "--output", os.path.join(to, "float64.npy"), "--reference")
done = subprocess.run([LMC, "compile", os.path.join(FOLDER, "llama"), "--target", "cuda:sm_90a", "-o",
                       os.path.join(FOLDER, "llama.sm_90a.lmx")], capture_output=True, text=True)
if done.returncode:
    print(f"gpu-kit: llama for sm_90a is left out: {done.stderr.strip()}", file=sys.stderr)
