/* What networks are made of. The class axis of losses is the last. */
#ifndef WENGERT_OPS_NETWORK_H
#define WENGERT_OPS_NETWORK_H
#include "../base.h"
#ifdef __cplusplus
extern "C" {
#endif

WG_API wg_tensor *wg_softmax(wg_tensor *x, int axis);
WG_API wg_tensor *wg_log_softmax(wg_tensor *x, int axis);
WG_API wg_tensor *wg_dropout(wg_tensor *x, double p, bool training);
WG_API wg_tensor *wg_swiglu(wg_tensor *gate, wg_tensor *up);
typedef struct {
    wg_tensor *logits, *target, *weight;
    wg_maybe ignore_index;
    double label_smoothing;
    wg_reduction reduction;
    char end;
} wg_cross_entropy_args;
WG_API wg_tensor *wg_cross_entropy_call(wg_cross_entropy_args a);

/** Cross-entropy of logits = x w^T + bias, made and spent a few rows at a time: the whole (N, V) never stands in memory,
 * neither forward nor backward (which computes a chunk's logits again).
 * x: (..., C), w: (V, C), bias: (V) or NULL: floating; target: (...) i64 or i32 -> loss: () for WG_MEAN (over the rows that
 * are not ignored) and WG_SUM, (...) for WG_NONE; f64 if an operand is, else f32. ignore_index, label_smoothing and
 * reduction as in wg_cross_entropy; chunk: rows at a time, 0: as many as make 64 MiB of logits. Same result and gradient
 * as wg_cross_entropy(wg_linear(x, w, bias), target), computed in f32 throughout.
 * Errors: WG_EINDEX for a target out of range, WG_ESHAPE, WG_EDTYPE, WG_EARG for options. */
typedef struct {
    wg_tensor *x, *w, *target, *bias;
    wg_maybe ignore_index;
    double label_smoothing;
    wg_reduction reduction;
    int64_t chunk;
    char end;
} wg_linear_cross_entropy_args;
WG_API wg_tensor *wg_linear_cross_entropy_call(wg_linear_cross_entropy_args a);

typedef struct {
    wg_tensor *log_probs, *target, *weight;
    wg_maybe ignore_index;
    wg_reduction reduction;
    char end;
} wg_nll_loss_args;
WG_API wg_tensor *wg_nll_loss_call(wg_nll_loss_args a);

typedef struct {
    wg_tensor *x, *target;
    wg_reduction reduction;
    char end;
} wg_mse_loss_args;
WG_API wg_tensor *wg_mse_loss_call(wg_mse_loss_args a);

typedef struct {
    wg_tensor *x, *target;
    wg_reduction reduction;
    char end;
} wg_l1_loss_args;
WG_API wg_tensor *wg_l1_loss_call(wg_l1_loss_args a);

typedef struct {
    wg_tensor *x, *target;
    double delta;
    wg_reduction reduction;
    char end;
} wg_huber_loss_args;
WG_API wg_tensor *wg_huber_loss_call(wg_huber_loss_args a);

typedef struct {
    wg_tensor *logits, *target, *weight, *pos_weight;
    wg_reduction reduction;
    char end;
} wg_bce_with_logits_args;
WG_API wg_tensor *wg_bce_with_logits_call(wg_bce_with_logits_args a);

typedef struct {
    wg_tensor *log_probs, *target;
    bool log_target;
    wg_reduction reduction;
    char end;
} wg_kl_div_args;
WG_API wg_tensor *wg_kl_div_call(wg_kl_div_args a);

typedef struct {
    wg_tensor *x, *weight, *bias;
    double eps;
    char end;
} wg_layer_norm_args;
WG_API wg_tensor *wg_layer_norm_call(wg_layer_norm_args a);

typedef struct {
    wg_tensor *x, *weight;
    double eps;
    char end;
} wg_rms_norm_args;
WG_API wg_tensor *wg_rms_norm_call(wg_rms_norm_args a);

typedef struct {
    wg_tensor *x;
    int64_t groups;
    wg_tensor *weight, *bias;
    double eps;
    char end;
} wg_group_norm_args;
WG_API wg_tensor *wg_group_norm_call(wg_group_norm_args a);

typedef struct {
    wg_tensor *x, *positions;
    int64_t offset;
    double base;
    bool adjacent;
    char end;
} wg_rope_args;
WG_API wg_tensor *wg_rope_call(wg_rope_args a);

/** y = dropout(softmax(scale q k^T + mask)) v: attention (Vaswani et al., arXiv:1706.03762), never T x T in memory.
 * q: (B, HQ, Tq, D), k: (B, HKV, Tk, D), v: (B, HKV, Tk, Dv), or all without B; one floating dtype; any strides, read in
 * place -> y: (B, HQ, Tq, Dv). HQ a multiple of HKV: query head h reads key head h / (HQ / HKV).
 * mask: broadcasts to (B, HQ, Tq, Tk); bool (true takes part) or floating (added). is_causal: query i sees keys
 * j <= i + Tk - Tq, so that the last query sees the last key (PyTorch aligns the first ones). window > 0: only
 * j > i + Tk - Tq - window. All of these together: what each of them lets through. A row that sees nothing gives zeros and
 * no gradient. scale 0: 1 / sqrt(D). dropout: the probability of each weight to be dropped, always on if given; weight
 * (b, h, i, j) takes the random value ((b HQ + h) Tq + i) Tk + j.
 * Computed in f32 for 16-bit operands. The gradient of a floating mask that requires one is supported, but then the whole
 * runs as other ops do, with T x T scores in memory.
 * Errors: WG_ESHAPE, WG_EDTYPE for operands that do not fit, WG_EARG for dropout outside [0, 1] or a negative window. */
typedef struct {
    wg_tensor *q, *k, *v, *mask;
    bool is_causal;
    double scale, dropout;
    int64_t window;
    char end;
} wg_sdpa_args;
WG_API wg_tensor *wg_sdpa_call(wg_sdpa_args a);


#ifdef __cplusplus
}
#endif
#define wg_softmax(...) WG_HERE(wg_softmax(__VA_ARGS__))
#define wg_log_softmax(...) WG_HERE(wg_log_softmax(__VA_ARGS__))
#define wg_dropout(...) WG_HERE(wg_dropout(__VA_ARGS__))
#define wg_swiglu(...) WG_HERE(wg_swiglu(__VA_ARGS__))
#define wg_cross_entropy(...) WG_HERE(wg_cross_entropy_call(WG_ARGS(wg_cross_entropy_args, __VA_ARGS__)))
#define wg_linear_cross_entropy(...) WG_HERE(wg_linear_cross_entropy_call(WG_ARGS(wg_linear_cross_entropy_args, __VA_ARGS__)))
#define wg_nll_loss(...) WG_HERE(wg_nll_loss_call(WG_ARGS(wg_nll_loss_args, __VA_ARGS__)))
#define wg_mse_loss(...) WG_HERE(wg_mse_loss_call(WG_ARGS(wg_mse_loss_args, __VA_ARGS__)))
#define wg_l1_loss(...) WG_HERE(wg_l1_loss_call(WG_ARGS(wg_l1_loss_args, __VA_ARGS__)))
#define wg_huber_loss(...) WG_HERE(wg_huber_loss_call(WG_ARGS(wg_huber_loss_args, __VA_ARGS__)))
#define wg_bce_with_logits(...) WG_HERE(wg_bce_with_logits_call(WG_ARGS(wg_bce_with_logits_args, __VA_ARGS__)))
#define wg_kl_div(...) WG_HERE(wg_kl_div_call(WG_ARGS(wg_kl_div_args, __VA_ARGS__)))
#define wg_layer_norm(...) WG_HERE(wg_layer_norm_call(WG_ARGS(wg_layer_norm_args, __VA_ARGS__)))
#define wg_rms_norm(...) WG_HERE(wg_rms_norm_call(WG_ARGS(wg_rms_norm_args, __VA_ARGS__)))
#define wg_group_norm(...) WG_HERE(wg_group_norm_call(WG_ARGS(wg_group_norm_args, __VA_ARGS__)))
#define wg_rope(...) WG_HERE(wg_rope_call(WG_ARGS(wg_rope_args, __VA_ARGS__)))
#define wg_sdpa(...) WG_HERE(wg_sdpa_call(WG_ARGS(wg_sdpa_args, __VA_ARGS__)))
#endif
