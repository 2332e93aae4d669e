"""Stage 4: NVIDIA's compute-sanitizer over prefill, decoding and a training step of the smallest model."""
import glob
import os
import shutil

import kit
import training

kit.driver()
tool = shutil.which("compute-sanitizer") or next(iter(glob.glob("/usr/local/cuda*/bin/compute-sanitizer")), None)
if not tool:
    kit.skip("compute-sanitizer is not on this machine (it is part of the CUDA toolkit)")
config_folder = kit.scratch("sanitizer")
config = os.path.join(config_folder, "train.yaml")
with open(config, "w") as file:
    file.write(training.CONFIG.format(model=os.path.join(kit.DATA, "gpt2"), tokens=os.path.join(kit.DATA, "tokens.bin"),
                                      work=config_folder, target="cuda", precision="bf16"))


def generate(run):
    return ("generate", os.path.join(kit.DATA, "llama"), "--prompt", "ships", "--max-tokens", 2, "--temperature", 0,
            "--target", "cuda", "--precision", "bf16")


def train(run):
    # A folder that holds checkpoints is refused.
    return ("train", config, "--steps", 1, "--set", f"checkpoint.dir={os.path.join(config_folder, run)}")


for work in (generate, train):
    name = work.__name__
    try:
        kit.lmc(*work("first"))  # what it compiles is not compiled under the tool
    except kit.Refused as error:
        kit.report(name, ok=False, note=str(error))
        continue
    for check in ("memcheck", "racecheck", "synccheck"):
        try:
            kit.lmc(*work(check), prefix=(tool, "--tool", check, "--error-exitcode", "9"))
            kit.report(f"{check} {name}", note="no error")
        except kit.Refused as error:
            kit.report(f"{check} {name}", ok=False, note=str(error))
