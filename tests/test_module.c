/* The module system: names, ties, swaps, casts, wrappers. */
#include "module_check.h"

/* ---- names ----------------------------------------------------------------------------------- */

static void expect_names(wg_params ps, const char *const *want, int n)
{
    ck_assert_int_eq(ps.n, n);
    for (int i = 0; i < n; i++) ck_assert_str_eq(ps.p[i].name, want[i]);
}

START_TEST(names_are_dotted_paths_in_order)
{
    wg_scope s = begin();
    wg_module *m = tower_new(4);
    expect_no_error();
    const char *const params[] = {
        "h.0.gain", "h.0.net.first.weight", "h.0.net.first.bias", "h.0.net.second.weight",
        "h.1.gain", "h.1.net.first.weight", "h.1.net.first.bias", "h.1.net.second.weight",
        "gain",     "net.first.weight",     "net.first.bias",     "net.second.weight",
    };
    expect_names(wg_module_params(m), params, 12);
    const char *const buffers[] = { "h.0.count", "h.1.count", "count" };
    expect_names(wg_module_buffers(m), buffers, 3);
    ck_assert_int_eq(wg_module_state(m).n, 15);
    wg_modules all = wg_module_all(m);
    const char *const modules[] = { "",
                                    "h",
                                    "h.0",
                                    "h.0.net.first",
                                    "h.0.net.second",
                                    "h.1",
                                    "h.1.net.first",
                                    "h.1.net.second",
                                    "",
                                    "net.first",
                                    "net.second" };
    ck_assert_int_eq(all.n, 11);
    for (int i = 0; i < 11; i++) ck_assert_str_eq(all.m[i].name, modules[i]);
    for (int i = 0; i < 12; i++) {
        wg_param_ref p = wg_module_params(m).p[i];
        ck_assert_ptr_eq(wg_module_tensor(m, p.name), p.tensor);
    }
    ck_assert_ptr_eq(wg_module_at(m, ""), m);
    ck_assert_ptr_eq(wg_module_at(m, "net.first"), ((mixer *)((tower *)m)->inner)->first);
    ck_assert(wg_module_is(wg_module_at(m, "h.1.net.second"), &wg_linear_type));
    ck_assert_ptr_eq(wg_module_as(m, &tower_type), m);
    expect_no_error();
    wg_module_free(m);
    ck_assert_int_eq(wg_scope_pop(s), WG_OK);
}
END_TEST

START_TEST(what_is_not_found_is_an_error_that_says_what_there_is)
{
    wg_scope s = begin();
    wg_module *m = tower_new(4);
    ck_assert_ptr_null(wg_module_at(m, "h.1.net.third"));
    fails(WG_ENOTFOUND, "has: net.first, net.second, gain, count");
    ck_assert_ptr_null(wg_module_tensor(m, "h.2.gain"));
    fails(WG_ENOTFOUND, "nothing at \"h.2.gain\"");
    ck_assert_ptr_null(wg_module_at(m, "gain"));
    fails(WG_ENOTFOUND, "gain");
    ck_assert_ptr_null(wg_module_as(m, &wg_linear_type));
    fails(WG_EARG, "this is a tower and not a linear");
    wg_module_free(m);
    wg_scope_return(s, NULL);
}
END_TEST

START_TEST(glob)
{
    const struct {
        const char *pattern, *name;
        bool match;
    } rows[] = {
        { "*", "", true },
        { "", "", true },
        { "", "a", false },
        { "a?c", "abc", true },
        { "a?c", "ac", false },
        { "*.c_proj.weight", "h.0.attn.c_proj.weight", true },
        { "*.c_proj.weight", "h.0.attn.c_proj.bias", false },
        { "*a*b", "xxaayb", true },
        { "*a*b", "xxaaybc", false },
        { "h.*.attn.*", "h.11.attn.c_attn.weight", true },
        { "a*", "b", false },
        { "**a", "a", true },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        ck_assert_msg(wg_match(rows[i].pattern, rows[i].name) == rows[i].match, "%s against %s",
                      rows[i].pattern, rows[i].name);
    ck_assert(!wg_match(NULL, "a") && !wg_match("a", NULL));
}
END_TEST

/* ---- construction that fails ----------------------------------------------------------------- */

static int destroyed;
static void count_destroy(wg_module *m)
{
    (void)m;
    destroyed++;
}

typedef struct {
    wg_module base;
    wg_module *a, *b;
    wg_tensor *w;
} fragile;

typedef enum { RAISES, BAD_CHILD, TWICE, CHILD_NAME, ERROR_VALUE, NO_NAME, INTEGER } break_at;

static void fragile_init(wg_module *m, const void *config)
{
    fragile *self = (fragile *)m;
    const break_at at = *(const break_at *)config;
    wg_param(m, "w", &self->w, wg_ones(WG_DIMS(3)));
    wg_child(m, "a", &self->a, mixer_new(4));
    switch (at) {
    case RAISES: wg_raise(WG_EARG, "fragile: broken"); break;
    case BAD_CHILD: wg_child(m, "b", &self->b, wg_linear_new(-1, 4)); break;
    case TWICE: wg_param(m, "w", &self->w, wg_ones(WG_DIMS(3))); break;
    case CHILD_NAME: wg_child(m, "a", &self->b, mixer_new(4)); break;
    case ERROR_VALUE:
        wg_param(m, "v", &self->w, wg_add(wg_ones(WG_DIMS(3)), wg_ones(WG_DIMS(4))));
        break;
    case NO_NAME: wg_param(m, "", &self->w, wg_ones(WG_DIMS(3))); break;
    case INTEGER: wg_param(m, "v", &self->w, wg_arange(0, 3)); break;
    }
    wg_child(m, "c", &self->b, wg_linear_new(4, 4)); /* goes on as users' code does */
}

static const wg_module_type fragile_type = {
    .name = "fragile", .size = sizeof(fragile), .init = fragile_init, .destroy = count_destroy
};

START_TEST(construction_that_fails_frees_everything)
{
    const struct {
        break_at at;
        wg_status code;
        const char *part;
    } rows[] = {
        { RAISES, WG_EARG, "fragile: broken" },
        { BAD_CHILD, WG_EARG, "linear: in = -1 should be positive" },
        { TWICE, WG_EARG, "the name \"w\" is taken" },
        { CHILD_NAME, WG_EARG, "the name \"a\" is taken" },
        { ERROR_VALUE, WG_ESHAPE, "add" },
        { NO_NAME, WG_EARG, "needs a name" },
        { INTEGER, WG_EDTYPE, "" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t before = live();
        destroyed = 0;
        wg_scope s = begin();
        ck_assert_ptr_null(wg_module_new(&fragile_type, &rows[i].at));
        wg_scope_return(s, NULL);
        fails(rows[i].code, rows[i].part);
        ck_assert_int_eq(live(), before);
        ck_assert_int_eq(destroyed, 1);
    }
    ck_assert_ptr_null(wg_module_new(NULL, NULL));
    fails(WG_EARG, "type is NULL");
    ck_assert_ptr_null(wg_module_new(&wg_linear_type, NULL));
    fails(WG_EARG, "configuration is NULL");
}
END_TEST

/* The argument was a call with a NULL module. */
static void null_raised(int ignored)
{
    (void)ignored;
    fails(WG_EARG, "NULL");
}

START_TEST(null_modules_are_errors)
{
    wg_scope s = begin();
    wg_tensor *x = wg_ones(WG_DIMS(2)), *slot = NULL;
    wg_module *child = NULL;
    wg_module_free(NULL);
    expect_no_error();
    ck_assert(!wg_module_is(NULL, &wg_linear_type));
    expect_no_error();
    null_raised((wg_param(NULL, "a", &slot, x), 0));
    null_raised((wg_buffer(NULL, "a", &slot, x), 0));
    null_raised((wg_child(NULL, "a", &child, wg_linear_new(2, 2)), 0));
    null_raised((wg_tie(NULL, "a", "b"), 0));
    null_raised(wg_is_error(wg_forward(NULL, x)));
    null_raised((wg_scope_return(wg_module_enter(NULL), NULL), 0));
    null_raised((wg_module_run(NULL, NULL, NULL, 0, WG_NO_LIST, WG_NO_LIST), 0));
    null_raised((wg_module_hook(NULL, NULL, NULL), 0));
    null_raised(wg_module_params(NULL).n);
    null_raised(wg_module_buffers(NULL).n);
    null_raised(wg_module_state(NULL).n);
    null_raised(wg_module_all(NULL).n);
    null_raised(wg_module_at(NULL, "a") != NULL);
    null_raised(wg_module_tensor(NULL, "a") != NULL);
    null_raised(wg_module_as(NULL, &wg_linear_type) != NULL);
    null_raised(wg_module_swap(NULL, "a", wg_linear_new(2, 2)) != NULL);
    null_raised((wg_module_to(NULL, wg_cpu()), 0));
    null_raised((wg_module_cast(NULL, WG_F64), 0));
    null_raised((wg_module_train(NULL, true), 0));
    null_raised((wg_module_freeze(NULL, true), 0));
    null_raised((wg_module_recompute(NULL, true), 0));
    null_raised((wg_module_apply(NULL, NULL, NULL), 0));
    null_raised((wg_module_summary(stderr, NULL, NULL), 0));
    null_raised(wg_module_gradcheck(NULL, x, NULL) == WG_OK);
    null_raised(wg_module_load(NULL, "x", true) == WG_OK);
    null_raised(wg_module_save(NULL, "x") == WG_OK);
    null_raised((wg_sequential_add(NULL, wg_linear_new(2, 2)), 0));
    null_raised((wg_module_list_add(NULL, wg_linear_new(2, 2)), 0));
    null_raised(wg_module_list_at(NULL, 0) != NULL);
    null_raised(wg_is_error(wg_attention_step(NULL, x, NULL)));
    null_raised(wg_is_error(wg_block_step(NULL, x, NULL)));
    null_raised(wg_is_error(wg_transformer_step(NULL, x, NULL)));
    null_raised(wg_is_error(wg_transformer_hidden(NULL, x, NULL)));
    null_raised(wg_is_error(wg_transformer_loss(NULL, x, x)));
    ck_assert_int_eq(wg_module_list_size(NULL), 0);
    ck_assert_int_eq(wg_scope_pop(s), WG_OK);
}
END_TEST

/* ---- ties, swaps, freezing ------------------------------------------------------------------- */

START_TEST(tied_parameters_count_once_under_their_first_name)
{
    wg_scope s = begin();
    wg_module *m = mixer_new(4);
    mixer *self = (mixer *)m;
    wg_tie(m, "net.second.weight", "net.first.weight");
    expect_no_error();
    ck_assert_ptr_eq(wg_module_tensor(m, "net.second.weight"),
                     wg_module_tensor(m, "net.first.weight"));
    const char *const names[] = { "gain", "net.first.weight", "net.first.bias" };
    expect_names(wg_module_params(m), names, 3);
    /* both uses add to the one gradient, and freezing one freezes it */
    wg_backward(wg_sum(wg_forward(m, wg_ones(WG_DIMS(2, 4))), WG_ALL, false));
    expect_no_error();
    ck_assert_ptr_nonnull(wg_grad_of(wg_module_tensor(m, "net.second.weight")));
    wg_module_freeze(self->second, true);
    ck_assert(!wg_requires_grad(wg_module_tensor(m, "net.first.weight")));
    ck_assert_ptr_null(wg_grad_of(wg_module_tensor(m, "net.first.weight")));
    wg_tie(m, "gain", "net.first.weight");
    fails(WG_ESHAPE, "tie");
    wg_tie(m, "gain", "net.third.weight");
    fails(WG_ENOTFOUND, "tie");
    wg_module_free(m);
    ck_assert_int_eq(wg_scope_pop(s), WG_OK);
}
END_TEST

START_TEST(a_swap_updates_the_parents_slot)
{
    wg_scope s = begin();
    wg_module *m = tower_new(4), *other = wg_linear_new(4, 4);
    mixer *first = (mixer *)wg_module_at(m, "h.0");
    wg_module *was = first->first;
    wg_module_free(was);
    fails(WG_EARG, "belongs to a mixer as \"net.first\"");
    ck_assert_ptr_eq(wg_module_swap(m, "h.0.net.first", NULL), was);
    ck_assert_ptr_null(first->first);
    ck_assert_ptr_null(wg_module_at(m, "h.0.net.first"));
    fails(WG_ENOTFOUND, "is empty");
    wg_forward(m, wg_ones(WG_DIMS(1, 4)));
    fails(WG_EARG, "forward: the module is NULL");
    ck_assert_int_eq(wg_module_params(m).n, 10);
    ck_assert_ptr_null(wg_module_swap(m, "h.0.net.first", other));
    ck_assert_ptr_eq(first->first, other);
    wg_forward(m, wg_ones(WG_DIMS(1, 4)));
    expect_no_error();
    ck_assert_ptr_null(wg_module_swap(m, "h.1.net.first", other));
    fails(WG_EARG, "already belongs to a mixer");
    ck_assert_ptr_null(wg_module_swap(m, "h.7", wg_linear_new(2, 2)));
    fails(WG_ENOTFOUND, "h.7");
    wg_module *list = wg_module_list_new();
    wg_module_list_add(list, m);
    ck_assert_ptr_null(wg_module_swap(m, "h.1", list));
    fails(WG_EARG, "below itself");
    wg_module_free(was);
    wg_module_free(list);
    ck_assert_int_eq(wg_scope_pop(s), WG_OK);
}
END_TEST

START_TEST(freezing_keeps_gradients_away)
{
    wg_scope s = begin();
    wg_module *m = mixer_new(4);
    mixer *self = (mixer *)m;
    wg_module_freeze(self->first, true);
    wg_backward(wg_sum(wg_forward(m, wg_ones(WG_DIMS(2, 4))), WG_ALL, false));
    expect_no_error();
    ck_assert_ptr_null(wg_grad_of(wg_module_tensor(m, "net.first.weight")));
    ck_assert_ptr_nonnull(wg_grad_of(wg_module_tensor(m, "net.second.weight")));
    wg_module_freeze(m, false);
    wg_backward(wg_sum(wg_forward(m, wg_ones(WG_DIMS(2, 4))), WG_ALL, false));
    ck_assert_ptr_nonnull(wg_grad_of(wg_module_tensor(m, "net.first.weight")));
    expect_no_error();
    wg_module_free(m);
    ck_assert_int_eq(wg_scope_pop(s), WG_OK);
}
END_TEST

/* ---- dtype and device ------------------------------------------------------------------------ */

START_TEST(a_cast_keeps_the_handles)
{
    wg_scope s = begin();
    wg_module *m = mixer_new(4);
    mixer *self = (mixer *)m;
    wg_module_train(m, false);
    wg_tensor *w = wg_module_tensor(m, "net.first.weight"), *x = wg_randn(WG_DIMS(3, 4));
    wg_tensor *before = wg_affine(wg_detach(w), 1, 0), *y = wg_forward(m, x);
    wg_backward(wg_sum(y, WG_ALL, false));
    wg_tensor *grad = wg_affine(wg_grad_of(w), 1, 0);
    wg_module_cast(m, WG_F64);
    expect_no_error();
    ck_assert_ptr_eq(wg_module_tensor(m, "net.first.weight"), w);
    ck_assert_int_eq(wg_dtype_of(w), WG_F64);
    ck_assert_int_eq(wg_dtype_of(self->count), WG_F64);
    ck_assert(wg_requires_grad(w));
    ck_assert(distance(w, before) == 0);
    ck_assert_int_eq(wg_dtype_of(wg_grad_of(w)), WG_F64);
    ck_assert(distance(wg_grad_of(w), grad) == 0);
    wg_tensor *z = wg_forward(m, wg_cast(x, WG_F64));
    ck_assert_int_eq(wg_dtype_of(z), WG_F64);
    ck_assert(distance(z, y) < 1e-5);
    wg_backward(wg_sum(z, WG_ALL, false)); /* the leaf adds in its new dtype */
    expect_no_error();
    ck_assert(distance(wg_grad_of(w), wg_affine(grad, 2, 0)) < 1e-5);
    wg_module_cast(m, WG_BF16);
    ck_assert_int_eq(wg_dtype_of(w), WG_BF16);
    wg_module_cast(m, WG_I64);
    fails(WG_EDTYPE, "i64");
    wg_module_free(m);
    ck_assert_int_eq(wg_scope_pop(s), WG_OK);
}
END_TEST

START_TEST(a_graph_that_holds_a_parameter_forbids_the_cast)
{
    wg_scope s = begin();
    wg_module *m = mixer_new(4);
    wg_tensor *y = wg_forward(m, wg_randn(WG_DIMS(3, 4)));
    expect_no_error();
    wg_module_cast(m, WG_F64);
    fails(WG_EGRAD, "is held by a graph");
    wg_params ps = wg_module_state(m);
    for (int64_t i = 0; i < ps.n; i++) ck_assert_int_eq(wg_dtype_of(ps.p[i].tensor), WG_F32);
    wg_backward(wg_sum(y, WG_ALL, false));
    wg_module_cast(m, WG_F64);
    expect_no_error();
    wg_module_free(m);
    ck_assert_int_eq(wg_scope_pop(s), WG_OK);
}
END_TEST

START_TEST(inside_forward_new_tensors_are_like_the_parameters)
{
    wg_scope s = begin();
    wg_module *m = mixer_new(4);
    wg_module_cast(m, WG_F64);
    wg_scope inner = wg_module_enter(m);
    ck_assert_int_eq(wg_current_dtype(), WG_F64);
    wg_scope_return(inner, NULL);
    ck_assert_int_eq(wg_current_dtype(), WG_F32);
    wg_module_to(m, wg_meta());
    expect_no_error();
    ck_assert_int_eq(wg_device_of(wg_module_tensor(m, "gain")).kind, WG_META);
    inner = wg_module_enter(m);
    ck_assert_int_eq(wg_current_device().kind, WG_META);
    wg_scope_return(inner, NULL);
    wg_module_free(m);
    ck_assert_int_eq(wg_scope_pop(s), WG_OK);
}
END_TEST

/* ---- wrappers: base names stay --------------------------------------------------------------- */

typedef struct {
    wg_module base;
    wg_module *inner;
    wg_tensor *shift; /* (out) */
} shifted;

static void shifted_init(wg_module *m, const void *inner)
{
    shifted *self = (shifted *)m;
    wg_module *linear = *(wg_module *const *)inner;
    const int64_t out = wg_size(wg_module_tensor(linear, "weight"), 0);
    wg_param(m, "shift", &self->shift, wg_zeros(WG_DIMS(out)));
    wg_child(m, "", &self->inner, linear);
    wg_module_freeze(linear, true);
}

static wg_tensor *shifted_forward(wg_module *m, wg_tensor *x)
{
    shifted *self = (shifted *)m;
    return wg_add(wg_forward(self->inner, x), self->shift);
}

static const wg_module_type shifted_type = {
    .name = "shifted", .size = sizeof(shifted), .init = shifted_init, .forward = shifted_forward
};

static void wrap(wg_module *model, const char *pattern)
{
    wg_scope s = wg_scope_push();
    wg_module_freeze(model, true);
    wg_modules all = wg_module_all(model);
    for (int64_t i = 0; i < all.n; i++)
        if (wg_module_is(all.m[i].module, &wg_linear_type) && wg_match(pattern, all.m[i].name)) {
            wg_module *old = wg_module_swap(model, all.m[i].name, NULL);
            wg_module_swap(model, all.m[i].name, wg_module_new(&shifted_type, &old));
        }
    wg_scope_return(s, NULL);
}

START_TEST(a_wrapper_by_name_keeps_the_base_names)
{
    wg_scope s = begin();
    wg_module *m = tower_new(4);
    wg_module_train(m, false);
    wg_tensor *x = wg_randn(WG_DIMS(3, 4)), *before = wg_forward(m, x);
    wg_tensor *w = wg_module_tensor(m, "h.0.net.first.weight");
    wrap(m, "*net.first");
    expect_no_error();
    ck_assert(wg_module_is(wg_module_at(m, "h.0.net.first"), &shifted_type));
    ck_assert_ptr_eq(wg_module_tensor(m, "h.0.net.first.weight"), w);
    ck_assert_ptr_nonnull(wg_module_tensor(m, "h.0.net.first.shift"));
    ck_assert(same_bits(before, wg_forward(m, x))); /* the shift is zero */
    wg_params ps = wg_module_params(m);
    int64_t trainable = 0;
    for (int64_t i = 0; i < ps.n; i++) {
        if (!wg_requires_grad(ps.p[i].tensor)) continue;
        ck_assert(wg_match("*.shift", ps.p[i].name));
        trainable++;
    }
    ck_assert_int_eq(trainable, 3);
    wg_backward(wg_sum(wg_forward(m, x), WG_ALL, false));
    expect_no_error();
    ck_assert_ptr_nonnull(wg_grad_of(wg_module_tensor(m, "h.1.net.first.shift")));
    ck_assert_ptr_null(wg_grad_of(w));
    /* and out again, by the transparent place */
    wg_module *wrapper = wg_module_at(m, "h.0.net.first"),
              *inner = wg_module_swap(wrapper, "", NULL);
    ck_assert(wg_module_is(inner, &wg_linear_type));
    ck_assert_ptr_eq(wg_module_swap(m, "h.0.net.first", inner), wrapper);
    wg_module_free(wrapper);
    ck_assert_ptr_eq(wg_module_tensor(m, "h.0.net.first.weight"), w);
    expect_no_error();
    wg_module_free(m);
    ck_assert_int_eq(wg_scope_pop(s), WG_OK);
}
END_TEST

/* On every device, whatever r is: its shape, less, integers. */
START_TEST(a_layer_is_added_to_all_that_add_takes)
{
    wg_scope s = begin();
    for (int in_out = 0; in_out < 2; in_out++) {
        wg_module *m = wg_linear_new(4, 3, .in_out = in_out);
        wg_tensor *x = wg_randn(WG_DIMS(2, 5, 4)),
                  *whole = wg_require_grad(wg_randn(WG_DIMS(2, 5, 3)));
        wg_tensor *r[] = { whole, wg_randn(WG_DIMS(3)), wg_randn(WG_DIMS(2, 1, 3)),
                           wg_randint(0, 9, WG_DIMS(2, 5, 3)), wg_randn(WG_DIMS(1)) };
        for (size_t i = 0; i < sizeof r / sizeof *r; i++) {
            wg_tensor *got = wg_forward_add(m, x, r[i]), *want = wg_add(r[i], wg_forward(m, x));
            ck_assert_int_eq(wg_dtype_of(got), wg_dtype_of(want));
            ck_assert_double_le(distance(got, want), 1e-6);
        }
        wg_backward(wg_sum(wg_square(wg_forward_add(m, x, whole)), WG_ALL, false));
        ck_assert_double_le(
            distance(wg_grad_of(whole), wg_affine(wg_add(whole, wg_forward(m, x)), 2, 0)), 1e-6);
        wg_drop_grad(whole);
        expect_no_error();
        wg_module_free(m);
    }
    wg_tensor *q = wg_cast(wg_randn(WG_DIMS(3, 32)), WG_Q8_0), *x = wg_randn(WG_DIMS(2, 32));
    ck_assert(wg_is_error(wg_linear_add(x, q, NULL, wg_randn(WG_DIMS(3)))));
    ck_assert(strstr(wg_error_get()->message, "linear_add: r should be (2, 3), is (3)"));
    wg_error_clear();
    ck_assert_int_eq(wg_scope_pop(s), WG_OK);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        names_are_dotted_paths_in_order,
        what_is_not_found_is_an_error_that_says_what_there_is,
        glob,
        construction_that_fails_frees_everything,
        null_modules_are_errors,
        tied_parameters_count_once_under_their_first_name,
        a_swap_updates_the_parents_slot,
        freezing_keeps_gradients_away,
        a_cast_keeps_the_handles,
        a_graph_that_holds_a_parameter_forbids_the_cast,
        inside_forward_new_tensors_are_like_the_parameters,
        a_wrapper_by_name_keeps_the_base_names,
        a_layer_is_added_to_all_that_add_takes,
        NULL,
    };
    return suite_run("module", tests);
}
