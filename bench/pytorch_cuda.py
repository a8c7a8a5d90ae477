#!/usr/bin/env python3
"""The step of bench/cuda_step by PyTorch on the same GPU: GPT-2 under autocast with fused attention and fused AdamW, eagerly
and by torch.compile; and attention alone, as bench/attention has it. Under PyTorch's autocast embeddings give f32, so that
the residual stream is f32; Wengert's is bf16.
   python3 bench/pytorch_cuda.py [--batch 32] [--block 1024] [--steps 20] [--no-compile] [--attention] [--device cuda|cpu]
                                 [--layers 12 --heads 12 --width 768 --vocab 50257]"""
import argparse
import statistics
import time

import torch
import torch.nn as nn
import torch.nn.functional as F


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = (y.view(b, t, self.heads, c // self.heads).transpose(1, 2)
                   for y in self.qkv(self.norm_1(x)).split(c, dim=2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(b, t, c))
        return x + self.down(F.gelu(self.up(self.norm_2(x)), approximate="tanh"))


class GPT(nn.Module):
    def __init__(self, o):
        super().__init__()
        self.tokens, self.places = nn.Embedding(o.vocab, o.width), nn.Embedding(o.block, o.width)
        self.blocks = nn.ModuleList(Block(o.width, o.heads) for _ in range(o.layers))
        self.norm = nn.LayerNorm(o.width)

    def forward(self, x, y):
        h = self.tokens(x) + self.places.weight[: x.shape[1]]
        for block in self.blocks:
            h = block(h)
        logits = F.linear(self.norm(h), self.tokens.weight)
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), y.view(-1))


def wait(o):
    if o.device == "cuda":
        torch.cuda.synchronize()


def seconds(o, fn, warm=3, windows=5):
    """Median seconds of a call: windows of o.steps / 5 calls with one wait at the end."""
    for _ in range(warm):
        fn()
    each, found = max(1, o.steps // windows), []
    for _ in range(windows):
        wait(o)
        start = time.perf_counter()
        for _ in range(each):
            fn()
        wait(o)
        found.append((time.perf_counter() - start) / each)
    return statistics.median(found)


def step_of(o, model):
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-4, betas=(0.9, 0.999), weight_decay=0.1,
                                  fused=o.device == "cuda")
    x = torch.randint(0, o.vocab, (o.batch, o.block), device=o.device)
    y = torch.randint(0, o.vocab, (o.batch, o.block), device=o.device)

    def step():
        with torch.autocast(o.device, dtype=torch.bfloat16):
            loss = model(x, y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def steps(o):
    for how in ["eager"] + ([] if o.no_compile else ["torch.compile"]):
        torch.manual_seed(1337)
        model = GPT(o).to(o.device)
        if how != "eager":
            model = torch.compile(model)
        s = seconds(o, step_of(o, model))
        n = sum(p.numel() for p in model.parameters())
        tokens = o.batch * o.block
        flops = (6 * n + 6 * o.layers * o.width * o.block) * tokens
        print(f"{how:22} {1e3 * s:8.2f} ms  {tokens / s:9.0f} tokens/s  {1e-12 * flops / s:6.1f} TFLOP/s", flush=True)
        del model


def attention(o):
    """As bench/attention: causal, 768 channels, 32,768 tokens; half the square counts, backward as 2.5 times forward."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    for backend in (SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION):
        for d in (64, 128):
            for t in (512, 1024, 2048, 4096, 8192, 16384):
                q, k, v = (torch.randn(32768 // t, t, 768 // d, d, device=o.device, dtype=torch.bfloat16)
                           .transpose(1, 2).requires_grad_() for _ in range(3))
                dy = torch.randn_like(q)
                flops = 4 * 32768 * t / 2 * 768
                try:
                    with sdpa_kernel(backend):
                        run = lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True)
                        forward = seconds(o, run)
                        both = seconds(o, lambda: torch.autograd.grad(run(), (q, k, v), dy))
                except RuntimeError as e:
                    print(f"{backend.name} D={d} T={t}: {str(e).splitlines()[0]}", flush=True)
                    continue
                print(f"{backend.name:16} D={d:3} T={t:5}  forward {1e-12 * flops / forward:5.0f} TFLOP/s, "
                      f"backward {2.5e-12 * flops / (both - forward):5.0f}", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in {"batch": 32, "block": 1024, "steps": 20, "layers": 12, "heads": 12, "width": 768, "vocab": 50257}.items():
        p.add_argument(f"--{name}", type=int, default=value)
    p.add_argument("--device", default="cuda")
    p.add_argument("--no-compile", action="store_true")
    p.add_argument("--attention", action="store_true")
    o = p.parse_args()
    torch.set_float32_matmul_precision("high")
    print(f"PyTorch {torch.__version__}", flush=True)
    attention(o) if o.attention else steps(o)


main()
