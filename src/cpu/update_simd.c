/* Optimizers' passes; compiled once per level. */
#include "cpu/update.h"
#include "cpu/vec.h"

/* Elements of a vector of doubles. */
static inline wgi_vd widened_f32(const float *p)
{
    typedef float narrow __attribute__((vector_size(WGI_VBYTES / 2)));
    narrow x;
    memcpy(&x, p, sizeof x);
    return __builtin_convertvector(x, wgi_vd);
}

static inline wgi_vd widened_f64(const double *p)
{
    return wgi_vd_load(p);
}

#include "cpu/as_f32.h"
#include "cpu/update.inc.h"
#include "cpu/as_end.h"
#include "cpu/as_f64.h"
#include "cpu/update.inc.h"
#include "cpu/as_end.h"

const wgi_update_kernels WGI_AT_LEVEL(wgi_update_kernels) = {
    .update = { [WGI_RULE_ADAM] = { adam_f32, adam_f64 },
                [WGI_RULE_SGD] = { sgd_f32, sgd_f64 },
                [WGI_RULE_SGD_MOMENTUM] = { sgd_momentum_f32, sgd_momentum_f64 },
                [WGI_RULE_LION] = { lion_f32, lion_f64 } },
    .squares = { squares_f32, squares_f64 },
    .scale = { scale_f32, scale_f64 },
};
