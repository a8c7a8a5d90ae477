/* Fused functions at work: settings, threads and memory; what they refuse, and whose errors they carry. */
#include "fuse_check.h"
#include "tensor/internal.h"

/* ---- settings, threads, memory ------------------------------------------------------------------------------------------- */
START_TEST(settings_reach_every_thread)
{
    wg_scope s = wg_scope_push();
    wg_use_grad(false);
    wg_tensor *x = wg_require_grad(wg_randn(WG_DIMS(64, 4096))), *y[1];
    int64_t before = wg_memory_stats(wg_cpu()).tensors;
    wg_fuse(chain, NULL, 0, WG_LIST(x), ((wg_list) { 1, y }));
    ck_assert(!wg_requires_grad(y[0]));
    ck_assert_int_eq(wg_memory_stats(wg_cpu()).tensors, before + 1);
    end(s);
}
END_TEST

/* An integer becomes a float of the current dtype. */
static void from_integers(void *self, wg_list in, wg_list out)
{
    (void)self;
    out.t[0] = wg_sqrt(in.t[0]);
}

START_TEST(the_current_dtype_reaches_every_thread)
{
    wg_scope s = wg_scope_push();
    wg_use_dtype(WG_F64);
    wg_tensor *y[1], *x = wg_arange(0, 100000);
    wg_fuse(from_integers, NULL, 0, WG_LIST(x), ((wg_list) { 1, y }));
    ck_assert_int_eq(wg_dtype_of(y[0]), WG_F64);
    assert_close("y", y[0], wg_sqrt(x), 0);
    end(s);
}
END_TEST

static wg_module_type stretch_type;
static wg_tensor *stretch_forward(wg_module *m, wg_tensor *x)
{
    wg_tensor *y[1], *w = wg_ones(WG_DIMS(90));
    (void)m;
    wg_fuse(product, NULL, 0, WG_LIST(x, w), ((wg_list) { 1, y }));
    return y[0];
}

START_TEST(a_module_may_fuse)
{
    wg_scope s = wg_scope_push();
    stretch_type = (wg_module_type) { .name = "stretch",
                                      .size = sizeof(wg_module),
                                      .forward = stretch_forward };
    wg_module *m = wg_module_new(&stretch_type, NULL);
    wg_tensor *x = wg_require_grad(wg_randn(WG_DIMS(200, 90)));
    wg_tensor *y = wg_forward(m, x);
    assert_close("y", y, wg_tanh(x), 0);
    wg_backward(total(y));
    ck_assert_ptr_nonnull(wg_grad_of(x));
    wg_forward(m, wg_randn(WG_DIMS(200, 91)));
    expect_error(WG_ESHAPE, "fuse: shapes do not broadcast: x[0] (200, 91) f32 cpu, x[1] (90) f32");
    wg_module_free(m);
    end(s);
}
END_TEST

START_TEST(the_bits_are_those_of_one_thread)
{
    wg_scope s = wg_scope_push();
    wg_use_dtype(WG_F64); /* sums of f32 in f64 would round the difference away */
    wg_tensor *x0 = wg_randn(WG_DIMS(3, 500, 200)), *a0 = wg_randn(WG_DIMS(500, 1)),
              *b0 = wg_randn(WG_DIMS(200)), *kept[5] = { 0 };
    for (int threads = 1; threads <= 4; threads++) {
        wg_use_threads(threads);
        wg_tensor *y[2], *x = wg_require_grad(wg_detach(x0)), *a = wg_require_grad(wg_detach(a0)),
                         *b = wg_require_grad(wg_detach(b0));
        wg_fuse(gated, &one, sizeof one, WG_LIST(x, a, b), ((wg_list) { 2, y }));
        wg_backward(wg_add(total(y[0]), total(wg_square(y[1]))));
        wg_tensor *got[] = { y[0], y[1], wg_grad_of(x), wg_grad_of(a), wg_grad_of(b) };
        for (int i = 0; i < 5; i++) {
            if (threads == 1)
                kept[i] = got[i];
            else
                assert_close("with more threads", got[i], kept[i], 0);
        }
    }
    wg_use_threads(0);
    end(s);
}
END_TEST

START_TEST(no_intermediate_is_kept)
{
    const int64_t n = 1 << 20, bytes = n * 4;
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_require_grad(wg_randn(WG_DIMS(n))), *y[1];
    const wg_memory before = wg_memory_stats(wg_cpu());
    wg_memory_reset_peak(wg_cpu());
    wg_fuse(chain, NULL, 0, WG_LIST(x), ((wg_list) { 1, y }));
    ck_assert_int_lt(wg_memory_stats(wg_cpu()).current - before.current, bytes + 4096);
    ck_assert_int_lt(wg_memory_stats(wg_cpu()).peak - before.current, bytes + bytes / 2);
    wg_memory_reset_peak(wg_cpu());
    wg_tensor *ones = wg_expand(wg_ones(WG_DIMS()), WG_DIMS(n));
    wg_backward(y[0], .cotangent = ones);
    ck_assert_int_lt(wg_memory_stats(wg_cpu()).peak - before.current, 2 * bytes + bytes);
    wg_drop_grad(x);
    end(s);
}
END_TEST

/* Tiles that share a part of a broadcast input come one after the other: its sums take the room of the input, not that
 * of the whole. */
START_TEST(sums_are_no_larger_than_their_input)
{
    const int64_t n = 1 << 18, bytes = 8 * n * 4;
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_require_grad(wg_randn(WG_DIMS(8, n))), *y[1];
    wg_tensor *positions = wg_require_grad(wg_randn(WG_DIMS(n)));
    wg_tensor *ones = wg_expand(wg_ones(WG_DIMS()), WG_DIMS(8, n));
    wg_fuse(product, NULL, 0, WG_LIST(x, positions), ((wg_list) { 1, y }));
    const int64_t before = wg_memory_stats(wg_cpu()).current;
    wg_memory_reset_peak(wg_cpu());
    wg_backward(y[0], .cotangent = ones);
    ck_assert_int_lt(wg_memory_stats(wg_cpu()).peak - before, 2 * bytes);
    end(s);
}
END_TEST

START_TEST(memory_comes_back)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_require_grad(wg_randn(WG_DIMS(300, 768))),
              *a = wg_require_grad(wg_randn(WG_DIMS(768))),
              *b = wg_require_grad(wg_ones(WG_DIMS()));
    wg_memory before = { 0 };
    for (int i = 0; i < 6; i++) {
        wg_scope inner = wg_scope_push();
        wg_tensor *y[2];
        wg_fuse(gated, &one, sizeof one, WG_LIST(x, a, b), ((wg_list) { 2, y }));
        if (i % 2) wg_backward(wg_add(total(y[0]), total(y[1]))); /* or never */
        wg_drop_grad(x);
        wg_drop_grad(a);
        wg_drop_grad(b);
        end(inner);
        const wg_memory now = wg_memory_stats(wg_cpu());
        if (i > 0) {
            ck_assert_int_eq(now.tensors, before.tensors);
            ck_assert_int_eq(now.current, before.current);
        }
        before = now;
    }
    end(s);
}
END_TEST

/* Every allocation may fail, on any thread: the error arrives, and nothing leaks. */
static void forward_and_backward(wg_tensor *x, wg_tensor *a)
{
    wg_scope s = wg_scope_push();
    wg_tensor *y[2];
    wg_fuse(gated, &one, sizeof one, WG_LIST(x, a, a), ((wg_list) { 2, y }));
    if (!wg_error_code()) wg_backward(wg_add(total(y[0]), total(y[1])));
    wg_drop_grad(x);
    wg_drop_grad(a);
    (void)!wg_scope_pop(s);
}

START_TEST(every_allocation_may_fail)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_require_grad(wg_randn(WG_DIMS(50, 768))),
              *a = wg_require_grad(wg_randn(WG_DIMS(768)));
    forward_and_backward(x, a);
    const wg_memory before = wg_memory_stats(wg_cpu());
    int64_t n = 0;
    for (bool struck = true; struck; n += 1 + n / 16) {
        wgi_fail_alloc_after(n + 1);
        forward_and_backward(x, a);
        struck = wgi_fail_alloc_left() <= 0; /* two threads may pass 0 */
        wgi_fail_alloc_after(0);
        ck_assert_str_eq(wg_status_name(wg_error_code()), struck ? "WG_EMEM" : "WG_OK");
        wg_error_clear();
        ck_assert_int_eq(wg_memory_stats(wg_cpu()).tensors, before.tensors);
        ck_assert_int_eq(wg_memory_stats(wg_cpu()).current, before.current);
    }
    ck_assert_int_gt(n, 100);
    end(s);
}
END_TEST

static void streamed(void *self, wg_list in, wg_list out)
{
    (void)self;
    out.t[0] = wg_tanh(wg_add(wg_mul(in.t[0], in.t[1]), in.t[2]));
}

/* Under autocast parameters do not widen a 16-bit stream, on any thread and in backward. */
START_TEST(autocast_reaches_every_thread)
{
    wg_scope s = wg_scope_push();
    wg_module *m = wg_layer_norm_new(768);
    wg_tensor *w = wg_module_tensor(m, "weight"), *b = wg_module_tensor(m, "bias"), *y[2], *d[2];
    wg_tensor *x = wg_cast(wg_randn(WG_DIMS(300, 768)), WG_BF16);
    wg_use_autocast(WG_BF16);
    for (int fused = 0; fused < 2; fused++) {
        run(fused, streamed, WG_LIST(x, w, b), (wg_list) { 1, &y[fused] });
        ck_assert_int_eq(wg_dtype_of(y[fused]), WG_BF16);
        wg_grad(WG_LIST(total(y[fused])), WG_LIST(w), WG_NO_LIST, 0, ((wg_list) { 1, &d[fused] }));
    }
    assert_close("y", y[1], y[0], 0);
    assert_close("dw", d[1], d[0], 0x1p-8 * 18); /* 300 terms of size 1, rounded to bf16 */
    wg_module_free(m);
    end(s);
}
END_TEST

static void scaled_and_shifted(void *self, wg_list in, wg_list out)
{
    (void)self;
    out.t[0] = wg_relu(wg_add(wg_mul(in.t[0], in.t[1]), in.t[1]));
}

/* Results of 32 MiB and more are stored past the caches; tiles of whole rows of 100 begin anywhere in a cache line. */
START_TEST(large_results_are_whole_wherever_tiles_begin)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_randn(WG_DIMS(84001, 100)), *b = wg_randn(WG_DIMS(100)), *y[2];
    for (int fused = 0; fused < 2; fused++)
        run(fused, scaled_and_shifted, WG_LIST(x, b), (wg_list) { 1, &y[fused] });
    assert_close("y", y[1], y[0], 0);
    end(s);
}
END_TEST

/* ---- what is refused ----------------------------------------------------------------------------------------------------- */
typedef struct {
    wg_tensor *captured;
    int what;
} refused;

static void not_elementwise(void *self, wg_list in, wg_list out)
{
    const refused *r = self;
    wg_tensor *x = wg_tanh(in.t[0]), *y = NULL;
    switch (r->what) {
    case 0: y = wg_softmax(x, -1); break;
    case 1: y = wg_dropout(x, 0.5, true); break;
    case 2: y = wg_mul(x, wg_rand(WG_DIMS())); break;
    case 3: y = wg_sum(x, WG_ALL, false); break;
    case 4: y = wg_transpose(x, 0, 1); break;
    case 5: y = wg_add(x, r->captured); break;
    case 6: y = wg_tanh(in.t[1]); break;
    case 7: y = wg_cast(x, WG_Q8_0); break;
    case 8: y = wg_assign(in.t[0], x) == WG_OK ? x : NULL; break;
    case 9: y = wg_mul(x, wg_scalar(wg_item(in.t[2]))); break;
    case 10: y = wg_log(wg_cast(x, WG_BOOL)), y = wg_neg(wg_cast(x, WG_BOOL)); break;
    default: break;
    }
    out.t[0] = y;
}

static void expect_refusal(int what, wg_tensor *captured, wg_status code, const char *message)
{
    const refused r = { captured, what };
    wg_tensor *x = wg_require_grad(wg_randn(WG_DIMS(90, 128))), *y[1];
    wg_fuse(not_elementwise, &r, sizeof r, WG_LIST(x, wg_ones(WG_DIMS(128)), wg_ones(WG_DIMS())),
            ((wg_list) { 1, y }));
    ck_assert(wg_is_error(y[0]));
    expect_error(code, message);
}

START_TEST(what_is_not_elementwise_is_refused_by_name)
{
    wg_scope s = wg_scope_push();
    expect_refusal(0, NULL, WG_EARG,
                   "fuse: softmax is not elementwise; the function may only compose ops that are: "
                   "x[0] (90, 128) f32 cpu, x[1] (128) f32 cpu");
    expect_refusal(1, NULL, WG_EARG, "fuse: dropout is random");
    expect_refusal(2, NULL, WG_EARG, "fuse: rand is random");
    expect_refusal(3, NULL, WG_EARG, "fuse: sum is not elementwise");
    expect_refusal(4, NULL, WG_EARG, "fuse: transpose is not elementwise");
    expect_refusal(6, NULL, WG_ESHAPE,
                   "fuse: output 0 is (128), not of the inputs' common shape (90, 128)");
    expect_refusal(7, NULL, WG_EDTYPE, "fuse: cast makes blocks");
    expect_refusal(8, NULL, WG_EARG, "assign: a fused function may not write in place");
    expect_refusal(9, NULL, WG_EDEVICE, "item: no data");
    expect_refusal(10, NULL, WG_EDTYPE, "neg: bool has no arithmetic");
    expect_refusal(11, NULL, WG_EARG, "fuse: the function left output 0 empty");
    end(s);
}
END_TEST

START_TEST(captured_tensors_are_scalars_without_gradient)
{
    wg_scope s = wg_scope_push();
    wg_tensor *row = wg_randn(WG_DIMS(128)), *number = wg_full(WG_DIMS(), 1.5);
    expect_refusal(5, row, WG_EARG,
                   "fuse: add takes (128) f32 cpu, which is not made of the function's inputs");
    expect_refusal(5, wg_randn(WG_DIMS(4096)), WG_EARG, "fuse: add takes (4096) f32 cpu");
    expect_refusal(5, wg_require_grad(wg_detach(number)), WG_EGRAD,
                   "fuse: add takes a captured tensor that requires a gradient");
    const refused r = { number, 5 };
    wg_tensor *x = wg_randn(WG_DIMS(90, 128)), *y[1];
    wg_fuse(not_elementwise, &r, sizeof r, WG_LIST(x), ((wg_list) { 1, y }));
    expect_no_error();
    assert_close("y", y[0], wg_add(wg_tanh(x), number), 0);
    end(s);
}
END_TEST

/* An op whose kernel raises on the tiles that hold a negative number, on whatever thread they run. */
static wg_status careful_infer(wg_infer *c)
{
    wg_infer_like(c, 0, c->in.t[0]);
    return WG_OK;
}

static wg_status careful_kernel(const wg_run *r)
{
    const float *x = wg_run_in(r, 0);
    float *y = wg_run_out(r, 0);
    for (int64_t i = 0; i < wg_numel(r->out.t[0]); i++) {
        if (x[i] < 0) return wg_raise(WG_ENUMERIC, "%g is negative", (double)x[i]);
        y[i] = sqrtf(x[i]);
    }
    return WG_OK;
}

static void careful_grad(wg_vjp *g)
{
    g->dx.t[0] = wg_div(g->dy.t[0], wg_mul(g->y.t[0], wg_scalar(2)));
}

static const wg_op careful_op = {
    .name = "careful",
    .in = { "x" },
    .out = { "y" },
    .flags = WG_OP_ELEMENTWISE | WG_OP_CONTIGUOUS,
    .saves = WG_OUT(0),
    .infer = careful_infer,
    .cpu = careful_kernel,
    .grad = careful_grad,
};

static void careful(void *self, wg_list in, wg_list out)
{
    (void)self; /* notes no place of its own */
    out.t[0] = (wg_apply)(&careful_op, in, NULL, NULL);
}

START_TEST(errors_of_any_thread_reach_the_caller)
{
    wg_scope s = wg_scope_push();
    wg_tensor *y[1], *x = wg_ones(WG_DIMS(200 * 4096));
    float *data = wg_data_write(x);
    ck_assert_ptr_nonnull(data);
    for (int64_t at = 0; at < 200; at += 33) {
        data[at * 4096 + 77] = -3;
        const int64_t before = wg_memory_stats(wg_cpu()).tensors;
        const int line = __LINE__ + 1;
        wg_fuse(careful, NULL, 0, WG_LIST(x), ((wg_list) { 1, y }));
        ck_assert(wg_is_error(y[0]));
        const wg_error *e = wg_error_get();
        ck_assert(e && e->file && e->code == WG_ENUMERIC);
        ck_assert_ptr_nonnull(strstr(e->file, "test_fuse_run.c"));
        ck_assert_int_eq(e->line, line);
        expect_error(WG_ENUMERIC, "careful: -3 is negative");
        ck_assert(wg_is_error((wg_tanh)(NULL))); /* the function's own places are forgotten */
        ck_assert_int_eq(wg_error_get()->line, line);
        wg_error_clear();
        ck_assert_int_eq(wg_memory_stats(wg_cpu()).tensors, before);
        data[at * 4096 + 77] = 1;
    }
    wg_fuse(careful, NULL, 0, WG_LIST(x), ((wg_list) { 1, y })); /* no thread remembers */
    assert_close("y", y[0], x, 0);
    end(s);
}
END_TEST

static void raise_there(void *self, int64_t task)
{
    (void)self;
    wg_raise(WG_EIO, "task %lld", (long long)task);
}

START_TEST(what_a_thread_had_pending_is_not_ours)
{
    wg_scope s = wg_scope_push();
    wg_tensor *y[1], *x = wg_ones(WG_DIMS(200 * 4096));
    wg_parallel(1000, raise_there, NULL); /* stays pending on the other threads */
    wg_error_clear();
    wg_fuse(careful, NULL, 0, WG_LIST(x), ((wg_list) { 1, y }));
    expect_no_error();
    assert_close("y", y[0], x, 0);
    end(s);
}
END_TEST

/* The same in backward, where the function runs again. */
static bool now_careful;
static void later_careful(void *self, wg_list in, wg_list out)
{
    if (now_careful)
        careful(self, in, out);
    else
        out.t[0] = wg_sqrt(in.t[0]);
}

START_TEST(errors_in_backward_reach_the_caller)
{
    wg_scope s = wg_scope_push();
    wg_tensor *y[1], *x = wg_ones(WG_DIMS(200 * 4096));
    float *data = wg_data_write(x);
    ck_assert_ptr_nonnull(data);
    data[150 * 4096 + 77] = -3;
    wg_require_grad(x);
    now_careful = false;
    wg_fuse(later_careful, NULL, 0, WG_LIST(x), ((wg_list) { 1, y }));
    expect_no_error();
    now_careful = true;
    ck_assert_int_eq(wg_backward(total(y[0])), WG_ENUMERIC);
    expect_error(WG_ENUMERIC, "careful: -3 is negative");
    end(s);
}
END_TEST

/* Broadcast over the columns of a tile, and from a row that is no row in memory: the op wants them contiguous. */
static void careful_sum(void *self, wg_list in, wg_list out)
{
    (void)self;
    out.t[0] = wg_add((wg_apply)(&careful_op, WG_LIST(in.t[0]), NULL, NULL),
                      (wg_apply)(&careful_op, WG_LIST(in.t[1]), NULL, NULL));
}

START_TEST(ops_that_want_contiguous_inputs_get_them)
{
    wg_scope s = wg_scope_push();
    wg_tensor *d[2][2], *y[2];
    wg_tensor *x = wg_require_grad(wg_transpose(wg_rand(WG_DIMS(700, 90)), 0, 1));
    wg_tensor *b = wg_require_grad(wg_rand(WG_DIMS(90, 1)));
    for (int fused = 0; fused < 2; fused++) {
        run(fused, careful_sum, WG_LIST(x, b), (wg_list) { 1, &y[fused] });
        wg_grad(WG_LIST(total(y[fused])), WG_LIST(x, b), WG_NO_LIST, 0,
                ((wg_list) { 2, d[fused] }));
    }
    assert_close("y", y[1], y[0], 0);
    assert_close("dx", d[1][0], d[0][0], 0);
    assert_close("db", d[1][1], d[0][1], 1e-3);
    end(s);
}
END_TEST

/* How often it ran: on meta, once for the whole and once for each shape of tiles, however many tiles there are. */
static void counted(void *self, wg_list in, wg_list out)
{
    ++**(int **)self;
    out.t[0] = wg_mul(wg_tanh(in.t[0]), in.t[0]);
}

START_TEST(it_runs_once_for_each_shape_of_tiles)
{
    wg_scope s = wg_scope_push();
    int calls = 0, *to = &calls;
    wg_tensor *y[1], *x = wg_require_grad(wg_randn(WG_DIMS(1000003)));
    wg_fuse(counted, &to, sizeof to, WG_LIST(x), ((wg_list) { 1, y }));
    ck_assert_int_eq(calls, 3);
    wg_backward(total(y[0]));
    ck_assert_int_eq(calls, 5);
    assert_close("y", y[0], wg_mul(wg_tanh(x), x), 0);
    end(s);
}
END_TEST

START_TEST(arguments_are_checked)
{
    wg_scope s = wg_scope_push();
    wg_tensor *x = wg_randn(WG_DIMS(8)), *y[1] = { NULL };
    const wg_list out = { 1, y };
    wg_fuse(NULL, NULL, 0, WG_LIST(x), out);
    ck_assert(wg_is_error(y[0]));
    expect_error(WG_EARG, "fuse: the function is NULL");
    wg_fuse(chain, NULL, 8, WG_LIST(x), out);
    expect_error(WG_EARG, "fuse: self is NULL");
    wg_fuse(chain, NULL, 0, ((wg_list) { 1, NULL }), out);
    expect_error(WG_EARG, "fuse: a list has a length");
    wg_fuse(chain, NULL, 0, WG_LIST(x), ((wg_list) { 1, NULL }));
    expect_error(WG_EARG, "fuse: a list has a length");
    wg_fuse(chain, NULL, 0, WG_NO_LIST, out);
    expect_error(WG_EARG, "fuse: there are no inputs");
    wg_fuse(chain, NULL, 0, WG_LIST(x, wg_randn(WG_DIMS(9))), out);
    expect_error(WG_ESHAPE, "fuse: shapes do not broadcast: x[0] (8) f32 cpu, x[1] (9) f32 cpu");
    wg_fuse(chain, NULL, 0, WG_LIST(wg_cast(wg_randn(WG_DIMS(32)), WG_Q8_0)), out);
    expect_error(WG_EDTYPE, "fuse: input 0 is q8_0");
    wg_fuse(chain, NULL, 0, WG_LIST(wg_add(x, NULL)), out);
    expect_error(WG_EARG, "add: y is NULL");
    end(s);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        settings_reach_every_thread,
        the_current_dtype_reaches_every_thread,
        a_module_may_fuse,
        the_bits_are_those_of_one_thread,
        no_intermediate_is_kept,
        sums_are_no_larger_than_their_input,
        memory_comes_back,
        every_allocation_may_fail,
        autocast_reaches_every_thread,
        large_results_are_whole_wherever_tiles_begin,
        what_is_not_elementwise_is_refused_by_name,
        captured_tensors_are_scalars_without_gradient,
        errors_of_any_thread_reach_the_caller,
        what_a_thread_had_pending_is_not_ours,
        errors_in_backward_reach_the_caller,
        ops_that_want_contiguous_inputs_get_them,
        it_runs_once_for_each_shape_of_tiles,
        arguments_are_checked,
        NULL,
    };
    return suite_run("fuse run", tests);
}
