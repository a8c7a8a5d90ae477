/* Sums of products. Any dtype but bool, promoted; 16-bit operands are summed in f32 and rounded
 * once; the bits do not depend on the number of threads. Gradients exist to every order. */
#ifndef WENGERT_OPS_PRODUCT_H
#define WENGERT_OPS_PRODUCT_H
#include "../base.h"
#ifdef __cplusplus
extern "C" {
#endif

/** z[.., i, j] = sum_p x[.., i, p] y[.., p, j]. x: (.., m, k) or (k), y: (.., k, n) or (k); leading
 * axes broadcast, and the axis that a 1-d operand lacks is not in z. dx = dz y^T, dy = x^T dz.
 * Under autocast in 16 bits.
 * WG_ESHAPE: 0-d, inner sizes differ, leading axes do not broadcast. WG_EDTYPE: bool. */
WG_API wg_tensor *wg_matmul(wg_tensor *x, wg_tensor *y);
/** y = x w^T + bias. x: (.., in), w: (out, in), bias: (out) or NULL -> (.., out). Under autocast in
 * 16 bits. WG_ESHAPE, WG_EDTYPE.
 * w in blocks (q4_0, ...): x is floating and y has its dtype; w is frozen, dx = dy w of the
 * dequantised weights. Up to 32 rows of x in f32 or 16 bits (decoding) are themselves brought to 8
 * bits, a scale for 32 of them, where w is q4_0, q8_0, q4_k, q5_k or q6_k: a sum then misses at most
 * the sum of |w| max|x| / 254 over every 32; more rows, f64 and the other types meet the dequantised
 * weights. So a row's result depends on how many there are through that threshold alone (another
 * type's last bits through one of 4 rows), and on the number of threads never. On CUDA x stays a float:
 * up to 8 rows meet f32 weights in f32, more rows of 16 bits weights rounded to their dtype. */
WG_API wg_tensor *wg_linear(wg_tensor *x, wg_tensor *w, wg_tensor *bias);
/** y = act(x w^T + bias) in one op: wg_linear and the activation after it, the same bits on the CPU and, on CUDA, a result
 * that may miss one rounding between the two. Shapes, dtypes, blocks and errors as in wg_linear, and WG_EDTYPE if no operand
 * is floating, WG_EARG for another activation. The gradient, of every order, reads h = x w^T + bias, which is kept beside y
 * (where wg_relu after wg_linear would keep y alone). */
WG_API wg_tensor *wg_linear_act(wg_tensor *x, wg_tensor *w, wg_tensor *bias, wg_activation act);
/** y = r + x w^T + bias: a layer's outputs and what goes around it. x, w, bias as in wg_linear, but floating; r: (.., out)
 * floating -> y: r's shape, the operands' promoted dtype, rounded once where operands are contiguous. On CUDA in one product.
 * Gradient: as wg_linear's, dr = dy. With w in blocks, and under autocast where r is not of its dtype, by wg_linear and
 * wg_add. Errors: WG_ESHAPE, WG_EDTYPE. */
WG_API wg_tensor *wg_linear_add(wg_tensor *x, wg_tensor *w, wg_tensor *bias, wg_tensor *r);
/** z[i, j] = x[i] y[j]. x: (m), y: (n). WG_ESHAPE unless both are 1-d. */
WG_API wg_tensor *wg_outer(wg_tensor *x, wg_tensor *y);
/** The sum of products that letters name: "bqhd,bkhd->bhqk". Without `->` the output has the
 * letters that occur once, in order of the alphabet. `...` stands for any axes, which broadcast; a
 * letter twice in one operand means its diagonal. Operands are contracted from left to right.
 * WG_EARG with the reason for a formula that cannot be read, WG_ESHAPE for sizes. */
WG_API wg_tensor *wg_einsum(const char *formula, wg_list x);
typedef struct {
    wg_tensor *x, *w, *bias;
    int64_t stride, padding, dilation, groups; /**< [1, 0, 1, 1]; padding: zeros at both ends */
    bool causal; /**< dilation (K - 1) zeros in front instead: y[t] sees only x[.. t] */
    char end;
} wg_conv1d_args;
/** y[b, o, t] = bias[o] + sum over c, k of w[o, c, k] x[b, g C + c, t stride + k dilation -
 * padding], g being o's group and C = Cin / groups. x: (B, Cin, T), w: (Cout, C, K), bias: (Cout)
 * or NULL -> (B, Cout, (T + 2 padding - dilation (K - 1) - 1) / stride + 1). Floating dtypes.
 * WG_ESHAPE, WG_EARG, WG_EDTYPE. */
WG_API wg_tensor *wg_conv1d_call(wg_conv1d_args a);

#ifdef __cplusplus
}
#endif
#define wg_matmul(...) WG_HERE(wg_matmul(__VA_ARGS__))
#define wg_linear(...) WG_HERE(wg_linear(__VA_ARGS__))
#define wg_linear_act(...) WG_HERE(wg_linear_act(__VA_ARGS__))
#define wg_linear_add(...) WG_HERE(wg_linear_add(__VA_ARGS__))
#define wg_outer(...) WG_HERE(wg_outer(__VA_ARGS__))
#define wg_einsum(...) WG_HERE(wg_einsum(__VA_ARGS__))
#define wg_conv1d(...) WG_HERE(wg_conv1d_call(WG_ARGS(wg_conv1d_args, __VA_ARGS__)))
#endif
