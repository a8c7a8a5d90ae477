/* Shapes, strides, axes. */
#include "suite.h"
#include "tensor/internal.h"

static void expect_dims(wg_dims got, wg_dims want)
{
    char a[256], b[256];
    wgi_shape_text(a, sizeof a, &got);
    wgi_shape_text(b, sizeof b, &want);
    ck_assert_str_eq(a, b);
}

static int64_t numel(wg_dims d)
{
    return wgi_numel(&d);
}

START_TEST(numel_refuses_what_overflows)
{
    ck_assert_int_eq(numel(WG_DIMS()), 1);
    ck_assert_int_eq(numel(WG_DIMS(2, 3, 4)), 24);
    ck_assert_int_eq(numel(WG_DIMS(2, 0, 4)), 0);
    ck_assert_int_eq(numel(WG_DIMS(2, -1)), -1);
    ck_assert_int_eq(numel(WG_DIMS(INT64_MAX, 2)), -1);
    ck_assert_int_eq(numel(WG_DIMS(INT64_MAX / 8 + 1)), -1);
    ck_assert_int_eq(numel(WG_DIMS(INT64_MAX / 8)), INT64_MAX / 8);
    ck_assert_int_eq(numel(WG_DIMS(1ll << 40, 1ll << 40, 0)), -1); /* its strides would overflow */
    ck_assert_int_eq(numel(WG_ALL), -1);
    ck_assert_int_eq(numel(WG_DIMS(1, 2, 3, 4, 5, 6, 7, 8, 9)), -1);
    ck_assert_int_eq(numel(wg_dims_make(-3, NULL)), -1);
}
END_TEST

static bool broadcasts(wg_dims a, wg_dims b, wg_dims *out)
{
    bool ok = wgi_broadcast(&a, &b, out) == WG_OK;
    wg_error_clear();
    return ok;
}

START_TEST(broadcasting_is_numpys)
{
    wg_dims out;
    ck_assert(broadcasts(WG_DIMS(4, 1, 3), WG_DIMS(2, 1), &out));
    expect_dims(out, WG_DIMS(4, 2, 3));
    ck_assert(broadcasts(WG_DIMS(), WG_DIMS(5), &out));
    expect_dims(out, WG_DIMS(5));
    ck_assert(broadcasts(WG_DIMS(1, 3), WG_DIMS(0, 1), &out));
    expect_dims(out, WG_DIMS(0, 3));
    ck_assert(!broadcasts(WG_DIMS(0), WG_DIMS(2), &out));
    ck_assert(!broadcasts(WG_DIMS(2, 3), WG_DIMS(2), &out));
    wgi_broadcast(&(wg_dims) { 1, { 2 } }, &(wg_dims) { 1, { 3 } }, &out);
    expect_error(WG_ESHAPE, "shapes do not broadcast");
}
END_TEST

START_TEST(axes_are_counted_from_both_ends)
{
    int axis;
    unsigned mask;
    ck_assert_int_eq(wgi_axis(-1, 3, &axis), WG_OK);
    ck_assert_int_eq(axis, 2);
    ck_assert_int_eq(wgi_axis(-1, 0, &axis), WG_OK);
    ck_assert_int_eq(axis, 0);
    ck_assert_int_eq(wgi_axis(3, 3, &axis), WG_EINDEX);
    expect_error(WG_EINDEX, "axis 3 is out of range for 3 dimensions");
    wg_dims d = WG_DIMS(0, -1);
    ck_assert_int_eq(wgi_axes(&d, 4, &mask), WG_OK);
    ck_assert_uint_eq(mask, 9);
    ck_assert_int_eq(wgi_axes(&WG_ALL, 3, &mask), WG_OK);
    ck_assert_uint_eq(mask, 7);
    ck_assert_int_eq(wgi_axes(&WG_ALL, 0, &mask), WG_OK);
    ck_assert_uint_eq(mask, 0);
    d = WG_DIMS(1, -2);
    ck_assert_int_eq(wgi_axes(&d, 3, &mask), WG_EARG);
    expect_error(WG_EARG, "axis 1 is given twice");
    d = WG_DIMS(INT64_MIN);
    ck_assert_int_eq(wgi_axes(&d, 3, &mask), WG_EINDEX);
    wg_error_clear();
    d = WG_DIMS(1, 2, 3, 4, 5, 6, 7, 8, 9);
    ck_assert_int_eq(wgi_axes(&d, 3, &mask), WG_EARG);
    wg_error_clear();
}
END_TEST

static bool view(wg_dims shape, wg_dims strides, wg_dims to, wg_dims *out)
{
    return wgi_view_strides(&shape, &strides, &to, out);
}

START_TEST(a_reshape_is_a_view_where_runs_of_axes_allow_it)
{
    wg_dims s;
    ck_assert(view(WG_DIMS(2, 3, 4), WG_DIMS(12, 4, 1), WG_DIMS(6, 4), &s));
    expect_dims(s, WG_DIMS(4, 1));
    ck_assert(view(WG_DIMS(2, 3, 4), WG_DIMS(12, 4, 1), WG_DIMS(2, 2, 6), &s));
    expect_dims(s, WG_DIMS(12, 6, 1));
    ck_assert(!view(WG_DIMS(3, 2), WG_DIMS(1, 3), WG_DIMS(6), &s)); /* transposed */
    ck_assert(view(WG_DIMS(4, 6), WG_DIMS(1, 4), WG_DIMS(2, 2, 3, 2),
                   &s)); /* transposed, each axis split */
    expect_dims(s, WG_DIMS(2, 1, 8, 4));
    ck_assert(view(WG_DIMS(2, 3), WG_DIMS(10, 1), WG_DIMS(2, 1, 3, 1), &s)); /* narrowed */
    expect_dims(s, WG_DIMS(10, 3, 1, 1));
    ck_assert(!view(WG_DIMS(2, 3), WG_DIMS(10, 1), WG_DIMS(6), &s));
    ck_assert(view(WG_DIMS(3, 4), WG_DIMS(0, 0), WG_DIMS(12), &s)); /* expanded */
    expect_dims(s, WG_DIMS(0));
    ck_assert(view(WG_DIMS(1, 1), WG_DIMS(77, 5), WG_DIMS(), &s));
    ck_assert(view(WG_DIMS(), WG_DIMS(), WG_DIMS(1, 1), &s));
    ck_assert(view(WG_DIMS(0, 3), WG_DIMS(3, 1), WG_DIMS(5, 0), &s));
    ck_assert(!view(WG_DIMS(2, 3), WG_DIMS(3, 1), WG_DIMS(7), &s));
}
END_TEST

START_TEST(a_view_reaches_the_same_elements_in_the_same_order)
{
    /* every shape of up to 3 axes of 24 elements, over transposed, narrowed and plain layouts */
    const wg_dims shapes[] = { WG_DIMS(2, 3, 4), WG_DIMS(4, 6), WG_DIMS(1, 24), WG_DIMS(2, 2, 6) };
    for (int i = 0; i < 4; i++)
        for (int layout = 0; layout < 3; layout++)
            for (int64_t a = 1; a <= 24; a++)
                for (int64_t b = 1; b <= 24; b++) {
                    if (24 % (a * b)) continue;
                    wg_dims shape = shapes[i], strides = wgi_row_major(&shape),
                            to = WG_DIMS(a, b, 24 / a / b), out;
                    if (layout == 1) strides.d[0] += 5; /* rows of a wider tensor */
                    if (layout == 2)
                        for (int k = 0, at = 1; k < shape.n; at *= (int)shape.d[k++])
                            strides.d[k] = at;
                    if (!wgi_view_strides(&shape, &strides, &to, &out)) continue;
                    for (int64_t e = 0; e < 24; e++) {
                        int64_t x = 0, y = 0, left = e;
                        for (int k = shape.n - 1; k >= 0; left /= shape.d[k--])
                            x += left % shape.d[k] * strides.d[k];
                        left = e;
                        for (int k = 2; k >= 0; left /= to.d[k--]) y += left % to.d[k] * out.d[k];
                        ck_assert_int_eq(x, y);
                    }
                }
}
END_TEST

static wg_tensor *with_strides(wg_dims shape, wg_dims strides)
{
    wg_tensor *base = wgi_tensor_new(wgi_ctx(), WG_F32, wg_cpu(), WG_DIMS(1000));
    return wgi_tensor_view(wgi_ctx(), base, shape, strides, 0);
}

START_TEST(overlap_and_contiguity)
{
    wg_scope s = wg_scope_push();
    ck_assert(!wgi_overlaps_itself(with_strides(WG_DIMS(3, 4), WG_DIMS(4, 1))));
    ck_assert(!wgi_overlaps_itself(with_strides(WG_DIMS(3, 4), WG_DIMS(1, 3))));
    ck_assert(!wgi_overlaps_itself(with_strides(WG_DIMS(3, 1, 4), WG_DIMS(10, 0, 2))));
    ck_assert(wgi_overlaps_itself(with_strides(WG_DIMS(3, 4), WG_DIMS(0, 1))));
    ck_assert(wgi_overlaps_itself(with_strides(WG_DIMS(5, 3), WG_DIMS(1, 1)))); /* windows */
    ck_assert(wgi_overlaps_itself(with_strides(WG_DIMS(5, 3), WG_DIMS(2, 1))));
    ck_assert(!wgi_overlaps_itself(with_strides(WG_DIMS(0, 3), WG_DIMS(0, 0))));
    ck_assert(wg_is_contiguous(with_strides(WG_DIMS(3, 1, 4), WG_DIMS(4, 99, 1))));
    ck_assert(wg_is_contiguous(with_strides(WG_DIMS(0, 3), WG_DIMS(7, 7))));
    ck_assert(!wg_is_contiguous(with_strides(WG_DIMS(3, 4), WG_DIMS(5, 1))));
    pop(s);
}
END_TEST

START_TEST(tensors_and_shapes_as_text)
{
    char text[64];
    wg_scope s = wg_scope_push();
    wgi_tensor_text(text, sizeof text, with_strides(WG_DIMS(4, 64), WG_DIMS(0, 1)));
    ck_assert_str_eq(text, "(4, 64) f32 cpu");
    wgi_tensor_text(text, sizeof text, wgi_tensor_new(wgi_ctx(), WG_BOOL, wg_meta(), WG_DIMS()));
    ck_assert_str_eq(text, "() bool meta");
    wgi_device_text(text, sizeof text, wg_cuda(3));
    ck_assert_str_eq(text, "cuda:3");
    wgi_shape_text(text, 6, &(wg_dims) { 2, { 123, 456 } });
    ck_assert_str_eq(text, "(123,");
    pop(s);
}
END_TEST

START_TEST(looking_at_a_tensor)
{
    wg_scope s = wg_scope_push();
    wg_tensor *t = with_strides(WG_DIMS(3, 4, 5), WG_DIMS(1, 20, 4));
    expect_dims(wg_shape(t), WG_DIMS(3, 4, 5));
    expect_dims(wg_strides(t), WG_DIMS(1, 20, 4));
    ck_assert_int_eq(wg_size(t, -1), 5);
    ck_assert_int_eq(wg_size(t, 0), 3);
    ck_assert_int_eq(wg_numel(t), 60);
    ck_assert_int_eq(wg_size(t, 3), 1);
    expect_error(WG_EINDEX, "size: axis 3 is out of range for 3 dimensions");
    pop(s);
}
END_TEST

int main(void)
{
    return suite_run("shape",
                     (const TTest *[]) { numel_refuses_what_overflows, broadcasting_is_numpys,
                                         axes_are_counted_from_both_ends,
                                         a_reshape_is_a_view_where_runs_of_axes_allow_it,
                                         a_view_reaches_the_same_elements_in_the_same_order,
                                         overlap_and_contiguity, tensors_and_shapes_as_text,
                                         looking_at_a_tensor, NULL });
}
