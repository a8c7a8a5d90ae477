/* GPT-2 and Llama against PyTorch: logits, loss, every gradient, 20 steps of AdamW. The files'
 * __metadata__ says how they were made: nanoGPT with the erf GELU; llama2.c; tied embeddings;
 * learning rate, decay and clipping as in train() below. */
#include "nn_check.h"

typedef struct {
    const char *file;
    wg_transformer_config config;
} reference;

static reference gpt2(void)
{
    reference r = { "gpt2_reference.safetensors", wg_gpt2_config(3, 4, 64, 97, 32) };
    r.config.activation = WG_ACT_GELU;
    return r;
}

static reference llama(void)
{
    reference r = { "llama_reference.safetensors", wg_llama_config(5, 8, 4, 64, 172, 512, 512) };
    r.config.names = WG_NAMES_META_LLAMA;
    r.config.rope_adjacent = true;
    r.config.untied = false;
    return r;
}

/* NULL, with a line that says so, where there is no data. */
static wg_safetensors *open_reference(const reference *r)
{
    const char *data = getenv("WENGERT_TEST_DATA");
    const char *const places[][2] = { { data, "reference" },
                                      { data, "../reference" },
                                      { data, "." },
                                      { WG_SOURCE_ROOT, "../shared/reference" } };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char path[1024];
        if (!places[i][0]) continue;
        snprintf(path, sizeof path, "%s/%s/%s", places[i][0], places[i][1], r->file);
        if (access(path, R_OK) == 0) return wg_safetensors_open(path);
    }
    printf("skipped: no data (%s)\n", r->file);
    return NULL;
}

static wg_tensor *get(wg_safetensors *f, const char *prefix, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s%s", prefix, name);
    wg_tensor *t = wg_safetensors_get(f, path);
    ck_assert_msg(t != NULL, "the file lacks %s", path);
    return t;
}

static wg_module *make(const reference *r, wg_safetensors *f, wg_dtype t)
{
    wg_scope s = wg_scope_push();
    wg_use_dtype(t);
    wg_module *m = wg_transformer_new(&r->config);
    expect_no_error();
    wg_use_grad(false);
    wg_params ps = wg_module_params(m);
    int64_t init = 0;
    for (int64_t i = 0; i < wg_safetensors_count(f); i++)
        init += strncmp(wg_safetensors_name(f, i), "init.", 5) == 0;
    ck_assert_int_eq(ps.n, init);
    for (int64_t i = 0; i < ps.n; i++)
        ck_assert_int_eq(wg_assign(ps.p[i].tensor, get(f, "init.", ps.p[i].name)), WG_OK);
    pop(s);
    return m;
}

/* Batch 0. The file's own numbers are f32's: f64 comes closer to them as far
 * as their rounding allows. */
static void compare(reference r, wg_dtype t, double logits, double loss, double gradient)
{
    wg_scope s = begin();
    wg_safetensors *f = open_reference(&r);
    if (f) {
        wg_module *m = make(&r, f, t);
        wg_tensor *x = wg_select(get(f, "", "x"), 0, 0), *y = wg_select(get(f, "", "y"), 0, 0);
        double far = distance(wg_forward(m, x), get(f, "", "logits"));
        printf("%s %s: logits %.2g", r.file, wg_dtype_name(t), far);
        ck_assert_msg(far < logits, "logits: %g", far);
        wg_tensor *l = wg_transformer_loss(m, x, y);
        far = distance(wg_reshape(l, WG_DIMS(1)), get(f, "", "loss"));
        printf(", loss %.2g", far);
        ck_assert_msg(far < loss, "loss: %g", far);
        wg_backward(l);
        expect_no_error();
        wg_params ps = wg_module_params(m);
        double most = 0;
        for (int64_t i = 0; i < ps.n; i++) {
            far = distance(wg_grad_of(ps.p[i].tensor), get(f, "grad.", ps.p[i].name));
            if (far > most) most = far;
            ck_assert_msg(far < gradient, "%s: %g", ps.p[i].name, far);
        }
        printf(", gradients %.2g\n", most);
        wg_module_free(m);
        wg_safetensors_close(f);
    }
    pop(s);
}

START_TEST(gpt2_in_f32)
{
    compare(gpt2(), WG_F32, 2e-5, 1e-5, 1e-5);
}
END_TEST
START_TEST(gpt2_in_f64)
{
    compare(gpt2(), WG_F64, 2e-6, 1e-6, 1e-6);
}
END_TEST
START_TEST(llama_in_f32)
{
    compare(llama(), WG_F32, 2e-5, 1e-5, 1e-5);
}
END_TEST
START_TEST(llama_in_f64)
{
    compare(llama(), WG_F64, 2e-6, 1e-6, 4e-6);
}
END_TEST

static void decay_matrices(void *self, const wg_param_ref *p, wg_group *g)
{
    (void)self;
    if (wg_ndim(p->tensor) < 2) g->weight_decay = 0;
}

static void train(reference r)
{
    wg_scope s = begin();
    wg_safetensors *f = open_reference(&r);
    if (f) {
        wg_module *m = make(&r, f, WG_F32);
        wg_optim *opt = wg_adamw_new(m, .lr = 1e-3, .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8,
                                     .weight_decay = 0.1, .group = decay_matrices);
        expect_no_error();
        wg_tensor *xs = get(f, "", "x"), *ys = get(f, "", "y");
        double losses[20], norms[20];
        ck_assert_int_eq(wg_read(get(f, "", "train.losses"), losses, sizeof losses, WG_F64), WG_OK);
        ck_assert_int_eq(wg_read(get(f, "", "train.grad_norms"), norms, sizeof norms, WG_F64),
                         WG_OK);
        for (int step = 0; step < 20; step++) {
            wg_scope inner = wg_scope_push();
            wg_tensor *loss =
                wg_transformer_loss(m, wg_select(xs, 0, step), wg_select(ys, 0, step));
            wg_backward(loss);
            double norm = wg_item(wg_clip_grad_norm(opt, 1.0)), l = wg_item(loss);
            wg_optim_set_lr(opt, 1e-3 * 0.5 * (1 + cos(acos(-1) * step / 20)));
            wg_optim_step(opt);
            expect_no_error();
            ck_assert_msg(fabs(l - losses[step]) < 1e-4, "step %d: loss %.7f, want %.7f", step, l,
                          losses[step]);
            ck_assert_msg(fabs(norm / norms[step] - 1) < 1e-3, "step %d: norm %g, want %g", step,
                          norm, norms[step]);
            pop(inner);
        }
        wg_params ps = wg_module_params(m);
        double most = 0;
        for (int64_t i = 0; i < ps.n; i++) {
            double far = distance(ps.p[i].tensor, get(f, "final.", ps.p[i].name));
            if (far > most) most = far;
            /* Adam makes a whole step of a gradient near zero, of either sign */
            ck_assert_msg(far < 5e-3, "%s after 20 steps: %g", ps.p[i].name, far);
        }
        printf("%s: 20 steps, parameters %.2g\n", r.file, most);
        wg_optim_free(opt);
        wg_module_free(m);
        wg_safetensors_close(f);
    }
    pop(s);
}

START_TEST(gpt2_trains_as_pytorch_does)
{
    train(gpt2());
}
END_TEST
START_TEST(llama_trains_as_pytorch_does)
{
    train(llama());
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        gpt2_in_f32,
        gpt2_in_f64,
        llama_in_f32,
        llama_in_f64,
        gpt2_trains_as_pytorch_does,
        llama_trains_as_pytorch_does,
        NULL,
    };
    return suite_run("reference", tests);
}
