#!/usr/bin/env python3
"""The works of bench/table by PyTorch on the CPU: same rows, same columns.
   python3 bench/pytorch_table.py [--row NAME]... [--quick] [--smoke] [--threads N] [--list]
PyTorch 1.13 (Debian's python3-torch) or later: scaled_dot_product_attention and the fused AdamW are used where there are any."""
import argparse
import math
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, replace

try:
    import torch
    import torch.nn as nn
    import torch.nn.functional as F
except ImportError:  # enough for --list
    torch = None


@dataclass
class Sizes:
    layers: int
    heads: int
    width: int
    vocab: int
    block: int
    batch: int
    dropout: float = 0.0
    nano: bool = False  # nanoGPT's own models: no biases, GELU by erf; else GPT-2's


@dataclass
class Row:
    name: str
    work: str
    measure: str
    sizes: Sizes = None
    warm: int = 2
    runs: int = 1
    bf16: bool = False


GPT2_256 = Sizes(12, 12, 768, 50257, block=64, batch=4)
GPT2_1024 = Sizes(12, 12, 768, 50257, block=1024, batch=1)
NANO = Sizes(4, 4, 128, 65, block=64, batch=12, nano=True)
CHARACTERS = Sizes(6, 6, 384, 65, block=256, batch=16, dropout=0.2, nano=True)
ROWS = [  # as in bench/table/rows.c
    Row("gpt2-256", "GPT-2 124M, B=4 T=64, f32", "training", GPT2_256, 2, 7),
    Row("gpt2-1024", "GPT-2 124M, B=1 T=1024, f32", "training", GPT2_1024, 2, 5),
    Row("gpt2-256-bf16", "GPT-2 124M, B=4 T=64, bf16", "training", GPT2_256, 2, 7, bf16=True),
    Row("gpt2-1024-bf16", "GPT-2 124M, B=1 T=1024, bf16", "training", GPT2_1024, 2, 5, bf16=True),
    Row("nano", "nanoGPT 0.8M, B=12 T=64", "training", NANO, 20, 201),
    Row("characters", "nanoGPT 10.8M, B=16 T=256", "training", CHARACTERS, 2, 7),
    Row("add-chain", "x + b of 4 x 4", "add_chain", None, 10, 501),
    Row("peak-256", "peak, GPT-2 B=4 T=64, f32", "peak", GPT2_256),
    Row("peak-1024", "peak, GPT-2 B=1 T=1024, f32", "peak", GPT2_1024),
    Row("elementwise", "ten ops over 64 Mi floats", "elementwise", None, 2, 7),
    Row("fused", "ten ops, fused", "fused", None, 2, 7),
    Row("attention", "attention, T=4096, 12 x 64", "attention", None, 2, 7),
]


# ---- a transformer -----------------------------------------------------------------------------------------------------
def attention(q, k, v, dropout=0.0):
    """q, k, v: (B, H, T, D); causal."""
    if hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=dropout)
    T = q.shape[-2]
    future = torch.ones(T, T, dtype=torch.bool).triu(1)
    scores = (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).masked_fill(future, float("-inf"))
    return F.dropout(scores.softmax(-1), dropout) @ v


def modules():
    """Classes that need PyTorch."""

    class LayerNorm(nn.Module):
        def __init__(self, width, bias):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(width))
            self.bias = nn.Parameter(torch.zeros(width)) if bias else None

        def forward(self, x):
            return F.layer_norm(x, self.weight.shape, self.weight, self.bias, 1e-5)

    class Block(nn.Module):
        def __init__(self, s):
            super().__init__()
            self.s, bias = s, not s.nano
            self.ln_1, self.ln_2 = LayerNorm(s.width, bias), LayerNorm(s.width, bias)
            self.c_attn = nn.Linear(s.width, 3 * s.width, bias=bias)
            self.c_proj = nn.Linear(s.width, s.width, bias=bias)
            self.c_fc = nn.Linear(s.width, 4 * s.width, bias=bias)
            self.c_out = nn.Linear(4 * s.width, s.width, bias=bias)

        def forward(self, x):
            B, T, C = x.shape
            heads = (t.view(B, T, self.s.heads, -1).transpose(1, 2) for t in self.c_attn(self.ln_1(x)).split(C, 2))
            y = attention(*heads, self.s.dropout).transpose(1, 2).reshape(B, T, C)
            x = x + F.dropout(self.c_proj(y), self.s.dropout)
            h = self.c_fc(self.ln_2(x))
            h = F.gelu(h) if self.s.nano else F.gelu(h, approximate="tanh")
            return x + F.dropout(self.c_out(h), self.s.dropout)

    class Transformer(nn.Module):
        def __init__(self, s):
            super().__init__()
            self.s = s
            self.wte, self.wpe = nn.Embedding(s.vocab, s.width), nn.Embedding(s.block, s.width)
            self.h = nn.ModuleList(Block(s) for _ in range(s.layers))
            self.ln_f = LayerNorm(s.width, not s.nano)
            for p in self.parameters():
                if p.dim() == 2:
                    nn.init.normal_(p, std=0.02)

        def forward(self, x, y):
            h = F.dropout(self.wte(x) + self.wpe(torch.arange(x.shape[1])), self.s.dropout)
            for block in self.h:
                h = block(h)
            return F.cross_entropy(F.linear(self.ln_f(h), self.wte.weight).view(-1, self.s.vocab), y.view(-1))

    return Transformer


def adamw(model, nano):
    """Decay on matrices only; one fused pass where this PyTorch has it for the CPU, else its own choice."""
    p = list(model.parameters())
    groups = [{"params": [x for x in p if x.dim() >= 2], "weight_decay": 0.1},
              {"params": [x for x in p if x.dim() < 2], "weight_decay": 0.0}]
    options = {"lr": 1e-3 if nano else 6e-4, "betas": (0.9, 0.99 if nano else 0.95)}
    try:
        return torch.optim.AdamW(groups, fused=True, **options)
    except (RuntimeError, TypeError):
        return torch.optim.AdamW(groups, **options)


def sizes_of(row, a):
    return replace(row.sizes, layers=1, heads=2, width=16, vocab=65, block=8, batch=2) if a.smoke else row.sizes


def stepper(row, a):
    """(a function that takes a step and returns its seconds, FLOPs of a step)"""
    torch.manual_seed(1337)
    s = sizes_of(row, a)
    model = modules()(s)
    optimizer = adamw(model, s.nano)

    def step():
        x, y = (torch.randint(0, s.vocab, (s.batch, s.block)) for _ in range(2))
        start = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=row.bf16):
            loss = model(x, y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        value = loss.item()
        seconds = time.perf_counter() - start
        if not math.isfinite(value):
            sys.exit(f"pytorch_table: the loss is {value}")
        return seconds

    n = sum(p.numel() for p in model.parameters())
    return step, 6 * (n + s.layers * s.width * s.block) * s.batch * s.block


# ---- measures: each gives lines (part, seconds or bytes of every run, what stands beside them) ---------------------------
def runs_of(row, a):
    if a.smoke:
        return 1
    return max(row.runs // 4, 3) if a.quick and row.runs > 3 else row.runs


def repeat(row, a, run):
    values = []
    for i in range(-row.warm, runs_of(row, a)) if not a.smoke else range(1):
        t = run()
        if isinstance(t, float) and t > 0.5:
            print(f"  {'warming up' if i < 0 else 'run'} {t:.3f} s", file=sys.stderr)
        if i >= 0:
            values.append(t)
    return values


def training(row, a):
    step, flops = stepper(row, a)
    return [("", repeat(row, a, step), {"flops": flops})]


def peak(row, a):
    """By a process of its own, which is this script with --peak NAME."""
    argv = [sys.executable, __file__, "--peak", row.name, "--threads", str(a.threads)] + ["--smoke"] * a.smoke
    return [("", [int(subprocess.run(argv, check=True, stdout=subprocess.PIPE).stdout)], {"is_bytes": True})]


def print_peak(row, a):
    step, _ = stepper(row, a)
    for _ in range(3):
        step()
    with open("/proc/self/status") as f:
        print(next(1024 * int(line.split()[1]) for line in f if line.startswith("VmHWM:")))


def add_chain(row, a):
    chain, threads = 1000, torch.get_num_threads()
    torch.set_num_threads(1)
    x, b = (torch.ones(4, 4, requires_grad=True) for _ in range(2))
    cotangent = torch.ones(4, 4)

    def run():
        t = [time.perf_counter()]
        y = x
        for _ in range(chain):
            y = y + b
        t.append(time.perf_counter())
        y.backward(cotangent)
        t.append(time.perf_counter())
        del y
        x.grad = b.grad = None
        t.append(time.perf_counter())
        return [(t[i + 1] - t[i]) / chain for i in range(3)]

    parts = zip(*repeat(row, a, run))
    torch.set_num_threads(threads)
    return [(", " + name, list(v), {}) for name, v in zip(["forward", "backward", "release"], parts)]


OPS = [  # as in bench/table/kernels.c
    lambda x: x * 1.5,
    lambda x: x + -0.25,
    lambda x: x.relu(),
    lambda x: x.square(),
    lambda x: x * 0.5,
    lambda x: x.neg(),
    lambda x: x.abs(),
    lambda x: x.clamp(0, 2),
    lambda x: x + 1,
    lambda x: x.relu(),
]


def elementwise(row, a):
    n = 1 << (12 if a.smoke else 26)
    x = torch.randn(n)

    def run():
        start = time.perf_counter()
        y = x
        for op in OPS:
            y = op(y)
        return time.perf_counter() - start

    with torch.no_grad():
        before = triad_rate(a)
        seconds = repeat(row, a, run)
        after = triad_rate(a)
    return [("", seconds, {"pass": 8 * n / ((before + after) / 2)})]


def fused(row, a):
    """Eagerly, like everything here: no op is fused."""
    n = 1 << (12 if a.smoke else 26)
    x, dy = torch.randn(n, requires_grad=True), torch.randn(n)

    def forward():
        y = x
        for op in OPS:
            y = op(y)
        return y

    def run():
        with torch.no_grad():
            start = time.perf_counter()
            forward()
            seconds = time.perf_counter() - start
        y = forward()
        start = time.perf_counter()
        y.backward(dy)
        backward = time.perf_counter() - start
        x.grad = None
        return [seconds, backward]

    with torch.no_grad():
        before = triad_rate(a)
    parts = list(zip(*repeat(row, a, run)))
    with torch.no_grad():
        after = triad_rate(a)
    beside = {"pass": 8 * n / ((before + after) / 2)}
    return [(", " + name, list(v), beside) for name, v in zip(["forward", "backward"], parts)]


def attend(row, a):
    H, T, D = (2, 16, 64) if a.smoke else (12, 4096, 64)
    q, k, v = (torch.randn(1, T, H, D).transpose(1, 2).detach().requires_grad_() for _ in range(3))
    dy = torch.randn(1, H, T, D)

    def run():
        start = time.perf_counter()
        torch.autograd.grad(attention(q, k, v), (q, k, v), dy)
        return time.perf_counter() - start

    return [("", repeat(row, a, run), {"flops": 7 * 2 * H * T * (T + 1) / 2 * D})]


MEASURES = {"training": training, "peak": peak, "add_chain": add_chain, "elementwise": elementwise, "fused": fused,
            "attention": attend}


# ---- ceilings ----------------------------------------------------------------------------------------------------------
def rates(work, n, run):
    """(median, best) of work a second"""
    seconds = []
    for i in range(-3, n):
        start = time.perf_counter()
        run()
        if i >= 0:
            seconds.append(time.perf_counter() - start)
    return work / statistics.median(seconds), work / min(seconds)


def product_rates(a, dtype):
    m, n = (24, 16) if a.smoke else (2304, 768)
    x, w = torch.randn(m, n).to(dtype), torch.randn(n, n).to(dtype)
    with torch.no_grad():
        return rates(2 * m * n * n, 31, lambda: F.linear(x, w))


def triad_rate(a):
    n = 1 << (12 if a.smoke else 26)
    x, y, out = torch.ones(n), torch.ones(n), torch.empty(n)
    return rates(12 * n, 5, lambda: torch.add(x, y, out=out))[0]


# ---- the table ---------------------------------------------------------------------------------------------------------
def number(v):
    return f"{v:.{2 if v < 9.995 else 1 if v < 99.95 else 0}f}"


def unit_of(v, is_bytes):
    units = [("GB", 1e9), ("MB", 1e6)] if is_bytes else [("s", 1), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9)]
    return next((u for u in units if v >= 0.9995 * u[1]), units[-1])


def print_line(row, part, values, beside, product):
    middle = statistics.median(values)
    name, size = unit_of(middle, beside.get("is_bytes"))
    spread = f"{number(min(values) / size)}..{number(max(values) / size)}" if len(values) > 1 else "-"
    flops = rate = ratio = "-"
    if "flops" in beside:
        speed = beside["flops"] / middle
        flops, rate, ratio = number(speed * 1e-9), number(product * 1e-9), f"{100 * speed / product:.0f}%"
    if "pass" in beside:
        ratio = f"{middle / beside['pass']:.1f} passes"
    print(f"{row.work + part:<30} {len(values):4} {number(middle / size) + ' ' + name:>9} {spread:>14} {flops:>8} "
          f"{rate:>8} {ratio:>12}", flush=True)


def print_ceilings(a):
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads"
          + ("; tiny sizes, figures mean nothing" if a.smoke else "; few runs" if a.quick else ""))
    print(f"\n{'ceiling':<34} {'median':>8} {'best':>8}")
    for name, dtype in ("f32", torch.float32), ("bf16", torch.bfloat16):
        middle, best = product_rates(a, dtype)
        print(f"{name + ' product, 2304 x 768 x 768':<34} {middle * 1e-9:8.1f} {best * 1e-9:8.1f} GFLOP/s")


def main():
    p = argparse.ArgumentParser(description="The works of bench/table by PyTorch.")
    p.add_argument("--row", action="append", choices=[r.name for r in ROWS], help="only this row; may be repeated")
    p.add_argument("--quick", action="store_true", help="fewer runs")
    p.add_argument("--smoke", action="store_true", help="tiny sizes, one run: whether it works, not how fast")
    p.add_argument("--threads", type=int, default=0, help="0: all [0]")
    p.add_argument("--list", action="store_true", help="the rows' names")
    p.add_argument("--peak", help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.list:
        for r in ROWS:
            print(f"{r.name:<16} {r.work}")
        return
    if torch is None:
        sys.exit("pytorch_table: no PyTorch here (Debian: python3-torch)")
    torch.set_num_threads(a.threads or len(os.sched_getaffinity(0)))  # PyTorch's own choice leaves out sibling threads
    if a.peak:
        print_peak(next(r for r in ROWS if r.name == a.peak), a)
        return
    print_ceilings(a)
    print(f"\n{'work':<30} {'runs':>4} {'median':>9} {'min..max':>14} {'GFLOP/s':>8} {'product':>8} {'ratio':>12}", flush=True)
    before = product_rates(a, torch.float32)[0]
    for row in ROWS:
        if a.row and row.name not in a.row:
            continue
        print(f"pytorch_table: {row.name}", file=sys.stderr)
        lines = MEASURES[row.measure](row, a)
        after = product_rates(a, torch.float32)[0]
        for part, values, beside in lines:
            print_line(row, part, values, beside, (before + after) / 2)
        before = after


if __name__ == "__main__":
    main()
