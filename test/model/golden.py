"""Training against recorded float64 traces, for one micro-batch and two, for 1, 2 and 3 threads."""
import json

import endtoend
from endtoend import SHARED, log_lines

CONFIG = """model: {folder}
init: {folder}/model.safetensors
data: {{train: {folder}/tokens.bin, order: sequential}}
batch: {{sequences: {sequences}, length: {length}, accumulate: {accumulate}}}
optimizer: {{name: adamw, lr: {lr}, betas: [{beta1}, {beta2}], eps: {eps}, weight_decay: {decay}, grad_clip: {clip}}}
schedule: {{name: constant, warmup_steps: {warmup}}}
steps: {steps}
checkpoint: {{dir: {name}, every: 0, keep: 1}}
log: {{every: 1, jsonl: {name}/metrics.jsonl}}
"""


@endtoend.needs_shared
class Golden(endtoend.Test):
    def train(self, trace, accumulate=1, threads=1, precision="f32"):
        """Final checkpoint's folder and the logged steps."""
        folder = SHARED / "golden" / trace
        expected = json.loads((folder / "expected.json").read_text())
        optimizer, batch = expected["optimizer"], expected["batch"]
        name = f"{trace}-{accumulate}-{threads}-{precision}"
        self.write("golden.yaml", CONFIG.format(
            folder=folder, name=name, sequences=batch["sequences"] // accumulate,
            length=batch["length"], accumulate=accumulate, lr=optimizer["lr"],
            beta1=optimizer["betas"][0], beta2=optimizer["betas"][1], eps=optimizer["eps"],
            decay=optimizer["weight_decay"], clip=optimizer["grad_clip"],
            warmup=expected["schedule"]["warmup_steps"], steps=len(expected["trace_float64"])))
        result = self.json("train", "golden.yaml", "--threads", threads,
                           "--set", f"precision={precision}")
        steps = [line for line in log_lines(self.folder / name / "metrics.jsonl") if "loss" in line]
        return result["checkpoint"], steps, expected["trace_float64"]

    def compare(self, steps, expected, tolerance):
        self.assertEqual(len(steps), len(expected))
        self.assertGreater(len(expected), 0)
        for got, want in zip(steps, expected):
            for key in ("step", "loss", "grad_norm", "lr"):
                self.assertLessEqual(abs(got[key] - want[key]), tolerance * abs(want[key]),
                                     f"step {want['step']}: {key} is {got[key]}, not {want[key]}")

    def test_traces(self):
        for trace in ("gpt2-tiny", "llama-tiny"):
            with self.subTest(trace):
                _, steps, expected = self.train(trace)
                # The bound of the traces is 2e-4; f32 without mistakes keeps far below it.
                self.compare(steps, expected, 2e-6)

    def test_bf16_follows(self):
        # Eight bits of mantissa in what products read; loss, norm and updates are f32.
        for trace in ("gpt2-tiny", "llama-tiny"):
            for accumulate in (1, 2):
                with self.subTest(trace, accumulate=accumulate):
                    _, steps, expected = self.train(trace, accumulate, precision="bf16")
                    self.compare(steps, expected, 2e-2)

    def test_two_micro_batches_are_one_batch(self):
        # Sequential data: two micro-batches of B/2 rows read what one of B rows reads.
        for trace in ("gpt2-tiny", "llama-tiny"):
            with self.subTest(trace):
                _, steps, expected = self.train(trace, accumulate=2)
                self.compare(steps, expected, 2e-6)

    def test_threads_do_not_change_a_bit(self):
        for trace in ("gpt2-tiny", "llama-tiny"):
            for accumulate in (1, 2):
                with self.subTest(trace, accumulate=accumulate):
                    runs = [self.train(trace, accumulate, threads) for threads in (1, 2, 3)]
                    one, *others = [self.hashes(run[0], ("model.safetensors", "optimizer.safetensors"))
                                    for run in runs]
                    self.assertEqual(len(one), 2)
                    for other in others:
                        self.assertEqual(one, other)


if __name__ == "__main__":
    endtoend.main()
