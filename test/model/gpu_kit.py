"""The GPU kit's runner where there is no GPU: each stage says why it cannot run, none stops the next,
and the table closes the run. What the stages do on a GPU is for a machine with one."""
import json
import shutil
import subprocess
import sys

import endtoend
from endtoend import ROOT

HANGS = """import kit, time
kit.report("before", 1.5, "s")
time.sleep(60)
"""
FAILS = """import kit
kit.report("wrong", 2, ok=False, note="expected 1")
raise RuntimeError("it broke")
"""


class GpuKit(endtoend.Test):
    def setUp(self):
        super().setUp()
        self.kit = self.folder / "kit"
        shutil.copytree(ROOT / "tools/gpu-kit", self.kit)
        # A machine that has a GPU looks like one without.
        self.environment |= {"CUDA_VISIBLE_DEVICES": "-1", "PYTHON": sys.executable}

    def run_kit(self, *arguments, code):
        done = subprocess.run([self.kit / "run.sh", *arguments], env=self.environment, capture_output=True, text=True,
                              timeout=60)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def rows(self):
        return [json.loads(line) for line in (self.kit / "results.jsonl").read_text().splitlines()]

    def test_every_stage_says_that_there_is_no_gpu(self):
        stages = [line.split()[0] for line in self.run_kit("--list", code=0).splitlines()]
        limits = [int(line.split()[1]) for line in self.run_kit("--list", code=0).splitlines()]
        self.assertLess(sum(limits), 9 * 60)
        text = self.run_kit(code=1)
        self.assertEqual([row["stage"] for row in self.rows()], stages)
        for row in self.rows():
            self.assertEqual((row["end"], row["ok"]), ("skipped", False))
            self.assertRegex(row["note"], "^no GPU")
        self.assertEqual(text.count("skipped"), len(stages))

    def test_a_failing_stage_does_not_stop_the_next(self):
        (self.kit / "ceilings.py").write_text(FAILS)
        text = self.run_kit("ceilings", "speed", code=1)
        wrong, failed, skipped = self.rows()
        self.assertEqual((wrong["name"], wrong["value"]), ("wrong", 2))
        self.assertEqual((failed["end"], failed["note"]), ("failed", "RuntimeError: it broke"))
        self.assertEqual((skipped["stage"], skipped["end"]), ("speed", "skipped"))
        self.assertIn("FAILED  expected 1", text)

    def test_a_stage_that_hangs_is_stopped_and_keeps_its_results(self):
        (self.kit / "ceilings.py").write_text(HANGS)
        runner = self.kit / "run.py"
        runner.write_text(runner.read_text().replace('PyTorch", 40)', 'PyTorch", 1)'))
        self.run_kit("ceilings", code=1)
        before, stage = self.rows()
        self.assertEqual((before["name"], before["value"], before["unit"]), ("before", 1.5, "s"))
        self.assertEqual((stage["end"], stage["note"]), ("timed out", "stopped after 1 s"))

    def test_an_unknown_stage_is_named(self):
        self.assertIn("no stage 'sped'; there are ceilings, wrappers", self.run_kit("sped", code=1))


if __name__ == "__main__":
    endtoend.main()
