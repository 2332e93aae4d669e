"""Memory is what the printed plan says."""
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
