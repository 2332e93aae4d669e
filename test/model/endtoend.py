"""What the end-to-end tests share: calling lmc, a folder for each test, small models and configs."""
import hashlib
import http.client
import json
import os
import pathlib
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LMC = os.environ.get("LMC", str(ROOT / "build/bin/lmc"))
SHARED = pathlib.Path(os.environ.get("LMC_SHARED") or ROOT / "../shared").resolve()

needs_shared = unittest.skipUnless(SHARED.is_dir(), f"no reference data: {SHARED} is absent")

SPEC = """architecture: {architecture}
layers: 2
width: 12
heads: 3
vocab: 256
context: 24
"""

CONFIG = """model: model.yaml
init: random
seed: 7
tokenizer: byte
data: {train: text.txt, val: text.txt, order: shuffled}
batch: {sequences: 3, length: 11}
optimizer: {name: adamw, lr: 3.0e-3}
schedule: {name: constant, warmup_steps: 2}
steps: 60
eval: {every: 25, batches: 2}
checkpoint: {dir: run, every: 7, keep: 2}
log: {every: 1, jsonl: run/metrics.jsonl}
"""

TEXT = "".join(f"{i} little ships sailed past the {i * i % 97} old walls of the town.\n" for i in range(300))


class Test(unittest.TestCase):
    """A test with a folder of its own, which holds model.yaml, text.txt and train.yaml."""

    maxDiff = None

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lmc-test-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.environment = dict(os.environ, LMC_CACHE_DIR=str(CACHE))
        self.write("model.yaml", SPEC.format(architecture="gpt2"))
        self.write("text.txt", TEXT)
        self.write("train.yaml", CONFIG)

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def lmc(self, *arguments, stdin=b"", environment=None, **more):
        """Runs lmc in the test's folder; no run may crash or hang."""
        done = subprocess.run([LMC, *map(str, arguments)], cwd=self.folder, input=stdin,
                              capture_output=True, timeout=300,
                              env=dict(self.environment, **(environment or {})), **more)
        self.assertGreaterEqual(done.returncode, 0, f"{arguments}: killed by signal: {done.stderr}")
        return done

    def ok(self, *arguments, **more):
        """Standard output of a run that must succeed."""
        done = self.lmc(*arguments, **more)
        self.assertEqual(done.returncode, 0, f"{arguments}: {done.stderr.decode()}")
        return done.stdout

    def json(self, *arguments, **more):
        return json.loads(self.ok(*arguments, "--json", **more))

    def fails(self, *arguments, code=1, says, **more):
        """A run that must end with an error in plain words."""
        done = self.lmc(*arguments, **more)
        error = done.stderr.decode(errors="replace")
        self.assertEqual(done.returncode, code, f"{arguments}: {error}\n{done.stdout.decode()}")
        for part in [says] if isinstance(says, str) else says:
            self.assertIn(part, error)
        return error

    def hashes(self, folder, names=None):
        """SHA-256 of the files of a folder, by name."""
        return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
                for path in sorted(pathlib.Path(folder).rglob("*"))
                if path.is_file() and (names is None or path.name in names)}


class Server:
    """`lmc serve` of a model as a process, until it is stopped or the test ends."""

    def __init__(self, test, model, *more):
        self.test = test
        self.process = subprocess.Popen([LMC, "serve", str(model), *more], cwd=test.folder, env=test.environment,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        test.addCleanup(self.process.stdout.close)
        test.addCleanup(self.process.wait)
        test.addCleanup(self.process.kill)
        said = ""
        while not re.search(r"HTTP.*?:(\d+)", said):
            test.assertTrue(select.select([self.process.stdout], [], [], 120)[0], f"no answer: {said}")
            line = self.process.stdout.readline().decode()
            test.assertTrue(line, f"the server ended: {said}")
            said += line
        self.port = int(re.search(r"HTTP.*?:(\d+)", said).group(1))

    def call(self, path, body=None):
        """Status and text of a GET, or of a POST where there is a body (bytes, or what becomes JSON)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        self.test.addCleanup(connection.close)
        if body is None:
            connection.request("GET", path)
        else:
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            connection.request("POST", path, raw, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def wait(self):
        return self.process.wait(timeout=60)

    def stop(self):
        """The exit code after SIGTERM."""
        self.terminate()
        return self.wait()


def log_lines(path):
    return [json.loads(line) for line in pathlib.Path(path).read_text().splitlines()]


def read_npy(path):
    """Rows of a float32 .npy file."""
    data = pathlib.Path(path).read_bytes()
    assert data[:6] == b"\x93NUMPY", "no .npy file"
    start = 10 + struct.unpack("<H", data[8:10])[0]
    header = eval(data[10:start].decode(), {"__builtins__": {}})
    assert header["descr"] == "<f4" and not header["fortran_order"]
    rows, columns = header["shape"]
    values = struct.unpack(f"<{rows * columns}f", data[start:])
    return [values[row * columns:(row + 1) * columns] for row in range(rows)]


def main():
    """Like unittest.main; exit code 77 where every test was skipped."""
    global CACHE
    with tempfile.TemporaryDirectory(prefix="lmc-cache-") as cache:
        CACHE = cache
        program = unittest.main(module="__main__", exit=False, verbosity=2)
    result = program.result
    if not result.wasSuccessful():
        sys.exit(1)
    sys.exit(77 if result.testsRun and len(result.skipped) == result.testsRun else 0)
