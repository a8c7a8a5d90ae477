/* A Llama from scratch on a text's bytes: RMSNorm, RoPE, SwiGLU, grouped-query attention; parameter groups, warm-up and
 * cosine, clipping; then it writes, with a key-value cache.   llama_train [TEXT [STEPS]] */
#include <stdlib.h>
#include <wengert/wengert.h>

enum { BLOCK = 64, BATCH = 8 };

/* No decay for norms; everything else decays. */
static void groups(void *self, const wg_param_ref *p, wg_group *g)
{
    (void)self;
    if (wg_ndim(p->tensor) < 2) g->weight_decay = 0;
}

static wg_status train(wg_module *model, wg_loader *data, int64_t steps)
{
    wg_optim *opt =
        wg_adamw_new(model, .lr = 3e-3, .beta2 = 0.95, .weight_decay = 0.1, .group = groups);
    wg_schedule lr = {
        .kind = WG_COSINE, .peak = 3e-3, .floor = 3e-4, .warmup = steps / 10, .total = steps
    };
    wg_status status = wg_error_code();
    for (int64_t step = 0; step < steps && status == WG_OK; step++) {
        wg_scope s = wg_scope_push();
        wg_tensor *x, *y, *loss = NULL;
        if (wg_loader_next(data, &x, &y)) {
            loss = wg_transformer_loss(model, x, y);
            wg_backward(loss);
            wg_clip_grad_norm(opt, 1.0);
            wg_optim_set_lr(opt, wg_schedule_at(&lr, step));
            wg_optim_step(opt);
            if (step % 20 == 0 || step == steps - 1)
                printf("step %4lld  loss %.4f\n", (long long)step, wg_item(loss));
        }
        status = wg_scope_pop(s);
    }
    wg_optim_free(opt);
    return status;
}

static wg_status write_some(wg_module *model, const wg_tokens *text, int64_t count)
{
    wg_scope all = wg_scope_push();
    wg_use_grad(false);
    wg_module_train(model, false);
    wg_kv_cache *cache = wg_kv_cache_new(BLOCK);
    int64_t id = wg_tokens_at(text, 0);
    for (int64_t n = 0; n < count && !wg_error_code(); n++) {
        wg_scope s = wg_scope_push();
        wg_tensor *x = wg_from(&id, sizeof id, WG_I64, WG_DIMS(1, 1));
        wg_tensor *logits = wg_select(wg_transformer_step(model, x, &(wg_step) { .cache = cache }),
                                      1, -1); /* (1, V) */
        id = wg_item_int(wg_multinomial(wg_softmax(wg_affine(logits, 1 / 0.8, 0), -1), 1));
        char letter[5];
        if (wg_tokens_decode(text, id, letter) > 0) fputs(letter, stdout);
        wg_scope_return(s, NULL); /* an error stays pending and ends the loop */
    }
    putchar('\n');
    wg_kv_cache_free(cache);
    return wg_scope_pop(all);
}

int main(int argc, char **argv)
{
    wg_seed(1337);
    wg_tokens *text = wg_tokens_text(argc > 1 ? argv[1] : __FILE__,
                                     WG_BYTES); /* by default it learns this file */
    if (!text) return wg_error_print(stderr);
    wg_loader *data = wg_loader_new(.tokens = text, .batch = BATCH, .block = BLOCK, .seed = 1);
    wg_transformer_config c = wg_llama_config(2, 4, 2, 64, 172, 256, BLOCK);
    wg_module *model = wg_transformer_new(&c);
    if (model && data) wg_module_summary(stdout, model, NULL);
    wg_status status = train(model, data, argc > 2 ? atoll(argv[2]) : 100);
    if (status == WG_OK) status = write_some(model, text, BLOCK);
    wg_module_free(model);
    wg_loader_free(data);
    wg_tokens_free(text);
    return status == WG_OK ? 0 : wg_error_print(stderr);
}
