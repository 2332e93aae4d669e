"""Stage 1: what this GPU reaches in PyTorch. Random numbers: a GPU is faster on zeros."""
import kit

torch = kit.torch()


def fastest(work, rounds=10):
    """Seconds by the GPU's clock."""
    for _ in range(3):
        work()
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    times = []
    for _ in range(rounds):
        begin.record()
        work()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end) / 1e3)
    return min(times)


properties = torch.cuda.get_device_properties(0)
kit.report("GPU", note=f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB, "
           f"{properties.multi_processor_count} multiprocessors, PyTorch {torch.__version__}")
source = torch.randn(1 << 29, device="cuda")
to = torch.empty_like(source)
kit.report("copy, bytes read and written", 2 * source.nbytes / fastest(lambda: to.copy_(source)) / 1e12, "TB/s")
del source, to
n = 8192
a, b = (torch.randn(n, n, device="cuda", dtype=torch.bfloat16) for _ in range(2))
kit.report("bf16 product 8192^3", 2 * n**3 / fastest(lambda: a @ b) / 1e12, "TFLOP/s")
