/* Passes with a formula of their own: dropout, SwiGLU, losses of one value a place, scaling of gradients. */
#ifndef WGI_CUDA_POINTWISE_H
#define WGI_CUDA_POINTWISE_H
#include "cuda/pass.h"

typedef enum {
    WGI_POINT_DROPOUT,         /* x -> y */
    WGI_POINT_SWIGLU,          /* gate, up -> y */
    WGI_POINT_SWIGLU_BACKWARD, /* gate, up, dy -> dgate, dup (each may be absent) */
    WGI_POINT_LOSS,            /* x, target, weight, positive weight -> elements */
    WGI_POINT_LOSS_BACKWARD,   /* x, target, weight, positive weight, dy of elements -> dx */
    WGI_POINT_SCALE            /* x, in place: times min(1, a / (scalar + 1e-6)) */
} wgi_point;

typedef struct {
    wgi_pass pass;
    int kind;             /* wgi_point */
    int loss;             /* wgi_loss_kind */
    bool f64, accumulate; /* what is computed in; outputs are added to */
    bool of_target;
    double k
        [2]; /* dropout: p, 1 / (1 - p); a loss: its number, what it is divided by; scaling: the norm's limit */
    uint64_t random[2]; /* Philox key and counter */
    const void *scalar; /* on the device: the cotangent of all, the norm; NULL: none */
    int scalar_type;
} wgi_pointwise_launch;

#ifdef __cplusplus
extern "C" {
#endif
void wgi_launch_pointwise(const wgi_pointwise_launch *l, void *stream);
/* How many partial sums a pass has. */
int64_t wgi_pass_partials(const wgi_pass *p);
/* partial (wgi_pass_partials): sums of pieces of a loss's pass (operands as above), in f64 in an order fixed by its size. */
void wgi_launch_partials(const wgi_pointwise_launch *l, double *partial, void *stream);
/* out (one element of `type`) = the sum of partial (n), divided, and its root if asked. */
void wgi_launch_total(const double *partial, int64_t n, double divisor, bool root, void *out,
                      int type, void *stream);
#ifdef __cplusplus
}
#endif
#endif
