"""Stage 6: kernels beside PyTorch's: attention beside the fastest backend of scaled_dot_product_attention,
products beside torch.matmul (cuBLAS), rows and maps against the copy bandwidth of the same rounds."""
import kit

kit.driver()


def show(row, kind=""):
    compute = row["roof"] == "flops"
    rate = row["flops_per_second"] / 1e12 if compute else row["bytes_per_second"] / 1e12
    note = f"{row['microseconds']:.1f} us; {row['check']}"
    if "roof_share" in row:
        note = f"{100 * row['roof_share']:.1f} % of the roof; " + note
    more = {}
    for peer, theirs in row.get("peers", {}).items():
        more = {"against": peer, "ratio": theirs["ratio"]}
    kit.report(row["case"] + kind, rate, "TFLOP/s" if compute else "TB/s", note=note, **more)


LARGE_PRODUCTS = r"^product.*(4096x4096x4096|16384|8192x8192).*bf16"

# The most telling ones first: the time limit may cut the rest.
for pattern in (r"^attention.decode|^attention.*t(4096|1024)\.bf16|^product.*(4096x4096x4096|16384).*bf16|^(row|map|column)",
                r"^attention.*t16384\.bf16|^product.*8192x8192\.bf16"):
    for row in kit.bench(pattern, "--against", "torch", "--rounds", 5, "--seconds", 1):
        show(row)

# What --products should be by default is for these rows to say.
if kit.cublas_folder():
    for row in kit.bench(LARGE_PRODUCTS, "--products", "library", "--rounds", 5, "--seconds", 1):
        show(row, " by cuBLASLt")
else:
    kit.report("products by cuBLASLt", note="not run: neither the CUDA toolkit nor PyTorch's libcublasLt is here")
