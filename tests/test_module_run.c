/* Running modules: paths in errors, memory, hooks, recomputation, gradient checks, the summary. */
#include "module_check.h"

START_TEST(errors_name_the_module_path)
{
    wg_scope s = begin();
    wg_module *m = tower_new(4);
    wg_forward(m, wg_ones(WG_DIMS(2, 5)));
    const wg_error *e = wg_error_get();
    ck_assert(e && e->module);
    ck_assert_str_eq(e->module, "h.0.net.first");
    fails(WG_ESHAPE, "in h.0.net.first");
    wg_forward(((tower *)m)->h, wg_ones(WG_DIMS(1)));
    fails(WG_EARG, "only a typed forward");
    wg_forward(m, NULL);
    fails(WG_EARG, "x is NULL");
    wg_forward(wg_module_at(m, "h.1"), wg_ones(WG_DIMS(2, 5))); /* the list is never entered */
    fails(WG_ESHAPE, "in h.1.net.first");
    wg_add(wg_ones(WG_DIMS(2)), wg_ones(WG_DIMS(3)));
    e = wg_error_get();
    ck_assert(e && !e->module);
    wg_error_clear();
    wg_module_free(m);
    wg_scope_return(s, NULL);
}
END_TEST

START_TEST(forward_leaves_memory_where_it_was)
{
    wg_module *m = tower_new(4);
    wg_scope s = begin();
    wg_tensor *x = wg_randn(WG_DIMS(3, 4));
    wg_scope warm = wg_scope_push();
    wg_forward(m, x);
    ck_assert_int_eq(wg_scope_pop(warm), WG_OK);
    int64_t before = live(), bytes = wg_memory_stats(wg_cpu()).current;
    for (int i = 0; i < 20; i++) {
        wg_scope inner = wg_scope_push();
        wg_forward(m, x);
        ck_assert_int_eq(wg_scope_pop(inner), WG_OK);
    }
    ck_assert_int_eq(live(), before);
    ck_assert_int_eq(wg_memory_stats(wg_cpu()).current, bytes);
    ck_assert_int_eq(wg_scope_pop(s), WG_OK);
    wg_module_free(m);
}
END_TEST

static void note_forward(void *self, wg_module *m, wg_tensor *x, wg_tensor *y)
{
    char *text = self;
    ck_assert(x && y);
    snprintf(text + strlen(text), 64 - strlen(text), "%s ", m->type->name);
}

static void note_module(void *self, wg_module *m)
{
    char *text = self;
    snprintf(text + strlen(text), 64 - strlen(text), "%s ", m->type->name);
}

START_TEST(hooks_and_apply)
{
    wg_scope s = begin();
    wg_module *m = mixer_new(4);
    char text[64] = "";
    wg_module_hook(m, note_forward, text);
    wg_module_hook(wg_module_at(m, "net.first"), note_forward, text);
    wg_module_recompute(m, true);
    wg_backward(wg_sum(wg_forward(m, wg_ones(WG_DIMS(2, 4))), WG_ALL, false));
    expect_no_error();
    ck_assert_str_eq(text, "linear mixer linear "); /* the last: net.first, run again by backward */
    text[0] = 0;
    wg_module_apply(m, note_module, text);
    ck_assert_str_eq(text, "linear linear mixer ");
    wg_module_apply(m, NULL, NULL);
    fails(WG_EARG, "NULL");
    wg_module_hook(m, NULL, NULL);
    fails(WG_EARG, "NULL");
    wg_module_free(m);
    ck_assert_int_eq(wg_scope_pop(s), WG_OK);
}
END_TEST

/* Gradients of one step with flags as given; in training mode, with dropout. */
static wg_list step_gradients(wg_module *m, wg_tensor *x, bool recompute, bool switch_mode)
{
    tower *self = (tower *)m;
    for (int i = 0; i < 2; i++) wg_module_recompute(wg_module_list_at(self->h, i), recompute);
    wg_module_recompute(self->inner, recompute);
    wg_module_train(m, true);
    wg_seed(7);
    wg_tensor *loss = wg_sum(wg_square(wg_forward(m, x)), WG_ALL, false);
    if (switch_mode) wg_module_train(m, false);
    wg_seed(8);
    wg_backward(loss);
    expect_no_error();
    if (switch_mode) ck_assert(!m->training && !wg_module_at(m, "h.1.net.first")->training);
    return gradients(m);
}

START_TEST(recomputation_gives_the_same_bits)
{
    wg_scope s = begin();
    wg_module *m = tower_new(8);
    wg_tensor *x = wg_randn(WG_DIMS(5, 8));
    wg_list plain = step_gradients(m, x, false, false), again = step_gradients(m, x, true, false),
            switched = step_gradients(m, x, true, true);
    wg_params ps = wg_module_params(m);
    for (int64_t i = 0; i < ps.n; i++) {
        ck_assert_msg(same_bits(plain.t[i], again.t[i]), "%s", ps.p[i].name);
        ck_assert_msg(same_bits(plain.t[i], switched.t[i]), "%s, mode switched", ps.p[i].name);
    }
    wg_module_free(m);
    ck_assert_int_eq(wg_scope_pop(s), WG_OK);
}
END_TEST

START_TEST(gradcheck_of_a_module)
{
    wg_scope s = begin();
    wg_use_dtype(WG_F64);
    wg_module *m = mixer_new(3);
    ck_assert_int_eq(wg_module_gradcheck(m, wg_randn(WG_DIMS(2, 3)), stderr), WG_OK);
    expect_no_error();
    wg_module_free(m);
    ck_assert_int_eq(wg_scope_pop(s), WG_OK);
}
END_TEST

START_TEST(summary_counts_on_meta)
{
    wg_scope s = begin();
    wg_module *m = mixer_new(4);
    wg_tensor *w = wg_module_tensor(m, "net.first.weight");
    wg_tensor *before = wg_affine(wg_detach(w), 1, 0);
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(f);
    wg_module_summary(f, m, wg_ones(WG_DIMS(3, 4)));
    fclose(f);
    expect_no_error();
    ck_assert_msg(strstr(text, "net.second") && strstr(text, "(3, 4)"), "%s", text);
    ck_assert_msg(strstr(text, "40 parameters, 40 trainable"), "%s", text); /* 4 + 16 + 4 + 16 */
    free(text);
    ck_assert_int_eq(wg_device_of(w).kind, WG_CPU);
    ck_assert(same_bits(w, before));
    wg_module_free(m);
    ck_assert_int_eq(wg_scope_pop(s), WG_OK);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        errors_name_the_module_path,
        forward_leaves_memory_where_it_was,
        hooks_and_apply,
        recomputation_gives_the_same_bits,
        gradcheck_of_a_module,
        summary_counts_on_meta,
        NULL,
    };
    return suite_run("module_run", tests);
}
