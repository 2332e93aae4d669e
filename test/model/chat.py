"""Chat templates from wherever a model has them: each form of MODEL must give the same prompt, which is
seen by the number of its tokens and, with greedy sampling, by the answer."""
import json
import shutil

import endtoend
from endtoend import SHARED

MODEL = SHARED / "models/stories260k"
TEMPLATE = "{% for m in messages %}\n{{ bos_token }}{{ m.role }} said: {{ m.content | trim }}. {% endfor %}"


@endtoend.needs_shared
class Chat(endtoend.Test):
    def setUp(self):
        super().setUp()
        shutil.copytree(MODEL, self.folder / "plain", ignore=shutil.ignore_patterns("*.gguf"))
        shutil.copytree(self.folder / "plain", self.folder / "config")
        shutil.copytree(self.folder / "plain", self.folder / "file")
        config = json.loads((MODEL / "tokenizer_config.json").read_text())
        self.write("config/tokenizer_config.json", json.dumps(dict(config, chat_template=TEMPLATE)))
        self.write("file/tokenizer_config.json", json.dumps(dict(config, chat_template="another")))
        self.write("file/chat_template.jinja", TEMPLATE)
        self.write("given.jinja", TEMPLATE)

    def chat(self, model, *more):
        return self.json("generate", model, "--chat", " A ball ", "--system", "Be kind", "--temperature", 0,
                         "--max-tokens", 12, *more)

    def test_every_source_gives_the_same_prompt(self):
        first = self.chat("config")
        # <s> is one token wherever the template writes it, and none is added.
        rendered = "<s>system said: Be kind. <s>user said: A ball. "
        ids = self.ok("tokenize", "plain", stdin=rendered.encode()).split()
        self.assertEqual(first["prompt_tokens"], len(ids))
        prompted = self.json("generate", "plain", "--tokens", ",".join(i.decode() for i in ids), "--temperature", 0,
                             "--max-tokens", 12)
        self.assertEqual(first["token_ids"], prompted["token_ids"])
        self.ok("compile", "file", "-o", "model.lmx")
        self.ok("quantize", "file", "--type", "f32", "-o", "model.gguf")
        self.ok("import", "model.gguf", "-o", "back")
        for model, more in (("file", ()), ("plain", ("--chat-template", "given.jinja")), ("model.lmx", ()),
                            ("model.gguf", ()), ("back", ())):
            with self.subTest(model):
                answer = self.chat(model, *more)
                self.assertEqual(answer["token_ids"], first["token_ids"])
                self.assertEqual(answer["prompt_tokens"], first["prompt_tokens"])

    def test_refusals_say_what_to_do(self):
        self.fails("generate", "plain", "--chat", "hi", says=["'plain' has no chat template", "--chat-template FILE"])
        self.write("bad.jinja", "a\n{% frob %}")
        self.fails("generate", "plain", "--chat", "hi", "--chat-template", "bad.jinja",
                   says="'bad.jinja':2:1: the statement 'frob' is not supported")
        self.fails("generate", "plain", "--chat", "hi", "--prompt", "x", code=2, says="excludes")
        self.write("strict.jinja", "{{ raise_exception('no system text here') if messages[0].role == 'system' }}")
        self.fails("generate", "plain", "--chat", "hi", "--system", "s", "--chat-template", "strict.jinja",
                   says="'strict.jinja':1:19: the template refuses this: no system text here")


if __name__ == "__main__":
    endtoend.main()
