/* Arguments that nobody means: each is an error or a result, and never a crash. Run under sanitizers, where arithmetic on
 * them would show. */
#include <limits.h>
#include <math.h>

#include "suite.h"

static wg_dims dims_of(int n)
{
    wg_dims d = WG_DIMS(2, 3);
    d.n = n;
    return d;
}

static void expect_any_error(const char *what, wg_tensor *t)
{
    ck_assert_msg(wg_is_error(t) && wg_error_code() != WG_OK, "%s raised nothing", what);
    wg_error_clear();
}

START_TEST(shapes_of_any_rank)
{
    static const int ranks[] = { INT_MIN, -1, 9, INT_MAX };
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_ones(WG_DIMS(2, 3));
    for (size_t i = 0; i < sizeof ranks / sizeof *ranks; i++) {
        wg_dims d = dims_of(ranks[i]);
        expect_any_error("expand", wg_expand(x, d));
        expect_any_error("sum_to", wg_sum_to(x, d));
        expect_any_error("reshape", wg_reshape(x, d));
        expect_any_error("zeros", wg_zeros(d));
        expect_any_error("permute", wg_permute(x, d));
        expect_any_error("repeat", wg_repeat(x, d));
    }
    pop(s);
}
END_TEST

START_TEST(numbers_at_the_ends_of_their_range)
{
    static const int64_t ends[] = { INT64_MIN, INT64_MIN + 1, INT64_MAX - 1, INT64_MAX };
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_ones(WG_DIMS(2, 3));
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        expect_any_error("narrow", wg_narrow(x, 0, ends[i], ends[i]));
        expect_any_error("select", wg_select(x, 0, ends[i]));
        expect_any_error("unfold", wg_unfold(x, 0, ends[i], 1));
        expect_any_error("pad", wg_pad(x, WG_DIMS(ends[i], 0), WG_DIMS(0, 0), 0));
        ck_assert(!wg_is_error(wg_roll(x, ends[i], 0)));
        wg_var(x, WG_ALL, .correction = WG_JUST(ends[i]));
        wg_triu(x, ends[i]);
        wg_tril(x, ends[i]);
        wg_error_clear();
    }
    pop(s);
}
END_TEST

START_TEST(lists_without_tensors)
{
    wg_scope s = wg_scope_push();
    const wg_list none = { 2, NULL }, negative = { -1, NULL };
    wg_tensor *x = wg_ones(WG_DIMS(2, 3));
    expect_any_error("einsum", wg_einsum("ij,jk->ik", none));
    expect_any_error("cat", wg_cat(none, 0));
    expect_any_error("cat", wg_cat(negative, 0));
    expect_any_error("stack", wg_stack(none, 0));
    expect_any_error("index_get", wg_index_get(x, none));
    expect_any_error("index_put", wg_index_put(x, negative, x, false));
    pop(s);
}
END_TEST

START_TEST(windows_wider_than_anything)
{
    wg_scope s = wg_scope_push();
    wg_tensor *q = wg_randn(WG_DIMS(1, 2, 3, 4)), *k = wg_randn(WG_DIMS(1, 1, 5, 4));
    wg_tensor *mask = wg_require_grad(wg_zeros(WG_DIMS(3, 5)));
    wg_tensor *none = wg_sdpa(q, k, k, .mask = wg_detach(mask));
    wg_tensor *wide = wg_sdpa(q, k, k, .mask = mask, .window = INT64_MAX);
    ck_assert_double_lt(wg_item(wg_max(wg_abs(wg_sub(none, wide)), WG_ALL, false)), 1e-6);
    pop(s);
}
END_TEST

START_TEST(schedules_of_any_numbers)
{
    static const int64_t n[] = { INT64_MIN, -5, -1, 0, 1, 5, INT64_MAX };
    for (int kind = WG_CONSTANT; kind <= WG_WSD; kind++)
        for (int i = 0; i < 7 * 7 * 7; i++) {
            const wg_schedule s = { .kind = (wg_schedule_kind)kind,
                                    .peak = 1,
                                    .floor = 0.1,
                                    .warmup = n[i % 7],
                                    .decay = n[i / 7 % 7],
                                    .total = n[i / 49] };
            for (int k = 0; k < 7; k++) {
                const double lr = wg_schedule_at(&s, n[k]);
                ck_assert_msg(lr >= 0 && lr <= 1, "kind %d: %g", kind, lr);
            }
        }
}
END_TEST

START_TEST(pointers_that_are_missing)
{
    wg_list none = { 1, NULL };
    ck_assert_int_eq(wg_grad(none, none, WG_NO_LIST, 0, none), WG_EARG);
    wg_error_clear();
    ck_assert_int_eq(wg_tokens_decode(NULL, 0, NULL), 0);
    const char *no_format = NULL;
    ck_assert_int_eq(wg_raise(WG_EARG, no_format, 0), WG_EARG);
    wg_error_clear();
    wg_scope s = wg_scope_push();
    expect_any_error("conv1d", wg_conv1d(wg_ones(WG_DIMS(1, 2, 5)), wg_ones(WG_DIMS(2, 2, 3)),
                                         .padding = 1, .stride = INT64_MAX));
    pop(s);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        shapes_of_any_rank,
        numbers_at_the_ends_of_their_range,
        lists_without_tensors,
        windows_wider_than_anything,
        schedules_of_any_numbers,
        pointers_that_are_missing,
        NULL,
    };
    return suite_run("hostile", tests);
}
