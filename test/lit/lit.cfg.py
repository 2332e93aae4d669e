# lit tests: `.mlir` files whose RUN lines call the programs of the build and FileCheck.
import os

import lit.formats

config.name = "lmc"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = config.lmc_lit_folder
config.environment["PATH"] = os.pathsep.join(
    [config.lmc_tools, config.llvm_tools, config.environment["PATH"]])
