/* Embedding: rows of a table by index. */
#include "wengert/nn.h"
#include "wengert/ops.h"

#include "nn/parts.h"

typedef struct {
    wg_module base;
    wg_tensor *weight; /* (n, width) */
} embedding;

typedef struct {
    int64_t n, width;
} embedding_config;

static void embedding_init(wg_module *m, const void *config)
{
    embedding *self = (embedding *)m;
    const embedding_config *c = config;
    if (!wgi_has_config(m, config) || !wgi_positive(m, "n", c->n) ||
        !wgi_positive(m, "width", c->width))
        return;
    wg_param(m, "weight", &self->weight, wg_randn(WG_DIMS(c->n, c->width)));
}

static wg_tensor *embedding_forward(wg_module *m, wg_tensor *i) /* (...) i64 -> (..., width) */
{
    return wg_embedding(((embedding *)m)->weight, i);
}

const wg_module_type wg_embedding_type = { .name = "embedding",
                                           .size = sizeof(embedding),
                                           .init = embedding_init,
                                           .forward = embedding_forward };

wg_module *wg_embedding_new(int64_t n, int64_t width)
{
    return wg_module_new(&wg_embedding_type, &(embedding_config) { n, width });
}
