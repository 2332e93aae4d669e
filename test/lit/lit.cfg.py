# lit tests: `.mlir` files and model specs (`.yaml`) whose RUN lines call the programs of the build
import os
import subprocess
import sys

import lit.formats

config.name = "lmc"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".yaml"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = config.lmc_lit_folder
config.environment["PATH"] = os.pathsep.join(
    [config.lmc_tools, config.llvm_tools, config.environment["PATH"]])
config.substitutions.append(("%python", sys.executable))
# Compiling CUDA C++ needs NVIDIA's library, not a GPU; `lmc` says itself whether it finds one.
probe = os.path.join(config.test_source_root, "emit", "cuda.mlir")
if subprocess.run([os.path.join(config.lmc_tools, "lmc"), "compile", probe, "--target", "cuda:sm_90a",
                   "--emit=ptx"], capture_output=True).returncode == 0:
    config.available_features.add("nvrtc")
else:
    lit_config.note("NVRTC is not here: emit/resources*.mlir and parts of emit/cuda*.mlir are skipped")
