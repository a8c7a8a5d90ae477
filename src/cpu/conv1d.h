/* One-dimensional convolution: y[b, o, t] = sum over c, k of w[o, c, k] x[b, g C + c, t stride + k
 * dilation - left]. */
#ifndef WGI_CPU_CONV1D_H
#define WGI_CPU_CONV1D_H
#include "cpu/gemm.h"
#include "tensor/internal.h"
#include "wengert/op.h"

typedef struct {
    int64_t stride, left, right, dilation, groups;
    int64_t length, taps; /* T and K, where no operand tells them */
} wgi_conv1d_attr;

/* What a convolution is made of, on the CPU or on another device. */
typedef struct {
    wg_status (*product)(const wg_run *r, const wgi_gemm_args *g);
    wg_status (*zero)(const wg_run *r, const wg_tensor *t); /* any strides */
} wgi_conv1d_device;
extern const wgi_conv1d_device wgi_conv1d_on_cpu;

/* The three tensors of a convolution, whichever of them is being made: x (B, Cin, T), w (Cout, Cin
 * / groups, K), y (B, Cout, T'). */
typedef struct {
    const wgi_conv1d_attr *a;
    const wg_tensor *x, *w, *y;
    const wgi_conv1d_device *device;
    const wg_run *run;
} wgi_conv1d;

/* Add to y, to x (the gradient by y's cotangent) and to w (likewise), in f32 or wider. */
wg_status wgi_conv1d_add_forward(const wgi_conv1d *v);
wg_status wgi_conv1d_add_input(const wgi_conv1d *v);
wg_status wgi_conv1d_add_weight(const wgi_conv1d *v);

/* Runs add(v) on the kernel's output, zeroed unless it accumulates; `made` is its place in v. A
 * 16-bit one is summed in f32 beside it and rounded once. */
wg_status wgi_conv1d_run(const wg_run *r, wgi_conv1d *v, const wg_tensor **made,
                         wg_status (*add)(const wgi_conv1d *v));
#endif
