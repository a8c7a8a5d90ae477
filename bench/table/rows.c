#include "table.h"

const double target_rate = 510e9; /* oneDNN's sgemm where the targets were set */

static const model gpt2_256 = { 12, 12, 768, 50257, .block = 64, .batch = 4 };
static const model gpt2_1024 = { 12, 12, 768, 50257, .block = 1024, .batch = 1 };
/* nanoGPT's README, "I only have a macbook"; config/train_shakespeare_char.py with a smaller batch. */
static const model nano = { 4, 4, 128, 65, .block = 64, .batch = 12, .nano = true };
static const model characters = { 6, 6, 384, 65, 256, .batch = 16, .dropout = 0.2, .nano = true };
static const model attention = { .heads = 12, .width = 768, .block = 4096, .batch = 1 };

/* clang-format off */
const row rows[] = {
    { "gpt2-256", "GPT-2 124M, B=4 T=64, f32", measure_training, &gpt2_256,
      .warm = 2, .runs = 7, .target = 0.73 },
    { "gpt2-1024", "GPT-2 124M, B=1 T=1024, f32", measure_training, &gpt2_1024,
      .warm = 2, .runs = 5, .target = 0.80 },
    { "gpt2-256-bf16", "GPT-2 124M, B=4 T=64, bf16", measure_training, &gpt2_256, WG_BF16,
      .warm = 2, .runs = 7, .target_seconds = 0.33 },
    { "gpt2-1024-bf16", "GPT-2 124M, B=1 T=1024, bf16", measure_training, &gpt2_1024, WG_BF16,
      .warm = 2, .runs = 5, .target_seconds = 1.2 },
    { "nano", "nanoGPT 0.8M, B=12 T=64", measure_training, &nano,
      .warm = 20, .runs = 201, .target_seconds = 0.011 },
    { "characters", "nanoGPT 10.8M, B=16 T=256", measure_training, &characters,
      .warm = 2, .runs = 7, .target_seconds = 0.72 },
    { "add-chain", "x + b of 4 x 4", measure_add_chain,
      .warm = 10, .runs = 501, .limit = 100e-9 },
    { "peak-256", "peak, GPT-2 B=4 T=64, f32", measure_peak, &gpt2_256,
      .runs = 1, .limit = 2.2e9 },
    { "peak-1024", "peak, GPT-2 B=1 T=1024, f32", measure_peak, &gpt2_1024,
      .runs = 1, .limit = 2.65e9 },
    { "elementwise", "ten ops over 64 Mi floats", measure_elementwise,
      .warm = 2, .runs = 7 },
    { "fused", "ten ops, fused", measure_fused,
      .warm = 2, .runs = 7, .target_passes = 2 },
    { "attention", "attention, T=4096, 12 x 64", measure_attention, &attention,
      .warm = 2, .runs = 7, .target = 0.75 },
    { .name = NULL },
};
/* clang-format on */
