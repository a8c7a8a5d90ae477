#!/usr/bin/env python3
"""Development only: llama.cpp runs the GGUF files that this library writes. Needs the packages
torch, transformers and xllamacpp (llama.cpp's server as a module); nothing of the library or its
tests needs any of them.

    tools/check_llama_cpp.py TOKENIZER_JSON [--build build]

TOKENIZER_JSON is GPT-2's tokenizer.json: llama.cpp opens no model without a vocabulary. Models of
random weights are saved by transformers, written as GGUF by tools/logits, and asked for the next
token: llama.cpp's eight likeliest must be transformers', in their order, with log-probabilities
within 0.05 (llama.cpp keeps keys and values in f16). Exit status 1 if anything differs."""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile

import torch
import transformers
import xllamacpp
from transformers import (GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, Qwen2Config,
                          Qwen2ForCausalLM)

TOP, BOUND = 8, 0.05
PROMPT = [464, 2068, 7586, 21831, 18045, 625, 262, 16931, 3290, 13]
BASE = dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, vocab_size=50257, max_position_embeddings=128,
            initializer_range=0.3)
LLAMA3 = {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0,
          "high_freq_factor": 4.0, "original_max_position_embeddings": 16}
LINEAR = {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}


def llama(**k):
    return LlamaForCausalLM(LlamaConfig(**BASE, **k))


MODELS = {
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(n_embd=64, n_layer=2, n_head=4, n_positions=128,
                                               vocab_size=50257, initializer_range=0.3)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**BASE)),
    "llama": lambda: llama(),
    "llama tied": lambda: llama(tie_word_embeddings=True),
    "llama3 rope": lambda: llama(rope_parameters=LLAMA3),
    "linear rope": lambda: llama(rope_parameters=LINEAR),
    "biases": lambda: llama(attention_bias=True, mlp_bias=True),
    "head_dim": lambda: llama(head_dim=32),
}


def theirs(path):
    p = xllamacpp.CommonParams()
    p.model.path = path
    p.n_ctx = 256
    p.cpuparams.n_threads = 2
    p.n_gpu_layers = 0
    p.warmup = False
    p.verbosity = 0
    answer = xllamacpp.Server(p).handle_completions(
        {"prompt": PROMPT, "max_tokens": 1, "temperature": 0, "logprobs": TOP})
    if isinstance(answer, (bytes, str)):
        answer = json.loads(answer)
    return [(t["id"], t["logprob"])
            for t in answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]]


def check(make, folder, tokenizer, tool):
    torch.manual_seed(1)
    model = make().eval()
    with torch.no_grad():
        for p in model.parameters():
            if p.dim() == 1:
                p.add_(0.3 * torch.randn(p.shape))
        logits = model(torch.tensor([PROMPT])).logits[0, -1].double()
    model.save_pretrained(folder)
    shutil.copy(tokenizer, os.path.join(folder, "tokenizer.json"))
    path = os.path.join(folder, "model.gguf")
    subprocess.run([tool, folder, "--save", path], check=True)
    want = torch.log_softmax(logits, -1).topk(TOP)
    got = theirs(path)
    far = max(abs(p - q) for (_, p), q in zip(got, want.values.tolist()))
    return [i for i, _ in got] == want.indices.tolist() and far < BOUND, far


def main():
    p = argparse.ArgumentParser()
    p.add_argument("tokenizer")
    p.add_argument("--build", default="build")
    a = p.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    bad = 0
    for name, make in MODELS.items():
        with tempfile.TemporaryDirectory() as folder:
            good, far = check(make, folder, a.tokenizer, os.path.join(a.build, "tools", "logits"))
        bad += not good
        print("ok  " if good else "FAIL", f"{name:12} within {far:.4f}")
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
