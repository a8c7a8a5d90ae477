/* Graphs: the same bits as without one, what goes in and comes out, memory and threads. On a CUDA device where there is one, on
 * the emulated one (tests/emulation), and on the CPU, where runs only call the function. */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "graph_check.h"

/* ---- training -------------------------------------------------------------------------------------------------- */
enum { STEPS = 10, VOCAB = 19, MOST = 4096 };

typedef struct {
    wg_module *model;
    wg_optim *optimizer;
    int64_t step;
    wg_dtype low;
    wg_tensor *losses[STEPS];
} training;

/* B x T ids that depend on the step alone. */
static wg_tensor *ids_of(int64_t step, int64_t B, int64_t T)
{
    int64_t ids[64];
    for (int64_t i = 0; i < B * T; i++) ids[i] = (step * 31 + i * i * 7 + i) % VOCAB;
    return wg_from(ids, (size_t)(B * T) * sizeof *ids, WG_I64, WG_DIMS(B, T));
}

/* Steps 4 to 6 have another shape. */
static void train_step(void *self)
{
    training *t = self;
    const bool other = t->step >= 4 && t->step < 7;
    const int64_t B = other ? 3 : 2, T = other ? 5 : 8;
    wg_scope s = wg_scope_push();
    if (t->low) wg_use_autocast(t->low);
    wg_tensor *x = ids_of(t->step, B, T), *y = ids_of(t->step + 100, B, T);
    wg_tensor *loss = wg_transformer_loss(t->model, x, y);
    wg_backward(loss);
    wg_optim_set_lr(t->optimizer, 1e-2 / (double)(t->step + 1));
    wg_clip_grad_norm(t->optimizer, 0.5);
    wg_optim_step(t->optimizer);
    wg_set(&t->losses[t->step++], loss);
    wg_scope_return(s, NULL);
}

/* All parameters after STEPS steps, one behind the other; nothing is read before. */
static int64_t train(wg_graph *g, wg_dtype low, float *losses, float *out)
{
    wg_scope s = begin();
    wg_seed(5);
    wg_transformer_config c = wg_gpt2_config(2, 2, 16, VOCAB, 8);
    c.dropout = 0.1;
    training t = { .model = wg_transformer_new(&c), .low = low };
    t.optimizer = wg_adamw_new(t.model, .lr = 1e-2);
    wg_module_train(t.model, true);
    for (int i = 0; i < STEPS; i++) {
        if (g)
            ck_assert_int_eq(wg_graph_run(g, train_step, &t), WG_OK);
        else
            train_step(&t);
    }
    expect_no_error();
    for (int i = 0; i < STEPS; i++) {
        losses[i] = (float)wg_item(t.losses[i]);
        wg_unref(&t.losses[i]);
    }
    wg_params p = wg_module_params(t.model);
    int64_t n = 0;
    for (int64_t i = 0; i < p.n; i++) {
        const int64_t count = wg_numel(p.p[i].tensor);
        ck_assert_int_lt(n + count, 16 * MOST);
        ck_assert_int_eq(wg_read(p.p[i].tensor, out + n, (size_t)count * sizeof *out, WG_F32),
                         WG_OK);
        n += count;
    }
    wg_optim_free(t.optimizer);
    wg_module_free(t.model);
    pop(s);
    return n;
}

static void same_training(wg_dtype low)
{
    static float plain[16 * MOST], graphed[16 * MOST];
    float losses[STEPS], with[STEPS];
    const int64_t n = train(NULL, low, losses, plain);
    wg_graph *g = graph(1);
    ck_assert_int_eq(train(g, low, with, graphed), n);
    const wg_graph_counts k = wg_graph_stats(g);
    printf("%s: loss %.9g, then %.9g; %lld runs called, %lld launched, %lld graphs of %lld nodes\n",
           low ? wg_dtype_name(low) : "f32", losses[0], losses[STEPS - 1], (long long)k.plain,
           (long long)k.launched, (long long)k.instantiated, (long long)k.nodes);
    ck_assert_int_eq(memcmp(losses, with, sizeof losses), 0);
    ck_assert_int_eq(memcmp(plain, graphed, (size_t)n * sizeof *plain), 0);
    ck_assert(isfinite(losses[STEPS - 1]) && losses[0] != losses[STEPS - 1]);
    ck_assert_int_eq(k.plain + k.launched, STEPS);
    if (k.launched > 0) { /* the shape, so the products, change twice */
        ck_assert_int_eq(k.plain, 1);
        ck_assert_int_eq(k.instantiated, 3);
        ck_assert_int_gt(k.nodes, 50);
    }
    wg_graph_free(g);
}

START_TEST(training_has_the_bits_of_a_run_without_a_graph)
{
    same_training((wg_dtype)0);
}
END_TEST

START_TEST(training_in_bf16_has_them_too)
{
    same_training(WG_BF16);
}
END_TEST

typedef struct {
    wg_tensor *x, *w, *y;
    int form;
} factors;

/* As many kernels in each form: of the products only sizes, the order, or what is around them differ. */
static void multiply(void *self)
{
    factors *f = self;
    wg_scope s = wg_scope_push();
    const int64_t rows = f->form == 1 ? 7 : 8;
    wg_tensor *x = wg_narrow(f->x, 0, 0, rows), *w = f->w, *y;
    if (f->form == 2)
        y = wg_matmul(wg_matmul(wg_add(x, x), wg_transpose(w, 0, 1)), w);
    else if (f->form == 3)
        y = wg_matmul(wg_add(wg_matmul(x, w), x), w);
    else
        y = wg_matmul(wg_matmul(wg_add(x, x), w), w);
    wg_set(&f->y, y);
    wg_scope_return(s, NULL);
}

/* cudaGraphExecUpdate says that it was well and keeps the old kernel's clusters: src/cuda/record.c. */
START_TEST(a_graph_of_other_products_is_made_anew)
{
    static const int forms[] = { 0, 0, 1, 1, 0, 2, 2, 3, 3, 0 };
    if (!captures()) return;
    wg_scope s = begin();
    wg_graph *g = graph(0);
    factors f = { .x = wg_randn(WG_DIMS(8, 8)), .w = wg_randn(WG_DIMS(8, 8)) };
    multiply(&f); /* opens cuBLASLt */
    int64_t made = 0;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        f.form = forms[i];
        ck_assert_int_eq(wg_graph_run(g, multiply, &f), WG_OK);
        made += i == 0 || forms[i] != forms[i - 1];
        ck_assert_int_eq(wg_graph_stats(g).instantiated, made);
        ck_assert_int_eq(wg_graph_stats(g).nodes, 3);
    }
    wg_unref(&f.y);
    wg_graph_free(g);
    pop(s);
}
END_TEST

/* ---- what goes in and what comes out ----------------------------------------------------------------------------- */
/* Two runs may be under way while the host prepares a third: their copies must not be overwritten. */
START_TEST(what_is_sent_arrives_and_what_is_kept_is_valid)
{
    enum { RUNS = 7, N = 300000 }; /* more than one piece of pinned memory */
    wg_scope s = begin();
    wg_graph *g = graph(0);
    work w = { .n = N, .older = wg_zeros(WG_DIMS(N)) };
    wg_tensor *kept[RUNS] = { NULL };
    for (int i = 0; i < RUNS; i++) {
        w.value = (float)(1 << i);
        ck_assert_int_eq(wg_graph_run(g, add_sent, &w), WG_OK);
        wg_set(&kept[i], w.kept);
    }
    for (int i = 0; i < RUNS; i++) {
        ck_assert(wg_item(wg_select(kept[i], 0, 0)) == (2 << i) - 1);
        ck_assert(wg_item(wg_select(kept[i], 0, N - 1)) == (2 << i) - 1);
        wg_unref(&kept[i]);
    }
    wg_unref(&w.kept);
    wg_graph_free(g);
    pop(s);
}
END_TEST

START_TEST(memory_may_grow_inside_a_run)
{
    wg_scope s = begin();
    wg_graph *g = graph(0);
    work w = { 0 };
    for (int64_t n = 1000; n < 20000000; n *= 24) {
        w.n = n;
        wg_memory_trim(); /* nothing cached: every block is new */
        ck_assert_int_eq(wg_graph_run(g, grow, &w), WG_OK);
        ck_assert(wg_item(w.kept) == (double)n);
    }
    wg_unref(&w.kept);
    wg_graph_free(g);
    pop(s);
}
END_TEST

START_TEST(a_run_may_do_nothing_and_may_be_kept_plain)
{
    wg_scope s = begin();
    wg_graph *g = wg_graph_new(device());
    int calls = 0;
    for (int i = 0; i < 3; i++) ck_assert_int_eq(wg_graph_run(g, nothing, &calls), WG_OK);
    ck_assert_int_eq(wg_graph_warm(g, 2), WG_OK);
    for (int i = 0; i < 3; i++) ck_assert_int_eq(wg_graph_run(g, nothing, &calls), WG_OK);
    ck_assert_int_eq(calls, 6);
    if (captures()) ck_assert_int_eq(wg_graph_stats(g).plain, 3);
    ck_assert_int_eq(wg_graph_stats(g).instantiated, 0);
    wg_profile_start(0);
    const int64_t plain = wg_graph_stats(g).plain;
    ck_assert_int_eq(wg_graph_run(g, nothing, &calls), WG_OK);
    ck_assert_int_eq(wg_graph_stats(g).plain, plain + 1);
    wg_profile_stop();
    wg_graph_free(g);
    pop(s);
}
END_TEST

/* ---- memory and threads ------------------------------------------------------------------------------------------------- */
START_TEST(a_freed_graph_gives_everything_back)
{
    if (!emulation_alive) return;
    int64_t alive[2];
    const int64_t current_before = wg_memory_stats(device()).current;
    for (int round = 0; round < 2; round++) { /* the first opens what lasts */
        wg_memory_trim();
        alive[0] = emulation_alive();
        wg_scope s = begin();
        wg_graph *g = graph(1);
        for (int64_t n = 1; n < 800000; n = n * 9 + 1) {
            work w = { .n = n, .value = 1, .older = wg_zeros(WG_DIMS(n)) };
            ck_assert_int_eq(wg_graph_run(g, add_sent, &w), WG_OK);
            ck_assert_int_eq(wg_graph_run(g, grow, &w), WG_OK);
            wg_unref(&w.kept);
        }
        pop(s);
        wg_graph_free(g); /* with work under way */
        wg_memory_trim();
        alive[1] = emulation_alive();
    }
    ck_assert_int_eq(alive[0], alive[1]);
    ck_assert_int_eq(wg_memory_stats(device()).current, current_before);
}
END_TEST

enum { SHARED = 3 << 20 }; /* a segment of its own */

static void *another_thread(void *self)
{
    wg_scope s = begin();
    wg_tensor *t = wg_full(WG_DIMS(SHARED), 7);
    ck_assert(wg_item(wg_select(t, 0, 5)) == 7); /* it may wait */
    wg_set(self, t);
    pop(s);
    return NULL;
}

/* Memory that the run has freed is still to be written by it: another thread must not get it. */
static void with_another_thread(void *self)
{
    pthread_t other;
    for (int i = 0; i < 2; i++) {
        wg_scope s = wg_scope_push();
        wg_add(wg_full(WG_DIMS(SHARED), 1), wg_scalar(1));
        wg_scope_return(s, NULL);
    }
    ck_assert_int_eq(pthread_create(&other, NULL, another_thread, self), 0);
    ck_assert_int_eq(pthread_join(other, NULL), 0);
}

START_TEST(other_threads_go_on_and_their_memory_is_their_own)
{
    wg_scope s = begin();
    wg_graph *g = graph(1);
    for (int i = 0; i < 3; i++) {
        wg_tensor *theirs = NULL;
        ck_assert_int_eq(wg_graph_run(g, with_another_thread, &theirs), WG_OK);
        ck_assert(wg_item(wg_max(theirs, WG_ALL, false)) == 7);
        ck_assert(wg_item(wg_min(theirs, WG_ALL, false)) == 7);
        wg_unref(&theirs);
    }
    wg_graph_free(g);
    pop(s);
}
END_TEST

static void *run_own_graph(void *self)
{
    enum { RUNS = 25 };
    double *sum = self;
    wg_scope s = begin();
    wg_graph *g = graph(1);
    work w = { .n = 1000, .value = (float)*sum, .older = wg_zeros(WG_DIMS(1000)) };
    for (int i = 0; i < RUNS; i++) ck_assert_int_eq(wg_graph_run(g, add_sent, &w), WG_OK);
    *sum = wg_item(wg_sum(w.kept, WG_ALL, false)) / RUNS / 1000;
    wg_unref(&w.kept);
    wg_graph_free(g);
    pop(s);
    return NULL;
}

START_TEST(graphs_of_two_threads_take_turns)
{
    enum { THREADS = 3 };
    pthread_t thread[THREADS];
    double value[THREADS];
    for (int i = 0; i < THREADS; i++) {
        value[i] = i + 1;
        ck_assert_int_eq(pthread_create(&thread[i], NULL, run_own_graph, &value[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) ck_assert_int_eq(pthread_join(thread[i], NULL), 0);
    for (int i = 0; i < THREADS; i++) ck_assert(value[i] == i + 1);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        training_has_the_bits_of_a_run_without_a_graph,
        training_in_bf16_has_them_too,
        a_graph_of_other_products_is_made_anew,
        what_is_sent_arrives_and_what_is_kept_is_valid,
        memory_may_grow_inside_a_run,
        a_run_may_do_nothing_and_may_be_kept_plain,
        a_freed_graph_gives_everything_back,
        other_threads_go_on_and_their_memory_is_their_own,
        graphs_of_two_threads_take_turns,
        NULL,
    };
    return suite_run("graph", tests);
}
