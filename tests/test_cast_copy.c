/* Autocast's 16-bit copies of parameters, which an optimizer's pass writes with the parameters: the bits of a cast, and only
 * where nobody else sees the copy. */
#include "optim_step_check.h"
#include "tensor/internal.h"

typedef struct {
    wg_dtype low;
    bool recompute, evaluates;
    bool alive; /* the losses live until after the step, as in the usual loop */
    bool held;  /* copies are referenced during steps, so that none is written */
    int accumulate;
} setting;

static wg_module *small_model(const setting *c)
{
    wg_seed(11);
    const wg_transformer_config config = wg_gpt2_config(2, 2, 16, 13, 8);
    wg_module *m = wg_transformer_new(&config);
    const wg_modules all = wg_module_all(m);
    for (int64_t i = 0; i < all.n && c->recompute; i++)
        if (wg_module_is(all.m[i].module, &wg_block_type))
            wg_module_recompute(all.m[i].module, true);
    return m;
}

static wg_tensor *loss_of(wg_module *m)
{
    wg_tensor *t = wg_randint(0, 13, WG_DIMS(2, 8));
    return wg_transformer_loss(m, t, t);
}

/* How many parameters have a copy that is current; every such copy has the bits of a cast. */
static int current_copies(wg_module *m)
{
    int n = 0;
    const wg_scope s = wg_scope_push();
    wg_use_grad(false);
    wg_use_autocast((wg_dtype)0);
    const wg_params p = wg_module_params(m);
    for (int64_t i = 0; i < p.n; i++) {
        wg_tensor *t = p.p[i].tensor, *copy = t->cast_copy;
        if (!copy || t->cast_version != t->storage->version) continue;
        ck_assert_msg(same_bits(copy, wg_cast(t, (wg_dtype)copy->dtype)), "%s: the copy differs",
                      p.p[i].name);
        n++;
    }
    pop(s);
    return n;
}

static void hold_copies(wg_module *m, bool on)
{
    const wg_params p = wg_module_params(m);
    for (int64_t i = 0; i < p.n; i++) {
        wg_tensor *copy = p.p[i].tensor->cast_copy;
        if (copy && on) wgi_ref(copy);
        if (copy && !on) wgi_unref(copy);
    }
}

static double one_step(wg_module *m, wg_optim *o, const setting *c)
{
    const wg_scope s = wg_scope_push();
    wg_use_autocast(c->low);
    double sum = 0;
    for (int k = 0; k < c->accumulate; k++) {
        const wg_scope inner = wg_scope_push();
        wg_tensor *loss = loss_of(m);
        wg_backward(loss);
        sum += wg_item(loss);
        if (!c->alive) pop(inner);
    }
    if (c->held) hold_copies(m, true);
    wg_optim_step_clipped(o, 1);
    const int written = current_copies(m);
    ck_assert_msg(c->held ? written == 0 : written >= 8, "%d copies", written);
    if (c->held) hold_copies(m, false);
    if (c->evaluates) {
        wg_use_grad(false);
        sum += wg_item(loss_of(m));
    }
    pop(s);
    return sum;
}

static void compare_runs(const setting *free_copies)
{
    const wg_scope s = begin();
    setting held = *free_copies;
    held.held = true;
    wg_module *a = small_model(free_copies), *b = small_model(&held);
    wg_optim *one = adamw(a), *two = adamw(b);
    for (uint64_t k = 0; k < 4; k++) {
        wg_seed(k);
        const double x = one_step(a, one, free_copies);
        wg_seed(k);
        ck_assert_double_eq(one_step(b, two, &held), x);
        expect_same_parameters(a, b, "copies written and cast");
    }
    wg_optim_free(one);
    wg_optim_free(two);
    wg_module_free(a);
    wg_module_free(b);
    pop(s);
}

START_TEST(written_copies_are_the_casts_that_they_replace)
{
    for (int i = 0; i < 32; i++)
        compare_runs(&(setting) { .low = i & 1 ? WG_F16 : WG_BF16,
                                  .recompute = i & 2,
                                  .evaluates = i & 4,
                                  .accumulate = i & 8 ? 2 : 1,
                                  .alive = i & 16 });
}
END_TEST

/* linear(x) under autocast, so that w has a copy; the loss, with its graph. */
static wg_tensor *graph_of(wg_tensor *w)
{
    const wg_scope s = wg_scope_push();
    wg_use_autocast(WG_BF16);
    wg_tensor *x = wg_ones(WG_DIMS(3, COLUMNS));
    return wg_scope_return(s, wg_sum(wg_square(wg_linear(x, w, NULL)), WG_ALL, false));
}

START_TEST(the_next_forward_uses_the_written_copy)
{
    const wg_scope s = begin();
    wg_module *m = new_pair(WG_F32);
    wg_optim *o = adamw(m);
    wg_tensor *w = param(m, "weight"), *copy = NULL;
    for (int k = 0; k < 3; k++) {
        const wg_scope inner = wg_scope_push();
        wg_backward(graph_of(w));
        pop(inner);
        if (k > 0) ck_assert_ptr_eq(w->cast_copy, copy);
        copy = w->cast_copy;
        ck_assert_ptr_nonnull(copy);
        ck_assert_int_eq(wg_optim_step(o), WG_OK);
        ck_assert_int_eq(current_copies(m), 1);
    }
    wg_optim_free(o);
    wg_module_free(m);
    pop(s);
}
END_TEST

START_TEST(a_graph_that_is_alive_keeps_its_copy)
{
    const wg_scope s = begin();
    wg_module *m = new_pair(WG_F32);
    wg_optim *o = adamw(m);
    wg_tensor *w = param(m, "weight"), *loss = graph_of(w);
    wg_backward(loss, .retain_graph = true);
    wg_tensor *first = wg_affine(wg_grad_of(w), 1, 0);
    wg_tensor *before = wg_affine(wg_detach(w->cast_copy), 1, 0);
    ck_assert_int_eq(wg_optim_step(o), WG_OK);
    ck_assert(same_bits(before, w->cast_copy));
    ck_assert_int_eq(current_copies(m), 0);
    wg_backward(loss); /* of the values that forward saw */
    expect_no_error();
    ck_assert(same_bits(first, wg_grad_of(w)));
    wg_optim_free(o);
    wg_module_free(m);
    pop(s);
}
END_TEST

/* A parameter whose memory another tensor shares: that one might be written afterwards. */
START_TEST(shared_memory_and_stale_copies_are_left_alone)
{
    const wg_scope s = begin();
    wg_module *m = new_pair(WG_F32);
    wg_optim *o = adamw(m);
    wg_tensor *w = param(m, "weight"), *view = NULL;
    for (int k = 0; k < 2; k++) {
        const wg_scope inner = wg_scope_push();
        wg_backward(graph_of(w));
        pop(inner);
        const wg_scope other = wg_scope_push();
        wg_use_grad(false);
        if (k == 0) view = wg_detach(w);
        if (k == 1) ck_assert_int_eq(wg_assign(w, wg_affine(w, 2, 0)), WG_OK); /* now stale */
        ck_assert_int_eq(wg_optim_step(o), WG_OK);
        ck_assert_int_eq(current_copies(m), 0);
        (void)view;
        pop(other);
    }
    wg_optim_free(o);
    wg_module_free(m);
    pop(s);
}
END_TEST

START_TEST(a_skipped_step_leaves_copies_and_parameters_in_step)
{
    const wg_scope s = begin();
    wg_module *m = new_pair(WG_F32);
    wg_optim *o = adamw(m);
    wg_scaler *x = wg_scaler_new(.scale = 4);
    wg_tensor *w = param(m, "weight");
    for (int k = 0; k < 4; k++) {
        const wg_scope inner = wg_scope_push();
        wg_backward(wg_scaler_scale(x, graph_of(w)));
        pop(inner);
        if (k % 2) wg_set_grad(w, wg_full(WG_DIMS(ROWS, COLUMNS), (double)NAN));
        wg_scaler_step(x, o, 1);
        expect_no_error();
        ck_assert_int_eq(current_copies(m), 1);
    }
    ck_assert_int_eq(wg_optim_steps(o), 2);
    wg_scaler_free(x);
    wg_optim_free(o);
    wg_module_free(m);
    pop(s);
}
END_TEST

START_TEST(muons_matrices_are_cast_anew)
{
    const wg_scope s = begin();
    wg_module *m = new_pair(WG_F32);
    wg_optim *o = muon(m);
    wg_tensor *w = param(m, "weight");
    for (int k = 0; k < 2; k++) {
        const wg_scope inner = wg_scope_push();
        wg_backward(graph_of(w));
        ck_assert_int_eq(current_copies(m), 1);
        pop(inner);
        ck_assert_int_eq(wg_optim_step(o), WG_OK);
        ck_assert_int_eq(current_copies(m), 0);
    }
    wg_optim_free(o);
    wg_module_free(m);
    pop(s);
}
END_TEST

/* A copy made before parameters were frozen leads to a leaf that is no longer theirs. */
START_TEST(parameters_that_were_frozen_and_thawed_get_their_gradients)
{
    const wg_scope s = begin();
    wg_module *m = small_model(&(setting) { 0 });
    wg_optim *o = wg_sgd_new(m, .lr = 0.1);
    wg_use_autocast(WG_BF16);
    for (int frozen = 0; frozen < 2; frozen++) {
        (void)!wg_backward(loss_of(m));
        wg_optim_step(o);
        wg_module_freeze(m, true);
        ck_assert(!wg_requires_grad(loss_of(m)));
        wg_module_freeze(m, false);
        (void)!wg_backward(loss_of(m));
        const wg_params p = wg_module_params(m);
        for (int64_t i = 0; i < p.n; i++)
            ck_assert_msg(wg_grad_of(p.p[i].tensor) != NULL, "%s has none", p.p[i].name);
        wg_optim_step(o);
    }
    wg_optim_free(o);
    wg_module_free(m);
    pop(s);
}
END_TEST

int main(void)
{
    return suite_run(
        "cast_copy",
        (const TTest *[]) {
            written_copies_are_the_casts_that_they_replace, the_next_forward_uses_the_written_copy,
            a_graph_that_is_alive_keeps_its_copy, shared_memory_and_stale_copies_are_left_alone,
            a_skipped_step_leaves_copies_and_parameters_in_step, muons_matrices_are_cast_anew,
            parameters_that_were_frozen_and_thawed_get_their_gradients, NULL });
}
