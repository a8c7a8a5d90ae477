/* Memory: what is counted, what is kept and reused, failed allocations, threads. */
#include <pthread.h>
#include <stdlib.h>

#include "suite.h"
#include "tensor/internal.h"

#if defined(__SANITIZE_ADDRESS__)
enum { CACHED = 0 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
enum { CACHED = 0 };
#else
enum { CACHED = 1 };
#endif
#else
enum { CACHED = 1 };
#endif

static wg_tensor *bytes(int64_t n)
{
    return wgi_tensor_new(wgi_ctx(), WG_U8, wg_cpu(), WG_DIMS(n));
}

static wg_memory stats(void)
{
    return wg_memory_stats(wg_cpu());
}

START_TEST(live_bytes_and_peak_are_exact)
{
    static const int64_t sizes[] = { 0, 1, 64, 1000, 1025, 70000, 1 << 20, (5 << 20) + 3 };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        wg_memory before = stats();
        wg_memory_reset_peak(wg_cpu());
        wg_scope s = wg_scope_push(), inner = wg_scope_push();
        bytes(sizes[i]);
        bytes(10);
        pop(inner);
        bytes(4);
        wg_memory during = stats();
        ck_assert_int_eq(during.current, before.current + 4);
        ck_assert_int_eq(during.peak, before.current + sizes[i] + 10);
        ck_assert_int_eq(during.tensors, before.tensors + 1);
        pop(s);
        ck_assert_int_eq(stats().current, before.current);
        ck_assert_int_eq(stats().tensors, before.tensors);
        wg_memory_reset_peak(wg_cpu());
        ck_assert_int_eq(stats().peak, before.current);
    }
}
END_TEST

START_TEST(views_count_once)
{
    wg_memory before = stats();
    wg_scope s = wg_scope_push();
    wg_tensor *t = bytes(100);
    wgi_tensor_view(wgi_ctx(), t, WG_DIMS(50), WG_DIMS(2), 1);
    ck_assert_int_eq(stats().current, before.current + 100);
    ck_assert_int_eq(stats().tensors, before.tensors + 1);
    pop(s);
}
END_TEST

START_TEST(memory_is_aligned_and_blocks_do_not_overlap)
{
    enum { N = 300 };
    static const size_t factors[] = { 1, 7, 64, 333, 4096, 50000, 70001 };
    unsigned char *p[N];
    size_t size[N];
    for (int i = 0; i < N; i++) {
        size[i] = factors[i % 7] * (size_t)(i / 7 + 1);
        p[i] = wgi_cpu_alloc(size[i]);
        ck_assert_ptr_nonnull(p[i]);
        ck_assert_uint_eq((uintptr_t)p[i] % 64, 0);
        memset(p[i], i, size[i]);
    }
    for (int i = 0; i < N; i++) {
        for (size_t k = 0; k < size[i]; k += size[i] / 50 + 1)
            ck_assert_uint_eq(p[i][k], (unsigned char)i);
        ck_assert_uint_eq(p[i][size[i] - 1], (unsigned char)i);
        wgi_cpu_free(p[i], size[i]);
    }
    wgi_cpu_free(NULL, 5);
    ck_assert_ptr_null(wgi_cpu_alloc(SIZE_MAX));
    ck_assert_ptr_null(wgi_cpu_alloc((size_t)1 << 60));
}
END_TEST

START_TEST(every_class_holds_its_sizes_with_at_most_a_quarter_wasted)
{
    if (!CACHED) return;
    wg_memory_trim();
    for (size_t n = 257; n < (40 << 20); n += n / 5) {
        void *p = wgi_cpu_alloc(n);
        int64_t before = stats().cached;
        wgi_cpu_free(p, n);
        int64_t whole = stats().cached - before;
        ck_assert_msg(whole >= (int64_t)n && whole <= (int64_t)(n + n / 4 + 64),
                      "%zu bytes take %lld", n, (long long)whole);
    }
    wg_memory_trim();
    ck_assert_int_eq(stats().cached, 0);
}
END_TEST

START_TEST(freed_memory_is_used_again)
{
    if (!CACHED) return;
    static const size_t sizes[] = { 64, 5000, 65536, 100000, 3 << 20 };
    for (int i = 0; i < 5; i++) {
        void *p = wgi_cpu_alloc(sizes[i]);
        wgi_cpu_free(p, sizes[i]);
        void *q = wgi_cpu_alloc(sizes[i] - 8);
        ck_assert_ptr_eq(p, q);
        wgi_cpu_free(q, sizes[i] - 8);
    }
}
END_TEST

START_TEST(a_repeated_step_fetches_nothing_from_the_system)
{
    if (!CACHED) return;
    int64_t held = 0;
    for (int step = 0; step < 50; step++) {
        wg_scope s = wg_scope_push();
        for (int i = 1; i < 200; i++) bytes(i * 37 % 200 * 1000);
        for (int i = 0; i < 5000; i++) bytes(16);
        int64_t now = stats().cached + stats().current;
        pop(s);
        if (step == 0) held = now;
        ck_assert_int_le(stats().cached, held + held / 4 + (8 << 20));
    }
}
END_TEST

START_TEST(sizes_not_asked_for_any_more_are_given_back)
{
    if (!CACHED) return;
    wg_memory_trim();
    for (size_t n = 1; n <= 64; n++) { /* 2 GiB of different sizes, one after the other */
        size_t size = n << 20;
        char *p = wgi_cpu_alloc(size);
        ck_assert_ptr_nonnull(p);
        wgi_cpu_free(p, size);
        ck_assert_int_le(stats().cached, 300 << 20);
    }
    wg_memory_trim();
}
END_TEST

/* What held ten tensors holds one of their size together, and ten again. */
START_TEST(free_neighbours_join_and_are_cut_again)
{
    if (!CACHED) return;
    enum { N = 10, ONE = 3 << 20 };
    void *p[N];
    wg_memory_trim();
    for (int i = 0; i < N; i++) ck_assert_ptr_nonnull(p[i] = wgi_cpu_alloc(ONE));
    const int64_t held = stats().cached + (int64_t)N * ONE;
    for (int round = 0; round < 3; round++) {
        static const int order[N] = { 3, 0, 9, 4, 2, 8, 1, 6, 7, 5 };
        for (int i = 0; i < N; i++) wgi_cpu_free(p[order[i]], ONE);
        char *all = wgi_cpu_alloc((size_t)N * ONE);
        ck_assert_ptr_nonnull(all);
        memset(all, 1, (size_t)N * ONE);
        ck_assert_int_le(stats().cached + (int64_t)N * ONE, held + (64 << 10));
        wgi_cpu_free(all, (size_t)N * ONE);
        for (int i = 0; i < N; i++) ck_assert_ptr_nonnull(p[i] = wgi_cpu_alloc(ONE));
        ck_assert_int_le(stats().cached + (int64_t)N * ONE, held + (64 << 10));
    }
    for (int i = 0; i < N; i++) wgi_cpu_free(p[i], ONE);
    wg_memory_trim();
    ck_assert_int_eq(stats().cached, 0);
}
END_TEST

/* The last freed of a size comes first, though its neighbours are free, too. */
START_TEST(a_span_waits_for_the_next_of_its_size)
{
    if (!CACHED) return;
    enum { N = 6, ONE = 300000 };
    void *p[N];
    wg_memory_trim();
    for (int i = 0; i < N; i++) ck_assert_ptr_nonnull(p[i] = wgi_cpu_alloc(ONE));
    static const int order[N] = { 3, 0, 2, 5, 1, 4 };
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < N; i++) wgi_cpu_free(p[order[i]], ONE);
        void *other = wgi_cpu_alloc(ONE / 2);
        for (int i = N; i-- > 0;) ck_assert_ptr_eq(wgi_cpu_alloc(ONE), p[order[i]]);
        wgi_cpu_free(other, ONE / 2);
    }
    for (int i = 0; i < N; i++) wgi_cpu_free(p[i], ONE);
    wg_memory_trim();
    ck_assert_int_eq(stats().cached, 0);
}
END_TEST

/* Spans that wait for their size are joined before another region is fetched, and when there are many. */
START_TEST(waiting_spans_join_when_nothing_fits)
{
    if (!CACHED) return;
    enum { N = 60, ONE = 1 << 20, SMALL = 70000, MANY = 513 };
    static void *p[MANY];
    wg_memory_trim();
    for (int i = 0; i < N; i++) ck_assert_ptr_nonnull(p[i] = wgi_cpu_alloc(ONE));
    const int64_t held = stats().cached + (int64_t)N * ONE;
    for (int i = 0; i < N; i++) wgi_cpu_free(p[i], ONE);
    void *half = wgi_cpu_alloc(30 * (size_t)ONE);
    ck_assert_int_le(stats().cached + 30 * (int64_t)ONE, held + ONE);
    wgi_cpu_free(half, 30 * (size_t)ONE);
    wg_memory_trim();
    ck_assert_int_eq(stats().cached, 0);
    for (int i = 0; i < MANY; i++) ck_assert_ptr_nonnull(p[i] = wgi_cpu_alloc(SMALL));
    for (int i = 0; i < MANY; i++) wgi_cpu_free(p[i], SMALL);
    void *first = wgi_cpu_alloc(SMALL); /* so many do not wait: not the last freed */
    ck_assert_ptr_ne(first, p[MANY - 1]);
    wgi_cpu_free(first, SMALL);
    wg_memory_trim();
    ck_assert_int_eq(stats().cached, 0);
}
END_TEST

/* Blocks of any sizes in any order: nothing overlaps, nothing is lost. */
START_TEST(large_memory_survives_any_order)
{
    enum { N = 64, ROUNDS = 4000 };
    static struct {
        unsigned char *p;
        size_t bytes;
    } live[N];
    wg_memory_trim();
    uint64_t random = 12345;
    for (int r = 0; r < ROUNDS; r++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        const int i = (int)(random >> 33) % N;
        const unsigned char mark = (unsigned char)(i + 1);
        if (live[i].p) {
            ck_assert_uint_eq(live[i].p[0], mark);
            ck_assert_uint_eq(live[i].p[live[i].bytes / 2], mark);
            ck_assert_uint_eq(live[i].p[live[i].bytes - 1], mark);
            wgi_cpu_free(live[i].p, live[i].bytes);
            live[i].p = NULL;
            continue;
        }
        live[i].bytes = (70 << 10) + (size_t)(random >> 20) % (r % 7 ? 400 << 10 : 9 << 20);
        ck_assert_ptr_nonnull(live[i].p = wgi_cpu_alloc(live[i].bytes));
        ck_assert_uint_eq((uintptr_t)live[i].p % 64, 0);
        memset(live[i].p, mark, live[i].bytes);
    }
    for (int i = 0; i < N; i++) wgi_cpu_free(live[i].p, live[i].bytes);
    wg_memory_trim();
    ck_assert_int_eq(stats().cached, 0);
}
END_TEST

START_TEST(a_failed_allocation_is_an_error_that_names_the_bytes)
{
    wg_scope s = wg_scope_push();
    wg_tensor *t = wgi_tensor_new(wgi_ctx(), WG_F64, wg_cpu(), WG_DIMS(1ll << 55));
    ck_assert(wg_is_error(t));
    expect_error(WG_EMEM, "out of memory on cpu: 288230376151711744 bytes wanted, ");
    ck_assert(!wg_is_error(bytes(10)));
    pop(s);
}
END_TEST

/* Makes and drops a few tensors; must survive any failed allocation. */
static void work(void)
{
    wg_scope s = wg_scope_push();
    float v[4] = { 1, 2, 3, 4 };
    wg_tensor *a = wg_from(v, sizeof v, WG_F32, WG_DIMS(2, 2)), *kept = NULL;
    wg_scope inner = wg_scope_push();
    for (int i = 0; i < 100; i++) bytes(i * 10);
    wg_list l = wg_list_new(3);
    if (l.n) l.t[0] = a;
    wg_scope_alloc(10000);
    bytes(3 << 20);
    wg_set(&kept, bytes(7));
    wg_scope_return(inner, a);
    wg_set(&kept, NULL);
    wg_status assigned = wg_assign(a, a);
    (void)assigned;
    wg_status status = wg_scope_pop(s);
    (void)status;
}

START_TEST(any_single_allocation_may_fail)
{
    wg_memory before = stats();
    bool struck = true;
    int n = 0;
    while (struck) {
        wgi_fail_alloc_after(++n);
        work();
        struck = wgi_fail_alloc_left() == 0;
        wgi_fail_alloc_after(0);
        ck_assert_int_eq(stats().current, before.current);
        ck_assert_int_eq(stats().tensors, before.tensors);
        ck_assert_str_eq(wg_status_name(wg_error_code()), struck ? "WG_EMEM" : "WG_OK");
        wg_error_clear();
    }
    ck_assert_int_gt(n, 100);
}
END_TEST

static void *make_and_leave(void *slots)
{
    for (int i = 0; i < 1000; i++) ((wg_tensor **)slots)[i] = wg_ref(bytes(i));
    return NULL;
}

START_TEST(what_one_thread_makes_another_may_release)
{
    wg_memory before = stats();
    wg_tensor *slots[4][1000];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, make_and_leave, slots[i]);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    ck_assert_int_eq(stats().tensors, before.tensors + 4000);
    ck_assert_int_eq(stats().current, before.current + 4 * 999 * 500);
    for (int i = 0; i < 4000; i++) wg_unref(&slots[i / 1000][i % 1000]);
    ck_assert_int_eq(stats().current, before.current);
    ck_assert_int_eq(stats().tensors, before.tensors);
}
END_TEST

static wg_tensor *shared;
static void *hammer(void *unused)
{
    (void)unused;
    for (int i = 0; i < 20000; i++) {
        wg_scope s = wg_scope_push();
        wg_tensor *mine = wg_ref(shared);
        wgi_tensor_view(wgi_ctx(), mine, WG_DIMS(2), WG_DIMS(1), 0);
        wg_unref(&mine);
        wg_status status = wg_scope_pop(s);
        (void)status;
    }
    return NULL;
}

START_TEST(threads_may_share_a_tensor)
{
    wg_memory before = stats();
    wg_scope s = wg_scope_push();
    shared = wg_ref(bytes(4));
    pop(s);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, hammer, NULL);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    ck_assert_int_eq(atomic_load(&shared->refs), 1);
    ck_assert_int_eq(atomic_load(&shared->user_refs), 1);
    wg_unref(&shared);
    ck_assert_int_eq(stats().tensors, before.tensors);
}
END_TEST

/* Allocates until it is told to stop; how many failed. */
typedef struct {
    atomic_bool stop;
    atomic_int failed;
} asker;

static void ask_once(asker *a)
{
    void *p = wgi_malloc(1);
    atomic_fetch_add(&a->failed, !p);
    free(p);
}

static void *keep_asking(void *self)
{
    asker *a = self;
    while (!atomic_load(&a->stop)) ask_once(a);
    return NULL;
}

/* A test asks whether left is 0, not whether it is below: two threads at the last count took it to -1. */
START_TEST(a_failure_strikes_once_whichever_threads_allocate)
{
    enum { ROUNDS = 20000 };
    asker a = { 0 };
    pthread_t other;
    ck_assert_int_eq(pthread_create(&other, NULL, keep_asking, &a), 0);
    int not_zero = 0;
    for (int i = 0; i < ROUNDS; i++) {
        wgi_fail_alloc_after(1 + i % 3);
        while (wgi_fail_alloc_left() > 0) ask_once(&a);
        not_zero += wgi_fail_alloc_left() != 0;
    }
    atomic_store(&a.stop, true);
    pthread_join(other, NULL);
    ck_assert_int_eq(not_zero, 0);
    ck_assert_int_eq(a.failed, ROUNDS);
}
END_TEST

START_TEST(meta_counts_what_would_be_allocated)
{
    wg_memory before = wg_memory_stats(wg_meta());
    wg_scope s = wg_scope_push();
    wg_tensor *t = wgi_tensor_new(wgi_ctx(), WG_F32, wg_meta(), WG_DIMS(1 << 20, 1 << 20));
    ck_assert(!wg_is_error(t));
    ck_assert_int_eq(wg_memory_stats(wg_meta()).current, before.current + (4ll << 40));
    pop(s);
    ck_assert_int_eq(wg_memory_stats(wg_meta()).current, before.current);
}
END_TEST

int main(void)
{
    return suite_run(
        "memory",
        (const TTest *[]) {
            live_bytes_and_peak_are_exact, views_count_once,
            memory_is_aligned_and_blocks_do_not_overlap,
            every_class_holds_its_sizes_with_at_most_a_quarter_wasted, freed_memory_is_used_again,
            a_repeated_step_fetches_nothing_from_the_system,
            sizes_not_asked_for_any_more_are_given_back, free_neighbours_join_and_are_cut_again,
            a_span_waits_for_the_next_of_its_size, waiting_spans_join_when_nothing_fits,
            large_memory_survives_any_order, a_failed_allocation_is_an_error_that_names_the_bytes,
            any_single_allocation_may_fail, a_failure_strikes_once_whichever_threads_allocate,
            what_one_thread_makes_another_may_release, threads_may_share_a_tensor,
            meta_counts_what_would_be_allocated, NULL });
}
