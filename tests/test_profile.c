/* wg_profile: what it counts, its errors, its memory. */
#include <string.h>

#include "suite.h"
#include "wengert/profile.h"

static const wg_profile_row *row(const wg_profile *p, const char *op)
{
    for (int64_t i = 0; i < p->n; i++)
        if (strcmp(p->row[i].op, op) == 0) return &p->row[i];
    return NULL;
}

START_TEST(ops_are_counted_forward_and_backward)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_require_grad(wg_randn(WG_DIMS(30, 40))),
              *w = wg_require_grad(wg_randn(WG_DIMS(50, 40)));
    ck_assert_int_eq(wg_profile_start(0), WG_OK);
    for (int i = 0; i < 3; i++) {
        wg_scope inner = wg_scope_push();
        ck_assert_int_eq(wg_backward(wg_sum(wg_square(wg_linear(x, w, NULL)), WG_ALL, false)),
                         WG_OK);
        pop(inner);
    }
    const wg_profile p = wg_profile_stop();
    wg_linear(x, w, NULL); /* no longer seen */
    const wg_profile_row *linear = row(&p, "linear"), *matmul = row(&p, "matmul");
    ck_assert(linear && matmul && row(&p, "square") && row(&p, "sum"));
    ck_assert_int_eq(linear->calls, 3);
    ck_assert_int_eq(matmul->calls, 6);
    ck_assert(linear->flops == 3 * 2.0 * 30 * 50 * 40);
    ck_assert(matmul->flops == 2 * linear->flops);
    ck_assert(linear->bytes == 3 * 4.0 * (30 * 40 + 50 * 40 + 30 * 50));
    ck_assert_str_eq(linear->shapes, "");
    double sum = 0;
    for (int64_t i = 0; i < p.n; i++) {
        ck_assert(p.row[i].seconds >= 0);
        ck_assert(i == 0 || p.row[i].seconds <= p.row[i - 1].seconds);
        sum += p.row[i].seconds;
    }
    ck_assert(sum == p.kernels && p.kernels <= p.seconds);
    pop(s);
}
END_TEST

START_TEST(shapes_have_rows_of_their_own)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_ones(WG_DIMS(3, 4)), *w = wg_ones(WG_DIMS(5, 4)), *b = wg_ones(WG_DIMS(5));
    ck_assert_int_eq(wg_profile_start(WG_PROFILE_SHAPES), WG_OK);
    wg_linear(x, w, b);
    wg_linear(x, w, b);
    wg_linear(x, w, NULL);
    const wg_profile p = wg_profile_stop();
    ck_assert_int_eq(p.n, 2);
    const int biased = p.row[0].calls == 2 ? 0 : 1;
    ck_assert_str_eq(p.row[biased].shapes, "(3, 4) (5, 4) (5) -> (3, 5)");
    ck_assert_str_eq(p.row[1 - biased].shapes, "(3, 4) (5, 4) -> (3, 5)");
    ck_assert_int_eq(p.row[1 - biased].calls, 1);
    pop(s);
}
END_TEST

START_TEST(more_shapes_than_rows_go_into_the_last)
{
    ck_assert_int_eq(wg_profile_start(WG_PROFILE_SHAPES), WG_OK);
    for (int64_t n = 1; n <= 5000; n++) {
        wg_scope inner = wg_scope_push();
        wg_ones(WG_DIMS(n));
        pop(inner);
    }
    wg_scope s = wg_scope_push();
    const wg_profile p = wg_profile_stop();
    int64_t calls = 0;
    for (int64_t i = 0; i < p.n; i++) calls += p.row[i].calls;
    ck_assert_int_eq(calls, 5000);
    ck_assert_int_eq(p.n, 4096);
    ck_assert(row(&p, "(other)") != NULL);
    pop(s);
}
END_TEST

START_TEST(it_prints_its_dearest_rows)
{
    wg_scope s = wg_scope_push();
    ck_assert_int_eq(wg_profile_start(0), WG_OK);
    wg_exp(wg_ones(WG_DIMS(100)));
    const wg_profile p = wg_profile_stop();
    char text[2048] = "";
    FILE *f = fmemopen(text, sizeof text, "w");
    wg_profile_print(f, &p, 1);
    fclose(f);
    ck_assert(strstr(text, p.row[0].op) && !strstr(text, p.row[1].op));
    ck_assert(strstr(text, "outside kernels") != NULL);
    pop(s);
}
END_TEST

START_TEST(what_is_wrong_is_said)
{
    wg_scope s = wg_scope_push();
    const wg_profile none = wg_profile_stop();
    ck_assert_int_eq(none.n, 0);
    ck_assert_int_eq(wg_error_code(), WG_EARG);
    wg_error_clear();
    ck_assert_int_eq(wg_profile_start(8), WG_EARG);
    wg_error_clear();
    ck_assert_int_eq(wg_profile_start(0), WG_OK);
    ck_assert_int_eq(wg_profile_start(0), WG_EARG);
    wg_error_clear();
    ck_assert_int_eq(wg_profile_stop().n, 0); /* the first one was open still */
    ck_assert_int_eq(wg_error_code(), WG_OK);
    pop(s);
}
END_TEST

int main(void)
{
    return suite_run("profile",
                     (const TTest *[]) { ops_are_counted_forward_and_backward,
                                         shapes_have_rows_of_their_own,
                                         more_shapes_than_rows_go_into_the_last,
                                         it_prints_its_dearest_rows, what_is_wrong_is_said, NULL });
}
