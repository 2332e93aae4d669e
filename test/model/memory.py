"""Memory is what the printed plan says."""
import re

import endtoend
from endtoend import SHARED


class Memory(endtoend.Test):
    def check(self, plan):
        arena = sum(row["bytes"] for row in plan["rows"] if row["category"] != "mapped_weights")
        self.assertEqual(arena, plan["arena_bytes"])
        self.assertGreater(arena, 0)
        return arena

    def test_training_takes_the_plan(self):
        for threads in (1, 2):
            for accumulate in (1, 2):
                with self.subTest(threads=threads, accumulate=accumulate):
                    more = ("--threads", threads, "--set", f"batch.accumulate={accumulate}")
                    planned = self.check(self.json("train", "train.yaml", "--plan", *more))
                    self.assertFalse((self.folder / "run").exists())
                    name = f"run-{threads}-{accumulate}"
                    taken = self.json("train", "train.yaml", "--steps", 2, "--set",
                                      f"checkpoint.dir={name}", "--set",
                                      f"log.jsonl={name}/metrics.jsonl", *more)
                    self.assertEqual(taken["arena_bytes"], planned)
                    self.assertEqual(taken["arena_peak_bytes"], planned)

    def smallest(self, *more):
        """The limit that the error of a hopeless one names."""
        error = self.fails("train", "train.yaml", "--plan", "--set", "memory.limit=1KiB", *more,
                           says=["--set memory.limit=1KiB: memory.limit: 1024 bytes",
                                 "with the most recomputing that helps"])
        return int(re.search(r"and (\d+) bytes \(", error).group(1))

    def test_a_limit_is_kept_and_changes_no_number(self):
        self.write("model.yaml", endtoend.SPEC.format(architecture="gpt2").replace("layers: 2", "layers: 6"))
        for accumulate in (1, 2):
            with self.subTest(accumulate=accumulate):
                more = ("--threads", 2, "--set", f"batch.accumulate={accumulate}", "--set",
                        "batch.sequences=8")
                free = self.check(self.json("train", "train.yaml", "--plan", *more))
                least = self.smallest(*more)
                self.assertLess(least, free)
                losses = {}
                for limit in (free, (free + least) // 2, least):
                    run = f"limit-{accumulate}-{limit}"
                    limited = (*more, "--set", f"memory.limit={limit}")
                    planned = self.check(self.json("train", "train.yaml", "--plan", *limited))
                    self.assertLessEqual(planned, limit)
                    taken = self.json("train", "train.yaml", "--steps", 5, "--set",
                                      f"checkpoint.dir={run}", "--set",
                                      f"log.jsonl={run}/metrics.jsonl", *limited)
                    self.assertEqual(taken["arena_peak_bytes"], planned)
                    losses[limit] = [(line["loss"], line["grad_norm"])
                                     for line in endtoend.log_lines(self.folder / run / "metrics.jsonl")
                                     if "loss" in line]
                    self.assertEqual(len(losses[limit]), 5)
                    self.assertEqual(losses[limit], losses[free])

    def test_compile_explains_what_is_recomputed(self):
        self.write("model.yaml", endtoend.SPEC.format(architecture="llama").replace("layers: 2", "layers: 6"))
        how = ("compile", "model.yaml", "--mode", "train", "--batch", 8, "--threads", 1)
        free = self.json(*how, "--plan")["arena_bytes"]
        limit = free - 10000
        self.assertLessEqual(self.json(*how, "--plan", "--memory-limit", limit)["arena_bytes"], limit)
        said = self.ok(*how, "--explain=memory", "--memory-limit", limit).decode()
        self.assertIn(" is recomputed in front of ", said)
        self.assertIn(".recompute", said)
        self.fails(*how, "--plan", "--memory-limit", "lots", code=2, says="--memory-limit: expected a size")
        self.fails("compile", "model.yaml", "--plan", "--memory-limit", "1GiB", code=2,
                   says="--memory-limit needs --mode train")

    @endtoend.needs_shared
    def test_more_slots_take_more_caches(self):
        model = SHARED / "models/stories260k"
        one, four = (self.json("serve", model, "--plan", "--slots", slots) for slots in (1, 4))
        self.assertGreater(self.check(four), self.check(one))
        caches = [next(row["bytes"] for row in plan["rows"] if row["category"] == "caches")
                  for plan in (one, four)]
        self.assertEqual(caches[1], 4 * caches[0])


if __name__ == "__main__":
    endtoend.main()
