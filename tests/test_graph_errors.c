/* Graphs: what is refused while one is captured, and what is left after errors, a run that CUDA gives up, and memory that ends. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "graph_check.h"

/* ---- errors ------------------------------------------------------------------------------------------------------- */
static wg_graph *current;
static int wrong;

/* older += 1, then something that is not allowed. */
static void wait_inside(void *self)
{
    work *w = self;
    float f[2];
    wg_scope s = wg_scope_push();
    (void)!wg_assign(w->older, wg_add(w->older, wg_scalar(1)));
    switch (wrong) {
    case 0: wg_item(wg_sum(w->older, WG_ALL, false)); break;
    case 1: (void)!wg_read(w->older, f, sizeof f, WG_F32); break;
    case 2: wg_to(w->older, wg_cpu()); break;
    case 3: wg_synchronize(device()); break;
    case 4: (void)!wg_graph_run(current, wait_inside, w); break;
    case 5: wg_graph_free(current); break;
    case 6: wg_item_int(wg_sum(w->older, WG_ALL, false)); break;
    default: wg_matmul(w->older, wg_ones(WG_DIMS(3, 3))); break;
    }
    wg_add(w->older, wg_scalar(1)); /* passes the error on */
    wg_scope_return(s, NULL);
}

/* The error is told; what came before it took place; the next run is as good as any. */
START_TEST(what_waits_is_refused_by_name_and_the_rest_of_the_run_stands)
{
    static const char *const says[] = {
        "item: a graph is being captured: nothing has a value before wg_graph_run returns",
        "read: a graph is being captured",
        "to: copy from the device: cuda:0 is being captured",
        "synchronize: cuda:0 is being captured: nothing is computed before wg_graph_run returns",
        "graph_run: a graph is being captured already",
        "graph_free: a graph is running",
        "item_int: a graph is being captured",
        "matmul: ",
    };
    if (!captures()) return;
    wg_scope s = begin();
    current = graph(0);
    work w = { .n = 2, .value = 1, .older = wg_zeros(WG_DIMS(2)) };
    for (wrong = 0; wrong < 8; wrong++) {
        const wg_status code = wrong == 7                 ? WG_ESHAPE
                               : wrong == 4 || wrong == 5 ? WG_EARG
                                                          : WG_EDEVICE;
        ck_assert_int_eq(wg_graph_run(current, wait_inside, &w), code);
        expect_error(code, says[wrong]);
        ck_assert(wg_item(wg_select(w.older, 0, 0)) == 2 * wrong + 1);
        ck_assert_int_eq(wg_graph_run(current, add_sent, &w), WG_OK);
        ck_assert(wg_item(wg_select(w.kept, 0, 1)) == 2 * wrong + 2);
    }
    wg_unref(&w.kept);
    wg_graph_free(current);
    pop(s);
}
END_TEST

START_TEST(wrong_arguments_are_errors)
{
    int calls = 0;
    wg_graph *g = wg_graph_new(wg_meta());
    ck_assert_ptr_nonnull(g);
    ck_assert_int_eq(wg_graph_run(NULL, nothing, &calls), WG_EARG);
    expect_error(WG_EARG, "graph_run: the graph is NULL");
    ck_assert_int_eq(wg_graph_run(g, NULL, &calls), WG_EARG);
    expect_error(WG_EARG, "graph_run: the function is NULL");
    ck_assert_int_eq(wg_graph_warm(NULL, 1), WG_EARG);
    expect_error(WG_EARG, "graph_warm: the graph is NULL");
    ck_assert_int_eq(wg_graph_warm(g, -1), WG_EARG);
    expect_error(WG_EARG, "graph_warm: -1 runs");
    wg_raise(WG_ENUMERIC, "something else");
    ck_assert_int_eq(wg_graph_run(g, nothing, &calls), WG_ENUMERIC);
    ck_assert_ptr_null(wg_graph_new(wg_cpu()));
    expect_error(WG_ENUMERIC, "something else");
    ck_assert_int_eq(calls, 0);
    ck_assert_ptr_null(wg_graph_new((wg_device) { (wg_device_kind)9, 0 }));
    expect_error(WG_EDEVICE, "graph_new: 9 is no kind of device");
    ck_assert_ptr_null(wg_graph_new(wg_cuda(99)));
    expect_error(WG_EDEVICE, wg_cuda_device_count() ? "cuda:99: there are" : "");
    ck_assert_int_eq(wg_graph_stats(NULL).plain, 0);
    wg_graph_free(NULL);
    wg_graph_free(g);
    expect_no_error();
}
END_TEST

static void run_itself(void *self)
{
    (void)!wg_graph_run(self, run_itself, self);
}

START_TEST(a_graph_does_not_run_itself)
{
    wg_graph *g = wg_graph_new(wg_cpu());
    ck_assert_int_eq(wg_graph_run(g, run_itself, g), WG_EARG);
    expect_error(WG_EARG, "graph_run: the graph is running already");
    wg_graph_free(g);
    expect_no_error();
}
END_TEST

/* ---- a run that CUDA gives up ---------------------------------------------------------------------------------------- */
static wg_status never_cpu(const wg_run *r)
{
    (void)r;
    return WG_OK;
}
static wg_status waits_cuda(const wg_run *r)
{
    cudaStreamSynchronize(r->stream); /* not allowed in a capture */
    return WG_OK;
}
static wg_status same(wg_infer *c)
{
    c->n_out = 1;
    c->out[0] = (wg_spec) { .dtype = wg_dtype_of(c->in.t[0]),
                            .device = wg_device_of(c->in.t[0]),
                            .shape = wg_shape(c->in.t[0]) };
    return WG_OK;
}
static const wg_op op_waits = { .name = "waits",
                                .in = { "x" },
                                .out = { "y" },
                                .infer = same,
                                .cpu = never_cpu,
                                .cuda = waits_cuda };

static void spoil(void *self)
{
    work *w = self;
    wg_scope s = wg_scope_push();
    wg_use_grad(false);
    wg_tensor *sum = wg_add(w->older, wg_scalar(1));
    wg_set(&w->kept, sum);
    (void)!wg_assign(w->older, sum);
    wg_apply(&op_waits, WG_LIST(sum), NULL, NULL);
    wg_scope_return(s, NULL);
}

static void refused(work *w)
{
    float f[2];
    ck_assert_int_eq(wg_read(w->kept, f, sizeof f, WG_F32), WG_EDEVICE);
    expect_error(WG_EDEVICE, "read: a tensor has no value: the run of a graph");
    wg_add(w->kept, w->kept);
    expect_error(WG_EDEVICE, "add: a tensor has no value");
    wg_sum(wg_transpose(wg_reshape(w->kept, WG_DIMS(1, 2)), 0, 1), WG_ALL, false);
    expect_error(WG_EDEVICE, "sum: a tensor has no value");
    ck_assert_int_eq(wg_assign(w->older, w->kept), WG_EDEVICE);
    expect_error(WG_EDEVICE, "assign: a tensor has no value");
    ck_assert(wg_item(wg_select(w->older, 0, 0)) == 3); /* as before the run */
}

START_TEST(a_lost_run_is_an_error_and_so_is_reading_what_it_made)
{
    if (!captures() || !emulation_alive) return;
    wg_scope s = begin();
    wg_graph *g = graph(0);
    work w = { .n = 2, .value = 1, .older = wg_full(WG_DIMS(2), 3) };
    ck_assert(wg_graph_run(g, spoil, &w) != WG_OK);
    expect_error(WG_EDEVICE, "waits: launch: ");
    refused(&w);
    setenv("WG_EMULATED_NO_GRAPH", "1", 1);
    ck_assert_int_eq(wg_graph_run(g, add_sent, &w), WG_EMEM);
    expect_error(WG_EMEM, "cudaGraphInstantiate: ");
    unsetenv("WG_EMULATED_NO_GRAPH");
    refused(&w);
    for (int i = 0; i < 2; i++) { /* plainly and again captured */
        ck_assert_int_eq(i ? wg_graph_run(g, add_sent, &w) : (add_sent(&w), WG_OK), WG_OK);
        ck_assert(wg_item(wg_select(w.kept, 0, 0)) == 4 + i);
    }
    wg_unref(&w.kept);
    wg_graph_free(g);
    pop(s);
}
END_TEST

static void sort_in_vain(void *self)
{
    work *w = self;
    wg_scope s = wg_scope_push();
    wg_use_grad(false);
    wg_apply(&op_waits, WG_LIST(w->older), NULL, NULL);
    wg_error_clear();
    wg_sort(w->older, 0, false, NULL);
    expect_error(WG_EDEVICE, "sort: ");      /* by the sort, or by asking for its space */
    ck_assert_int_eq(cudaGetLastError(), 0); /* the next kernel would be blamed */
    wg_scope_return(s, NULL);
}

START_TEST(a_failed_sort_is_told_with_its_cause_and_once)
{
    if (!captures() || !emulation_alive) return;
    wg_scope s = begin();
    wg_graph *g = graph(0);
    work w = { .n = 2, .value = 1, .older = wg_full(WG_DIMS(2), 3) };
    ck_assert(wg_graph_run(g, sort_in_vain, &w) != WG_OK);
    expect_error(WG_EDEVICE, "a graph could not be captured: ");
    wg_add(w.older, w.older);
    expect_no_error();
    wg_graph_free(g);
    pop(s);
}
END_TEST

/* The driver has no memory for a graph while the pool has some: what was free before the run goes back, what the run freed
 * does not. */
START_TEST(memory_for_a_graph_is_taken_from_the_pool)
{
    enum { N = 6 << 20 }; /* a segment of its own, of 24 MiB */
    if (!captures() || !emulation_alive) return;
    wg_scope s = begin();
    wg_graph *g = graph(0);
    work w = { .n = 2, .value = 1, .older = wg_zeros(WG_DIMS(2)) };
    wg_memory_trim();
    wg_scope inner = wg_scope_push();
    wg_zeros(WG_DIMS(N));
    ck_assert_int_eq(wg_scope_pop(inner), WG_OK);
    const int64_t cached = wg_memory_stats(device()).cached;
    ck_assert_int_ge(cached, N * 4);
    setenv("WG_EMULATED_NO_GRAPH", "1", 1);
    ck_assert_int_eq(wg_graph_run(g, add_sent, &w), WG_EMEM);
    expect_error(WG_EMEM, "cudaGraphInstantiate: ");
    ck_assert_int_le(wg_memory_stats(device()).cached, cached - N * 4);
    w.n = N;
    ck_assert_int_eq(wg_graph_run(g, grow, &w), WG_EMEM); /* its ones are freed inside */
    expect_error(WG_EMEM, "cudaGraphInstantiate: ");
    ck_assert_int_ge(wg_memory_stats(device()).cached, N * 4);
    unsetenv("WG_EMULATED_NO_GRAPH");
    wg_unref(&w.kept);
    wg_graph_free(g);
    pop(s);
}
END_TEST

/* The n-th allocation of a run fails, for every n: nothing is lost for good, and the next run is right. */
START_TEST(any_failed_allocation_leaves_a_graph_that_works)
{
    wg_scope s = begin();
    wg_graph *g = graph(0);
    work w = { .n = 5, .value = 1, .older = wg_zeros(WG_DIMS(5)) };
    add_sent(&w);
    int failed = 0;
    for (int64_t n = 1; n < 40; n++) {
        wgi_fail_alloc_after(n);
        failed += wg_graph_run(g, add_sent, &w) != WG_OK;
        wgi_fail_alloc_after(0);
        wg_error_clear();
        const double before = wg_item(wg_select(w.older, 0, 4));
        expect_no_error();
        ck_assert_int_eq(wg_graph_run(g, add_sent, &w), WG_OK);
        ck_assert(wg_item(wg_select(w.kept, 0, 4)) == before + 1);
    }
    ck_assert_int_gt(failed, 3);
    wg_unref(&w.kept);
    wg_graph_free(g);
    pop(s);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = { what_waits_is_refused_by_name_and_the_rest_of_the_run_stands,
                                   wrong_arguments_are_errors,
                                   a_graph_does_not_run_itself,
                                   a_lost_run_is_an_error_and_so_is_reading_what_it_made,
                                   a_failed_sort_is_told_with_its_cause_and_once,
                                   memory_for_a_graph_is_taken_from_the_pool,
                                   any_failed_allocation_leaves_a_graph_that_works,
                                   NULL };
    return suite_run("graph errors", tests);
}
