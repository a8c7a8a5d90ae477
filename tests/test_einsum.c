/* Ops that are products: einsum, outer, conv1d. */
#include "suite.h"

#include <math.h>
#include <string.h>

static double distance(wg_tensor *x, wg_tensor *y)
{
    wg_dims a = wg_shape(x), b = wg_shape(y);
    if (a.n != b.n) return INFINITY;
    for (int i = 0; i < a.n; i++)
        if (a.d[i] != b.d[i]) return INFINITY;
    return wg_numel(x) ? wg_item(wg_max(wg_abs(wg_sub(x, y)), WG_ALL, false)) : 0;
}

START_TEST(einsum_is_what_its_letters_say)
{
    wg_scope s = wg_scope_push();
    wg_use_dtype(WG_F64);
    wg_tensor *a = wg_randn(WG_DIMS(3, 4)), *b = wg_randn(WG_DIMS(4, 5)), *v = wg_randn(WG_DIMS(4));
    wg_tensor *x = wg_randn(WG_DIMS(2, 3, 4)), *y = wg_randn(WG_DIMS(2, 4, 5)),
              *q = wg_randn(WG_DIMS(4, 4));
    wg_tensor *eye = wg_eye(4);
    const struct {
        wg_tensor *got, *want;
    } pairs[] = {
        { wg_einsum("ij,jk->ik", WG_LIST(a, b)), wg_matmul(a, b) },
        { wg_einsum("ij , jk", WG_LIST(a, b)), wg_matmul(a, b) },
        { wg_einsum("ba", WG_LIST(a)), wg_transpose(a, 0, 1) },
        { wg_einsum("bij,bjk->bik", WG_LIST(x, y)), wg_matmul(x, y) },
        { wg_einsum("...ij,...jk->...ik", WG_LIST(x, b)), wg_matmul(x, b) },
        { wg_einsum("...j,j", WG_LIST(x, v)), wg_matmul(x, v) },
        { wg_einsum("ij->", WG_LIST(a)), wg_sum(a, WG_ALL, false) },
        { wg_einsum("ij->j", WG_LIST(a)), wg_sum(a, WG_DIMS(0), false) },
        { wg_einsum("i,i", WG_LIST(v, v)), wg_matmul(v, v) },
        { wg_einsum("i,j->ij", WG_LIST(v, v)), wg_outer(v, v) },
        { wg_einsum("i,j->ji", WG_LIST(v, wg_select(b, 1, 0))), wg_outer(wg_select(b, 1, 0), v) },
        { wg_einsum("ii->i", WG_LIST(q)), wg_sum(wg_mul(q, eye), WG_DIMS(1), false) },
        { wg_einsum("ii", WG_LIST(q)), wg_sum(wg_mul(q, eye), WG_ALL, false) },
        { wg_einsum("ij,ij->ij", WG_LIST(a, a)), wg_square(a) },
        { wg_einsum("ij,jk,kl->il", WG_LIST(a, b, wg_transpose(b, 0, 1))),
          wg_matmul(wg_matmul(a, b), wg_transpose(b, 0, 1)) },
        { wg_einsum("bij,bjk,k->b", WG_LIST(x, y, wg_select(b, 0, 1))),
          wg_sum(wg_matmul(wg_matmul(x, y), wg_select(b, 0, 1)), WG_DIMS(1), false) },
        { wg_einsum("bij,b->ij", WG_LIST(x, wg_ones(WG_DIMS(2)))), wg_sum(x, WG_DIMS(0), false) },
        { wg_einsum("b...,b...->...", WG_LIST(x, x)), wg_sum(wg_square(x), WG_DIMS(0), false) },
        { wg_einsum("...,...->...", WG_LIST(a, v)), wg_mul(a, v) },
        { wg_einsum(",ij->ij", WG_LIST(wg_full(WG_DIMS(), 3), a)), wg_affine(a, 3, 0) },
        { wg_einsum("iji->j", WG_LIST(wg_reshape(wg_randn(WG_DIMS(4)), WG_DIMS(1, 4, 1)))), NULL },
        { wg_einsum("ij,jk->ik", WG_LIST(wg_zeros(WG_DIMS(2, 0)), wg_zeros(WG_DIMS(0, 3)))),
          wg_zeros(WG_DIMS(2, 3)) },
    };
    expect_no_error();
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (pairs[i].want)
            ck_assert_msg(distance(pairs[i].got, pairs[i].want) < 1e-12, "formula %d", (int)i);
    pop(s);
}
END_TEST

static void some_einsum(void *self, wg_list in, wg_list out)
{
    out.t[0] = wg_einsum(self, in);
}

START_TEST(einsum_has_gradients_of_every_order)
{
    wg_scope s = wg_scope_push();
    wg_use_dtype(WG_F64);
    wg_tensor *a = wg_randn(WG_DIMS(3, 3, 2)), *b = wg_randn(WG_DIMS(2, 4)),
              *c = wg_randn(WG_DIMS(4));
    ck_assert_int_eq(wg_gradcheck(some_einsum, "iij,jk,k->ik", WG_LIST(a, b, c), NULL), WG_OK);
    ck_assert_int_eq(wg_gradgradcheck(some_einsum, "iij,jk,k->ik", WG_LIST(a, b, c), NULL), WG_OK);
    pop(s);
}
END_TEST

START_TEST(einsum_refuses_what_it_cannot_read)
{
    wg_scope s = wg_scope_push();
    wg_tensor *a = wg_zeros(WG_DIMS(3, 4));
    const struct {
        const char *formula, *message;
        wg_status code;
    } bad[] = {
        { "ij,jk->ik", "einsum: \"ij,jk->ik\": more operands than tensors", WG_EARG },
        { "i1", "einsum: \"i1\": only letters", WG_EARG },
        { "i.j", "einsum: \"i.j\": a lone dot", WG_EARG },
        { "......", "einsum: \"......\": two ellipses", WG_EARG },
        { "ij->ik", "einsum: \"ij->ik\": a letter of the output is in no operand", WG_EARG },
        { "ij->ii", "einsum: \"ij->ii\": a letter occurs twice", WG_EARG },
        { "ij->i->j", "einsum: \"ij->i->j\": something follows", WG_EARG },
        { "ij-i", "einsum: \"ij-i\": more operands than tensors, or a broken arrow", WG_EARG },
        { "ijk", "einsum: \"ijk\": operand 0 has 2 dimensions and 3 letters", WG_ESHAPE },
        { "i", "einsum: \"i\": operand 0 has 2 dimensions and 1 letters", WG_ESHAPE },
        { "ii", "einsum: \"ii\": a repeated letter has sizes 3 and 4", WG_ESHAPE },
        { "abcdefghi", "einsum: \"abcdefghi\": more than 8 letters", WG_EARG },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert(wg_is_error(wg_einsum(bad[i].formula, WG_LIST(a))));
        expect_error(bad[i].code, bad[i].message);
    }
    wg_einsum("ij,jk", WG_LIST(a, a));
    expect_error(WG_ESHAPE, "einsum: \"ij,jk\": sizes 4 and 3 of one letter");
    wg_einsum("ij", WG_LIST(a, a));
    expect_error(WG_EARG, "einsum: \"ij\": fewer operands than tensors");
    wg_einsum("ij", WG_NO_LIST);
    expect_error(WG_EARG, "einsum: \"ij\": no tensors");
    wg_einsum(NULL, WG_LIST(a));
    expect_error(WG_EARG, "einsum: the formula is NULL");
    wg_outer(a, a);
    expect_error(WG_ESHAPE, "outer: x has 2 dimensions");
    pop(s);
}
END_TEST

START_TEST(a_causal_convolution_sees_only_the_past)
{
    wg_scope s = wg_scope_push();
    wg_tensor *w = wg_ones(WG_DIMS(1, 1, 3)), *bias = wg_full(WG_DIMS(1), 10);
    wg_tensor *x = wg_reshape(wg_cast(wg_arange(0, 5), WG_F32), WG_DIMS(1, 1, 5));
    float got[5], want[5] = { 10, 11, 12, 14, 16 }; /* x[t] + x[t - 2] + x[t - 4] */
    wg_tensor *y = wg_conv1d(x, w, bias, .dilation = 2, .causal = true);
    ck_assert_int_eq(wg_read(y, got, sizeof got, WG_F32), WG_OK);
    for (int i = 0; i < 5; i++) ck_assert_float_eq(got[i], want[i]);
    wg_conv1d(x, w, .causal = true, .padding = 1);
    expect_error(WG_EARG, "conv1d: causal chooses the padding");
    wg_conv1d(x, w, wg_ones(WG_DIMS(2)));
    expect_error(WG_ESHAPE, "conv1d: bias should be (1)");
    pop(s);
}
END_TEST

START_TEST(a_depthwise_convolution_is_a_sum_of_shifted_products)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_randn(WG_DIMS(2, 6, 50)), *w = wg_randn(WG_DIMS(6, 1, 4));
    wg_tensor *y = wg_conv1d(x, w, .groups = 6), *want = NULL;
    for (int k = 0; k < 4; k++) {
        wg_tensor *term =
            wg_mul(wg_narrow(x, 2, k, 47), wg_narrow(wg_squeeze(w, WG_DIMS(1)), 1, k, 1));
        want = want ? wg_add(want, term) : term;
    }
    ck_assert_double_lt(distance(y, want), 1e-5);
    pop(s);
}
END_TEST

int main(void)
{
    return suite_run(
        "einsum", (const TTest *[]) {
                      einsum_is_what_its_letters_say, einsum_has_gradients_of_every_order,
                      einsum_refuses_what_it_cannot_read, a_causal_convolution_sees_only_the_past,
                      a_depthwise_convolution_is_a_sum_of_shifted_products, NULL });
}
