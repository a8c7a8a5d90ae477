#!/usr/bin/env python3
"""Development only: compares this library with Hugging Face's transformers on models of random
weights, in both directions. Needs the packages torch, transformers, safetensors, gguf and
accelerate; nothing of the library or its tests needs any of them.

    tools/check_transformers.py [--build build] [--work DIR] [--only NAME]

For each model: transformers saves it, tools/logits loads it and prints logits, which must agree
with transformers' to 2e-5 (largest difference over largest value, f32). Then the library saves it
as a folder (transformers loads that: the same bound) and as GGUF (the library loads that: the same
bound, and saves a folder from it: the same), and transformers reads that too. Exit status 1 if
anything differs."""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import torch
import transformers
from transformers import (GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM,
                          MistralConfig, MistralForCausalLM, Qwen2Config, Qwen2ForCausalLM)

BOUND = 2e-5
IDS = [1, 5, 7, 3, 60, 2, 2, 11, 31, 4, 9, 17, 8, 40, 6, 50, 33, 12, 0, 21]

LLAMA = dict(hidden_size=64, intermediate_size=88, num_hidden_layers=3, num_attention_heads=8,
             num_key_value_heads=4, vocab_size=61, max_position_embeddings=64,
             initializer_range=0.2)
GPT2 = dict(n_embd=48, n_layer=3, n_head=4, vocab_size=61, n_positions=32, initializer_range=0.2)
LLAMA3 = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0,
          "high_freq_factor": 4.0, "original_max_position_embeddings": 16}


def gpt2(**k):
    return GPT2LMHeadModel(GPT2Config(**{**GPT2, **k}))


def llama(**k):
    return LlamaForCausalLM(LlamaConfig(**{**LLAMA, **k}))


def mistral(**k):
    return MistralForCausalLM(MistralConfig(**{**LLAMA, **k}))


def qwen2(**k):
    return Qwen2ForCausalLM(Qwen2Config(**{**LLAMA, **k}))


MODELS = {
    "gpt2": lambda: gpt2(),
    "gpt2 one head, odd vocabulary": lambda: gpt2(n_head=1, vocab_size=67),
    "gpt2 untied": lambda: gpt2(tie_word_embeddings=False),
    "gpt2 n_inner, eps": lambda: gpt2(n_inner=100, layer_norm_epsilon=1e-3),
    "gpt2 gelu": lambda: gpt2(activation_function="gelu"),
    "gpt2 relu": lambda: gpt2(activation_function="relu"),
    "gpt2 bf16": lambda: gpt2().to(torch.bfloat16),
    "llama": lambda: llama(),
    "llama no groups, tied": lambda: llama(num_key_value_heads=8, tie_word_embeddings=True),
    "llama one kv head": lambda: llama(num_key_value_heads=1, vocab_size=127),
    "llama head_dim": lambda: llama(head_dim=12),
    "llama biases": lambda: llama(attention_bias=True, mlp_bias=True),
    "llama theta, eps": lambda: llama(rope_parameters={"rope_type": "default",
                                                       "rope_theta": 1e6}, rms_norm_eps=1e-3),
    "llama linear rope": lambda: llama(rope_parameters={"rope_type": "linear", "factor": 4.0,
                                                        "rope_theta": 10000.0}),
    "llama llama3 rope": lambda: llama(rope_parameters=LLAMA3, tie_word_embeddings=True),
    "llama sharded": lambda: llama(),
    "llama bf16": lambda: llama().to(torch.bfloat16),
    "llama f16": lambda: llama().to(torch.float16),
    "mistral": lambda: mistral(sliding_window=None),
    "mistral window": lambda: mistral(sliding_window=6),
    "mistral head_dim": lambda: mistral(sliding_window=None, head_dim=16),
    "qwen2": lambda: qwen2(),
    "qwen2 tied": lambda: qwen2(tie_word_embeddings=True, num_key_value_heads=2),
    "qwen2 window": lambda: qwen2(use_sliding_window=True, sliding_window=6, max_window_layers=0),
    "qwen2 bf16": lambda: qwen2().to(torch.bfloat16),
}


def randomise(model):
    """Biases and norms too: they start as zeros and ones, which would hide a mistake."""
    g = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() == 1:
                p.add_(0.3 * torch.randn(p.shape, generator=g).to(p.dtype))
    return model.eval()


def theirs(path, kind=None, **more):
    """Of what is in the folder, in f32; a model cast to it would have a rounded rope table."""
    model = transformers.AutoModelForCausalLM.from_pretrained(
        path, dtype=torch.float32, **more).eval()
    if kind and type(model) is not kind:
        raise RuntimeError(f"came back as {type(model).__name__}")
    with torch.no_grad():
        return model(torch.tensor([IDS])).logits[0].numpy()


def ours(tool, path, *extra):
    r = subprocess.run([tool, path, *extra, *map(str, IDS)], capture_output=True)
    if r.returncode:
        raise RuntimeError(r.stderr.decode().strip())
    return np.frombuffer(r.stdout, "<f4").reshape(len(IDS), -1)


def distance(a, b):
    return float(np.abs(a.astype(np.float64) - b).max() / np.abs(b).max())


def check(name, make, tool, folder):
    torch.manual_seed(1234)
    model = randomise(make())
    saved = os.path.join(folder, "theirs")
    shard = "20KB" if "sharded" in name else "5GB"
    model.save_pretrained(saved, max_shard_size=shard)
    want = theirs(saved)
    figures = [("load", distance(ours(tool, saved), want))]
    again = os.path.join(folder, "ours")
    ours(tool, saved, "--save", again)
    # Without a window a Mistral is a Llama, and is written as one.
    kind = LlamaForCausalLM if name.startswith("mistral") and "window" not in name else type(model)
    figures.append(("save", distance(theirs(again, kind), want)))
    path = os.path.join(folder, "ours.gguf")
    if "gelu" not in name and "relu" not in name:  # llama.cpp's GPT-2 has the tanh form alone
        ours(tool, saved, "--save", path)
        figures.append(("gguf", distance(ours(tool, path), want)))
        third = os.path.join(folder, "third")
        ours(tool, path, "--save", third)
        figures.append(("gguf to folder", distance(theirs(third, kind), want)))
        # Their reader of GGUF reads few of the hyperparameters, and no Mistral: it is given the
        # configuration, and shows that names and the order of rows are right.
        config = {} if name.startswith("mistral") else {"config": model.config}
        if name != "mistral window":
            figures.append(("gguf there", distance(
                theirs(folder, gguf_file="ours.gguf", **config), want)))
    return figures


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--build", default="build")
    p.add_argument("--work", help="keep the files here")
    p.add_argument("--only", default="")
    a = p.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    tool = os.path.join(a.build, "tools", "logits")
    top = a.work or tempfile.mkdtemp()
    bad = 0
    for name, make in MODELS.items():
        if a.only not in name:
            continue
        folder = os.path.join(top, name.replace(" ", "_").replace(",", ""))
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        try:
            figures = check(name, make, tool, folder)
        except Exception as e:  # one model's failure leaves the others to be seen
            print(f"FAIL {name}: {e}")
            bad += 1
            continue
        wrong = [f for f in figures if not f[1] <= BOUND]
        bad += bool(wrong)
        print("FAIL" if wrong else "ok  ", f"{name:34}",
              "  ".join(f"{k} {v:.1e}" for k, v in figures))
    if not a.work:
        shutil.rmtree(top)
    print(f"transformers {transformers.__version__}, torch {torch.__version__}: "
          f"{bad} of {len(MODELS)} failed")
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
