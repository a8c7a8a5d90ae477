/* A top-2 mixture of experts with a balance loss (Shazeer et al. 2017, arXiv:1701.06538; Fedus et al. 2021,
 * arXiv:2101.03961): topk, a stable sort, shapes that depend on data, two results; and the gradient check of a module. */
#include <stdlib.h>

#include <wengert/wengert.h>

typedef struct {
    int64_t width, hidden, experts, k;
} moe_config;
typedef struct {
    wg_module base;
    moe_config c;
    wg_module *gate, *experts;
} moe;

static void moe_init(wg_module *m, const void *config)
{
    moe *self = (moe *)m;
    self->c = *(const moe_config *)config;
    const moe_config *c = &self->c;
    if (c->k > c->experts) {
        wg_raise(WG_EARG, "moe: k = %d of %d experts", (int)c->k, (int)c->experts);
        return;
    }
    wg_transformer_config expert = {
        .width = c->width, .hidden = c->hidden, .activation = WG_ACT_SILU, .no_bias = true
    };
    wg_child(m, "gate", &self->gate, wg_linear_new(c->width, c->experts, .no_bias = true));
    wg_child(m, "experts", &self->experts, wg_module_list_new());
    for (int64_t e = 0; e < c->experts; e++)
        wg_module_list_add(self->experts, wg_gated_mlp_new(&expert));
}

/* How many of the assignments go to each expert, read back to the host. NULL: an error is pending. */
static int64_t *counts_of(wg_tensor *counts, int64_t experts)
{
    int64_t *n = calloc((size_t)experts, sizeof *n);
    if (n && wg_read(counts, n, (size_t)experts * sizeof *n, WG_I64) == WG_OK) return n;
    if (!n) wg_raise(WG_EMEM, "moe: out of memory");
    free(n);
    return NULL;
}

/* x: (B, T, C) -> y: (B, T, C), *balance: () */
static wg_tensor *moe_forward(wg_module *m, wg_tensor *x, wg_tensor **balance)
{
    moe *self = (moe *)m;
    wg_scope s = wg_module_enter(m);
    const int64_t C = wg_size(x, -1), E = self->c.experts, K = self->c.k, N = wg_numel(x) / C;
    wg_tensor *flat = wg_reshape(x, WG_DIMS(N, C)), *which, *order;
    wg_tensor *p = wg_softmax(wg_forward(self->gate, flat), -1); /* (N, E) */
    wg_tensor *w = wg_topk(p, K, -1, &which);                    /* (N, K), (N, K) i64 */
    w = wg_div(w, wg_sum(w, WG_DIMS(-1), WG_KEEPDIM));
    wg_tensor *sorted =
        wg_sort(wg_reshape(which, WG_DIMS(-1)), 0, false, &order); /* (N*K): by expert, stable */
    wg_tensor *counts = wg_sum(wg_one_hot(sorted, E), WG_DIMS(0), false); /* (E) i64 */
    wg_tensor *token = wg_floor_divide(order, wg_scalar((double)K)); /* assignment -> its token */
    wg_tensor *weight = wg_index_select(wg_reshape(w, WG_DIMS(-1, 1)), 0, order); /* (N*K, 1) */
    wg_tensor *y = wg_zeros(WG_DIMS(N, C));
    int64_t *n = counts_of(counts, E);
    for (int64_t e = 0, at = 0; n && e < E; at += n[e++]) {
        if (!n[e]) continue;
        wg_tensor *rows = wg_narrow(token, 0, at, n[e]);
        wg_tensor *h =
            wg_forward(wg_module_list_at(self->experts, e), wg_index_select(flat, 0, rows));
        y = wg_index_add(y, 0, rows, wg_mul(h, wg_narrow(weight, 0, at, n[e])));
    }
    free(n);
    wg_tensor *share = wg_mean(p, WG_DIMS(0), false),
              *load = wg_affine(wg_cast(counts, wg_dtype_of(p)), 1.0 / (double)(N * K), 0);
    *balance =
        wg_scope_keep(s, wg_affine(wg_sum(wg_mul(share, load), WG_ALL, false), (double)E, 0));
    return wg_scope_return(s, wg_reshape(y, wg_shape(x)));
}

/* As an ordinary forward, so that wg_forward and the checkers can call it. */
static wg_tensor *moe_output(wg_module *m, wg_tensor *x)
{
    wg_tensor *balance;
    wg_tensor *y = moe_forward(m, x, &balance);
    return wg_add(y, balance);
}
static const wg_module_type moe_type = {
    .name = "moe", .size = sizeof(moe), .init = moe_init, .forward = moe_output
};

/* A function with captured state; the captured tensor is a constant to it. */
typedef struct {
    wg_tensor *target;
    double smoothing;
} capture;
static void soft_loss(void *p, wg_list in, wg_list out)
{
    capture *c = p;
    out.t[0] =
        wg_cross_entropy(wg_matmul(in.t[0], in.t[1]), c->target, .label_smoothing = c->smoothing);
}

int main(void)
{
    wg_seed(2);
    wg_scope s = wg_scope_push();
    wg_use_dtype(WG_F64); /* everything made below, parameters too */
    int64_t labels[] = { 1, 0, 2 };
    capture c = { wg_from(labels, sizeof labels, WG_I64, WG_DIMS(3)), 0.1 };
    wg_tensor *x = wg_randn(WG_DIMS(3, 4)), *w = wg_randn(WG_DIMS(4, 5));
    if (wg_gradcheck(soft_loss, &c, WG_LIST(x, w), &(wg_check) { .report = stderr }) == WG_OK)
        printf("the loss is right\n");

    wg_module *m = wg_module_new(&moe_type, &(moe_config) { 8, 16, 4, 2 });
    if (wg_module_gradcheck(m, wg_randn(WG_DIMS(2, 3, 8)), stderr) == WG_OK)
        printf("the mixture of experts is right\n");
    wg_module_free(m);
    wg_module *wrong = wg_module_new(
        &moe_type, &(moe_config) { 8, 16, 4, 5 }); /* k beyond the experts: NULL, all freed */
    printf("caught: %s\n", wrong ? "nothing" : wg_error_get()->message);
    wg_error_clear();
    return wg_scope_pop(s) == WG_OK ? 0 : wg_error_print(stderr);
}
