"""Stage 5: 20 steps of a tiny GPT-2 and Llama: lmc on the GPU against PyTorch on the GPU and against
lmc on the CPU, all in float32 from the same weights and tokens."""
import json
import os

import kit

CONFIG = """model: {model}
init: {model}
data: {{train: {tokens}, order: sequential}}
batch: {{sequences: 4, length: 64}}
optimizer: {{name: adamw, lr: 1.0e-3, betas: [0.9, 0.95], eps: 1.0e-8, weight_decay: 0.1, grad_clip: 1.0}}
schedule: {{name: constant, warmup_steps: 4}}
steps: 20
precision: {precision}
target: {target}
checkpoint: {{dir: {work}/run, every: 0, keep: 1}}
log: {{every: 1, jsonl: {work}/metrics.jsonl}}
"""


def train_lmc(name, target, precision="f32"):
    """(loss, gradient norm) of each step."""
    work = kit.scratch(f"training-{name}-{target}-{precision}")
    config = os.path.join(work, "train.yaml")
    with open(config, "w") as file:
        file.write(CONFIG.format(model=os.path.join(kit.DATA, name), tokens=os.path.join(kit.DATA, "tokens.bin"),
                                 work=work, target=target, precision=precision))
    kit.lmc("train", config, "--json")
    with open(os.path.join(work, "metrics.jsonl")) as file:
        rows = [json.loads(line) for line in file]
    return [(row["loss"], row["grad_norm"]) for row in rows if "loss" in row]


def compare(what, got, expected, tolerance):
    worst = max(abs(g - e) / abs(e) for mine, theirs in zip(got, expected) for g, e in zip(mine, theirs))
    right = len(got) == len(expected) == 20 and worst <= tolerance
    kit.report(what, worst, ok=right, note=f"{len(got)} steps, loss {got[0][0]:.4f} to {got[-1][0]:.4f}; tolerance {tolerance}")


def main():
    kit.driver()
    for name in ("gpt2", "llama"):
        try:
            cpu = train_lmc(name, "cpu")
            gpu = train_lmc(name, "cuda")
            compare(f"{name} loss and gradient norm, cuda against cpu", gpu, cpu, 2e-4)
            compare(f"{name} in bf16, cuda against float32", train_lmc(name, "cuda", "bf16"), cpu, 5e-2)
        except kit.Refused as error:
            kit.report(name, ok=False, note=str(error))
            continue
        import reference
        theirs = reference.train(kit.torch(), os.path.join(kit.DATA, name), os.path.join(kit.DATA, "tokens.bin"), "cuda")
        compare(f"{name} loss and gradient norm, cuda against PyTorch", gpu, theirs, 2e-4)


if __name__ == "__main__":
    main()
