"""Training with dropout: the same numbers whatever computes them, and none of it in evaluation."""
import endtoend


class Dropout(endtoend.Test):
    def train(self, run, *more, embedding=0.1, residual=0.3, steps=12):
        """Losses and gradient norms by step, validation losses by step, and the weights' hashes."""
        self.ok("train", "train.yaml", "--set", f"checkpoint.dir={run}",
                "--set", f"log.jsonl={run}/metrics.jsonl", "--set", "eval.every=6",
                "--set", f"dropout.embedding={embedding}",
                "--set", f"dropout.residual={residual}", "--steps", steps, *more)
        lines = endtoend.log_lines(self.folder / run / "metrics.jsonl")
        latest = self.folder / run / (self.folder / run / "latest").read_text().strip()
        return ([(line["step"], line["loss"], line["grad_norm"])
                 for line in lines if "loss" in line],
                [(line["step"], line["val_loss"]) for line in lines if "val_loss" in line],
                self.hashes(latest, ("model.safetensors", "optimizer.safetensors")))

    def test_neither_threads_nor_resuming_nor_recomputing_change_a_bit(self):
        spec = endtoend.SPEC.format(architecture="gpt2")
        self.write("model.yaml", spec.replace("layers: 2", "layers: 4"))
        for accumulate in (1, 2):
            more = ("--set", f"batch.accumulate={accumulate}", "--set", "batch.sequences=6")
            with self.subTest(accumulate=accumulate):
                whole = self.train(f"whole-{accumulate}", "--threads", 1, *more)
                self.assertEqual(len(whole[0]), 12)
                self.assertEqual(self.train(f"threads-{accumulate}", "--threads", 2, *more), whole)

                parts = f"parts-{accumulate}"
                self.train(parts, *more, steps=5)
                resumed = self.train(parts, *more, "--resume")
                # It was evaluated at step 5 too.
                self.assertEqual((resumed[0], resumed[2]), (whole[0], whole[2]))

                plan = ("train", "train.yaml", "--plan", "--threads", 1, "--set",
                        "dropout.embedding=0.1", "--set", "dropout.residual=0.3", *more)
                free = self.json(*plan)["arena_bytes"]
                limit = ("--set", f"memory.limit={free - 20000}")
                self.assertLess(self.json(*plan, *limit)["arena_bytes"], free)
                limited = self.train(f"limit-{accumulate}", "--threads", 1, *more, *limit)
                self.assertEqual(limited, whole)

    def test_seed_and_share_matter_and_micro_batches_differ(self):
        shares = (dict(), dict(residual=0), dict(embedding=0), dict(residual=0.31))
        losses = {tuple(self.train(f"run-{i}", **share)[0]) for i, share in enumerate(shares)}
        self.assertEqual(len(losses), 4)
        # Without learning, one text and one place in it: only the bits differ from step to step.
        self.write("text.txt", "a" * 400)
        frozen = ("--set", "optimizer.lr=1e-30", "--set", "optimizer.weight_decay=0")
        still = [loss for _, loss, _ in self.train("still", *frozen)[0]]
        self.assertEqual(len(set(still)), 12)
        other = self.train("other", *frozen, "--set", "init=still", "--set", "seed=8")[0]
        self.assertTrue(set(still).isdisjoint(loss for _, loss, _ in other))
        # Bits follow the number of the micro-batch, so a step of two has the losses of two steps.
        pairs = self.train("pairs", *frozen, "--set", "batch.accumulate=2", steps=6)[0]
        for (_, loss, _), first, second in zip(pairs, still[::2], still[1::2], strict=True):
            self.assertAlmostEqual(loss, (first + second) / 2, places=5)

    def test_evaluation_drops_nothing(self):
        frozen = ("--set", "optimizer.lr=1e-30", "--set", "optimizer.weight_decay=0")
        dropped, whole = (
            self.train(f"eval-{share}", *frozen, embedding=share, residual=share)[1]
            for share in (0.5, 0))
        self.assertEqual(dropped, whole)

    def test_bf16_trains(self):
        losses = [loss for _, loss, _ in self.train("bf16", "--set", "precision=bf16")[0]]
        self.assertLess(losses[-1], losses[0])

    def test_compile_shows_it(self):
        step = ("compile", "model.yaml", "--mode", "train", "--dropout", 0.1)
        self.assertIn("lm.philox", self.ok(*step, "--emit=primitives").decode())
        # Bits are made where they are used: no buffer of a step holds bits or a mask.
        plan = self.ok(*step, "--emit=plan").decode()
        self.assertIn("lm.philox", plan)
        buffers = [line for line in plan.splitlines() if "plan.temporary" in line]
        self.assertTrue(any("x12xf32>" in line for line in buffers))
        self.assertEqual([line for line in buffers if "x12xi" in line], [])

    def test_refused(self):
        for setting, says in (
                ("dropout.attention=0.1", ("dropout.attention", "are never in memory")),
                ("dropout.residual=1", "dropout.residual"),
                ("dropout.embedding=-0.1", "dropout.embedding")):
            self.fails("train", "train.yaml", "--set", setting, says=says)
        self.write("model.yaml", endtoend.SPEC.format(architecture="llama"))
        self.fails("train", "train.yaml", "--set", "dropout.residual=0.1",
                   says="dropout: only gpt2 has places for it")
        self.fails("compile", "model.yaml", "--plan", "--dropout", 0.1, code=2,
                   says="--dropout needs --mode train")


if __name__ == "__main__":
    endtoend.main()
