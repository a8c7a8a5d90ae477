/* Fused functions made at random: results that several ops read, in registers or in memory, in every order, between ops that
 * are no part of a chain, over lengths that are no whole strips. Their values and gradients have the bits of the ops. */
#include "fuse_check.h"

static uint64_t drawn, program; /* of the function under way: the same each time that it runs */

static int draw(int n)
{
    drawn = drawn * 6364136223846793005u + 1442695040888963407u;
    return (int)(drawn >> 33) % n;
}

/* Bounded, so that everything stays finite. */
static wg_tensor *op_of(int kind, wg_tensor *x, wg_tensor *y)
{
    switch (kind) {
    case 0: return wg_neg(x);
    case 1: return wg_abs(x);
    case 2: return wg_relu(x);
    case 3: return wg_leaky_relu(x, 0.1);
    case 4: return wg_clamp(wg_square(x), -3, 3);
    case 5: return wg_affine(x, -0.75, 0.3);
    case 6: return wg_affine(x, 1, 0.5);
    case 7: return wg_clamp(x, -1.5, 2);
    case 8: return wg_clamp(wg_add(x, y), -4, 4);
    case 9: return wg_clamp(wg_sub(x, y), -4, 4);
    case 10: return wg_clamp(wg_mul(x, y), -4, 4);
    case 11: return wg_maximum(x, y);
    case 12: return wg_minimum(x, y);
    case 13: return wg_reciprocal(wg_affine(wg_abs(x), 1, 1));
    case 14: return wg_div(x, wg_affine(wg_square(y), 1, 1));
    case 15: return wg_sqrt(wg_affine(wg_abs(x), 1, 0.25));
    case 16: return wg_tanh(x);
    case 17: return wg_sigmoid(x);
    case 18: return wg_where(wg_gt(x, y), x, wg_neg(y));
    default: return wg_floor(x);
    }
}

static void random_function(void *self, wg_list in, wg_list out)
{
    (void)self;
    wg_tensor *made[48];
    int n = 0;
    drawn = program;
    for (; n < in.n; n++) made[n] = in.t[n];
    const int ops = 1 + draw(28);
    for (int i = 0; i < ops; i++) { /* mostly of what was made last */
        wg_tensor *x = made[draw(3) ? n - 1 : draw(n)], *y = made[draw(2) ? n - 1 : draw(n)];
        const int kind = draw(20);
        made[n++] = draw(2) ? op_of(kind, x, y) : op_of(kind, y, x);
    }
    out.t[0] = made[n - 1];
    out.t[1] = made[draw(n)];
}

START_TEST(random_functions_have_the_bits_of_their_ops)
{
    const int64_t sizes[] = { 1, 100, 1300, 4097, 5000, 9001, 70001 };
    for (int i = 0; i < 300; i++) {
        wg_scope s = wg_scope_push();
        program = 977 * (uint64_t)i + 3;
        wg_seed(program);
        const int64_t n = sizes[i % 7];
        compare(random_function, 2, WG_LIST(wg_randn(WG_DIMS(n)), wg_randn(WG_DIMS(n))), 0, 0);
        end(s);
    }
}
END_TEST

/* One input by columns, one by rows, a f64 among them: parts of a tile are no plain loops. */
START_TEST(random_functions_of_other_layouts_and_dtypes)
{
    for (int i = 0; i < 120; i++) {
        wg_scope s = wg_scope_push();
        program = 1009 * (uint64_t)i + 5;
        wg_seed(program);
        wg_tensor *x = wg_randn(WG_DIMS(130, 137)), *y = wg_randn(WG_DIMS(130, 137));
        if (i % 3 == 0) y = wg_transpose(wg_randn(WG_DIMS(137, 130)), 0, 1);
        if (i % 3 == 1) x = wg_cast(x, WG_BF16);
        if (i % 3 == 2) y = wg_cast(y, WG_F64);
        compare(random_function, 2, WG_LIST(x, y), 0, 0);
        end(s);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        random_functions_have_the_bits_of_their_ops,
        random_functions_of_other_layouts_and_dtypes,
        NULL,
    };
    return suite_run("fuse chain", tests);
}
