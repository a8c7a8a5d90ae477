/* What the tests of models' files share. */
#ifndef WENGERT_TESTS_MODEL_SAMPLE_H
#define WENGERT_TESTS_MODEL_SAMPLE_H
#include <math.h>

#include "data_file.h"
#include "suite.h"

enum { IDS = 9 };
static const int64_t some_ids[IDS] = { 1, 5, 0, 12, 12, 3, 18, 7, 2 };

/* (T, V) f32, to be freed. */
static inline float *logits_of(wg_module *m, const int64_t *ids, int64_t T, int64_t *n)
{
    const wg_scope s = wg_scope_push();
    wg_use_grad(false);
    wg_tensor *y = wg_forward(m, wg_from(ids, (size_t)T * sizeof *ids, WG_I64, WG_DIMS(1, T)));
    expect_no_error();
    *n = wg_numel(y);
    float *out = malloc((size_t)*n * sizeof *out);
    ck_assert_int_eq(wg_read(y, out, (size_t)*n * sizeof *out, WG_F32), WG_OK);
    pop(s);
    return out;
}

/* The largest difference of the logits over the largest of b's; 0: the same bits. */
static inline double apart(wg_module *a, wg_module *b)
{
    int64_t n, k;
    float *x = logits_of(a, some_ids, IDS, &n), *y = logits_of(b, some_ids, IDS, &k);
    double most = 0, largest = 0;
    ck_assert_int_eq(n, k);
    for (int64_t i = 0; i < n; i++) {
        most = fmax(most, fabs((double)x[i] - y[i]));
        largest = fmax(largest, fabs((double)y[i]));
    }
    free(x);
    free(y);
    ck_assert(largest > 0);
    return most / largest;
}

/* A transformer of c whose every parameter is random: norms and biases too. */
static inline wg_module *random_transformer(const wg_transformer_config *c)
{
    const wg_scope s = wg_scope_push();
    wg_seed(7);
    wg_use_grad(false);
    wg_module *m = wg_transformer_new(c);
    expect_no_error();
    const wg_params p = wg_module_params(m);
    for (int64_t i = 0; i < p.n; i++) {
        const bool vector = wg_ndim(p.p[i].tensor) == 1;
        wg_tensor *r = wg_affine(wg_randn(wg_shape(p.p[i].tensor)), vector ? 0.3 : 0.2,
                                 vector && wg_match("*norm*", p.p[i].name) ? 1 : 0);
        ck_assert_int_eq(wg_assign(p.p[i].tensor, r), WG_OK);
    }
    wg_module_train(m, false);
    pop(s);
    return m;
}

static inline wg_transformer_config small_gpt2(void)
{
    return wg_gpt2_config(2, 4, 32, 19, 24);
}

static inline wg_transformer_config small_llama(void)
{
    return wg_llama_config(2, 4, 2, 32, 44, 19, 24);
}
#endif
