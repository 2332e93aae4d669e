"""Bad input: an error in plain words, exit code 1 (2 for wrong usage), nothing written or lost."""
import resource
import shutil
import struct

import endtoend
from endtoend import SHARED

TINY = SHARED / "golden/gpt2-tiny"
STORIES = SHARED / "models/stories260k"


class BadInput(endtoend.Test):
    def fails_to_train(self, says, *more, **options):
        """... and writes nothing at all."""
        before = self.hashes(self.folder)
        error = self.fails("train", "train.yaml", *more, says=says, **options)
        self.assertEqual(self.hashes(self.folder), before)
        self.assertFalse((self.folder / "run").exists())
        return error

    # ---- specs and configs ----------------------------------------------------------------------

    def test_misspelt_key_of_a_spec(self):
        self.write("model.yaml", endtoend.SPEC.format(architecture="gpt2") + "widht: 12\n")
        self.fails_to_train(["model.yaml:7: ", "widht"])

    def test_misspelt_key_of_a_config(self):
        self.write("train.yaml", endtoend.CONFIG + "stesp: 3\n")
        self.fails_to_train(["train.yaml:13: ", "stesp"])

    def test_misspelt_override(self):
        self.fails_to_train("optimzer.lr", "--set", "optimzer.lr=1")

    def test_heads_must_divide_the_width(self):
        self.write("model.yaml", endtoend.SPEC.format(architecture="gpt2").replace("heads: 3", "heads: 5"))
        self.fails_to_train(["model.yaml:4: ", "heads", "(5)", "divide", "width", "(12)"])

    def test_unknown_architecture(self):
        self.write("model.yaml", endtoend.SPEC.format(architecture="gpt3"))
        self.fails_to_train(["model.yaml:1: ", "gpt3"])

    def test_numbers_out_of_range(self):
        for change in ("steps=0", "batch.sequences=0", "batch.length=0", "batch.length=25",
                       "optimizer.lr=-1", "optimizer.lr=nan", "batch.accumulate=0", "steps=1e99",
                       "optimizer.betas=[0.9,1.5]", "schedule.name=exponential"):
            with self.subTest(change):
                self.fails_to_train(change.split("=")[0].split(".")[-1], "--set", change)

    def test_no_yaml(self):
        self.write("train.yaml", "model: [unclosed\n")
        self.fails_to_train("train.yaml:")
        self.write("train.yaml", b"\xff\xfe\x00model")
        self.fails_to_train("train.yaml")
        self.write("train.yaml", "[" * 100000)
        self.fails_to_train("train.yaml")

    def test_usage(self):
        for arguments in ((), ("trian",), ("train",), ("train", "train.yaml", "--stesp", "3"),
                          ("generate",), ("run", "model", "--tokens", "a"),
                          ("generate", "m", "--threads", "0"), ("eval", "model.yaml")):
            with self.subTest(arguments):
                self.fails(*arguments, code=2, says="")

    def test_no_such_model(self):
        for command in (("generate", "nowhere"), ("run", "nowhere", "--tokens", "1"),
                        ("compile", "nowhere", "-o", "out.lmx"), ("inspect", "nowhere"),
                        ("eval", "nowhere", "--data", "text.txt"), ("tokenize", "nowhere"),
                        ("serve", "nowhere")):
            with self.subTest(command):
                self.fails(*command, says="nowhere")
        self.assertFalse((self.folder / "out.lmx").exists())

    # ---- data and tokenizers --------------------------------------------------------------------

    def test_missing_or_empty_data(self):
        self.fails_to_train("absent.txt", "--set", "data.train=absent.txt")
        self.write("empty.txt", "")
        self.fails_to_train("empty.txt", "--set", "data.train=empty.txt")
        self.fails_to_train("empty.txt", "--set", "data.val=empty.txt")
        self.write("short.txt", "too short")
        self.fails_to_train("short.txt", "--set", "data.train=short.txt")
        self.write("odd.bin", b"\0\1\0")
        self.fails_to_train("odd.bin", "--set", "data.train=odd.bin")
        self.write("large.bin", struct.pack("<500H", *([256] * 500)))
        self.fails("train", "train.yaml", "--set", "data.train=large.bin", says=["large.bin", "256"])

    def test_unknown_tokenizer(self):
        self.fails_to_train("absent.json", "--set", "tokenizer=absent.json")
        self.write("tokenizer.json", '{"model": {"type": "Martian", "vocab": {}}}')
        self.fails_to_train("Martian", "--set", "tokenizer=tokenizer.json")
        self.fails("tokenize", "tokenizer.json", says="Martian")
        for text in ("", "{", "[]", '{"model": {"type": "BPE", "vocab": {"a": -1}, "merges": []}}',
                     '{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a b"]}}'):
            with self.subTest(text):
                self.write("tokenizer.json", text)
                self.fails("tokenize", "tokenizer.json", says="tokenizer.json")

    def test_ids_that_are_none(self):
        for ids in (b"1 x", b"256", b"-1", b"99999999999999999999"):
            with self.subTest(ids):
                self.fails("tokenize", "byte", "--decode", stdin=ids, says="token id")

    # ---- damaged files --------------------------------------------------------------------------

    def damaged(self, data):
        """Every kind of damage that a file may suffer."""
        header = 8 + struct.unpack("<Q", data[:8])[0]
        yield "empty", b""
        for size in (1, 7, 8, 100, header, len(data) // 2, len(data) - 1):
            yield f"cut to {size}", data[:size]
        for bit in (0, 8 * 5, 8 * 8, 8 * 40 + 3, 8 * (header - 4) + 1):
            flipped = bytearray(data)
            flipped[bit // 8] ^= 1 << bit % 8
            yield f"bit {bit} flipped", bytes(flipped)
        yield "huge header", struct.pack("<Q", 2**63) + data[8:]

    @endtoend.needs_shared
    def test_damaged_weights(self):
        model = self.folder / "hf"
        model.mkdir()
        shutil.copyfile(TINY / "config.json", model / "config.json")
        data = (TINY / "model.safetensors").read_bytes()
        for what, damaged in self.damaged(data):
            with self.subTest(what):
                (model / "model.safetensors").write_bytes(damaged)
                done = self.lmc("run", "hf", "--tokens", "1,2,3", "--output", "out.npy")
                if done.returncode == 0:  # a name's letter in __metadata__, for example
                    self.assertIn("flipped", what)
                    continue
                self.assertEqual(done.returncode, 1)
                self.assertIn("model.safetensors", done.stderr.decode(errors="replace"))
                self.assertFalse((self.folder / "out.npy").exists())

    def test_damaged_checkpoints(self):
        self.ok("train", "train.yaml", "--steps", 10)
        run = self.folder / "run"
        latest = run / (run / "latest").read_text().strip()
        intact = {path.name: path.read_bytes() for path in latest.iterdir()}
        for name in ("model.safetensors", "optimizer.safetensors", "state.json"):
            data = intact[name]
            middle = bytearray(data)
            middle[len(data) * 3 // 4] ^= 4
            for what, damaged in (("empty", b""), ("cut", data[:len(data) // 2]),
                                  ("flipped", bytes(middle))):
                with self.subTest(f"{name} {what}"):
                    (latest / name).write_bytes(damaged)
                    before = self.hashes(run)
                    self.fails("train", "train.yaml", "--resume", "--steps", 12, says=name)
                    self.assertEqual(self.hashes(run), before)
            (latest / name).unlink()
            with self.subTest(f"{name} missing"):
                self.fails("train", "train.yaml", "--resume", "--steps", 12, says=name)
            (latest / name).write_bytes(data)
        self.ok("train", "train.yaml", "--resume", "--steps", 12)

    def test_damaged_weights_of_a_checkpoint_are_not_used(self):
        self.ok("train", "train.yaml", "--steps", 3)
        before = self.ok("run", "run", "--tokens", "1,2,3")
        weights = self.folder / "run/step-00000003/model.safetensors"
        data = bytearray(weights.read_bytes())
        data[-5] ^= 4
        weights.write_bytes(data)
        self.fails("run", "run", "--tokens", "1,2,3", says=["model.safetensors", "checksum"])
        data[-5] ^= 4
        weights.write_bytes(data)
        self.assertEqual(self.ok("run", "run", "--tokens", "1,2,3"), before)

    def test_damaged_kernel_cache_is_compiled_again(self):
        cache = self.folder / "cache"
        environment = {"LMC_CACHE_DIR": str(cache)}
        before = self.hashes(self.train_once("a", environment), ("model.safetensors",))
        files = [path for path in sorted(cache.rglob("*")) if path.is_file()]
        self.assertGreater(len(files), 5)
        for number, path in enumerate(files):
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 1
            path.write_bytes((bytes(data), bytes(data[:len(data) // 2]), b"")[number % 3])
        self.assertEqual(self.hashes(self.train_once("b", environment), ("model.safetensors",)), before)

    def train_once(self, name, environment):
        self.ok("train", "train.yaml", "--steps", 2, "--set", f"checkpoint.dir={name}", "--set",
                f"log.jsonl={name}/metrics.jsonl", environment=environment)
        return self.folder / name

    def test_checkpoint_of_another_model(self):
        self.ok("train", "train.yaml", "--steps", 3)
        before = self.hashes(self.folder / "run")
        self.fails("train", "train.yaml", "--steps", 6, says="--resume")
        self.write("model.yaml", endtoend.SPEC.format(architecture="gpt2").replace("width: 12", "width: 15"))
        self.fails("train", "train.yaml", "--resume", "--steps", 6, says="12")
        self.assertEqual(self.hashes(self.folder / "run"), before)

    @endtoend.needs_shared
    def test_damaged_executables(self):
        self.ok("compile", TINY, "-o", "whole.lmx")
        data = (self.folder / "whole.lmx").read_bytes()
        cases = [data[:size] for size in (0, 1, 16, 100, len(data) // 2, len(data) - 1)]
        for at in range(3, len(data), len(data) // 20):
            flipped = bytearray(data)
            flipped[at] ^= 16
            cases.append(bytes(flipped))
        refused = 0
        for number, damaged in enumerate(cases):
            self.write("bad.lmx", damaged)
            done = self.lmc("run", "bad.lmx", "--tokens", "1,2,3")
            self.assertIn(done.returncode, (0, 1), number)  # between two sections nothing is read
            refused += done.returncode
            if done.returncode:
                self.assertIn("bad.lmx", done.stderr.decode(errors="replace"))
        self.assertGreater(refused, len(cases) * 3 // 4)

    # ---- a disk that is full --------------------------------------------------------------------

    def test_full_disk_keeps_the_last_checkpoint(self):
        self.ok("train", "train.yaml", "--steps", 7)
        run = self.folder / "run"
        before = self.hashes(run / "step-00000007")
        size = (run / "step-00000007/model.safetensors").stat().st_size

        def limit():  # EFBIG stands for ENOSPC: no write beyond half a weights file
            import signal
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, size // 2))

        self.fails("train", "train.yaml", "--resume", "--steps", 20, "--no-cache", preexec_fn=limit,
                   says="too large")
        self.assertEqual((run / "latest").read_text().strip(), "step-00000007")
        self.assertEqual(self.hashes(run / "step-00000007"), before)
        self.assertEqual([path.name for path in run.iterdir() if path.is_dir()], ["step-00000007"])
        self.ok("train", "train.yaml", "--resume", "--steps", 20)

    def test_nowhere_to_write(self):
        self.fails("train", "train.yaml", "--steps", 3, "--set", "checkpoint.dir=/proc/run",
                   says="/proc/run")
        self.fails("compile", "model.yaml", "-o", "absent/out.lmx", says="absent")

    # ---- training that cannot go on -------------------------------------------------------------

    def test_infinite_loss_names_step_op_and_path(self):
        error = self.fails("train", "train.yaml", "--set", "optimizer.lr=1e30", "--set",
                           "optimizer.grad_clip=0", says=["step ", "lm."])
        self.assertRegex(error, r"step \d+: .*lm\.\w+ at '[a-z0-9_.]+'")

    # ---- requests -------------------------------------------------------------------------------

    @endtoend.needs_shared
    def test_generate(self):
        for arguments, says in (((["--prompt", "word " * 2000]), "context"),
                                (["--prompt", "a", "--max-tokens", "0"], "max_tokens"),
                                (["--prompt", "a", "--max-tokens", "-3"], "max_tokens"),
                                (["--prompt", "a", "--max-tokens", "100000"], "max_tokens"),
                                (["--prompt", "a", "--temperature", "-1"], "temperature"),
                                (["--prompt", "a", "--temperature", "nan"], "temperature"),
                                (["--prompt", "a", "--top-p", "0"], "top_p"),
                                (["--prompt", "a", "--top-k", "-1"], "top_k"),
                                (["--prompt", b"caf\xe9".decode(errors="surrogateescape")], "UTF-8")):
            with self.subTest(arguments[-2:]):
                done = self.lmc("generate", STORIES, *arguments)
                self.assertEqual((done.returncode, done.stdout), (1, b""), done.stderr)
                self.assertIn(says, done.stderr.decode(errors="replace"))

    @endtoend.needs_shared
    def test_run(self):
        for tokens in ("512", "-1", ",".join(["1"] * 5000)):
            with self.subTest(tokens[:20]):
                self.fails("run", STORIES, f"--tokens={tokens}", "--output", "out.npy", says="token")
                self.assertFalse((self.folder / "out.npy").exists())

    @endtoend.needs_shared
    def test_eval(self):
        self.fails("eval", STORIES, "--data", "absent.txt", says="absent.txt")
        self.write("empty.txt", "")
        self.fails("eval", STORIES, "--data", "empty.txt", says="empty.txt")


if __name__ == "__main__":
    endtoend.main()
