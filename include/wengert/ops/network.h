/* What networks are made of. The class axis of losses is the last. */
#ifndef WENGERT_OPS_NETWORK_H
#define WENGERT_OPS_NETWORK_H
#include "../base.h"
#ifdef __cplusplus
extern "C" {
#endif

/** y_i = exp(x_i) / sum_j exp(x_j) along axis (negative: from the end), computed from x - max(x).
 * x: (...) floating, any strides -> y: same shape and dtype; under autocast 16-bit x is cast to f32 first. A row of -inf, or
 * one that holds a NaN or +inf, gives NaN. Gradient: dx = (dy - sum(dy y)) y.
 * Errors: WG_EDTYPE if x is not floating, WG_EINDEX for the axis. */
WG_API wg_tensor *wg_softmax(wg_tensor *x, int axis);
/** y_i = x_i - log(sum_j exp(x_j)) along axis: the logarithm of wg_softmax, without its underflow. Gradient:
 * dx = dy - exp(y) sum(dy). As wg_softmax otherwise. */
WG_API wg_tensor *wg_log_softmax(wg_tensor *x, int axis);
/** y_i = x_i / (1 - p) with probability 1 - p, else 0 (Srivastava et al., JMLR 15, 2014, inverted form); x itself, not a
 * copy, if p is 0 or training is false; p = 1 gives zeros.
 * x: (...) floating -> y: same shape and dtype. Element i in logical order is kept where the 24-bit uniform of random word
 * i is at least p: the same elements for any layout, number of threads and device. The gradient, of any order, drops the
 * same elements: what is kept for it is a counter, not a mask.
 * Errors: WG_EARG if p is not in [0, 1], WG_EDTYPE if x is not floating. */
WG_API wg_tensor *wg_dropout(wg_tensor *x, double p, bool training);
/** y = silu(gate) up, silu(g) = g / (1 + e^-g): SwiGLU's gate (Shazeer, arXiv:2002.05202) in one pass.
 * gate, up: (...) floating, one shape -> y: same shape, the wider dtype; 16-bit operands are computed in f32 and rounded
 * once. Gradient: dgate = dy up s (1 + gate (1 - s)), dup = dy silu(gate), with s = 1 / (1 + e^-gate).
 * Errors: WG_ESHAPE if the shapes differ, WG_EDTYPE if one is not floating. */
WG_API wg_tensor *wg_swiglu(wg_tensor *gate, wg_tensor *up);
/** Cross-entropy of logits against classes, the class axis being the last:
 *   loss_r = sum_j b_rj (log sum_k exp(x_rk) - x_rj), b_rj = weight_j (t_rj (1 - e) + e / V), e = label_smoothing,
 * t_r the one-hot row of a target class, or a row of target probabilities.
 * logits x: (..., V) floating; target: (...) i64 or i32 classes, or (..., V) floating probabilities; weight: (V) floating or
 * NULL -> loss: () for WG_MEAN (divided by the sum of weight[target] over the rows that count; by the number of rows for
 * probabilities) and WG_SUM, (...) for WG_NONE; f64 if x or target is, else f32, also for 16-bit logits.
 * ignore_index: -100 unless set; rows of that class have loss 0 and gradient 0 and do not count in the mean. If none
 * counts the mean is 0 / 0 = NaN, as in PyTorch. A row of -inf gives NaN.
 * Gradient: dx_rj = dy_r (sum_k b_rk softmax(x_r)_j - b_rj), also into floating targets; a weight that requires a gradient
 * raises. Errors: WG_EINDEX naming value and place of a target out of range, WG_ESHAPE, WG_EDTYPE, WG_EARG for options
 * (ignore_index with probabilities, label_smoothing outside [0, 1]).
 * Source: label smoothing as Szegedy et al., arXiv:1512.00567, section 7; conventions as PyTorch's but for the axis. */
typedef struct {
    wg_tensor *logits, *target, *weight;
    wg_maybe ignore_index;
    double label_smoothing;
    wg_reduction reduction;
    char end;
} wg_cross_entropy_args;
WG_API wg_tensor *wg_cross_entropy_call(wg_cross_entropy_args a);

/** Cross-entropy of logits = x w^T + bias, made and spent a tile at a time: the whole (N, V) never stands in memory, neither
 * forward nor backward. Backward computes the logits again, but on CUDA for WG_MEAN and WG_SUM: there the forward pass keeps
 * the gradients, as large as x and (in f32) w, where one is wanted.
 * x: (..., C), w: (V, C), bias: (V) or NULL: floating; target: (...) i64 or i32 -> loss: () for WG_MEAN (over the rows that
 * are not ignored) and WG_SUM, (...) for WG_NONE; f64 if an operand is, else f32. ignore_index, label_smoothing and
 * reduction as in wg_cross_entropy; chunk: rows at a time, for each of which w is read and its gradient added to; 0: 2048, on
 * CUDA as many as make 1 GiB of logits.
 * Same result and gradient as wg_cross_entropy(wg_linear(x, w, bias), target), computed in f32 throughout; but the gradient of
 * the logits is rounded once to bf16 for all three gradients with x and w in bf16 on the CPU, and on CUDA it and the logits
 * have the dtype of x and w where that is one of 16 bits.
 * w in blocks: by wg_linear and wg_cross_entropy; all logits stand in memory then, and chunk has no effect.
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

/** Negative log-likelihood, the class axis being the last: loss_r = -weight[t_r] x[r, t_r].
 * log_probs x: (..., V) floating; target t: (...) i64 or i32; weight: (V) floating or NULL -> loss: () for WG_MEAN (divided
 * by the sum of weight[t_r] over the rows that count) and WG_SUM, (...) for WG_NONE; f64 for f64, else f32. ignore_index,
 * the mean of nothing, and errors as in wg_cross_entropy. Gradient: -dy_r weight[t_r] at [r, t_r], zero elsewhere. */
typedef struct {
    wg_tensor *log_probs, *target, *weight;
    wg_maybe ignore_index;
    wg_reduction reduction;
    char end;
} wg_nll_loss_args;
WG_API wg_tensor *wg_nll_loss_call(wg_nll_loss_args a);

/** Squared error (x - t)^2.
 * x: (...) floating, target t: same shape, any dtype (integers as numbers) -> (): the mean or the sum over all elements;
 * (...) for WG_NONE; f64 if an operand is, else f32. Gradient: 2 (x - t) dy into x, its negative into target.
 * Errors: WG_ESHAPE if the shapes differ (nothing is broadcast: a forgotten axis would go unnoticed), WG_EDTYPE, WG_EARG. */
typedef struct {
    wg_tensor *x, *target;
    wg_reduction reduction;
    char end;
} wg_mse_loss_args;
WG_API wg_tensor *wg_mse_loss_call(wg_mse_loss_args a);

/** Absolute error |x - t|. Gradient: sign(x - t) dy into x (0 where they are equal), its negative into target. Shapes,
 * dtypes, reduction and errors as in wg_mse_loss. */
typedef struct {
    wg_tensor *x, *target;
    wg_reduction reduction;
    char end;
} wg_l1_loss_args;
WG_API wg_tensor *wg_l1_loss_call(wg_l1_loss_args a);

/** Huber's loss (1964) of d = x - t: d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2); delta > 0, 1 unless given.
 * Gradient: clamp(d, -delta, delta) dy into x, its negative into target. Shapes, dtypes, reduction and errors as in
 * wg_mse_loss; WG_EARG for a negative delta. */
typedef struct {
    wg_tensor *x, *target;
    double delta;
    wg_reduction reduction;
    char end;
} wg_huber_loss_args;
WG_API wg_tensor *wg_huber_loss_call(wg_huber_loss_args a);

/** Binary cross-entropy of logits: w (-p t log s(x) - (1 - t) log(1 - s(x))), s(x) = 1 / (1 + e^-x), exact in both tails.
 * logits x: (...) floating, target t: same shape, any dtype; weight w and pos_weight p: floating, broadcast to x, 1 where
 * NULL -> (): the mean over all elements or the sum; (...) for WG_NONE; f64 if x or t is, else f32.
 * Gradient: into x and target; a weight that requires one raises. Errors: WG_ESHAPE, WG_EDTYPE, WG_EARG. */
typedef struct {
    wg_tensor *logits, *target, *weight, *pos_weight;
    wg_reduction reduction;
    char end;
} wg_bce_with_logits_args;
WG_API wg_tensor *wg_bce_with_logits_call(wg_bce_with_logits_args a);

/** Kullback-Leibler divergence by elements: t (log t - x), 0 where t = 0; e^t (t - x) with log_target.
 * log_probs x: (...) floating, target t: same shape -> (): the mean over all elements (as PyTorch's "mean"; the divergence
 * itself is the sum divided by the rows) or the sum; (...) for WG_NONE; f64 if an operand is, else f32.
 * Gradient: -t dy into x, (log t + 1 - x) dy into target (0 where t = 0); with log_target -e^t dy, e^t (t - x + 1) dy.
 * Errors: WG_ESHAPE if the shapes differ, WG_EDTYPE, WG_EARG. */
typedef struct {
    wg_tensor *log_probs, *target;
    bool log_target;
    wg_reduction reduction;
    char end;
} wg_kl_div_args;
WG_API wg_tensor *wg_kl_div_call(wg_kl_div_args a);

/** Layer norm over the last axis: y = (x - mean(x)) / sqrt(var(x) + eps) weight + bias, var the mean of squared gaps.
 * x: (..., C) floating, any strides; weight, bias: (C) floating or NULL -> y: shape and dtype of x, whatever the weights'
 * (16-bit x is computed in f32); eps 1e-5 unless given. Gradient: into x, weight and bias; the same bits for any number of
 * threads. Errors: WG_ESHAPE for 0-d x and for weights, WG_EDTYPE, WG_EARG for a negative eps.
 * Source: Ba, Kiros, Hinton, arXiv:1607.06450. */
typedef struct {
    wg_tensor *x, *weight, *bias;
    double eps;
    char end;
} wg_layer_norm_args;
WG_API wg_tensor *wg_layer_norm_call(wg_layer_norm_args a);

/** RMS norm over the last axis: y = x / sqrt(mean(x^2) + eps) weight. eps is 1e-5 unless given, for every dtype (PyTorch's
 * default is the dtype's epsilon). Shapes, dtypes, gradient and errors as in wg_layer_norm.
 * Source: Zhang & Sennrich, arXiv:1910.07467. */
typedef struct {
    wg_tensor *x, *weight;
    double eps;
    char end;
} wg_rms_norm_args;
WG_API wg_tensor *wg_rms_norm_call(wg_rms_norm_args a);

/** A residual sum and its layer norm in one pass over memory: s = x + r, y = wg_layer_norm(s, weight, bias).
 * x, r: (..., C) floating, one shape; weight, bias: (C) floating or NULL -> y: s's dtype, the wider one of x's and r's;
 * *sum: s (NULL: not wanted). y and s have the bits that wg_add and wg_layer_norm give, and their gradients too; eps 1e-5
 * unless given. Under autocast x and r stay as they are. Gradient: of y and s, into x, r, weight and bias, of every order.
 * Errors: WG_ESHAPE for 0-d x, another shape of r (nothing is broadcast) and weights, WG_EDTYPE, WG_EARG for a negative eps. */
typedef struct {
    wg_tensor *x, *r, *weight, *bias, **sum;
    double eps;
    char end;
} wg_add_layer_norm_args;
WG_API wg_tensor *wg_add_layer_norm_call(wg_add_layer_norm_args a);

/** The same with wg_rms_norm, as Llama's blocks have it. */
typedef struct {
    wg_tensor *x, *r, *weight, **sum;
    double eps;
    char end;
} wg_add_rms_norm_args;
WG_API wg_tensor *wg_add_rms_norm_call(wg_add_rms_norm_args a);

/** Group norm: the channels in `groups` groups of C / groups neighbours; over each group of each sample
 * y = (x - mean) / sqrt(var + eps) weight_c + bias_c.
 * x: (N, C, ...) floating; weight, bias: (C) floating or NULL -> y: shape and dtype of x (16-bit x is computed in f32);
 * eps 1e-5 unless given. Gradient: into x, weight and bias.
 * Errors: WG_ESHAPE for x of less than two dimensions and for weights, WG_EARG if groups does not divide C or eps is
 * negative, WG_EDTYPE. Source: Wu & He, arXiv:1803.08494. */
typedef struct {
    wg_tensor *x;
    int64_t groups;
    wg_tensor *weight, *bias;
    double eps;
    char end;
} wg_group_norm_args;
WG_API wg_tensor *wg_group_norm_call(wg_group_norm_args a);

/** Rotary positions: pair k of a row at position m is rotated by the angle m base^(-2k / D) / factors[k]. Pairs are (x_k, x_{k + D/2})
 * (Hugging Face's rotate_half); with .adjacent (x_2k, x_{2k + 1}) (Meta's Llama, llama2.c).
 * x: (..., T, D) floating; strided axes before the last, as in a transposed (B, T, H, D), are read in place -> y: same shape
 * and dtype, contiguous. positions: NULL for 0 .. T-1, or (T), or (B, T) with B = x's first size, i64 or i32; offset is
 * added to all of them. base: 10000 unless given. factors: (D / 2) floating, as Llama 3's and GGUF's rope_freqs; NULL: 1.
 * Angles are computed in f64, once per call and position.
 * Gradient: the rotation by the opposite angles, of every order; none for factors.
 * Errors: WG_ESHAPE for odd D, less than two dimensions, and positions; WG_EDTYPE; WG_EARG for a negative base.
 * Source: Su et al., arXiv:2104.09864. */
typedef struct {
    wg_tensor *x, *positions;
    int64_t offset;
    double base;
    bool adjacent;
    wg_tensor *factors;
    char end;
} wg_rope_args;
WG_API wg_tensor *wg_rope_call(wg_rope_args a);

/** y = dropout(softmax(scale q k^T + mask)) v: attention (Vaswani et al., arXiv:1706.03762), never T x T in memory.
 * q: (B, HQ, Tq, D), k: (B, HKV, Tk, D), v: (B, HKV, Tk, Dv), or all without B; one floating dtype; any strides, read in
 * place -> y: (B, HQ, Tq, Dv). HQ a multiple of HKV: query head h reads key head h / (HQ / HKV).
 * mask: broadcasts to (B, HQ, Tq, Tk); bool (true takes part) or floating: added, and below -3e4 it hides the key as -inf
 * does. is_causal: query i sees keys j <= i + Tk - Tq, so that the last query sees the last key (PyTorch aligns the first
 * ones). window > 0: only j > i + Tk - Tq - window. All of these together: what each of them lets through. A row that sees
 * nothing gives zeros and no gradient (PyTorch's gives the mean of v where the mask is finite). scale 0: 1 / sqrt(D).
 * dropout: the probability of each weight to be dropped, always on if given; weight (b, h, i, j) takes the random value
 * ((b HQ + h) Tq + i) Tk + j.
 * y's axes lie in memory in the order of q's, so that heads split off (B, T, H D) are joined again without a copy.
 * Computed in f32 for 16-bit operands, except that for bf16 on a CPU with AVX-512-BF16 or AMX, and for both on CUDA, the
 * probabilities and their gradients are rounded to the operands' dtype for the products with v, k, q and dy. The gradient of
 * a floating mask that requires one is supported, but then the whole runs as other ops do, with T x T scores in memory.
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
#define wg_cross_entropy(...)                                                                      \
    WG_HERE(wg_cross_entropy_call(WG_ARGS(wg_cross_entropy_args, __VA_ARGS__)))
#define wg_linear_cross_entropy(...)                                                               \
    WG_HERE(wg_linear_cross_entropy_call(WG_ARGS(wg_linear_cross_entropy_args, __VA_ARGS__)))
#define wg_nll_loss(...) WG_HERE(wg_nll_loss_call(WG_ARGS(wg_nll_loss_args, __VA_ARGS__)))
#define wg_mse_loss(...) WG_HERE(wg_mse_loss_call(WG_ARGS(wg_mse_loss_args, __VA_ARGS__)))
#define wg_l1_loss(...) WG_HERE(wg_l1_loss_call(WG_ARGS(wg_l1_loss_args, __VA_ARGS__)))
#define wg_huber_loss(...) WG_HERE(wg_huber_loss_call(WG_ARGS(wg_huber_loss_args, __VA_ARGS__)))
#define wg_bce_with_logits(...)                                                                    \
    WG_HERE(wg_bce_with_logits_call(WG_ARGS(wg_bce_with_logits_args, __VA_ARGS__)))
#define wg_kl_div(...) WG_HERE(wg_kl_div_call(WG_ARGS(wg_kl_div_args, __VA_ARGS__)))
#define wg_layer_norm(...) WG_HERE(wg_layer_norm_call(WG_ARGS(wg_layer_norm_args, __VA_ARGS__)))
#define wg_rms_norm(...) WG_HERE(wg_rms_norm_call(WG_ARGS(wg_rms_norm_args, __VA_ARGS__)))
#define wg_add_layer_norm(...)                                                                     \
    WG_HERE(wg_add_layer_norm_call(WG_ARGS(wg_add_layer_norm_args, __VA_ARGS__)))
#define wg_add_rms_norm(...)                                                                       \
    WG_HERE(wg_add_rms_norm_call(WG_ARGS(wg_add_rms_norm_args, __VA_ARGS__)))
#define wg_group_norm(...) WG_HERE(wg_group_norm_call(WG_ARGS(wg_group_norm_args, __VA_ARGS__)))
#define wg_rope(...) WG_HERE(wg_rope_call(WG_ARGS(wg_rope_args, __VA_ARGS__)))
#define wg_sdpa(...) WG_HERE(wg_sdpa_call(WG_ARGS(wg_sdpa_args, __VA_ARGS__)))
#endif
