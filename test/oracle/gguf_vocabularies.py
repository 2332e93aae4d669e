#!/usr/bin/env python3
"""Compares `lmc tokenize` on llama.cpp's vocabulary files with the ids that it publishes beside them.

FOLDER is llama.cpp's models/: ggml-vocab-NAME.gguf, with texts in NAME.gguf.inp and the ids that Hugging
Face's tokenizers gave for them in NAME.gguf.out.
usage: gguf_vocabularies.py LMC FOLDER [NAME...]
"""
import pathlib
import subprocess
import sys

SEPARATOR = "\n__ggml_vocab_test__\n"


def ids_of(program, model, text):
    run = subprocess.run([program, "tokenize", model], input=text.encode(), capture_output=True)
    if run.returncode:
        raise RuntimeError(run.stderr.decode().strip())
    return run.stdout.decode().split()


def check(program, model):
    texts = pathlib.Path(f"{model}.inp").read_bytes().decode().split(SEPARATOR)
    expected = [line.split() for line in pathlib.Path(f"{model}.out").read_text().split("\n")]
    wrong = 0
    for text, ids in zip(texts, expected):
        found = ids_of(program, model, text)
        if found != ids:
            wrong += 1
            if wrong <= 3:
                print(f"  {text[:40]!r}: {' '.join(found)[:70]}, expected {' '.join(ids)[:70]}")
    print(f"{model.name:36} {len(texts)} texts, {wrong} wrong")
    return wrong == 0


def main():
    program, folder, names = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3:]
    good = True
    for model in sorted(folder.glob("ggml-vocab-*.gguf")):
        if not pathlib.Path(f"{model}.inp").exists() or (names and not any(name in model.name for name in names)):
            continue
        try:
            good = check(program, model) and good
        except RuntimeError as error:
            print(f"{model.name:36} {error}"[:300])
            good = False
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
