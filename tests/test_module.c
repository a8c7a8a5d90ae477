/* The module system: names, ties, swaps, casts, errors, recomputation, state dicts. */
#include "nn_check.h"

/* ---- a small model of one's own -------------------------------------------------------------- */

typedef struct {
    wg_module base;
    wg_module *first, *second;
    wg_tensor *gain, *count;
    double p;
} mixer;

static void mixer_init(wg_module *m, const void *config)
{
    mixer *self = (mixer *)m;
    const int64_t width = *(const int64_t *)config;
    self->p = 0.3;
    wg_param(m, "gain", &self->gain, wg_ones(WG_DIMS(width)));
    wg_buffer(m, "count", &self->count, wg_zeros(WG_DIMS(1)));
    wg_child(m, "net.first", &self->first, wg_linear_new(width, width));
    wg_child(m, "net.second", &self->second, wg_linear_new(width, width, .no_bias = true));
}

static wg_tensor *mixer_forward(wg_module *m, wg_tensor *x)
{
    mixer *self = (mixer *)m;
    wg_tensor *h = wg_dropout(wg_silu(wg_forward(self->first, x)), self->p, m->training);
    return wg_mul(wg_forward(self->second, h), self->gain);
}

static const wg_module_type mixer_type = {
    .name = "mixer", .size = sizeof(mixer), .init = mixer_init, .forward = mixer_forward
};

static wg_module *mixer_new(int64_t width)
{
    return wg_module_new(&mixer_type, &width);
}

/* Two mixers in a list, and a transparent one. */
typedef struct {
    wg_module base;
    wg_module *h, *inner;
} tower;

static void tower_init(wg_module *m, const void *config)
{
    tower *self = (tower *)m;
    const int64_t width = *(const int64_t *)config;
    wg_child(m, "h", &self->h, wg_module_list_new());
    for (int i = 0; i < 2; i++) wg_module_list_add(self->h, mixer_new(width));
    wg_child(m, "", &self->inner, mixer_new(width));
}

static wg_tensor *tower_forward(wg_module *m, wg_tensor *x)
{
    tower *self = (tower *)m;
    for (int i = 0; i < 2; i++) x = wg_forward(wg_module_list_at(self->h, i), x);
    return wg_forward(self->inner, x);
}

static const wg_module_type tower_type = {
    .name = "tower", .size = sizeof(tower), .init = tower_init, .forward = tower_forward
};

static wg_module *tower_new(int64_t width)
{
    return wg_module_new(&tower_type, &width);
}

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

/* ---- running --------------------------------------------------------------------------------- */

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

/* ---- state dicts ----------------------------------------------------------------------------- */

static char *file_name(void)
{
    static char path[64] = "/tmp/wengert_module_XXXXXX";
    static bool made;
    if (!made) {
        int fd = mkstemp(path);
        ck_assert_int_ge(fd, 0);
        close(fd);
        made = true;
    }
    return path;
}

START_TEST(save_and_load)
{
    wg_scope s = begin();
    char *path = file_name();
    wg_module *a = tower_new(4), *b = tower_new(4);
    wg_tie(a, "net.second.weight", "net.first.weight");
    wg_tie(b, "net.second.weight", "net.first.weight");
    ck_assert_int_eq(wg_module_save(a, path), WG_OK);
    wg_tensor *w = wg_module_tensor(b, "h.1.net.first.weight");
    ck_assert_int_eq(wg_module_load(b, path, true), WG_OK);
    ck_assert_ptr_eq(wg_module_tensor(b, "h.1.net.first.weight"), w);
    wg_params pa = wg_module_state(a), pb = wg_module_state(b);
    ck_assert_int_eq(pa.n, pb.n);
    for (int64_t i = 0; i < pa.n; i++) ck_assert(same_bits(pa.p[i].tensor, pb.p[i].tensor));
    /* another dtype is converted; a module on meta gets data */
    wg_module_cast(b, WG_F64);
    ck_assert_int_eq(wg_module_load(b, path, true), WG_OK);
    ck_assert(wg_dtype_of(w) == WG_F64 &&
              distance(w, wg_module_tensor(a, "h.1.net.first.weight")) == 0);
    wg_module_to(b, wg_meta());
    wg_module_to(b, wg_cpu());
    fails(WG_EDEVICE, "meta");
    ck_assert_int_eq(wg_module_load(b, path, true), WG_OK);
    ck_assert(wg_device_of(w).kind == WG_CPU && wg_requires_grad(w));
    ck_assert(distance(w, wg_module_tensor(a, "h.1.net.first.weight")) == 0);
    wg_module_free(a);
    wg_module_free(b);
    ck_assert_int_eq(wg_scope_pop(s), WG_OK);
}
END_TEST

START_TEST(a_load_that_does_not_fit_changes_nothing)
{
    wg_scope s = begin();
    char *path = file_name();
    wg_module *a = mixer_new(4), *b = tower_new(4), *c = mixer_new(5);
    ck_assert_int_eq(wg_module_save(a, path), WG_OK);
    wg_tensor *gain = wg_module_tensor(b, "gain"), *w = wg_module_tensor(c, "net.first.weight");
    wg_tensor *first = wg_affine(wg_detach(wg_module_tensor(b, "net.first.weight")), 1, 0);
    wg_tensor *before = wg_affine(wg_detach(w), 1, 0);
    ck_assert_int_ne(wg_module_load(b, path, true), WG_OK);
    fails(WG_ENOTFOUND, "10 missing");
    ck_assert(same_bits(first, wg_module_tensor(b, "net.first.weight")));
    ck_assert_int_ne(wg_module_load(c, path, false), WG_OK);
    fails(WG_ESHAPE, "gain is (5)");
    ck_assert(same_bits(before, w));
    ck_assert_int_eq(wg_module_load(b, path, false), WG_OK);
    ck_assert(same_bits(gain, wg_module_tensor(a, "gain")));
    ck_assert(same_bits(wg_module_tensor(b, "net.first.weight"),
                        wg_module_tensor(a, "net.first.weight")));
    ck_assert_int_ne(wg_module_load(b, "/nowhere/at/all", true), WG_OK);
    fails(WG_ENOTFOUND, "/nowhere/at/all");
    remove(path);
    wg_module_free(a);
    wg_module_free(b);
    wg_module_free(c);
    ck_assert_int_eq(wg_scope_pop(s), WG_OK);
}
END_TEST

/* ---- LoRA, as a user writes it: base names stay ---------------------------------------------- */

typedef struct {
    wg_module base;
    wg_module *inner;
    wg_tensor *a, *b;
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

static void lora_wrap(wg_module *model, const char *pattern, int64_t rank, double alpha)
{
    wg_scope s = wg_scope_push();
    wg_module_freeze(model, true);
    wg_modules all = wg_module_all(model);
    for (int64_t i = 0; i < all.n; i++)
        if (wg_module_is(all.m[i].module, &wg_linear_type) && wg_match(pattern, all.m[i].name)) {
            wg_module *old = wg_module_swap(model, all.m[i].name, NULL);
            wg_module_swap(model, all.m[i].name,
                           wg_module_new(&lora_type, &(lora_config) { old, rank, alpha }));
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
    lora_wrap(m, "*net.first", 2, 4);
    expect_no_error();
    ck_assert(wg_module_is(wg_module_at(m, "h.0.net.first"), &lora_type));
    ck_assert_ptr_eq(wg_module_tensor(m, "h.0.net.first.weight"), w);
    ck_assert_ptr_nonnull(wg_module_tensor(m, "h.0.net.first.lora_A.weight"));
    ck_assert(same_bits(before, wg_forward(m, x))); /* B is zero */
    wg_params ps = wg_module_params(m);
    int64_t trainable = 0;
    for (int64_t i = 0; i < ps.n; i++) {
        if (!wg_requires_grad(ps.p[i].tensor)) continue;
        ck_assert(wg_match("*.lora_?.weight", ps.p[i].name));
        trainable++;
    }
    ck_assert_int_eq(trainable, 6);
    wg_backward(wg_sum(wg_forward(m, x), WG_ALL, false));
    expect_no_error();
    ck_assert_ptr_nonnull(wg_grad_of(wg_module_tensor(m, "h.1.net.first.lora_B.weight")));
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
        errors_name_the_module_path,
        forward_leaves_memory_where_it_was,
        hooks_and_apply,
        recomputation_gives_the_same_bits,
        gradcheck_of_a_module,
        summary_counts_on_meta,
        save_and_load,
        a_load_that_does_not_fit_changes_nothing,
        a_wrapper_by_name_keeps_the_base_names,
        NULL,
    };
    return suite_run("module", tests);
}
