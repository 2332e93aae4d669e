"""lmc generate --speculate: guesses change how many runs an answer takes, and nothing else."""
import endtoend
from endtoend import SHARED

MODEL = SHARED / "models/stories260k"
PROMPT = "One day, Lily and Tom went to the park. Lily and Tom"


@endtoend.needs_shared
class Speculate(endtoend.Test):
    def answer(self, *more, model=MODEL):
        return self.json("generate", model, "--prompt", PROMPT, "--max-tokens", 100, *more)

    def test_greedy_answers_are_the_plain_ones(self):
        for model in (MODEL, MODEL / "stories260k-q8_0.gguf"):
            plain = self.answer("--temperature", 0, model=model)
            for how in ("lookup:1", "lookup:3", "lookup", f"draft:{MODEL / 'stories260k-q8_0.gguf'}:4"):
                guessed = self.answer("--temperature", 0, "--speculate", how, model=model)
                self.assertEqual(guessed["token_ids"], plain["token_ids"], f"{model}, {how}")
                self.assertEqual(guessed["finish_reason"], plain["finish_reason"])
                self.assertGreater(guessed["accepted_tokens"], 10, how)
                self.assertGreaterEqual(guessed["drafted_tokens"], guessed["accepted_tokens"])

    def test_what_is_guessed_does_not_matter_to_what_is_drawn(self):
        for seed in range(5):
            sampling = ("--temperature", 0.9, "--top-k", 40, "--seed", seed)
            answers = [self.answer(*sampling, "--speculate", how)["token_ids"] for how in ("lookup:1", "lookup:2", "lookup:5")]
            self.assertEqual(answers[1], answers[0], seed)
            self.assertEqual(answers[2], answers[0], seed)

    def test_a_model_that_guesses_itself_is_always_right(self):
        for sampling in (("--temperature", 0), ("--temperature", 0.8, "--seed", 3)):
            answer = self.answer(*sampling, "--speculate", f"draft:{MODEL}:4")
            self.assertGreater(answer["accepted_tokens"], 0.95 * answer["drafted_tokens"])

    def test_ids_without_a_token_are_never_drawn(self):
        self.write("model.yaml", endtoend.SPEC.format(architecture="gpt2").replace("vocab: 256", "vocab: 700"))
        self.ok("train", "train.yaml", "--steps", 7)
        drawn = set()
        for seed in range(8):
            sampling = ("--temperature", 100, "--seed", seed, "--max-tokens", 20)
            answers = [self.json("generate", "run", "--prompt", "past", *sampling, *how)["token_ids"]
                       for how in ((), ("--speculate", "lookup:2"))]
            self.assertEqual(answers[1], answers[0], seed)  # drawn in the program, and on the host
            drawn.update(answers[0])
        self.assertLess(max(drawn), 256)
        self.assertGreater(len(drawn), 80)

    def test_refusals(self):
        generate = ("generate", MODEL, "--prompt", "x", "--speculate")
        self.fails(*generate, "guess", code=2, says="expected lookup[:K] or draft:MODEL[:K], got 'guess'")
        self.fails(*generate, "lookup:0", code=2, says="K must be 1 to 64, got 0")
        self.fails(*generate, "draft:nowhere:3", says="'nowhere': no such file or folder")
        self.ok("train", "train.yaml", "--steps", 7)
        self.fails(*generate, "draft:run", says="the models have different vocabularies")
        self.ok("compile", MODEL, "-o", "model.lmx")
        self.fails("generate", "model.lmx", "--prompt", "x", "--speculate", "lookup",
                   says="has no program that checks 5 guesses; --speculate needs the model's folder")


if __name__ == "__main__":
    endtoend.main()
