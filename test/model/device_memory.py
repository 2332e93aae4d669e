"""Proofs that a program fits a device, and the changes that are proposed where it does not."""
import json
import os

import endtoend


class DeviceMemory(endtoend.Test):
    def fit(self, device, *how):
        """The report, whether it fits or not."""
        done = self.lmc("compile", "model.yaml", "--plan", "--json", "--threads", 2, *how, "--device-memory", device)
        report = json.loads(done.stdout)
        self.assertEqual(done.returncode, 0 if report["device"]["fits"] else 1, done.stderr)
        self.assertEqual(report["device"]["fits"], report["device"]["needed_bytes"] <= report["device"]["device_bytes"])
        rows = sum(row["bytes"] for row in report["rows"])
        self.assertEqual(report["device"]["needed_bytes"], rows + report["device"]["reserve_bytes"])
        return report

    def changes(self, report):
        return {change["option"]: change for change in report["device"]["changes"]}

    def changed(self, how, option, value):
        how = [str(part) for part in how]
        if option in how:
            at = how.index(option)
            del how[at:at + 2]
        return [*how, option, value]

    def proposals_hold(self, options, *how):
        """Each proposal fits when it is asked for, one more does not."""
        needed = self.fit("1TiB", *how)["device"]
        self.assertTrue(needed["fits"])
        self.assertEqual(needed["changes"], [])
        self.assertTrue(self.fit(needed["needed_bytes"], *how)["device"]["fits"])
        reserve = needed["reserve_bytes"]
        device = reserve + int(0.95 * (needed["needed_bytes"] - reserve))
        proposed = self.changes(self.fit(device, *how))
        self.assertEqual(set(proposed), options)
        for option, change in proposed.items():
            with self.subTest(how=how, option=option):
                again = self.changed(how, option, change["value"])
                if option == "--memory-limit" and not change["fits"]: # nothing large is worth keeping
                    self.assertGreater(change["smallest"]["bytes"], device)
                    self.fails("compile", "model.yaml", "--plan", "--threads", 2, *again, says="is not enough")
                    continue
                self.assertTrue(change["fits"])
                answer = self.fit(device, *again)["device"]
                self.assertTrue(answer["fits"])
                self.assertEqual(answer["needed_bytes"], change["bytes"])
                if option == "--memory-limit":
                    self.assertGreater(change["launches"], 0)
                    self.assertLessEqual(change["smallest"]["bytes"], change["bytes"])
                    continue
                self.assertLess(change["value"], change["instead_of"])
                more = self.changed(how, option, change["value"] + 1)
                self.assertFalse(self.fit(device, *more)["device"]["fits"])

    def test_training(self):
        self.write("model.yaml", endtoend.SPEC.format(architecture="llama").replace("layers: 2", "layers: 6"))
        for target in ("cpu", "cuda:sm_90a"):
            self.proposals_hold({"--batch", "--length", "--memory-limit"}, "--mode", "train", "--batch", 9, "--target",
                                target)

    def test_inference(self):
        for target in ("cpu", "cuda:sm_80"):
            self.proposals_hold({"--slots", "--length"}, "--slots", 40, "--target", target)

    def test_pages(self):
        """A pool is what counts, whatever the number of sequences and their longest."""
        for target in ("cpu", "cuda:sm_80"):
            self.proposals_hold({"--kv-pool"}, "--slots", 40, "--target", target, "--kv-page", 16, "--kv-pool", 3000)

    def test_a_list_of_layers_has_no_length(self):
        self.write("model.yaml", "architecture: layers\ninputs: 5\nclasses: 3\nlayers: [{linear: {width: 300}}, gelu]\n")
        self.proposals_hold({"--batch", "--memory-limit"}, "--mode", "train", "--batch", 1000)

    def test_the_ledger_is_that_of_the_executable(self):
        for how in (("--mode", "train", "--batch", 5), ("--slots", 3), ("--length", 9, "--precision", "bf16")):
            planned = self.fit("1TiB", *how)
            made = self.json("compile", "model.yaml", "--plan", "--threads", 2, *how)
            self.assertEqual(planned["rows"], made["rows"])

    def test_what_no_change_mends(self):
        for how in (("--mode", "train", "--batch", 4), ("--slots", 4)):
            error = self.fails("compile", "model.yaml", "--plan", *how, "--device-memory", (256 << 20) + 64,
                               says=["error: the program takes ", "no single change"])
            self.assertNotIn("each change", error)
            report = self.fit((256 << 20) + 64, *how)
            self.assertFalse(any(change["fits"] for change in report["device"]["changes"]))
        self.fails("compile", "model.yaml", "--plan", "--device-memory", "1MiB", says="leave nothing for the program")

    def test_malformed(self):
        for text in ("80 gigabytes", "-1GiB", "0", "GiB"):
            self.fails("compile", "model.yaml", "--plan", f"--device-memory={text}", code=2,
                       says="--device-memory: expected a size such as 2GiB")
        self.fails("compile", "model.yaml", "--device-memory", "1GiB", code=2, says="--device-memory needs --plan")

    def test_a_shorter_length_is_what_a_server_allows(self):
        """A sequence of an .lmx ends where its caches do."""
        self.ok("train", "train.yaml", "--steps", 1)
        self.ok("compile", "run", "-o", "short.lmx", "--length", 9)
        self.assertEqual(self.json("generate", "short.lmx", "--prompt", "abcd", "--max-tokens", 9)["completion_tokens"],
                         9 - 4 + 1) # nothing is computed from the last one
        self.fails("run", "short.lmx", "--tokens", ",".join(["1"] * 10), says="context of 9")
        self.fails("generate", "short.lmx", "--length", 9, says="lmc compile --length 9")
        prompt = ("generate", "run", "--prompt", "abcd", "--max-tokens", 9)
        self.assertEqual(self.json(*prompt, "--length", 9)["completion_tokens"], 9 - 4 + 1)
        drafted = self.json(*prompt, "--length", 20, "--speculate", "draft:short.lmx:2", "--temperature", 0)
        self.assertEqual(drafted["text"], self.json(*prompt, "--temperature", 0)["text"])
        self.fails(*prompt, "--length", 25, says="expected 1 to 24 tokens (the model's context), got 25")

    def test_a_server_that_would_not_fit_here(self):
        """It is told before memory is taken, with a length of sequences that fits."""
        spec = endtoend.SPEC.format(architecture="llama").replace("context: 24", "context: 4000000")
        self.write("model.yaml", spec)
        self.ok("train", "train.yaml", "--steps", 1)
        error = self.fails("serve", "run", "--slots", 1024, says=["the caches of 1024 sequences of 4000000 tokens", "fits"])
        length = int(error.split("--length ")[1].split()[0])
        plan = lambda length: self.json("serve", "run", "--slots", 1024, "--plan", "--length", length)
        taken = lambda plan: plan["arena_bytes"] + plan["mapped_bytes"]
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGESIZE")
        self.assertLess(taken(plan(length)), memory)
        self.assertGreater(taken(plan(2 * length)), taken(plan(length)) * 1.5)
        # A prompt is computed in pieces: what that needs does not grow with the context.
        activations = lambda plan: next(row["bytes"] for row in plan["rows"] if row["category"] == "activations")
        self.assertEqual(activations(plan(1000)), activations(plan(100000)))


if __name__ == "__main__":
    endtoend.main()
