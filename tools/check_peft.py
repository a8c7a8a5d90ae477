#!/usr/bin/env python3
"""Development only: compares low-rank adapters with Hugging Face's PEFT, in both directions. Needs
the packages torch, transformers, safetensors and peft; nothing of the library or its tests needs
any of them.

    tools/check_peft.py [--build build] [--work DIR]

For each model of random weights: PEFT makes adapters and saves them; the library loads them over
the folder and over a GGUF file made of it (where rope rotates other pairs), merges them, and saves
them again from both, for PEFT to load. Logits must agree to 2e-5 (largest difference over largest
value, f32). Exit status 1 if anything differs."""
import argparse
import os
import shutil
import sys
import tempfile

import peft
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model

from check_transformers import BOUND, IDS, distance, gpt2, llama, ours, qwen2, randomise

LAYERS = ["model.layers.1.self_attn.q_proj", "model.layers.1.mlp.up_proj"]
CASES = {
    "llama q v": (llama, dict(target_modules=["q_proj", "v_proj"])),
    "llama all-linear": (llama, dict(target_modules="all-linear", use_rslora=True)),
    "llama one layer": (llama, dict(target_modules=LAYERS, r=3)),
    "llama chosen layers": (llama, dict(target_modules=["k_proj"], layers_to_transform=[0, 2])),
    "llama head": (llama, dict(target_modules=["lm_head", "o_proj"])),
    "qwen2": (qwen2, dict(target_modules=["q_proj", "k_proj", "down_proj"])),
    "gpt2 c_attn": (gpt2, dict(target_modules=["c_attn"], fan_in_fan_out=True)),
    "gpt2 all": (gpt2, dict(target_modules=["c_attn", "c_proj", "c_fc"], fan_in_fan_out=True)),
}


def logits(model):
    with torch.no_grad():
        return model.eval()(torch.tensor([IDS])).logits[0].numpy()


def check(make, config, tool, folder):
    torch.manual_seed(1234)
    base, gguf, theirs = (os.path.join(folder, n) for n in ("base", "base.gguf", "theirs"))
    model = randomise(make())
    model.save_pretrained(base)
    ours(tool, base, "--save", gguf)
    plain = logits(model)
    adapted = get_peft_model(
        model, LoraConfig(**{"r": 5, "lora_alpha": 9, "lora_dropout": 0.1,
                             "task_type": "CAUSAL_LM", **config}))
    with torch.no_grad():
        for name, p in adapted.named_parameters():
            if "lora_B" in name:
                p.copy_(0.2 * torch.randn_like(p))
    adapted.save_pretrained(theirs)
    want = logits(adapted)
    if distance(plain, want) < 1e-2:
        raise RuntimeError("the adapters change nothing: this shows nothing")
    model = adapted.unload()
    figures = []
    for path in (base, gguf):
        kind = "gguf" if path == gguf else "folder"
        again = os.path.join(folder, "again_" + kind)
        got = ours(tool, path, "--adapter", theirs, "--save-adapter", again)
        figures.append((kind, distance(got, want)))
        got = ours(tool, path, "--adapter", theirs, "--merge")
        figures.append((kind + " merged", distance(got, want)))
        back = PeftModel.from_pretrained(model, again)
        figures.append((kind + " back", distance(logits(back), want)))
        model = back.unload()
    return figures


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--build", default="build")
    p.add_argument("--work", help="keep the files here")
    a = p.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    tool = os.path.join(a.build, "tools", "logits")
    top = a.work or tempfile.mkdtemp()
    bad = 0
    for name, (make, config) in CASES.items():
        folder = os.path.join(top, name.replace(" ", "_"))
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        try:
            figures = check(make, config, tool, folder)
        except Exception as e:  # one case's failure leaves the others to be seen
            print(f"FAIL {name}: {e}")
            bad += 1
            continue
        wrong = [f for f in figures if not f[1] <= BOUND]
        bad += bool(wrong)
        print("FAIL" if wrong else "ok  ", f"{name:20}",
              "  ".join(f"{k} {v:.1e}" for k, v in figures))
    if not a.work:
        shutil.rmtree(top)
    print(f"peft {peft.__version__}, torch {torch.__version__}: {bad} of {len(CASES)} failed")
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
