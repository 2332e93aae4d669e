"""A run that is killed at any moment and resumed ends with the same bits as one that is not."""
import json
import os
import random
import signal
import subprocess
import time

import endtoend
from endtoend import LMC, log_lines

CHECKED = ("model.safetensors", "optimizer.safetensors")


class Resume(endtoend.Test):
    steps = 60

    def final(self, run):
        """What the last checkpoint holds, but for the names of its own files."""
        latest = self.folder / run / (self.folder / run / "latest").read_text().strip()
        state = json.loads((latest / "state.json").read_text())
        return self.hashes(latest, CHECKED) | {key: state[key] for key in (
            "step", "tokens", "data_position", "evaluations", "seed")}

    def train(self, run, *more, **options):
        return self.ok("train", "train.yaml", "--set", f"checkpoint.dir={run}",
                       "--set", f"log.jsonl={run}/metrics.jsonl", *more, **options)

    def start(self, run, *more):
        return subprocess.Popen(
            [LMC, "train", "train.yaml", "--set", f"checkpoint.dir={run}", "--set",
             f"log.jsonl={run}/metrics.jsonl", "--resume", *more], cwd=self.folder,
            env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def test_killed_ten_times(self):
        self.train("whole")
        # Its duration with every kernel in the cache.
        begin = time.monotonic()
        self.train("timed")
        duration = time.monotonic() - begin
        expected = self.final("whole")
        self.assertEqual(expected["step"], self.steps)
        self.assertEqual(len(expected["evaluations"]), 3)
        self.assertEqual(self.final("timed"), expected)

        moments = random.Random(3)
        kills = 0
        for attempt in range(200):
            process = self.start("killed")
            try:
                process.wait(timeout=moments.uniform(0.2, 1.0) * duration)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
            error = process.stderr.read().decode()
            code = process.wait()
            process.stderr.close()
            if code == -signal.SIGKILL:
                kills += 1
                if kills == 10:
                    break
                continue
            self.assertEqual(code, 0, error)
            if kills < 10:  # it came to its end: begin again with a longer way
                os.rename(self.folder / "killed", self.folder / f"done-{attempt}")
                self.assertEqual(self.final(f"done-{attempt}"), expected)
        self.assertEqual(kills, 10)
        self.train("killed", "--resume")
        self.assertEqual(self.final("killed"), expected)
        logged = [line["step"] for line in log_lines(self.folder / "killed/metrics.jsonl")
                  if "loss" in line]
        self.assertEqual(logged, list(range(1, self.steps + 1)))

    def test_resumed_in_parts_with_accumulation(self):
        more = ("--set", "batch.accumulate=2")
        self.train("whole", *more, "--set", "eval.every=0")
        for steps in (9, 23, 60):
            self.train("parts", *more, "--set", "eval.every=0", "--resume", "--set", f"steps={steps}")
        self.assertEqual(self.final("parts"), self.final("whole"))

    def test_terminated_run_saves(self):
        self.train("whole", "--set", "steps=20000", "--set", "checkpoint.every=0",
                   "--set", "eval.every=0", "--steps", "3")
        process = self.start("stopped", "--set", "steps=1000000", "--set", "checkpoint.every=0",
                             "--set", "eval.every=0")
        log = self.folder / "stopped/metrics.jsonl"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (log.exists() and log.stat().st_size):
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        error = process.stderr.read().decode()
        self.assertEqual(process.wait(timeout=60), 0, error)
        process.stderr.close()
        steps = [line["step"] for line in log_lines(log) if "loss" in line]
        latest = (self.folder / "stopped/latest").read_text().strip()
        self.assertEqual(latest, f"step-{steps[-1]:08}")


if __name__ == "__main__":
    endtoend.main()
