/* Optimizers' numbers, for the CPU and CUDA alike. */
#ifndef WGI_CPU_UPDATE_RULE_H
#define WGI_CPU_UPDATE_RULE_H
#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#ifndef WGI_DEVICE
#define WGI_DEVICE static inline
#endif

typedef enum {
    WGI_RULE_ADAM,         /* p, g, m, v */
    WGI_RULE_SGD,          /* p, g */
    WGI_RULE_SGD_MOMENTUM, /* p, g, m */
    WGI_RULE_LION,         /* p, g, m */
    WGI_RULES
} wgi_rule_kind;

/* What all parameters have in common. */
typedef struct {
    int kind; /* wgi_rule_kind */
    double beta1, beta2, eps, momentum, dampening;
    bool nesterov;
    bool decoupled; /* decay p itself, not through the gradient */
    bool scaled;    /* the factor undoes a loss scale: see src/ops/update.h */
} wgi_update_rule;

/* What one parameter's step has. */
typedef struct {
    double keep;  /* 1 - lr * decay, what decoupled decay leaves of p */
    double decay; /* of L2 decay: added to g */
    double rate;  /* lr; Adam: lr / (1 - beta1^t) */
    double
        part; /* Adam: 1 / sqrt(1 - beta2^t); SGD: what of d goes into m, 1 - dampening, 1 at first */
} wgi_update_numbers;

/* The numbers that depend on the step t, 1 at the first. */
WGI_DEVICE void wgi_update_at(const wgi_update_rule *r, double lr, int64_t t, double *rate,
                              double *part)
{
    *rate = lr;
    *part = t == 1 ? 1 : 1 - r->dampening;
    if (r->kind != WGI_RULE_ADAM) return;
    *rate = lr / (1 - pow(r->beta1, (double)t));
    *part = 1 / sqrt(1 - pow(r->beta2, (double)t));
}

/* What gradients are multiplied by, of a norm that was taken of gradients times `scale`:
 * min(1, most / (norm / scale + 1e-6)) / scale. Where they were scaled, NaN if the norm is not finite. */
WGI_DEVICE double wgi_clip_factor(double norm, double most, double scale, bool scaled)
{
    if (scaled && !(norm - norm == 0)) return (double)NAN;
    const double f = most / (norm / scale + 1e-6);
    return (f > 1 ? 1 : f) / scale;
}

/* How a loss scale moves. */
typedef struct {
    double growth, backoff;
    int64_t interval; /* good steps until it grows */
} wgi_loss_scale_rule;

/* The scale after a step whose gradients had this norm, and the good steps since it last changed. Returns whether the step
 * was none. */
WGI_DEVICE bool wgi_loss_scale_next(const wgi_loss_scale_rule *r, double norm, double *scale,
                                    int64_t *good)
{
    if (!(norm - norm == 0)) {
        *scale *= r->backoff;
        *good = 0;
        return true;
    }
    if (++*good < r->interval) return false;
    const double larger = *scale * r->growth;
    if (larger <= 3.4028234663852886e38) *scale = larger; /* f32's largest */
    *good = 0;
    return false;
}
#endif
