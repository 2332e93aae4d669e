"""Runs the stages one after the other, each with a time limit, and prints one table of what they found.

A stage is a program of this folder that prints a JSON line for each result: {"name", "value", "unit"},
with "against" and "ratio" where something ran beside it, and "ok": false with a "note" where a check
failed. Its exit code 3 means that this machine lacks what it needs; the last line on stderr says what.
"""
import json
import os
import signal
import subprocess
import sys
import threading
import time

# Name, what it does, seconds. Their sum stays under nine minutes.
STAGES = [
    ("ceilings", "copy bandwidth and bf16 products of PyTorch", 40),
    ("wrappers", "each PTX wrapper against its host twin", 20),
    ("numerics", "models and kernels against the CPU and float64", 90),
    ("sanitizer", "compute-sanitizer on the smallest model", 60),
    ("training", "20 steps of GPT-2 and Llama against PyTorch and the CPU", 60),
    ("speed", "kernels beside PyTorch's", 150),
    ("models", "GPT-2 124M training, Llama 1B decoding", 110),
]
FOLDER = os.path.dirname(os.path.abspath(__file__))
RESULTS = os.path.join(FOLDER, "results.jsonl")


def run(stage, limit):
    """All rows of a stage; the last one, "stage", says how it ended."""
    rows = []
    start = time.monotonic()
    process = subprocess.Popen([sys.executable, stage + ".py"], cwd=FOLDER, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    late = threading.Event()

    def stop():
        late.set()
        os.killpg(process.pid, signal.SIGKILL)

    errors = []
    reader = threading.Thread(target=lambda: errors.extend(process.stderr))
    reader.start()
    timer = threading.Timer(limit, stop)
    timer.start()
    with open(RESULTS, "a") as file:
        def keep(row):
            rows.append({"stage": stage, **row})
            file.write(json.dumps(rows[-1]) + "\n")
            file.flush()

        for line in process.stdout:
            try:
                row = json.loads(line)
            except ValueError:
                row = {"name": "output", "note": line.strip()}
            keep(row)
        code = process.wait()
        timer.cancel()
        reader.join()
        said = [line.strip() for line in errors if line.strip()]
        row = {"name": "stage", "seconds": round(time.monotonic() - start, 1)}
        if late.is_set():
            row |= {"ok": False, "end": "timed out", "note": f"stopped after {limit} s"}
        elif code == 3:
            row |= {"ok": False, "end": "skipped", "note": said[-1] if said else "gave no reason"}
        elif code != 0:
            row |= {"ok": False, "end": "failed", "note": said[-1] if said else f"exit code {code}"}
        else:
            row |= {"ok": all(r.get("ok", True) for r in rows), "end": "done"}
        keep(row)
    sys.stderr.writelines(f"  {line}\n" for line in said if code not in (0, 3))
    return rows


def number(value):
    return f"{value:.4g}" if isinstance(value, (int, float)) else str(value)


def table(rows):
    lines = [("stage", "result", "value", "beside", "ratio", "")]
    for row in rows:
        if row["name"] == "stage":
            name, value = f"({row['seconds']} s)", row["end"]
        else:
            name = row["name"]
            value = f"{number(row['value'])} {row.get('unit', '')}".strip() if "value" in row else ""
        verdict = "FAILED" if not row.get("ok", True) and row["name"] != "stage" else ""
        note = "  ".join(x for x in (verdict, row.get("note", "")) if x)
        ratio = f"{row['ratio']:.2f}" if "ratio" in row else ""
        lines.append((row["stage"], name, value, row.get("against", ""), ratio, note))
    widths = [max(len(line[i]) for line in lines) for i in range(5)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths + [0])).rstrip())


def main():
    wanted = sys.argv[1:]
    if wanted == ["--list"]:
        for name, what, limit in STAGES:
            print(f"{name:<10} {limit:>4} s  {what}")
        return 0
    names = [name for name, _, _ in STAGES]
    for name in wanted:
        if name not in names:
            sys.exit(f"run.sh: no stage '{name}'; there are {', '.join(names)}")
    rows = []
    for name, what, limit in STAGES:
        if wanted and name not in wanted:
            continue
        print(f"{name}: {what} (at most {limit} s)", flush=True)
        rows += run(name, limit)
    print()
    table(rows)
    return 0 if all(row.get("ok", True) for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
