/* Conventions of parameter names, one table each. */
#include "nn/parts.h"

/* nanoGPT and the published GPT-2: transformer.h.0.attn.c_attn.weight */
static const wgi_names nanogpt = {
    .embed = "transformer.wte",
    .position = "transformer.wpe",
    .layers = "transformer.h",
    .norm = "transformer.ln_f",
    .head = "lm_head",
    .norm_1 = "ln_1",
    .attention = "attn",
    .norm_2 = "ln_2",
    .mlp = "mlp",
    .qkv = "c_attn",
    .out = "c_proj",
    .up = "c_fc",
    .down = "c_proj",
    .gate = "c_gate",
    .gated_up = "c_fc",
    .gated_down = "c_proj",
};

/* Hugging Face's Llama, Mistral, Qwen2: model.layers.0.self_attn.q_proj.weight */
static const wgi_names hf_llama = {
    .embed = "model.embed_tokens",
    .position = "model.embed_positions",
    .layers = "model.layers",
    .norm = "model.norm",
    .head = "lm_head",
    .norm_1 = "input_layernorm",
    .attention = "self_attn",
    .norm_2 = "post_attention_layernorm",
    .mlp = "mlp",
    .q = "q_proj",
    .k = "k_proj",
    .v = "v_proj",
    .out = "o_proj",
    .up = "up_proj",
    .down = "down_proj",
    .gate = "gate_proj",
    .gated_up = "up_proj",
    .gated_down = "down_proj",
};

/* Meta's own files and llama2.c: layers.0.attention.wq.weight; w2 projects back, w1 is the gate */
static const wgi_names meta_llama = {
    .embed = "tok_embeddings",
    .position = "pos_embeddings",
    .layers = "layers",
    .norm = "norm",
    .head = "output",
    .norm_1 = "attention_norm",
    .attention = "attention",
    .norm_2 = "ffn_norm",
    .mlp = "feed_forward",
    .q = "wq",
    .k = "wk",
    .v = "wv",
    .out = "wo",
    .up = "w1",
    .down = "w2",
    .gate = "w1",
    .gated_up = "w3",
    .gated_down = "w2",
};

const wgi_names *wgi_names_of(wg_name_table table)
{
    static const wgi_names *const tables[] = { [WG_NAMES_NANOGPT] = &nanogpt,
                                               [WG_NAMES_HF_LLAMA] = &hf_llama,
                                               [WG_NAMES_META_LLAMA] = &meta_llama };
    return tables[table];
}
