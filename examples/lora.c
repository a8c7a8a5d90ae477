/* LoRA (Hu et al. 2021, arXiv:2106.09685): wraps the Linear at each matching path of a finished model. The base's names
 * stay what they were, since the child is named "". */
#include <wengert/wengert.h>

typedef struct {
    wg_module base;
    wg_module *inner;
    wg_tensor *a, *b; /* (rank, in), (out, rank) */
    double scale;
} lora;
typedef struct {
    wg_module *inner;
    int64_t rank;
    double alpha;
} lora_config;

static void lora_init(wg_module *m, const void *config)
{
    lora *self = (lora *)m;
    const lora_config *c = config;
    wg_dims w = wg_shape(wg_module_tensor(c->inner, "weight")); /* (out, in) */
    self->scale = c->alpha / (double)c->rank;
    wg_param(m, "lora_A.weight", &self->a, wg_affine(wg_randn(WG_DIMS(c->rank, w.d[1])), 0.02, 0));
    wg_param(m, "lora_B.weight", &self->b, wg_zeros(WG_DIMS(w.d[0], c->rank)));
    wg_child(m, "", &self->inner, c->inner);
    wg_module_freeze(c->inner, true);
}

static wg_tensor *lora_forward(wg_module *m, wg_tensor *x)
{
    lora *self = (lora *)m;
    wg_tensor *d = wg_linear(wg_linear(x, self->a, NULL), self->b, NULL);
    return wg_add(wg_forward(self->inner, x), wg_affine(d, self->scale, 0));
}
static const wg_module_type lora_type = {
    .name = "lora", .size = sizeof(lora), .init = lora_init, .forward = lora_forward
};

static int lora_wrap(wg_module *model, const char *pattern, int64_t rank, double alpha)
{
    int wrapped = 0;
    wg_scope s = wg_scope_push();
    wg_module_freeze(model, true);
    wg_modules all = wg_module_all(model);
    for (int64_t i = 0; i < all.n; i++)
        if (wg_module_is(all.m[i].module, &wg_linear_type) && wg_match(pattern, all.m[i].name)) {
            wg_module *old = wg_module_swap(model, all.m[i].name, NULL);
            wg_module_swap(model, all.m[i].name,
                           wg_module_new(&lora_type, &(lora_config) { old, rank, alpha }));
            wrapped++;
        }
    wg_scope_return(s, NULL);
    return wrapped;
}

static int64_t trainable(wg_module *m)
{
    wg_scope s = wg_scope_push();
    wg_params p = wg_module_params(m);
    int64_t n = 0;
    for (int64_t i = 0; i < p.n; i++)
        n += wg_requires_grad(p.p[i].tensor) ? wg_numel(p.p[i].tensor) : 0;
    wg_scope_return(s, NULL);
    return n;
}

int main(void)
{
    wg_seed(5);
    wg_scope all = wg_scope_push();
    wg_transformer_config c = wg_gpt2_config(2, 2, 32, 50, 16);
    wg_module *model = wg_transformer_new(&c);
    printf("%lld trainable parameters", (long long)trainable(model));
    int wrapped = lora_wrap(model, "transformer.h.*.attn.*", 4, 8);
    printf(", %lld in %d adapters\n", (long long)trainable(model), wrapped);
    wg_optim *opt = wg_adamw_new(model, .lr = 1e-2); /* skips what requires no gradient */
    wg_tensor *x = wg_randint(0, 50, WG_DIMS(4, 16)), *y = wg_randint(0, 50, WG_DIMS(4, 16));
    double first = 0, last = 0;
    for (int step = 0; step < 40; step++) {
        wg_scope s = wg_scope_push();
        wg_tensor *loss = wg_transformer_loss(model, x, y);
        wg_backward(loss);
        wg_optim_step(opt);
        last = wg_item(loss);
        if (step == 0) first = last;
        if (wg_scope_pop(s) != WG_OK) return wg_error_print(stderr);
    }
    printf("loss %.4f -> %.4f\n", first, last);
    wg_optim_free(opt);
    wg_module_free(model);
    if (wg_scope_pop(all) != WG_OK) return wg_error_print(stderr);
    return wrapped == 4 && last < first ? 0 : 1;
}
