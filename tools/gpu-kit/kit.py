"""What the stages share: results, the GPU, lmc, and files."""
import array
import ctypes
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

FOLDER = os.path.dirname(os.path.abspath(__file__))
LMC = os.path.join(FOLDER, "bin", "lmc")
DATA = os.path.join(FOLDER, "data")


def report(name, value=None, unit="", **more):
    """One result, at once: a stage may be stopped by its time limit."""
    row = {"name": name}
    if value is not None:
        row |= {"value": value, "unit": unit}
    print(json.dumps(row | more), flush=True)


def skip(why):
    sys.stderr.write(why + "\n")
    sys.exit(3)


def driver():
    """libcuda with the driver started; ends the stage where there is none."""
    try:
        library = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        skip(f"no GPU driver: {error}")
    code = library.cuInit(0)
    if code:
        skip(f"no GPU: cuInit gives CUDA error {code}")
    count = ctypes.c_int()
    if library.cuDeviceGetCount(ctypes.byref(count)) or count.value == 0:
        skip("no GPU: the driver finds no device")
    return library


def architecture():
    """The first GPU's: "sm_80", "sm_90a"."""
    library = driver()
    device, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    library.cuDeviceGet(ctypes.byref(device), 0)
    library.cuDeviceGetAttribute(ctypes.byref(major), 75, device)
    library.cuDeviceGetAttribute(ctypes.byref(minor), 76, device)
    suffix = "a" if major.value >= 9 else ""
    return f"sm_{major.value}{minor.value}{suffix}"


def torch():
    """PyTorch with a GPU; ends the stage where there is none."""
    driver()
    try:
        import torch
    except ImportError as error:
        skip(f"no PyTorch in {sys.executable}: {error}; set PYTHON to the Python that has it")
    if not torch.cuda.is_available():
        skip(f"PyTorch {torch.__version__} sees no GPU")
    return torch


def library_folder(name):
    """Where a library of NVIDIA's is: the toolkit's or the one that came with PyTorch. None: nowhere."""
    patterns = ["/usr/local/cuda*/lib64", "/usr/local/cuda*/targets/*/lib", "/usr/lib/x86_64-linux-gnu"]
    patterns += [os.path.join(path, "nvidia", "*", "lib") for path in sys.path if path]
    for pattern in patterns:
        for folder in sorted(glob.glob(pattern), reverse=True):
            if glob.glob(os.path.join(folder, f"{name}.so.1[2-9]")):
                return folder
    return None


def nvrtc_folder():
    return library_folder("libnvrtc")


def cublas_folder():
    return library_folder("libcublasLt")


def environment():
    """lmc's: it finds NVRTC and cuBLASLt, and keeps its kernels in this folder."""
    result = dict(os.environ, LMC_CACHE_DIR=os.path.join(FOLDER, "cache"))
    folders = [nvrtc_folder(), cublas_folder(), result.get("LD_LIBRARY_PATH")]
    if any(folders):
        result["LD_LIBRARY_PATH"] = ":".join(dict.fromkeys(filter(None, folders)))
    return result


class Refused(Exception):
    """lmc ended with an error; its words."""


def lmc(*arguments, prefix=()):
    """Runs lmc; its standard output."""
    done = subprocess.run([*prefix, LMC, *map(str, arguments)], capture_output=True, text=True,
                          env=environment(), cwd=FOLDER)
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}")
        raise Refused(said.splitlines()[-1])
    return done.stdout


def bench(pattern, *options):
    """Rows of `lmc bench --target cuda` as they come; failed cases are reported as such."""
    command = [LMC, "bench", "--target", "cuda", "--json", "--python", sys.executable,
               "--filter", pattern, *map(str, options)]
    with tempfile.TemporaryFile("w+") as errors:  # a full pipe would stop PyTorch's warnings, and PyTorch
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment(),
                                   cwd=FOLDER)
        for line in process.stdout:
            yield json.loads(line)
        process.wait()
        errors.seek(0)
        said = [line.strip() for line in errors if line.startswith("error: ") or " is left out: " in line
                or "cuBLASLt" in line]
    for line in said:
        case = re.match(r"error: ([a-z]+\.\S+): (.*)", line)
        if case:
            report(case[1], ok=False, note=case[2])
        else:
            report("lmc bench", ok=not line.startswith("error: "), note=line)
    if process.returncode and not said:
        report("lmc bench", ok=False, note=f"exit code {process.returncode}")


def scratch(name):
    """An empty folder."""
    path = os.path.join(FOLDER, "work", name)
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    return path


def read_npy(path):
    """A float32 file of `lmc run`: (shape, values)."""
    with open(path, "rb") as file:
        data = file.read()
    length = int.from_bytes(data[8:10], "little")
    header = data[10:10 + length].decode()
    if "'<f4'" not in header:
        raise ValueError(f"{path} is not float32: {header}")
    shape = [int(x) for x in re.search(r"\(([^)]*)\)", header)[1].split(",") if x.strip()]
    return shape, array.array("f", data[10 + length:])


def largest_difference(got, expected):
    """Of two .npy files, against the largest expected number."""
    (shape, a), (other, b) = read_npy(got), read_npy(expected)
    if shape != other:
        raise ValueError(f"shapes differ: {shape} and {other}")
    difference = max(abs(x - y) if x == x else float("inf") for x, y in zip(a, b))
    return difference / max(abs(y) for y in b)
