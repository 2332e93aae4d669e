#!/usr/bin/env python3
"""Checks that each folder includes only what stands above it (docs/architecture.md has the table).

A folder's rule names the folders of the repository it may include besides itself; "mlir" stands for
every header of MLIR, LLVM and LLD. The longest matching folder gives the rule.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
RULES = {
    "runtime": [],
    "ir": ["mlir", "runtime/BlockLayouts.h", "runtime/Half.h"],
    "passes": ["ir", "runtime/Error.h", "mlir"],
    "codegen": ["passes", "ir", "runtime", "mlir"],
    "frontend": ["ir", "runtime", "mlir"],
    "frontend/json": ["runtime/Error.h"],
    "frontend/tokenizer": ["frontend/json", "runtime/Error.h"],
    "frontend/chat": ["frontend/tokenizer", "runtime/Error.h"],
    "frontend/checkpoint": ["frontend/json", "runtime"],
    "frontend/data": ["frontend/json", "frontend/tokenizer", "frontend/checkpoint", "runtime"],
    "train": ["frontend/checkpoint", "frontend/data", "frontend/tokenizer", "runtime"],
    "serve": ["frontend/chat", "frontend/tokenizer", "runtime", "lmc/v1"],
    "tools": ["codegen", "passes", "frontend", "ir", "runtime", "train", "serve", "lmc/v1", "mlir"],
}
INCLUDE = re.compile(r'^\s*#\s*include\s*["<]([^">]+)[">]', re.MULTILINE)
COMPILER = ("mlir/", "llvm/", "lld/", "mlir-c/", "llvm-c/")
OWN = tuple(folder + "/" for folder in RULES if "/" not in folder) + ("lmc/", "test/")


def within(path, folder):
    return path == folder or path.startswith(folder + "/")


def check(file):
    """Yields an error line for each include of `file` that its folder may not make."""
    path = file.relative_to(ROOT).as_posix()
    own = max((f for f in RULES if within(path, f)), key=len)
    text = file.read_text(encoding="utf-8")
    for match in INCLUDE.finditer(text):
        target = match[1]
        if target.startswith(COMPILER):
            target_folder, allowed = "MLIR and LLVM", "mlir" in RULES[own]
        elif target.startswith(OWN):
            target_folder = target
            allowed = within(target, own) or any(within(target, f) for f in RULES[own])
        else:
            continue  # the standard library and other packages; CMake's link lists say which
        if not allowed:
            line = text[: match.start(1)].count("\n") + 1
            yield f'{path}:{line}: {own}/ may not include {target_folder} ("{target}")'


def main():
    errors, files = [], 0
    for top in sorted(f for f in RULES if "/" not in f):
        for file in sorted((ROOT / top).rglob("*")):
            if file.suffix in (".h", ".cpp", ".cu", ".cuh") and file.is_file():
                files += 1
                errors += check(file)
    if not files:
        sys.exit("layering: found no source files")
    for error in errors:
        print(error)
    print(f"layering: {files} files, {len(errors)} errors")
    sys.exit(1 if errors else 0)


if __name__ == "__main__":
    main()
