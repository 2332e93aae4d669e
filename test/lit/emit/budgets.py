"""Holds kernels against the budgets that a test file states.

usage: lmc compile TEST --target cuda:ARCHITECTURE --explain=resources --json | budgets.py TEST

A line `BUDGET: PATH FAMILY registers=N blocks=N UNIT...` of the test is for the launches of a kernel,
in order: at most so many registers, at least so many blocks a multiprocessor, and which of the
instructions of matrix units and asynchronous copies it must have. Those not named it must not have.
`BUDGET(sm_90): ...` replaces the line before it for that architecture. For all kernels alike: no spills, no local memory, no warning, shared memory within a block's limit.
"""
import json
import re
import sys

# CUDA C++ Programming Guide, technical specifications: of a block.
SHARED_BYTES = {"sm_80": 163 * 1024, "sm_90": 227 * 1024, "sm_100": 227 * 1024}
UNITS = {"HMMA", "HGMMA", "IMMA", "LDSM", "LDGSTS", "UTMALDG"}

BUDGET = re.compile(r"BUDGET(?:\((\w+)\))?: (.+) (\S+) registers=(\d+) blocks=(\d+)((?: [A-Z]+)*)$")


def broken(kernel, registers, blocks, units, shared_bytes):
    """What of a kernel's budget is not kept."""
    found = {unit for unit in UNITS if kernel["instructions"][unit] > 0}
    if kernel["registers"] > registers:
        yield f"{kernel['registers']} registers, at most {registers}"
    if kernel["blocks_per_multiprocessor"] < blocks:
        yield f"{kernel['blocks_per_multiprocessor']} blocks a multiprocessor, at least {blocks}"
    if found != units:
        yield f"instructions {sorted(found)}, expected {sorted(units)}"
    for none in ("spill_store_bytes", "spill_load_bytes", "local_bytes"):
        if kernel[none] != 0:
            yield f"{none} {kernel[none]}, expected none"
    for local in ("LDL", "STL"):
        if kernel["instructions"][local] != 0:
            yield f"{kernel['instructions'][local]} {local}, expected none"
    if kernel["static_shared_bytes"] + kernel["dynamic_shared_bytes"] > shared_bytes:
        yield f"more than {shared_bytes} bytes of shared memory"
    yield from kernel["warnings"]


def main():
    report = json.load(sys.stdin)
    architecture = report["device"]["architecture"]
    budgets = []
    with open(sys.argv[1]) as file:
        for line in file:
            if not (found := BUDGET.search(line.rstrip())):
                continue
            only, *budget = found.groups()
            if only is None:
                budgets.append(budget)
            elif only == architecture:
                budgets[-1] = budget
    kernels = [(kernel["paths"][0], kernel["family"]) for kernel in report["kernels"]]
    stated = [(path, family) for path, family, *_ in budgets]
    if kernels != stated or not stated:
        sys.exit(f"kernels {kernels}, budgets for {stated}")
    failed = False
    for kernel, (path, family, registers, blocks, units) in zip(report["kernels"], budgets):
        for reason in broken(kernel, int(registers), int(blocks), set(units.split()),
                             SHARED_BYTES[architecture]):
            print(f"{architecture} '{path}' ({family}): {reason}", file=sys.stderr)
            failed = True
    sys.exit(failed)


main()
