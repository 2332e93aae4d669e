"""The server as a process: starts, answers over HTTP, counts, drains at SIGTERM."""
import http.client
import json
import threading

import endtoend
from endtoend import SHARED


@endtoend.needs_shared
class Serve(endtoend.Test):
    def setUp(self):
        super().setUp()
        self.server = endtoend.Server(self, SHARED / "models/stories260k", "--http", "127.0.0.1:0", "--grpc",
                                      f"unix:{self.folder}/socket", "--metrics", "127.0.0.1:0")
        self.call = self.server.call

    def complete(self, **request):
        status, text = self.call("/v1/completions", dict({"max_tokens": 16, "temperature": 0}, **request))
        self.assertEqual(status, 200, text)
        return json.loads(text)

    def test_answers_and_drains(self):
        self.assertEqual(self.call("/healthz")[0], 200)
        self.assertEqual(self.call("/readyz")[0], 200)
        self.assertTrue(json.loads(self.call("/v1/models")[1])["data"])
        self.assertTrue((self.folder / "socket").is_socket())

        plain = self.complete(prompt="Once upon a time")
        self.assertEqual(plain["usage"]["completion_tokens"], 16)
        text = plain["choices"][0]["text"]
        offline = self.json("generate", SHARED / "models/stories260k", "--prompt", "Once upon a time",
                            "--temperature", 0, "--max-tokens", 16)
        self.assertEqual(text, offline["text"])

        status, events = self.call("/v1/completions", {"prompt": "Once upon a time", "max_tokens": 16,
                                                       "temperature": 0, "stream": True})
        self.assertEqual(status, 200)
        data = [line[6:] for line in events.splitlines() if line.startswith("data: ")]
        self.assertEqual(data[-1], "[DONE]")
        pieces = [json.loads(event)["choices"] for event in data[:-1]]
        self.assertGreater(len(pieces), 2)
        self.assertEqual("".join(choices[0]["text"] for choices in pieces if choices), text)

        for bad, wanted in ((b"{", 400), ({"prompt": 3}, 400), ({"prompt": "a", "max_tokens": 0}, 400),
                            ({"prompt": "a", "max_tokens": 100000}, 400),
                            ({"prompt": "a", "temperature": -1}, 400),
                            ({"prompt": "a " * 4000, "max_tokens": 1}, 400)):
            status, text = self.call("/v1/completions", bad)
            self.assertEqual(status, wanted, text)
            self.assertTrue(json.loads(text)["error"]["message"])

        status, metrics = self.call("/metrics")
        self.assertEqual(status, 200)
        self.assertRegex(metrics, r'lmc_requests_total\{[^}]*code="(200|OK)"[^}]*\} [1-9]')
        self.assertRegex(metrics, r'lmc_request_failures_total\{reason="invalid_argument"\} [1-9]')
        self.assertRegex(metrics, r"lmc_generated_tokens_total 32")

        self.assertEqual(self.server.stop(), 0)
        self.assertFalse((self.folder / "socket").exists())

    def test_the_same_tokens_are_drawn_where_logits_are_and_where_logprobs_are_made(self):
        for seed in range(6):
            request = {"prompt": "Once upon a time", "max_tokens": 40, "temperature": 0.9, "seed": seed,
                       "top_k": (0, 30)[seed % 2], "top_p": (1, 0.9, 0.5)[seed % 3]}
            plain = self.complete(**request)["choices"][0]
            scored = self.complete(logprobs=2, **request)["choices"][0]
            self.assertEqual(scored["text"], plain["text"], seed)
            self.assertEqual(len(scored["logprobs"]["tokens"]), 40)
            offline = self.json("generate", SHARED / "models/stories260k", "--prompt", request["prompt"],
                                "--temperature", 0.9, "--max-tokens", 40, "--seed", seed, "--top-k",
                                request["top_k"], "--top-p", request["top_p"])
            self.assertEqual(offline["text"], plain["text"], seed)

    def test_stops_in_the_middle_of_an_answer(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        self.addCleanup(connection.close)
        connection.request("POST", "/v1/completions",
                           json.dumps({"prompt": "Once", "max_tokens": 200, "stream": True}),
                           {"Content-Type": "application/json"})
        answer = connection.getresponse()
        self.assertTrue(answer.readline())
        self.server.terminate()
        self.assertIn("data: [DONE]", answer.read().decode())
        self.assertEqual(self.server.wait(), 0)


@endtoend.needs_shared
class ServePages(endtoend.Test):
    def test_more_requests_than_the_pool_holds_are_answered_as_alone(self):
        model = SHARED / "models/stories260k"
        # A request below takes three pages of 16; five run at a time though there are 8 slots.
        server = endtoend.Server(self, model, "--http", "127.0.0.1:0", "--slots", "8", "--kv-page",
                                 "16", "--kv-pool", "256")
        prompts = [f"{start} a {thing}" for start in ("Once upon a time there was", "Tom had")
                   for thing in ("cat", "big dog", "little bird in a tree", "ball", "red car", "girl")]
        answers = {}

        def ask(prompt):
            status, text = server.call("/v1/completions", {"prompt": prompt, "max_tokens": 30, "temperature": 0})
            answers[prompt] = json.loads(text)["choices"][0]["text"] if status == 200 else text

        threads = [threading.Thread(target=ask, args=(prompt,)) for prompt in prompts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for prompt in prompts:
            alone = self.json("generate", model, "--prompt", prompt, "--temperature", 0, "--max-tokens", 30)
            self.assertEqual(answers[prompt], alone["text"])
        status, text = server.call("/v1/completions", {"prompt": "Tom", "max_tokens": 257})
        self.assertEqual(status, 400, "no pool holds that")
        self.assertIn("256", json.loads(text)["error"]["message"])
        self.assertEqual(server.stop(), 0)

    def test_together_or_alone_the_answers_are_the_same(self):
        model = SHARED / "models/stories260k"
        compiled = self.folder / "paged.lmx"
        self.lmc("compile", model, "-o", compiled, "--kv-page", 16, "--kv-pool", 1024, "--decode-batch", 4)
        server = endtoend.Server(self, compiled, "--http", "127.0.0.1:0", "--slots", "10")
        requests = [{"prompt": f"The {thing} was", "max_tokens": 40, "temperature": (0, 0.9)[i % 2], "seed": i}
                    for i, thing in enumerate(("cat", "dog", "little bird", "ball", "red car", "girl", "sun"))]

        def ask(request):
            status, text = server.call("/v1/completions", request)
            self.assertEqual(status, 200, text)
            return json.loads(text)["choices"][0]["text"]

        alone = [ask(request) for request in requests]
        together = [None] * len(requests)

        def keep(i):
            together[i] = ask(requests[i])

        threads = [threading.Thread(target=keep, args=(i,)) for i in range(len(requests))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(together, alone)
        for request, text in zip(requests, alone):
            offline = self.json("generate", compiled, "--prompt", request["prompt"], "--temperature",
                                request["temperature"], "--max-tokens", 40, "--seed", request["seed"])
            self.assertEqual(offline["text"], text)
        self.assertEqual(server.stop(), 0)

    def test_the_plan_has_the_pool(self):
        model, rows = SHARED / "models/stories260k", {}
        for how in (("--slots", 8), ("--slots", 8, "--kv-page", 16, "--kv-pool", 512)):
            plan = self.json("serve", model, "--plan", *how)
            rows[len(how)] = {row["category"]: row["bytes"] for row in plan["rows"]}["caches"]
        self.assertEqual(rows[2], 8 * rows[6], "a context is 512 tokens")


if __name__ == "__main__":
    endtoend.main()
