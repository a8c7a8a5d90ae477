/* wg_print: what NumPy prints with precision 4, and behind it what the numbers do not show. */
#include <math.h>
#include <stdlib.h>

#include "suite.h"
#include "tensor/internal.h"

static void expect_print(wg_tensor *t, const char *want)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    wg_print(f, t);
    fclose(f);
    ck_assert_msg(strcmp(text, want) == 0, "got\n%swant\n%s", text, want);
    free(text);
}

static wg_tensor *of(wg_dtype t, wg_dims shape, const double *v)
{
    wg_tensor *x = wgi_tensor_new(wgi_ctx(), t, wg_cpu(), shape);
    for (int64_t i = 0; i < x->numel; i++)
        wgi_store((char *)wgi_data(x) + (size_t)i * wgi_dtype_bytes[t], t, v[i]);
    return x;
}
#define OF(t, shape, ...) of(t, shape, (const double[]) { __VA_ARGS__ })

static wg_tensor *counted(wg_dtype t, wg_dims shape)
{
    wg_tensor *x = wgi_tensor_new(wgi_ctx(), t, wg_cpu(), shape);
    for (int64_t i = 0; i < x->numel; i++)
        wgi_store((char *)wgi_data(x) + (size_t)i * wgi_dtype_bytes[t], t, (double)i);
    return x;
}

START_TEST(floats_in_aligned_columns)
{
    wg_scope s = wg_scope_push();
    expect_print(OF(WG_F32, WG_DIMS(2, 2), 1, 2, 3, 4), "[[1. 2.]\n [3. 4.]]\n");
    expect_print(OF(WG_F32, WG_DIMS(2, 3), 1, -2.5, 3, 40, 5.25, 6.1),
                 "[[ 1.   -2.5   3.  ]\n [40.    5.25  6.1 ]]\n");
    expect_print(OF(WG_F32, WG_DIMS(3), 0.1, 0.12345678, -3), "[ 0.1     0.1235 -3.    ]\n");
    expect_print(OF(WG_F32, WG_DIMS(), 3.5), "3.5\n");
    expect_print(OF(WG_F64, WG_DIMS(2), 0, 1), "[0. 1.] f64\n");
    expect_print(OF(WG_BF16, WG_DIMS(1), 0.5), "[0.5] bf16\n");
    pop(s);
}
END_TEST

START_TEST(nan_and_infinities_stand_right)
{
    wg_scope s = wg_scope_push();
    expect_print(OF(WG_F32, WG_DIMS(4), NAN, 1.25, -INFINITY, INFINITY), "[ nan 1.25 -inf  inf]\n");
    expect_print(OF(WG_F32, WG_DIMS(2), NAN, NAN), "[nan nan]\n");
    pop(s);
}
END_TEST

START_TEST(scientific_where_numpy_chooses_it)
{
    wg_scope s = wg_scope_push();
    expect_print(OF(WG_F32, WG_DIMS(2), 1e10, 1), "[1.e+10 1.e+00]\n");
    expect_print(OF(WG_F64, WG_DIMS(2), 1.5e-7, -123456), "[ 1.5000e-07 -1.2346e+05] f64\n");
    expect_print(OF(WG_F32, WG_DIMS(2), 0.001, 0), "[0.001 0.   ]\n");
    expect_print(OF(WG_F32, WG_DIMS(2), 1, 1001), "[1.000e+00 1.001e+03]\n");
    expect_print(OF(WG_F32, WG_DIMS(2), 1, 1000), "[   1. 1000.]\n");
    pop(s);
}
END_TEST

START_TEST(integers_and_bools)
{
    wg_scope s = wg_scope_push();
    expect_print(OF(WG_I64, WG_DIMS(3), 1, -20, 300), "[  1 -20 300] i64\n");
    expect_print(OF(WG_BOOL, WG_DIMS(2), 1, 0), "[ True False] bool\n");
    expect_print(OF(WG_U8, WG_DIMS(), 255), "255 u8\n");
    pop(s);
}
END_TEST

START_TEST(three_axes_are_parted_by_an_empty_line)
{
    wg_scope s = wg_scope_push();
    expect_print(counted(WG_I32, WG_DIMS(2, 2, 2)),
                 "[[[0 1]\n  [2 3]]\n\n [[4 5]\n  [6 7]]] i32\n");
    expect_print(counted(WG_I32, WG_DIMS(2, 1, 2, 1)),
                 "[[[[0]\n   [1]]]\n\n\n [[[2]\n   [3]]]] i32\n");
    pop(s);
}
END_TEST

START_TEST(long_rows_are_broken)
{
    wg_scope s = wg_scope_push();
    expect_print(counted(WG_I64, WG_DIMS(30)),
                 "[ 0  1  2  3  4  5  6  7  8  9 10 11 12 13 14 15 16 17 18 19 20 21 22 23\n"
                 " 24 25 26 27 28 29] i64\n");
    pop(s);
}
END_TEST

START_TEST(beyond_1000_elements_three_at_both_ends)
{
    wg_scope s = wg_scope_push();
    expect_print(counted(WG_F32, WG_DIMS(1001)),
                 "[   0.    1.    2. ...  998.  999. 1000.] (1001)\n");
    expect_print(counted(WG_I64, WG_DIMS(20, 100)),
                 "[[   0    1    2 ...   97   98   99]\n"
                 " [ 100  101  102 ...  197  198  199]\n"
                 " [ 200  201  202 ...  297  298  299]\n"
                 " ...\n"
                 " [1700 1701 1702 ... 1797 1798 1799]\n"
                 " [1800 1801 1802 ... 1897 1898 1899]\n"
                 " [1900 1901 1902 ... 1997 1998 1999]] (20, 100) i64\n");
    expect_print(counted(WG_I64, WG_DIMS(2, 1000)),
                 "[[   0    1    2 ...  997  998  999]\n"
                 " [1000 1001 1002 ... 1997 1998 1999]] (2, 1000) i64\n");
    pop(s);
}
END_TEST

START_TEST(views_empty_meta_and_errors)
{
    wg_scope s = wg_scope_push();
    wg_tensor *t = counted(WG_F32, WG_DIMS(2, 3));
    expect_print(wgi_tensor_view(wgi_ctx(), t, WG_DIMS(3, 2), WG_DIMS(1, 3), 0),
                 "[[0. 3.]\n [1. 4.]\n [2. 5.]]\n");
    expect_print(counted(WG_F32, WG_DIMS(2, 0)), "[] (2, 0) f32\n");
    expect_print(wgi_tensor_new(wgi_ctx(), WG_F16, wg_meta(), WG_DIMS(4, 5)),
                 "[...] (4, 5) f16 meta\n");
    wg_at("a.c", 3);
    expect_print(wg_fail(WG_EARG, "on purpose"), "(error: on purpose; at a.c:3)\n");
    wg_error_clear();
    wg_print(NULL, t);
    expect_error(WG_EARG, "print: no file");
    pop(s);
}
END_TEST

int main(void)
{
    return suite_run(
        "print", (const TTest *[]) { floats_in_aligned_columns, nan_and_infinities_stand_right,
                                     scientific_where_numpy_chooses_it, integers_and_bools,
                                     three_axes_are_parted_by_an_empty_line, long_rows_are_broken,
                                     beyond_1000_elements_three_at_both_ends,
                                     views_empty_meta_and_errors, NULL });
}
