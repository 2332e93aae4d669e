"""Stage 7: training of GPT-2 124M in bf16 beside torch.compile, decoding of a Llama of 1.1 billion
parameters in bf16 against the copy bandwidth. The weights are random."""
import kit

kit.driver()


def train(peers):
    for row in kit.bench(r"^train\.gpt2-124m.*bf16", "--against", peers, "--rounds", 5, "--seconds", 10):
        for peer, theirs in (row.get("peers") or {"": {}}).items():
            beside = {"against": peer, "ratio": theirs["ratio"]} if peer else {}
            kit.report(row["case"], row["tokens_per_second"], "tokens/s",
                       note=f"{row['flops_per_second'] / 1e12:.0f} TFLOP/s; {row['check']}", **beside)


train("torch")
for row in kit.bench(r"^decode\.llama-1b.past2000", "--rounds", 5, "--seconds", 5):
    share = f"{100 * row['roof_share']:.1f} % of copy bandwidth; " if "roof_share" in row else ""
    kit.report(row["case"], row["bytes_per_second"] / 1e12, "TB/s",
               note=f"{share}{row['tokens_per_second']:.0f} tokens/s; {row['check']}")
train("torch-compile")  # last: its compilation may take what is left of the time
