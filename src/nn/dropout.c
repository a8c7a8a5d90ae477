/* Dropout as a module: on while training. */
#include "wengert/error.h"
#include "wengert/nn.h"
#include "wengert/ops.h"

#include "nn/parts.h"

typedef struct {
    wg_module base;
    double p;
} dropout;

static void dropout_init(wg_module *m, const void *config)
{
    if (!wgi_has_config(m, config)) return;
    const double p = *(const double *)config;
    if (!(p >= 0 && p <= 1)) wg_raise(WG_EARG, "dropout: p = %g is not in [0, 1]", p);
    ((dropout *)m)->p = p;
}

static wg_tensor *dropout_forward(wg_module *m, wg_tensor *x)
{
    return wg_dropout(x, ((dropout *)m)->p, m->training);
}

const wg_module_type wg_dropout_type = {
    .name = "dropout", .size = sizeof(dropout), .init = dropout_init, .forward = dropout_forward
};

wg_module *wg_dropout_new(double p)
{
    return wg_module_new(&wg_dropout_type, &p);
}
