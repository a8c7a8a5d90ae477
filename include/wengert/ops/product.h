/* Sums of products. */
#ifndef WENGERT_OPS_PRODUCT_H
#define WENGERT_OPS_PRODUCT_H
#include "../base.h"
#ifdef __cplusplus
extern "C" {
#endif

WG_API wg_tensor *wg_matmul(wg_tensor *x, wg_tensor *y);
WG_API wg_tensor *wg_linear(wg_tensor *x, wg_tensor *w, wg_tensor *bias);
WG_API wg_tensor *wg_outer(wg_tensor *x, wg_tensor *y);
WG_API wg_tensor *wg_einsum(const char *formula, wg_list x);
typedef struct {
    wg_tensor *x, *w, *bias;
    int64_t stride, padding, dilation, groups;
    bool causal;
    char end;
} wg_conv1d_args;
WG_API wg_tensor *wg_conv1d_call(wg_conv1d_args a);


#ifdef __cplusplus
}
#endif
#define wg_matmul(...) WG_HERE(wg_matmul(__VA_ARGS__))
#define wg_linear(...) WG_HERE(wg_linear(__VA_ARGS__))
#define wg_outer(...) WG_HERE(wg_outer(__VA_ARGS__))
#define wg_einsum(...) WG_HERE(wg_einsum(__VA_ARGS__))
#define wg_conv1d(...) WG_HERE(wg_conv1d_call(WG_ARGS(wg_conv1d_args, __VA_ARGS__)))
#endif
