"""Stage 2: each wrapper of ptx.cuh on this GPU against its host twin, whose outputs are recorded.

  wrappers.py --compile sm_80 OUT.cubin    makes the machine code, on any machine with NVRTC
"""
import json
import os
import sys

import cuda
import kit


def source():
    with open(os.path.join(kit.DATA, "wrappers.cu")) as file:
        return file.read()


def machine_code():
    architecture = kit.architecture()
    path = os.path.join(kit.DATA, f"wrappers.{architecture}.cubin")
    if os.path.exists(path):
        with open(path, "rb") as file:
            return file.read()
    return cuda.compile(source(), architecture)


def distance(got, expected):
    """Units in the last place between two floats, given as bits; a denormal counts as zero."""
    def ordered(bits):
        if bits & 0x7f800000 == 0:
            return 0
        magnitude = (bits & 0x7fffffff) - 0x7fffff  # the smallest normal number is one step from zero
        return -magnitude if bits >> 31 else magnitude
    return abs(ordered(got) - ordered(expected))


def main():
    driver = kit.driver()
    with open(os.path.join(kit.DATA, "wrappers.json")) as file:
        cases = json.load(file)
    module = cuda.Module(driver, machine_code())
    for case in cases:
        got = module.run(case["name"], case["in"], len(case["out"]), case["shared"])
        far = distance if case["ulps"] else lambda g, e: int(g != e)
        wrong = [i for i, (g, e) in enumerate(zip(got, case["out"])) if far(g, e) > case["ulps"]]
        note = f"{len(got)} words"
        if wrong:
            i = wrong[0]
            note = f"{len(wrong)} of {note} differ; word {i} is {got[i]:#010x}, not {case['out'][i]:#010x}"
        kit.report(case["name"], ok=not wrong, note=note)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--compile"]:
        with open(sys.argv[3], "wb") as out:
            out.write(cuda.compile(source(), sys.argv[2]))
    else:
        main()
