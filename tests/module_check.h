/* What the tests of modules share: a small model of one's own. */
#ifndef MODULE_CHECK_H
#define MODULE_CHECK_H
#include "nn_check.h"

typedef struct {
    wg_module base;
    wg_module *first, *second;
    wg_tensor *gain, *count;
    double p;
} mixer;

static inline void mixer_init(wg_module *m, const void *config)
{
    mixer *self = (mixer *)m;
    const int64_t width = *(const int64_t *)config;
    self->p = 0.3;
    wg_param(m, "gain", &self->gain, wg_ones(WG_DIMS(width)));
    wg_buffer(m, "count", &self->count, wg_zeros(WG_DIMS(1)));
    wg_child(m, "net.first", &self->first, wg_linear_new(width, width));
    wg_child(m, "net.second", &self->second, wg_linear_new(width, width, .no_bias = true));
}

static inline wg_tensor *mixer_forward(wg_module *m, wg_tensor *x)
{
    mixer *self = (mixer *)m;
    wg_tensor *h = wg_dropout(wg_silu(wg_forward(self->first, x)), self->p, m->training);
    return wg_mul(wg_forward(self->second, h), self->gain);
}

static const wg_module_type mixer_type = {
    .name = "mixer", .size = sizeof(mixer), .init = mixer_init, .forward = mixer_forward
};

static inline wg_module *mixer_new(int64_t width)
{
    return wg_module_new(&mixer_type, &width);
}

/* Two mixers in a list, and a transparent one. */
typedef struct {
    wg_module base;
    wg_module *h, *inner;
} tower;

static inline void tower_init(wg_module *m, const void *config)
{
    tower *self = (tower *)m;
    const int64_t width = *(const int64_t *)config;
    wg_child(m, "h", &self->h, wg_module_list_new());
    for (int i = 0; i < 2; i++) wg_module_list_add(self->h, mixer_new(width));
    wg_child(m, "", &self->inner, mixer_new(width));
}

static inline wg_tensor *tower_forward(wg_module *m, wg_tensor *x)
{
    tower *self = (tower *)m;
    for (int i = 0; i < 2; i++) x = wg_forward(wg_module_list_at(self->h, i), x);
    return wg_forward(self->inner, x);
}

static const wg_module_type tower_type = {
    .name = "tower", .size = sizeof(tower), .init = tower_init, .forward = tower_forward
};

static inline wg_module *tower_new(int64_t width)
{
    return wg_module_new(&tower_type, &width);
}
#endif
