/* Layers and models, made of public ops and modules only. Parameters are made on the current device
 * in the current dtype. Constructors return NULL and raise WG_EARG for sizes that are not positive
 * or do not fit. */
#ifndef WENGERT_NN_H
#define WENGERT_NN_H
#include "base.h"
#include "module.h"
#ifdef __cplusplus
extern "C" {
#endif

extern WG_API const wg_module_type wg_linear_type, wg_embedding_type, wg_layer_norm_type,
    wg_rms_norm_type, wg_group_norm_type, wg_dropout_type, wg_conv1d_type, wg_sequential_type,
    wg_module_list_type, wg_attention_type, wg_mlp_type, wg_gated_mlp_type, wg_block_type,
    wg_transformer_type;

/** y = x W^T + b: x (..., in) -> (..., out). `weight` (out, in), or (in, out) with in_out; `bias`
 * (out). Both start as U(-1/sqrt(in), 1/sqrt(in)), as PyTorch's Linear. */
typedef struct {
    int64_t in, out;
    bool no_bias, in_out;
    char end;
} wg_linear_args;
WG_API wg_module *wg_linear_call(wg_linear_args a);
#define wg_linear_new(...) WG_HERE(wg_linear_call(WG_ARGS(wg_linear_args, __VA_ARGS__)))
/** act(forward(m, x)): in one op (wg_linear_act) where m is a Linear that is neither recomputed nor hooked, and act is not
 * relu, whose gradient needs less memory apart; else by wg_forward and the activation. The same bits on the CPU. WG_EARG for
 * another activation. */
WG_API wg_tensor *wg_forward_act(wg_module *m, wg_tensor *x, wg_activation act);
/** r + forward(m, x): in one op (wg_linear_add) where m is a Linear on CUDA that is neither recomputed nor hooked and r is
 * floating and of its shape; else by wg_forward and wg_add, as on the CPU, where the norm behind takes the sum
 * (wg_norm_add). */
WG_API wg_tensor *wg_forward_add(wg_module *m, wg_tensor *x, wg_tensor *r);
/** Rows by index: i (...) i64 or i32 -> (..., width). `weight` (n, width), N(0, 1). */
WG_API wg_module *wg_embedding_new(int64_t n, int64_t width);
/** LayerNorm over the last axis: `weight` (width) ones, `bias` (width) zeros. */
typedef struct {
    int64_t width;
    double eps; /**< 1e-5 */
    bool no_bias, no_affine;
    char end;
} wg_layer_norm_module_args;
WG_API wg_module *wg_layer_norm_module_call(wg_layer_norm_module_args a);
#define wg_layer_norm_new(...)                                                                     \
    WG_HERE(wg_layer_norm_module_call(WG_ARGS(wg_layer_norm_module_args, __VA_ARGS__)))
/** RMSNorm over the last axis: `weight` (width) ones. eps 0: 1e-5. */
WG_API wg_module *wg_rms_norm_new(int64_t width, double eps);
/** y = norm(x + r), *sum = x + r (NULL: not wanted): a residual sum on its way into the next norm. In one pass over memory
 * where norm is a LayerNorm or RMSNorm (wg_add_layer_norm, wg_add_rms_norm) that is neither recomputed nor hooked and x and
 * r have one shape; else by wg_add and wg_forward. The bits are the same. */
WG_API wg_tensor *wg_norm_add(wg_module *norm, wg_tensor *x, wg_tensor *r, wg_tensor **sum);
/** GroupNorm of (B, channels, ...): `weight`, `bias` (channels). eps 0: 1e-5. */
WG_API wg_module *wg_group_norm_new(int64_t groups, int64_t channels, double eps);
/** While training, zeroes elements with probability p in [0, 1] and scales the others by 1/(1 - p).
 */
WG_API wg_module *wg_dropout_new(double p);
typedef struct {
    int64_t in, out, width, stride, padding, dilation, groups;
    bool causal, no_bias;
    char end;
} wg_conv1d_module_args;
/** x (B, in, T) -> (B, out, T'): `weight` (out, in/groups, width), `bias` (out), U(-b, b), b =
 * 1/sqrt(in/groups width). Zero stride, dilation and groups are 1; causal pads on the left alone.
 */
WG_API wg_module *wg_conv1d_module_call(wg_conv1d_module_args a);
#define wg_conv1d_new(...)                                                                         \
    WG_HERE(wg_conv1d_module_call(WG_ARGS(wg_conv1d_module_args, __VA_ARGS__)))

/** Children "0", "1", ...; forward runs them in order. */
WG_API wg_module *wg_sequential_new(void);
/** Appends m and takes it over (freed at once on failure). */
WG_API void wg_sequential_add(wg_module *sequential, wg_module *m);
/** Children "0", "1", ... that the owner runs itself. */
WG_API wg_module *wg_module_list_new(void);
/** Appends m and takes it over (freed at once on failure). */
WG_API void wg_module_list_add(wg_module *list, wg_module *m);
/** Child i of a list or a sequential; i < 0: from the end. NULL and WG_EINDEX out of range. */
WG_API wg_module *wg_module_list_at(wg_module *list, int64_t i);
/** 0 for what is neither a list nor a sequential. */
WG_API int64_t wg_module_list_size(const wg_module *list);

/* ---- key-value cache: a slot per attention module, made at its first append ------------------ */
typedef struct wg_kv_cache wg_kv_cache;
/** capacity: positions at most, at least 1; storage doubles up to it. One thread's business. */
WG_API wg_kv_cache *wg_kv_cache_new(int64_t capacity);
WG_API void wg_kv_cache_free(wg_kv_cache *c);
/** Appends k, v (B, H, T, D) to m's slot, copying them alone, and replaces them by views of the
 * whole, (B, H, all, D). WG_EGRAD with gradients on; WG_ESHAPE if B, H, D or the dtype changed;
 * WG_EARG when the cache is full; nothing is appended while an error is pending. */
WG_API wg_status wg_kv_append(wg_kv_cache *c, const wg_module *m, wg_tensor **k, wg_tensor **v);
/** Positions in m's slot; m NULL: the shortest of all. 0 for a NULL cache. */
WG_API int64_t wg_kv_length(const wg_kv_cache *c, const wg_module *m);
/** Cuts every slot to its first `length` positions: after an error; speculation. */
WG_API void wg_kv_truncate(wg_kv_cache *c, int64_t length);
/** Row b of every slot becomes what row rows[b] was: rows (B') i64, for beams. WG_EINDEX. */
WG_API wg_status wg_kv_reorder(wg_kv_cache *c, wg_tensor *rows);

/* ---- transformer parts ----------------------------------------------------------------------- */
typedef enum { WG_POS_LEARNED, WG_POS_ROPE, WG_POS_NONE } wg_position_kind;
typedef enum { WG_NORM_LAYER, WG_NORM_RMS } wg_norm_kind;
typedef enum { WG_MLP_PLAIN, WG_MLP_GATED } wg_mlp_kind;
/** Published parameter names; WG_NAMES_NANOGPT goes with one fused projection of q, k and v. */
typedef enum {
    WG_NAMES_NANOGPT,   /**< transformer.h.0.attn.c_attn.weight */
    WG_NAMES_HF_LLAMA,  /**< model.layers.0.self_attn.q_proj.weight */
    WG_NAMES_META_LLAMA /**< layers.0.attention.wq.weight */
} wg_name_table;

/** How rope's frequencies are stretched for contexts longer than those of the pretraining. */
typedef enum {
    WG_ROPE_PLAIN,
    WG_ROPE_LINEAR, /**< all divided by factor (Chen et al. 2023, arXiv:2306.15595) */
    WG_ROPE_LLAMA3 /**< Llama 3.1's: wavelengths above original_context / low_freq_factor divided by
                       factor, those below original_context / high_freq_factor kept, a blend between
                       (Hugging Face transformers, modeling_rope_utils.py) */
} wg_rope_scaling_kind;
typedef struct {
    wg_rope_scaling_kind kind;
    double factor, low_freq_factor, high_freq_factor; /**< positive; the last two differ */
    int64_t original_context;
} wg_rope_scaling;

/** One transformer by configuration; presets below fill it. A decoder block's parts read what they
 * need from it. Zeros: kv_heads = heads, head_size = width / heads (needed to be whole), hidden = 4
 * width, or 8/3 width up to a multiple of 64 for the gated MLP, eps 1e-5, rope_base 10000. kv_heads
 * divides heads. */
typedef struct {
    int64_t layers, heads, kv_heads, width, head_size, hidden, vocab, block;
    wg_position_kind position;
    wg_norm_kind norm;
    wg_mlp_kind mlp;
    wg_activation activation;
    wg_name_table names; /**< published parameter names */
    double eps, rope_base, dropout;
    int64_t window;     /**< sliding attention window; 0: none */
    bool no_bias;       /**< no biases in Linear and LayerNorm (nanoGPT's bias=False) */
    bool qkv_bias;      /**< with no_bias: biases in q, k, v all the same (Qwen2) */
    bool untied;        /**< the output projection has a weight of its own */
    bool rope_adjacent; /**< rotate adjacent pairs (Meta, llama2.c), not halves */
    wg_rope_scaling rope_scaling;
    wg_dtype stream; /**< what the embedding's rows are cast to: f32 sums over 16-bit weights; 0:
                        they stay as they are */
} wg_transformer_config;
/** GPT-2's shape with sizes to be given: learned positions, LayerNorm, MLP of 4 width with the tanh
 * GELU of its published weights (nanoGPT's own models: WG_ACT_GELU), biases, tied. */
WG_API wg_transformer_config wg_gpt2_config(int64_t layers, int64_t heads, int64_t width,
                                            int64_t vocab, int64_t block);
/** Llama's shape: RoPE, RMSNorm, SwiGLU, no biases, untied. */
WG_API wg_transformer_config wg_llama_config(int64_t layers, int64_t heads, int64_t kv_heads,
                                             int64_t width, int64_t hidden, int64_t vocab,
                                             int64_t block);
/** What a call carries beside x; NULL pointers and zero are fine. */
typedef struct {
    wg_tensor *positions; /**< (T) or (B, T) i64; NULL: 0 .. T-1 after the cache */
    wg_tensor *mask;      /**< replaces the causal mask */
    wg_kv_cache *cache;
    int64_t last; /**< wg_transformer_step: logits of so many last positions alone; 0: of all */
} wg_step;
/** Causal self-attention, (B, T, C) -> (B, T, C): heads queries, kv_heads keys and values, rope if
 * c says so. */
WG_API wg_module *wg_attention_new(const wg_transformer_config *c);
WG_API wg_tensor *wg_attention_step(wg_module *m, wg_tensor *x, const wg_step *step);
/** What rope's frequencies are divided by: (head_size / 2) f32 in the innermost scope, NULL if c
 * does not scale them. */
WG_API wg_tensor *wg_rope_factors(const wg_transformer_config *c);
/** down(act(up x)), (..., C) -> (..., C). */
WG_API wg_module *wg_mlp_new(const wg_transformer_config *c);
/** SwiGLU (WG_ACT_SILU), GEGLU (WG_ACT_GELU): down(act(gate x) * up x). */
WG_API wg_module *wg_gated_mlp_new(const wg_transformer_config *c);
/** x + attention(norm(x)), then x + mlp(norm(x)). */
WG_API wg_module *wg_block_new(const wg_transformer_config *c);
WG_API wg_tensor *wg_block_step(wg_module *m, wg_tensor *x, const wg_step *step);
/** Tokens (B, T) i64 -> logits (B, T, V). Matrices start as N(0, 0.02), those that write into the
 * stream as N(0, 0.02/sqrt(2 layers)), biases at 0 (GPT-2's, which llama2.c keeps). WG_EARG in
 * forward: more than block positions. */
WG_API wg_module *wg_transformer_new(const wg_transformer_config *c);
WG_API wg_tensor *wg_transformer_step(wg_module *m, wg_tensor *tokens, const wg_step *step);
/** The stream before the output projection, (B, T, C), for losses that project in chunks. */
WG_API wg_tensor *wg_transformer_hidden(wg_module *m, wg_tensor *tokens, const wg_step *step);
/** The output projection of such a stream, (..., C) -> (..., V). */
WG_API wg_tensor *wg_transformer_logits(wg_module *m, wg_tensor *x);
/** Mean cross-entropy of tokens -> targets (B, T) i64, ignoring targets of -1. Logits of more than
 * 64 MiB, on CUDA all, go by wg_linear_cross_entropy, which never holds them all, where the head is
 * a Linear that is neither recomputed nor hooked. */
WG_API wg_tensor *wg_transformer_loss(wg_module *m, wg_tensor *tokens, wg_tensor *targets);
/** Gives every layer's rope these factors, (head_size / 2) floating (GGUF's rope_freqs), in place of
 * what the configuration says; NULL: none. They are no buffer: not saved, not moved. */
WG_API void wg_transformer_set_rope_factors(wg_module *m, wg_tensor *factors);
/** With defaults filled in; lives as long as m. */
WG_API const wg_transformer_config *wg_transformer_config_of(const wg_module *m);

#ifdef __cplusplus
}
#endif
#endif
