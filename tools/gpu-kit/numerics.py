"""Stage 3: whole models on the GPU against the CPU target and the float64 evaluator's recorded values,
then kernels of odd sizes against float64 (large ones are checked where they are timed)."""
import json
import os

import kit

kit.driver()
TOKENS = ",".join(str(7 * i * i % 251) for i in range(40))


def compare_model(name):
    """Logits, greedy text and evaluation loss of a model folder."""
    folder, work = os.path.join(kit.DATA, name), kit.scratch("numerics-" + name)

    def logits(precision, target):
        out = os.path.join(work, f"{precision}-{target}.npy")
        kit.lmc("run", folder, "--tokens", TOKENS, "--output", out, "--target", target, "--precision", precision)
        return out

    def check(what, difference, tolerance):
        kit.report(f"{name} {what}", difference, ok=difference <= tolerance, note=f"tolerance {tolerance}")

    try:
        recorded = os.path.join(folder, "float64.npy")
        for target in ("cpu", "cuda"):
            check(f"logits, {target} against float64", kit.largest_difference(logits("f32", target), recorded), 1e-5)
        # Two bf16 programs round in the same places but add in another order.
        check("bf16 logits, cuda against cpu",
              kit.largest_difference(logits("bf16", "cuda"), logits("bf16", "cpu")), 2e-2)
        text = {t: json.loads(kit.lmc("generate", folder, "--prompt", "The old walls", "--max-tokens", 30,
                                      "--temperature", 0, "--json", "--target", t))["token_ids"]
                for t in ("cpu", "cuda")}
        kit.report(f"{name} greedy text, cuda as cpu", ok=text["cpu"] == text["cuda"],
                   note="" if text["cpu"] == text["cuda"] else f"{text['cpu']} and {text['cuda']}")
        loss = {t: json.loads(kit.lmc("eval", folder, "--data", os.path.join(kit.DATA, "text.txt"), "--json",
                                      "--target", t))["loss"] for t in ("cpu", "cuda")}
        check("evaluation loss, cuda against cpu", abs(loss["cuda"] - loss["cpu"]) / loss["cpu"], 1e-5)
    except kit.Refused as error:
        kit.report(name, ok=False, note=str(error))


def check_packed_executable():
    """Machine code that was made where the kit was packed: needs no NVRTC here."""
    packed = os.path.join(kit.DATA, f"llama.{kit.architecture()}.lmx")
    if not os.path.exists(packed):
        kit.report("llama, packed executable", note=f"none for {kit.architecture()} in this kit")
        return
    out = os.path.join(kit.scratch("numerics-packed"), "logits.npy")
    try:
        kit.lmc("run", packed, "--tokens", TOKENS, "--output", out)
        difference = kit.largest_difference(out, os.path.join(kit.DATA, "llama", "float64.npy"))
        kit.report("llama logits, packed executable against float64", difference, ok=difference <= 1e-5,
                   note="tolerance 1e-05")
    except kit.Refused as error:
        kit.report("llama, packed executable", ok=False, note=str(error))


check_packed_executable()
for model in ("gpt2", "llama"):
    compare_model(model)
for row in kit.bench(r"t139|127x1000x333", "--rounds", 3, "--seconds", 0.1):
    kit.report(row["case"], note=row["check"])
