"""The step of bench/gpt2_step.c by PyTorch: GPT-2 124M, B=4, T=64, f32, forward, backward, clipping, AdamW.
   python3 bench/pytorch_step.py     (Debian: python3-torch)"""
import math
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

LAYERS, HEADS, WIDTH, VOCAB, BATCH, TIME = 12, 12, 768, 50257, 4, 64


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.c_attn, self.c_proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.c_fc, self.c_out = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x):
        B, T, C = x.shape
        q, k, v = (t.view(B, T, HEADS, C // HEADS).transpose(1, 2) for t in self.c_attn(self.ln_1(x)).split(C, 2))
        scores = q @ k.transpose(-2, -1) / math.sqrt(C // HEADS)
        p = scores.masked_fill(torch.ones(T, T).tril() == 0, float("-inf")).softmax(-1)
        x = x + self.c_proj((p @ v).transpose(1, 2).reshape(B, T, C))
        return x + self.c_out(F.gelu(self.c_fc(self.ln_2(x))))


class GPT2(nn.Module):
    def __init__(self):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(VOCAB, WIDTH), nn.Embedding(TIME, WIDTH)
        self.h, self.ln_f = nn.ModuleList([Block() for _ in range(LAYERS)]), nn.LayerNorm(WIDTH)

    def forward(self, x, y):
        h = self.wte(x) + self.wpe(torch.arange(x.shape[1]))
        for block in self.h:
            h = block(h)
        return F.cross_entropy((self.ln_f(h) @ self.wte.weight.t()).view(-1, VOCAB), y.view(-1))


model = GPT2()
optimizer = torch.optim.AdamW(model.parameters(), lr=6e-4, weight_decay=0.1)
seconds = []
for step in range(8):
    x = torch.randint(0, VOCAB, (BATCH, TIME))
    start = time.time()
    loss = model(x, x)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    loss.item()
    seconds.append(time.time() - start)
measured = sorted(seconds[2:])
print(f"PyTorch {torch.__version__}: median {measured[len(measured) // 2]:.3f} s a step")
