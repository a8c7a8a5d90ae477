/* Cotangents of a tensor's parts: attention writes those of q, k and v into the cotangent of the tensor that they were split
 * from. Every gradient is what three tensors of their own get. */
#include <string.h>

#include "suite.h"
#include "tensor/internal.h"

enum { B = 2, T = 9, H = 3, D = 8 };

/* What is made of q, k and v (B, H, T, D). */
typedef wg_tensor *(*use)(wg_tensor *const *qkv);

static wg_tensor *attend(wg_tensor *const *qkv)
{
    return wg_sdpa(qkv[0], qkv[1], qkv[2], .is_causal = true);
}

static wg_tensor *attend_twice(wg_tensor *const *qkv)
{
    return wg_add(attend(qkv), wg_sdpa(qkv[0], qkv[2], qkv[1]));
}

static wg_tensor *leave_one_out(wg_tensor *const *qkv)
{
    return wg_sdpa(qkv[0], qkv[2], qkv[2]);
}

static wg_tensor *use_one_elsewhere(wg_tensor *const *qkv)
{
    return wg_mul(wg_sdpa(qkv[0], qkv[1], qkv[1]), wg_square(qkv[2]));
}

/* Its other use comes before attention in backward, or after it. */
static wg_tensor *use_one_behind_too(wg_tensor *const *qkv)
{
    return wg_mul(attend(qkv), wg_sin(qkv[1]));
}

static wg_tensor *use_one_before_too(wg_tensor *const *qkv)
{
    wg_tensor *sine = wg_sin(qkv[1]);
    return wg_mul(attend(qkv), sine);
}

static wg_tensor *the_same_three_times(wg_tensor *const *qkv)
{
    return wg_sdpa(qkv[1], qkv[1], qkv[1]);
}

static const use uses[] = { attend,
                            attend_twice,
                            leave_one_out,
                            use_one_elsewhere,
                            use_one_behind_too,
                            use_one_before_too,
                            the_same_three_times };

/* How a whole of (B, T, 3 H, D) becomes parts (B, H, T, D). */
typedef void (*cut)(wg_tensor *whole, wg_tensor **part);

static void split(wg_tensor *whole, wg_tensor **part)
{
    wg_split(whole, WG_DIMS(H, H, H), 2, part);
    for (int i = 0; i < 3; i++) part[i] = wg_transpose(part[i], 1, 2);
}

static void turn_first(wg_tensor *whole, wg_tensor **part)
{
    const wg_list parts = wg_chunk(wg_transpose(whole, 1, 2), 3, 1);
    ck_assert_int_eq(parts.n, 3);
    for (int i = 0; i < 3; i++) part[i] = parts.t[i];
}

static void turn_often(wg_tensor *whole, wg_tensor **part)
{
    wg_split(whole, WG_DIMS(H, H, H), -2, part);
    for (int i = 0; i < 3; i++) {
        part[i] = wg_permute(part[i], WG_DIMS(2, 3, 0, 1)); /* (H, D, B, T) */
        for (int k = 0; k < 2 * i; k++) part[i] = wg_transpose(part[i], 0, 3);
        part[i] = wg_permute(part[i], WG_DIMS(2, 0, 3, 1));
    }
}

/* Its runs of elements lie along T, where attention wants D. */
static void turn_back(wg_tensor *whole, wg_tensor **part)
{
    wg_tensor *other = wg_contiguous(wg_permute(whole, WG_DIMS(0, 2, 3, 1))); /* (B, 3 H, D, T) */
    wg_split(other, WG_DIMS(H, H, H), 1, part);
    for (int i = 0; i < 3; i++) part[i] = wg_transpose(part[i], 2, 3);
}

/* Not all of the whole. */
static void take_slices(wg_tensor *whole, wg_tensor **part)
{
    for (int i = 0; i < 3; i++) part[i] = wg_transpose(wg_narrow(whole, 2, i * H, H), 1, 2);
}

static const cut cuts[] = { split, turn_first, turn_often, turn_back, take_slices };

/* Every element of y counts otherwise. */
static wg_tensor *loss_of(wg_tensor *y)
{
    wg_tensor *weights = wg_cos(wg_reshape(wg_arange(0, wg_numel(y)), wg_shape(y)));
    return wg_sum(wg_mul(y, weights), WG_ALL, false);
}

static void backward(wg_tensor *y)
{
    ck_assert_int_eq(wg_backward(loss_of(y)), WG_OK);
}

static void assert_same(wg_tensor *x, wg_tensor *want)
{
    ck_assert_int_eq(wg_numel(x), wg_numel(want));
    ck_assert_double_lt(wg_item(wg_max(wg_abs(wg_sub(x, want)), WG_ALL, false)), 1e-5);
}

/* The gradient of the whole x when its parts are tensors of their own, and those are put together again. */
static wg_tensor *apart(wg_tensor *x, use f)
{
    wg_tensor *part[3], *turned[3], *grad[3];
    wg_split(wg_detach(x), WG_DIMS(H, H, H), 2, part);
    for (int i = 0; i < 3; i++) {
        part[i] = wg_require_grad(wg_contiguous(part[i]));
        turned[i] = wg_transpose(part[i], 1, 2);
    }
    backward(f(turned));
    for (int i = 0; i < 3; i++)
        grad[i] = wg_grad_of(part[i]) ? wg_grad_of(part[i]) : wg_zeros_like(part[i]);
    return wg_cat((wg_list) { 3, grad }, 2);
}

START_TEST(gradients_are_those_of_tensors_apart)
{
    for (size_t u = 0; u < sizeof uses / sizeof *uses; u++)
        for (size_t c = 0; c < sizeof cuts / sizeof *cuts; c++) {
            wg_scope s = wg_scope_push();
            wg_tensor *x = wg_require_grad(wg_randn(WG_DIMS(B, T, 3 * H, D))), *part[3];
            wg_tensor *want = apart(x, uses[u]);
            cuts[c](wg_affine(x, 1, 0), part); /* not a leaf */
            backward(uses[u](part));
            assert_same(wg_grad_of(x), want);
            wg_drop_grad(x);
            cuts[c](x, part); /* a leaf, twice: its gradient is added to */
            backward(uses[u](part));
            assert_same(wg_grad_of(x), want);
            cuts[c](x, part);
            backward(uses[u](part));
            assert_same(wg_affine(wg_grad_of(x), 0.5, 0), want);
            pop(s);
        }
}
END_TEST

/* The whole has another use, whose cotangent comes first, or last. */
START_TEST(a_whole_may_have_other_uses)
{
    for (int first = 0; first < 2; first++) {
        wg_scope s = wg_scope_push();
        wg_tensor *x = wg_require_grad(wg_randn(WG_DIMS(B, T, 3 * H, D))), *part[3], *sum;
        wg_tensor *want = apart(x, attend), *whole = wg_affine(x, 1, 0);
        if (first) sum = wg_sum(wg_affine(whole, 3, 0), WG_ALL, false);
        split(whole, part);
        wg_tensor *y = attend(part);
        if (!first) sum = wg_sum(wg_affine(whole, 3, 0), WG_ALL, false);
        ck_assert_int_eq(wg_backward(wg_add(loss_of(y), sum)), WG_OK);
        assert_same(wg_affine(wg_grad_of(x), 1, -3), want);
        pop(s);
    }
}
END_TEST

static wg_tensor *twice(void *self, wg_tensor *grad)
{
    ++*(int *)self;
    return wg_affine(grad, 2, 0);
}

START_TEST(a_hook_replaces_what_was_made_in_its_place)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_require_grad(wg_randn(WG_DIMS(B, T, 3 * H, D))), *part[3];
    wg_tensor *want = apart(x, attend);
    int seen = 0;
    wg_split(wg_affine(x, 1, 0), WG_DIMS(H, H, H), 2, part);
    ck_assert_uint_ne(wg_hook(part[1], twice, &seen), 0);
    for (int i = 0; i < 3; i++) part[i] = wg_transpose(part[i], 1, 2);
    backward(attend(part));
    ck_assert_int_eq(seen, 1);
    wg_tensor *got[3], *wanted[3];
    wg_split(wg_grad_of(x), WG_DIMS(H, H, H), 2, got);
    wg_split(want, WG_DIMS(H, H, H), 2, wanted);
    assert_same(got[0], wanted[0]);
    assert_same(wg_affine(got[1], 0.5, 0), wanted[1]);
    assert_same(got[2], wanted[2]);
    pop(s);
}
END_TEST

typedef struct {
    wg_tensor *kept[2], *copies[2];
    int n;
} exchange;

/* The first cotangent, that of the last part, is turned; of the other two each gets the other's. */
static wg_tensor *turn(void *self, wg_tensor *grad)
{
    (void)self;
    return wg_transpose(grad, 2, 3);
}

static wg_tensor *keep(void *self, wg_tensor *grad)
{
    exchange *e = self;
    e->copies[e->n] = wg_ref(wg_affine(grad, 1, 0));
    e->kept[e->n++] = wg_ref(grad);
    return NULL;
}

static wg_tensor *swap(void *self, wg_tensor *grad)
{
    exchange *e = self;
    (void)grad;
    return e->kept[--e->n];
}

/* Gradients of q, k and v (1, H, D, D), parts of one tensor or not, when hooks exchange them. */
static wg_tensor *exchanged(wg_tensor *x, bool parts)
{
    wg_tensor *part[3], *turned[3], *again[3], *grad[3];
    exchange e = { .n = 0 };
    wg_split(parts ? wg_affine(x, 1, 0) : wg_detach(x), WG_DIMS(H, H, H), 2, part);
    for (int i = 0; i < 3; i++) {
        if (!parts) part[i] = wg_require_grad(wg_contiguous(part[i]));
        turned[i] = wg_transpose(part[i], 1, 2);
        ck_assert_uint_ne(wg_hook(turned[i], i == 2 ? turn : swap, &e), 0);
    }
    for (int i = 0; i < 3; i++) {
        again[i] = wg_transpose(wg_transpose(turned[i], 0, 1), 0, 1);
        if (i < 2) ck_assert_uint_ne(wg_hook(again[i], keep, &e), 0);
    }
    backward(attend(again));
    for (int i = 0; i < 2; i++) { /* what a hook has kept stays as it was */
        assert_same(e.kept[i], e.copies[i]);
        wg_unref(&e.kept[i]);
        wg_unref(&e.copies[i]);
    }
    if (parts) return wg_grad_of(x);
    for (int i = 0; i < 3; i++) grad[i] = wg_grad_of(part[i]);
    return wg_cat((wg_list) { 3, grad }, 2);
}

START_TEST(hooks_may_exchange_what_lies_in_one_whole)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_require_grad(wg_randn(WG_DIMS(1, D, 3 * H, D)));
    wg_tensor *want = exchanged(x, false);
    assert_same(exchanged(x, true), want);
    pop(s);
}
END_TEST

START_TEST(a_graph_may_be_walked_twice)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_require_grad(wg_randn(WG_DIMS(B, T, 3 * H, D))), *part[3];
    wg_tensor *want = apart(x, attend_twice);
    split(wg_affine(x, 1, 0), part);
    wg_tensor *loss = loss_of(attend_twice(part));
    ck_assert_int_eq(wg_backward(loss, .retain_graph = true), WG_OK);
    assert_same(wg_grad_of(x), want);
    ck_assert_int_eq(wg_backward(loss), WG_OK);
    assert_same(wg_affine(wg_grad_of(x), 0.5, 0), want);
    pop(s);
}
END_TEST

/* More wholes at once than backward keeps a list of. */
START_TEST(many_wholes_may_be_under_way)
{
    enum { MANY = 7 };
    wg_scope s = wg_scope_push();
    wg_tensor *x[MANY], *want[MANY], *part[MANY][3], *sum = NULL;
    for (int i = 0; i < MANY; i++) {
        x[i] = wg_require_grad(wg_randn(WG_DIMS(B, T, 3 * H, D)));
        want[i] = apart(x[i], attend);
        split(wg_affine(x[i], 1, 0), part[i]);
    }
    for (int i = 0; i < MANY; i++) sum = sum ? wg_add(sum, attend(part[i])) : attend(part[i]);
    backward(sum);
    for (int i = 0; i < MANY; i++) assert_same(wg_grad_of(x[i]), want[i]);
    pop(s);
}
END_TEST

START_TEST(without_memory_nothing_is_lost)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_require_grad(wg_randn(WG_DIMS(B, T, 3 * H, D)));
    const wg_device here = wg_device_of(x);
    const wg_memory before = wg_memory_stats(here);
    bool struck = true;
    int n = 0;
    while (struck) {
        wg_scope inner = wg_scope_push();
        wg_tensor *part[3];
        split(wg_affine(x, 1, 0), part);
        wg_tensor *loss = loss_of(attend(part));
        wgi_fail_alloc_after(++n);
        const wg_status got = wg_backward(loss);
        struck = wgi_fail_alloc_left() == 0;
        wgi_fail_alloc_after(0);
        if (!on_cuda() || got != WG_OK) /* which tries again with an empty cache */
            ck_assert_str_eq(wg_status_name(got), struck ? "WG_EMEM" : "WG_OK");
        wg_error_clear();
        ck_assert_int_eq(wg_scope_pop(inner), WG_OK);
        wg_drop_grad(x);
        ck_assert_int_eq(wg_memory_stats(here).current, before.current);
        ck_assert_int_eq(wg_memory_stats(here).tensors, before.tensors);
    }
    ck_assert_int_gt(n, 10);
    pop(s);
}
END_TEST

enum { LONG = 96, WIDE = 64 };

/* What backward takes from attention on, at its peak, in tensors like x. */
static double peak_of(wg_tensor *x, wg_tensor *const *qkv)
{
    wg_tensor *y = attend(qkv), *dy = wg_randn(wg_shape(y));
    const wg_device here = wg_device_of(x);
    const int64_t before = wg_memory_stats(here).current;
    wg_memory_reset_peak(here);
    ck_assert_int_eq(wg_backward(y, .cotangent = dy), WG_OK);
    return (double)(wg_memory_stats(here).peak - before) /
           (double)(wg_numel(x) * (int64_t)sizeof(float));
}

/* No second copy of the three: at the peak there is the whole's cotangent, y's, and what attention works in. */
START_TEST(nothing_is_copied)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_require_grad(wg_randn(WG_DIMS(4, LONG, 3 * H, WIDE))), *part[3];
    split(wg_affine(x, 1, 0), part);
    ck_assert_double_lt(peak_of(x, part), 2);
    pop(s);
}
END_TEST

static wg_tensor *note_step(void *self, wg_tensor *grad)
{
    *(int64_t *)self = grad->strides[3];
    return NULL;
}

/* Runs of elements along another axis, and rows that begin between chunks: a new tensor is better, and is copied. */
START_TEST(a_place_is_as_good_as_a_new_tensor)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_require_grad(wg_randn(WG_DIMS(4, LONG, 3 * H, WIDE))), *part[4];
    wg_split(wg_permute(wg_affine(x, 1, 0), WG_DIMS(0, 2, 3, 1)), WG_DIMS(H, H, H), 1, part);
    for (int i = 0; i < 3; i++) part[i] = wg_transpose(part[i], 2, 3);
    int64_t step = 0;
    ck_assert_uint_ne(wg_hook(part[0], note_step, &step), 0);
    peak_of(x, part);
    ck_assert_int_eq(step, 1); /* in the whole it would be LONG */
    x = wg_require_grad(wg_randn(WG_DIMS(4, H, LONG, 3 * WIDE + 1)));
    wg_split(wg_affine(x, 1, 0), WG_DIMS(1, WIDE, WIDE, WIDE), 3, part);
    ck_assert_double_gt(peak_of(x, part + 1), 1.9);
    pop(s);
}
END_TEST

int main(void)
{
    return suite_run(
        "parts",
        (const TTest *[]) { gradients_are_those_of_tensors_apart, a_whole_may_have_other_uses,
                            a_hook_replaces_what_was_made_in_its_place,
                            hooks_may_exchange_what_lies_in_one_whole, a_graph_may_be_walked_twice,
                            many_wholes_may_be_under_way, without_memory_nothing_is_lost,
                            nothing_is_copied, a_place_is_as_good_as_a_new_tensor, NULL });
}
