/* Views: what they share, their strides, what they refuse; functions made of them. */
#include "suite.h"

#include <string.h>

/* 0, 1, 2, ... as f32 of this shape. */
static wg_tensor *counting(wg_dims shape)
{
    int64_t n = 1;
    for (int a = 0; a < shape.n; a++) n *= shape.d[a];
    return wg_reshape(wg_cast(wg_arange(0, n), WG_F32), shape);
}

static void expect_dims(wg_dims got, wg_dims want)
{
    ck_assert_int_eq(got.n, want.n);
    for (int a = 0; a < want.n; a++) ck_assert_int_eq(got.d[a], want.d[a]);
}

static void expect_values(wg_tensor *t, int n, const double *want)
{
    double got[64];
    ck_assert_int_eq(wg_numel(t), n);
    ck_assert_int_eq(wg_read(t, got, (size_t)n * sizeof *got, WG_F64), WG_OK);
    for (int i = 0; i < n; i++) ck_assert_double_eq(got[i], want[i]);
}

static bool shares(wg_tensor *view, wg_tensor *x, int64_t first)
{
    return wg_data(view) == (const void *)((const float *)wg_data(x) + first);
}

START_TEST(views_share_data_and_have_the_strides_of_their_axes)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = counting(WG_DIMS(2, 3, 4)), *y;
    y = wg_transpose(x, 0, -1);
    ck_assert(shares(y, x, 0));
    expect_dims(wg_shape(y), WG_DIMS(4, 3, 2));
    expect_dims(wg_strides(y), WG_DIMS(1, 4, 12));
    y = wg_permute(x, WG_DIMS(1, 2, 0));
    ck_assert(shares(y, x, 0));
    expect_dims(wg_strides(y), WG_DIMS(4, 1, 12));
    y = wg_narrow(x, 1, -2, 2);
    ck_assert(shares(y, x, 4));
    expect_dims(wg_shape(y), WG_DIMS(2, 2, 4));
    y = wg_select(x, 0, -1);
    ck_assert(shares(y, x, 12));
    expect_dims(wg_shape(y), WG_DIMS(3, 4));
    y = wg_slice(x, 2, 1, INT64_MAX, 2);
    ck_assert(shares(y, x, 1));
    expect_dims(wg_strides(y), WG_DIMS(12, 4, 2));
    y = wg_unsqueeze(wg_select(x, 2, 3), -1);
    ck_assert(shares(y, x, 3));
    expect_dims(wg_shape(y), WG_DIMS(2, 3, 1));
    y = wg_expand(wg_narrow(x, 0, 0, 1), WG_DIMS(5, -1, 4));
    ck_assert(shares(y, x, 0));
    expect_dims(wg_strides(y), WG_DIMS(0, 4, 1));
    y = wg_unfold(x, -1, 2, 1);
    ck_assert(shares(y, x, 0));
    expect_dims(wg_shape(y), WG_DIMS(2, 3, 3, 2));
    expect_dims(wg_strides(y), WG_DIMS(12, 4, 1, 1));
    ck_assert(shares(wg_alias(x), x, 0));
    ck_assert_ptr_ne(wg_alias(x), x);
    ck_assert(shares(wg_squeeze(wg_unsqueeze(x, 0), WG_ALL), x, 0));
    pop(s);
}
END_TEST

START_TEST(writing_into_a_view_changes_the_whole)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = counting(WG_DIMS(2, 2));
    ck_assert_int_eq(
        wg_assign(wg_transpose(wg_narrow(x, 1, 1, 1), 0, 1), wg_full(WG_DIMS(1, 2), 9)), WG_OK);
    expect_values(x, 4, (double[]) { 0, 9, 2, 9 });
    pop(s);
}
END_TEST

START_TEST(reshape_is_a_view_where_it_can_be_and_a_copy_elsewhere)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = counting(WG_DIMS(2, 3, 4)), *t = wg_transpose(x, 0, 1);
    ck_assert(shares(wg_reshape(x, WG_DIMS(6, -1)), x, 0));
    ck_assert(shares(wg_reshape(t, WG_DIMS(3, 2, 2, 2)), x, 0));
    ck_assert(!shares(wg_reshape(t, WG_DIMS(6, 4)), x, 0));
    expect_values(wg_narrow(wg_reshape(t, WG_DIMS(-1)), 0, 3, 3), 3, (double[]) { 3, 12, 13 });
    ck_assert(shares(wg_flatten(x, 1, -1), x, 0));
    expect_dims(wg_shape(wg_flatten(x, 0, 1)), WG_DIMS(6, 4));
    expect_dims(wg_shape(wg_flatten(wg_zeros(WG_DIMS()), 0, -1)), WG_DIMS(1));
    expect_dims(wg_shape(wg_reshape(wg_zeros(WG_DIMS(0, 4)), WG_DIMS(-1, 2))), WG_DIMS(0, 2));
    ck_assert_ptr_eq(wg_contiguous(x), x);
    ck_assert(wg_is_contiguous(wg_contiguous(t)));
    expect_no_error();
    wg_view(t, WG_DIMS(6, 4));
    expect_error(WG_ESHAPE, "view: shape (6, 4) would need a copy: use wg_reshape");
    wg_reshape(x, WG_DIMS(5, -1));
    expect_error(WG_ESHAPE, "reshape: 24 elements do not fit shape (5, -1)");
    wg_flatten(x, 2, 1);
    expect_error(WG_EARG, "flatten: axis 2 comes after axis 1");
    wg_flatten(x, 0, 3);
    expect_error(WG_EINDEX, "flatten: axes 0 to 3 of 3 dimensions");
    pop(s);
}
END_TEST

START_TEST(parts_lie_side_by_side)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = counting(WG_DIMS(2, 6)), *part[3];
    wg_split(x, WG_DIMS(1, 2, 3), 1, part);
    ck_assert(shares(part[1], x, 1));
    expect_values(part[2], 6, (double[]) { 3, 4, 5, 9, 10, 11 });
    wg_list c = wg_chunk(x, 4, -1); /* parts of 2: three, not four */
    ck_assert_int_eq(c.n, 3);
    ck_assert(shares(c.t[2], x, 4));
    c = wg_chunk(wg_zeros(WG_DIMS(100)), 100, 0);
    ck_assert_int_eq(c.n, 100);
    c = wg_chunk(counting(WG_DIMS(7)), 3, 0);
    ck_assert_int_eq(c.n, 3);
    expect_values(c.t[2], 1, (double[]) { 6 });
    expect_values(wg_cat(WG_LIST(part[1], part[0]), 1), 6, (double[]) { 1, 2, 0, 7, 8, 6 });
    expect_values(wg_stack(WG_LIST(wg_select(x, 1, 0), wg_select(x, 1, 5)), 1), 4,
                  (double[]) { 0, 5, 6, 11 });
    expect_values(wg_stack(WG_LIST(wg_select(wg_select(x, 1, 0), 0, 1)), 0), 1, (double[]) { 6 });
    expect_no_error();
    wg_split(x, WG_DIMS(1, 2), 1, part);
    ck_assert(wg_is_error(part[0]) && wg_is_error(part[1]));
    expect_error(WG_ESHAPE, "split: sizes (1, 2) do not sum to 6");
    ck_assert_int_eq(wg_chunk(x, 0, 0).n, 0);
    expect_error(WG_EARG, "chunk: 0 chunks");
    wg_stack(WG_NO_LIST, 0);
    expect_error(WG_EARG, "stack: no inputs");
    wg_stack(WG_LIST(x, wg_zeros(WG_DIMS(3))), 0);
    expect_error(WG_ESHAPE, "cat: x 1 does not fit");
    pop(s);
}
END_TEST

START_TEST(cat_promotes)
{
    wg_scope s = wg_scope_push();
    wg_tensor *i = wg_arange(0, 2), *f = wg_full(WG_DIMS(1), 0.5);
    wg_tensor *y = wg_cat(WG_LIST(i, wg_cast(f, WG_BF16), wg_cast(f, WG_F16)), 0);
    ck_assert_int_eq(wg_dtype_of(y), WG_F32);
    expect_values(y, 4, (double[]) { 0, 1, 0.5, 0.5 });
    ck_assert_int_eq(wg_dtype_of(wg_cat(WG_LIST(i, wg_cast(i, WG_U8)), 0)), WG_I64);
    pop(s);
}
END_TEST

START_TEST(repeat_tiles)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = counting(WG_DIMS(2, 1));
    expect_values(wg_repeat(x, WG_DIMS(1, 3)), 6, (double[]) { 0, 0, 0, 1, 1, 1 });
    expect_values(wg_repeat(x, WG_DIMS(2, 2, 1)), 8, (double[]) { 0, 1, 0, 1, 0, 1, 0, 1 });
    expect_dims(wg_shape(wg_repeat(x, WG_DIMS(0, 5))), WG_DIMS(0, 5));
    wg_tensor *deep = wg_reshape(x, WG_DIMS(1, 1, 1, 1, 1, 1, 1, 2));
    expect_dims(wg_shape(wg_repeat(deep, WG_DIMS(1, 2, 1, 2, 1, 2, 1, 2))),
                WG_DIMS(1, 2, 1, 2, 1, 2, 1, 4));
    x = wg_require_grad(counting(WG_DIMS(2)));
    ck_assert_int_eq(
        wg_backward(wg_sum(wg_mul(wg_repeat(x, WG_DIMS(3)), counting(WG_DIMS(6))), WG_ALL, false)),
        WG_OK);
    expect_values(wg_grad_of(x), 2, (double[]) { 6, 9 });
    wg_repeat(x, WG_DIMS());
    expect_error(WG_EARG, "repeat: 0 times for 1 dimensions");
    wg_repeat(x, WG_DIMS(-1));
    expect_error(WG_EARG, "repeat: -1 times");
    pop(s);
}
END_TEST

START_TEST(a_cotangent_flows_through_a_chain_of_partial_views)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_require_grad(counting(WG_DIMS(3, 4))), *part[2];
    wg_split(x, WG_DIMS(1, 3), 1, part);
    wg_tensor *y = wg_slice(wg_select(wg_transpose(part[1], 0, 1), 0, 2), 0, 0, 3,
                            2); /* column 3, rows 0 and 2 */
    ck_assert_int_eq(wg_backward(wg_sum(wg_mul(y, counting(WG_DIMS(2))), WG_ALL, false)), WG_OK);
    expect_values(wg_grad_of(x), 12, (double[]) { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 });
    pop(s);
}
END_TEST

START_TEST(meta_tensors_have_views)
{
    wg_scope s = wg_scope_push();
    wg_use_device(wg_meta());
    wg_tensor *x = wg_zeros(WG_DIMS(1 << 20, 1 << 20));
    expect_dims(wg_shape(wg_unfold(wg_narrow(wg_transpose(x, 0, 1), 0, 5, 7), 0, 3, 2)),
                WG_DIMS(3, 1 << 20, 3));
    expect_dims(wg_shape(wg_pad(wg_roll(wg_flip(x, WG_ALL), 3, 0), WG_DIMS(2), WG_DIMS(0), 1)),
                WG_DIMS(1 << 20, (1 << 20) + 2));
    expect_dims(wg_shape(wg_matmul(wg_cat(WG_LIST(x, x), 0), x)), WG_DIMS(1 << 21, 1 << 20));
    pop(s);
}
END_TEST

START_TEST(an_error_passes_through)
{
    wg_scope s = wg_scope_push();
    wg_tensor *bad = wg_select(wg_zeros(WG_DIMS(2)), 0, 2), *part[2];
    ck_assert(wg_is_error(wg_reshape(bad, WG_DIMS(1))));
    ck_assert(wg_is_error(wg_contiguous(bad)));
    ck_assert(wg_is_error(wg_repeat(bad, WG_DIMS(2))));
    ck_assert(wg_is_error(wg_cat(WG_LIST(bad, bad), 0)));
    ck_assert(wg_is_error(wg_stack(WG_LIST(bad), 0)));
    ck_assert(wg_is_error(wg_flatten(bad, 0, 0)));
    wg_split(bad, WG_DIMS(1, 1), 0, part);
    ck_assert(wg_is_error(part[1]));
    ck_assert_int_eq(wg_chunk(bad, 2, 0).n, 0);
    expect_error(WG_EINDEX, "select: index 2 does not lie in axis 0 of size 2");
    wg_reshape(NULL, WG_DIMS(1));
    expect_error(WG_EARG, "reshape: x is NULL");
    pop(s);
}
END_TEST

int main(void)
{
    return suite_run("views",
                     (const TTest *[]) { views_share_data_and_have_the_strides_of_their_axes,
                                         writing_into_a_view_changes_the_whole,
                                         reshape_is_a_view_where_it_can_be_and_a_copy_elsewhere,
                                         parts_lie_side_by_side, cat_promotes, repeat_tiles,
                                         a_cotangent_flows_through_a_chain_of_partial_views,
                                         meta_tensors_have_views, an_error_passes_through, NULL });
}
