/* CUDA's memory pool, on any machine, with a source of its own: sizes, order, failures, and captures. */
#include <stdlib.h>
#include <string.h>

#include "cuda/pool.h"
#include "suite.h"
#include "tensor/internal.h"

/* A fixed sequence of numbers below n. */
static uint64_t state;
static int64_t below(int64_t n)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (int64_t)(state >> 33) % n;
}

typedef struct {
    int64_t mapped, most, maps; /* bytes out, and how many there may be */
} source;

static void *map(void *self, size_t bytes)
{
    source *s = self;
    if (s->mapped + (int64_t)bytes > s->most) return NULL;
    s->mapped += (int64_t)bytes;
    s->maps++;
    void *p;
    return posix_memalign(&p, 512, bytes) == 0 ? memset(p, 0, bytes) : NULL;
}

static void unmap(void *self, void *p, size_t bytes)
{
    ((source *)self)->mapped -= (int64_t)bytes;
    free(p);
}

static wgi_pool *pool_of(source *s)
{
    wgi_pool *p = wgi_pool_new((wgi_pool_source) { map, unmap, s });
    ck_assert_ptr_nonnull(p);
    return p;
}

START_TEST(pool_sizes_follow_the_policy)
{
    ck_assert_uint_eq(wgi_pool_rounded(0), 512);
    ck_assert_uint_eq(wgi_pool_rounded(513), 1024);
    ck_assert_uint_eq(wgi_pool_segment(1 << 20), 2 << 20);
    ck_assert_uint_eq(wgi_pool_segment((1 << 20) + 512), 20 << 20);
    ck_assert_uint_eq(wgi_pool_segment(10 << 20), 10 << 20);
    ck_assert_uint_eq(wgi_pool_segment((10 << 20) + 512), 12 << 20);
    ck_assert_uint_eq(wgi_pool_rounded(SIZE_MAX), SIZE_MAX);
}
END_TEST

typedef struct {
    unsigned char *p;
    size_t bytes;
    unsigned char fill;
} held_block;

static void check_and_free(wgi_pool *p, held_block *b)
{
    ck_assert_msg(b->p[0] == b->fill && b->p[b->bytes - 1] == b->fill, "blocks overlap");
    ck_assert(wgi_pool_free(p, b->p));
    b->p = NULL;
}

/* Whole blocks are written: what overlaps shows, under AddressSanitizer what lies outside, too. */
START_TEST(pool_blocks_never_overlap_and_all_come_back)
{
    enum { BLOCKS = 200, STEPS = 4000 };
    source s = { .most = INT64_MAX };
    wgi_pool *p = pool_of(&s);
    held_block held[BLOCKS] = { { 0 } };
    int64_t used = 0;
    state = 1;
    for (int step = 0; step < STEPS; step++) {
        held_block *b = &held[below(BLOCKS)];
        if (b->p) {
            used -= (int64_t)wgi_pool_rounded(b->bytes);
            check_and_free(p, b);
        } else {
            static const int64_t scales[] = { 300, 20000, 900000, 3 << 20 };
            b->bytes = (size_t)below(scales[below(4)]) + 1;
            b->p = wgi_pool_alloc(p, b->bytes);
            b->fill = (unsigned char)step;
            ck_assert_ptr_nonnull(b->p);
            ck_assert_uint_eq((uintptr_t)b->p % 512, 0);
            b->p[0] = b->p[b->bytes - 1] = b->fill;
            used += (int64_t)wgi_pool_rounded(b->bytes);
        }
        const wgi_pool_stats now = wgi_pool_state(p);
        /* a block that is not worth splitting may be up to 1 MiB larger than was asked for */
        ck_assert_int_ge(now.used, used);
        ck_assert_int_le(now.used, now.mapped);
        ck_assert_int_eq(now.mapped, s.mapped);
    }
    for (int i = 0; i < BLOCKS; i++)
        if (held[i].p) check_and_free(p, &held[i]);
    ck_assert_int_eq(wgi_pool_state(p).used, 0);
    ck_assert_int_eq(wgi_pool_state(p).blocks, wgi_pool_state(p).segments); /* all merged */
    wgi_pool_trim(p);
    ck_assert_int_eq(s.mapped, 0);
    wgi_pool_destroy(p);
}
END_TEST

/* The first step maps segments as it goes; from the second on the pool begins in the same state. */
START_TEST(pool_gives_a_step_the_addresses_of_the_step_before)
{
    enum { BLOCKS = 64 };
    source s = { .most = INT64_MAX };
    wgi_pool *p = pool_of(&s);
    void *first[BLOCKS], *at[BLOCKS];
    int64_t maps = 0;
    for (int step = 0; step < 4; step++) {
        state = 5;
        for (int i = 0; i < BLOCKS; i++) at[i] = wgi_pool_alloc(p, (size_t)below(6 << 20) + 1);
        if (step == 1) memcpy(first, at, sizeof at);
        if (step == 1) maps = s.maps;
        if (step > 1) ck_assert_int_eq(memcmp(first, at, sizeof at), 0);
        for (int i = BLOCKS - 1; i >= 0; i--) wgi_pool_free(p, at[i]);
    }
    ck_assert_int_eq(s.maps, maps);
    wgi_pool_destroy(p);
    ck_assert_int_eq(s.mapped, 0);
}
END_TEST

START_TEST(pool_empties_its_cache_before_it_gives_up)
{
    source s = { .most = 64 << 20 };
    wgi_pool *p = pool_of(&s);
    void *a = wgi_pool_alloc(p, 40 << 20);
    ck_assert_ptr_nonnull(a);
    ck_assert_ptr_null(wgi_pool_alloc(p, 30 << 20)); /* 40 used: no room, nothing cached */
    ck_assert(wgi_pool_free(p, a));
    ck_assert_int_eq(s.mapped, 40 << 20);
    void *b = wgi_pool_alloc(p, 50 << 20); /* the 40 cached go first */
    ck_assert_ptr_nonnull(b);
    ck_assert_int_eq(s.mapped, 50 << 20);
    ck_assert(!wgi_pool_free(p, &s)); /* not the pool's */
    ck_assert(wgi_pool_free(p, b));
    ck_assert(!wgi_pool_free(p, b)); /* not twice */
    ck_assert_ptr_null(wgi_pool_alloc(p, SIZE_MAX));
    wgi_pool_destroy(p);
}
END_TEST

START_TEST(pool_survives_any_failed_allocation_of_its_own)
{
    for (int64_t fail = 1; fail < 12; fail++) {
        source s = { .most = INT64_MAX };
        wgi_pool *p = pool_of(&s);
        wgi_fail_alloc_after(fail);
        void *at[6];
        for (int i = 0; i < 6; i++) at[i] = wgi_pool_alloc(p, (size_t)(i + 1) * 700);
        wgi_fail_alloc_after(0);
        for (int i = 0; i < 6; i++)
            if (at[i]) ck_assert(wgi_pool_free(p, at[i]));
        ck_assert_int_eq(wgi_pool_state(p).used, 0);
        wgi_pool_destroy(p);
        ck_assert_int_eq(s.mapped, 0);
    }
}
END_TEST

/* Who captures passes blocks on as ever; nobody else gets one that the graph is still to write. */
START_TEST(pool_parks_what_is_freed_during_a_capture)
{
    source s = { .most = INT64_MAX };
    wgi_pool *p = pool_of(&s);
    void *before = wgi_pool_alloc(p, 5 << 20), *left = wgi_pool_alloc(p, 5 << 20);
    ck_assert(wgi_pool_free(p, before)); /* free before the capture: for all */
    wgi_pool_park(p);
    void *a = wgi_pool_alloc_captured(p, 4 << 20);
    ck_assert_ptr_eq(a, before);
    ck_assert(wgi_pool_free(p, a)); /* with the rest behind it one block again, parked as a whole */
    void *other = wgi_pool_alloc(p, 5 << 20);
    ck_assert_ptr_ne(other, before);
    ck_assert_ptr_eq(wgi_pool_alloc_captured(p, 5 << 20), before);
    ck_assert(wgi_pool_free(p, left)); /* whoever freed it: the graph may be using it */
    void *next = wgi_pool_alloc(p, 5 << 20);
    ck_assert_ptr_ne(next, left);
    ck_assert_int_eq(wgi_pool_trim(p), 0);
    wgi_pool_unpark(p);
    ck_assert_ptr_eq(wgi_pool_alloc(p, 5 << 20), left);
    wgi_pool_destroy(p);
    ck_assert_int_eq(s.mapped, 0);
}
END_TEST

START_TEST(pool_gives_nothing_back_during_a_capture)
{
    source s = { .most = 64 << 20 };
    wgi_pool *p = pool_of(&s);
    void *a = wgi_pool_alloc(p, 40 << 20);
    ck_assert(wgi_pool_free(p, a));
    wgi_pool_park(p);
    ck_assert_ptr_null(wgi_pool_alloc_captured(p, 50 << 20)); /* the 40 cached stay */
    ck_assert_ptr_eq(wgi_pool_alloc_captured(p, 40 << 20), a);
    ck_assert(wgi_pool_free(p, a));
    ck_assert_int_eq(wgi_pool_trim(p), 0);
    ck_assert_int_eq(s.mapped, 40 << 20);
    wgi_pool_unpark(p);
    ck_assert_int_eq(wgi_pool_trim(p), 40 << 20);
    wgi_pool_destroy(p);
}
END_TEST

/* A thread that captures and one that does not, in any order; what is freed during a capture is filled with its number. */
START_TEST(pool_under_a_capture_keeps_threads_apart)
{
    enum { BLOCKS = 60, STEPS = 3000, PERIOD = 300 };
    source s = { .most = INT64_MAX };
    wgi_pool *p = pool_of(&s);
    held_block held[BLOCKS] = { { 0 } };
    state = 9;
    for (int step = 0; step < STEPS; step++) {
        const bool on = step / PERIOD % 2 == 1;
        const unsigned char mark = (unsigned char)(0xe0 + step / PERIOD);
        if (step % PERIOD == 0) (on ? wgi_pool_park : wgi_pool_unpark)(p);
        held_block *b = &held[below(BLOCKS)];
        if (b->p) {
            memset(b->p, on ? mark : 0, b->bytes);
            ck_assert(wgi_pool_free(p, b->p));
            b->p = NULL;
            continue;
        }
        static const int64_t scales[] = { 300, 20000, 900000, 3 << 20 };
        const bool captured = on && below(2);
        b->bytes = (size_t)below(scales[below(4)]) + 1;
        b->p = captured ? wgi_pool_alloc_captured(p, b->bytes) : wgi_pool_alloc(p, b->bytes);
        ck_assert_ptr_nonnull(b->p);
        if (on && !captured) ck_assert_ptr_null(memchr(b->p, mark, b->bytes));
        memset(b->p, 0, b->bytes);
    }
    for (int i = 0; i < BLOCKS; i++)
        if (held[i].p) ck_assert(wgi_pool_free(p, held[i].p));
    ck_assert_int_eq(wgi_pool_state(p).used, 0);
    ck_assert_int_eq(wgi_pool_state(p).blocks, wgi_pool_state(p).segments);
    wgi_pool_destroy(p);
    ck_assert_int_eq(s.mapped, 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        pool_sizes_follow_the_policy,
        pool_blocks_never_overlap_and_all_come_back,
        pool_gives_a_step_the_addresses_of_the_step_before,
        pool_empties_its_cache_before_it_gives_up,
        pool_survives_any_failed_allocation_of_its_own,
        pool_parks_what_is_freed_during_a_capture,
        pool_gives_nothing_back_during_a_capture,
        pool_under_a_capture_keeps_threads_apart,
        NULL,
    };
    return suite_run("cuda pool", tests);
}
