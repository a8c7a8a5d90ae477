/* The tensor-core kernels of attention, the very same templates, on an emulated block: index maps
 * against plain loops, and whole problems against the formula in f64. */
#include <check.h>

#include <algorithm>
#include <cstdio>
#include <random>

#include "cuda/attention_backward.h"
#include "cuda/attention_forward.h"
#include "cuda/attention_plain.h"
#include "cuda/attention_rows.h"
#include "attention_elements.h"
#include "emulated_block.h"

namespace
{

/* ---- index maps ---- */

template <int HD> void check_swizzle()
{
    for (int row = 0; row < 64; row++) {
        std::vector<int> places;
        for (int chunk = 0; chunk < HD / 8; chunk++) {
            places.push_back(wgi::swizzled<HD>(row, chunk));
            ck_assert_int_eq(wgi::pair_at<HD>(wgi::swizzled<HD>(row, chunk % 2), chunk / 2),
                             places.back());
            ck_assert_int_eq(wgi::swizzled<HD>(row + 8, chunk), places.back() + HD * 16);
            ck_assert_int_eq(1024 + places.back(), /* of a tile at any multiple of 128 */
                             wgi::pair_at<HD>(1024 + wgi::swizzled<HD>(row, chunk % 2), chunk / 2));
        }
        std::sort(places.begin(), places.end()); /* the row's own bytes, each once */
        for (int chunk = 0; chunk < HD / 8; chunk++)
            ck_assert_int_eq(places[size_t(chunk)], row * HD * 2 + chunk * 16);
    }
    for (int row = 0; row < 64; row += 8)
        for (int chunk = 0; chunk < HD / 8; chunk++) {
            unsigned banks = 0;
            for (int i = 0; i < 8; i++) banks |= 1u << wgi::swizzled<HD>(row + i, chunk) / 16 % 8;
            ck_assert_int_eq(banks, 255);
        }
}

START_TEST(a_tile_s_chunks_lie_each_once_and_in_different_banks)
{
    check_swizzle<32>();
    check_swizzle<64>();
    check_swizzle<96>();
    check_swizzle<128>();
    check_swizzle<256>();
}
END_TEST

static bool sees(const wgi_attention_pass &p, int i, int j)
{
    const int now = i + p.tk - p.tq;
    return !(p.causal && j > now) && !(p.window && j <= now - p.window);
}

static void check_ranges(const wgi_attention_pass &p, int rows, int tile)
{
    for (int i0 = 0; i0 < p.tq; i0 += rows) {
        const wgi_attention_tiles t = wgi_key_tiles(&p, i0, i0 + rows, tile);
        for (int j = 0; j < p.tk; j++)
            for (int i = i0; i < std::min(i0 + rows, p.tq); i++)
                ck_assert(!sees(p, i, j) || (j / tile >= t.first && j / tile < t.end));
        ck_assert(t.first >= 0 && (t.end <= t.first || (t.end - 1) * tile < p.tk));
        for (int j0 = 0; j0 < p.tk; j0 += tile) {
            bool all = j0 + tile <= p.tk;
            for (int j = j0; j < j0 + tile; j++)
                for (int i = i0; i < i0 + rows; i++) all = all && sees(p, i, j);
            ck_assert(all || wgi_tile_is_cut(&p, i0, i0 + rows, j0, j0 + tile));
        }
    }
    for (int j0 = 0; j0 < p.tk; j0 += rows) {
        const wgi_attention_tiles t = wgi_query_tiles(&p, j0, j0 + rows, tile);
        for (int i = 0; i < p.tq; i++)
            for (int j = j0; j < std::min(j0 + rows, p.tk); j++)
                ck_assert(!sees(p, i, j) || (i / tile >= t.first && i / tile < t.end));
        ck_assert(t.first >= 0 && (t.end <= t.first || (t.end - 1) * tile < p.tq));
    }
}

START_TEST(tiles_hold_every_pair_that_is_seen)
{
    for (int tq : { 1, 5, 33, 64, 70 })
        for (int tk : { 1, 4, 32, 65, 90 })
            for (int causal = 0; causal < 2; causal++)
                for (int window : { 0, 1, 7, 40, 150 }) {
                    wgi_attention_pass p = {};
                    p.tq = tq;
                    p.tk = tk;
                    p.causal = causal;
                    p.window = window;
                    check_ranges(p, 64, 32);
                    check_ranges(p, 16, 64);
                    for (int i = 0; i < tq; i++)
                        for (int j = 0; j < tk; j++)
                            ck_assert_int_eq(j >= wgi_first_key(&p, i) && j < wgi_end_key(&p, i),
                                             sees(p, i, j));
                }
}
END_TEST

START_TEST(every_tile_has_one_block_and_the_longest_come_first)
{
    wgi_attention_pass p = {};
    p.batch = 3;
    p.heads = 4;
    p.kv_heads = 2;
    p.tq = 300;
    p.tk = 130;
    std::vector<int> seen(3 * 4 * 3);
    for (int64_t block = 0; block < 3 * 4 * 3; block++) {
        const wgi_attention_place at = wgi_place_of_queries(&p, block, 128);
        seen[size_t((at.b * 4 + at.h) * 3 + at.first / 128)]++;
        if (block < 12) ck_assert_int_eq(at.first, 256);
    }
    for (int n : seen) ck_assert_int_eq(n, 1);
    seen.assign(3 * 2 * 3, 0);
    for (int64_t block = 0; block < 3 * 2 * 3; block++) {
        const wgi_attention_place at = wgi_place_of_keys(&p, block, 64);
        seen[size_t((at.b * 2 + at.h) * 3 + at.first / 64)]++;
        if (block < 6) ck_assert_int_eq(at.first, 0);
    }
    for (int n : seen) ck_assert_int_eq(n, 1);
}
END_TEST

START_TEST(dropout_takes_the_words_that_the_cpu_takes)
{
    wgi_attention_pass p = {};
    p.random[0] = 0x123456789abcdef0u;
    p.random[1] = 0xfffffff0u; /* the counter passes 32 bits */
    p.dropout = 0.3;
    for (int64_t i = 0; i < 500; i++)
        ck_assert_int_eq(wgi::keeps(p, i),
                         wgi_uniform24(wgi_random_word(p.random[0], p.random[1], i)) >= 0.3f);
}
END_TEST

#include "attention_problem.h"

/* ---- kernels ---- */

struct settings {
    int b, h, kv, tq, tk, d, dv;
    bool causal;
    int window, mask;
    double dropout;
    bool by_time, accumulate;
};

template <class R, bool CHUNKS> void run_rows(problem &x, double unit)
{
    const int lanes = CHUNKS ? 8 : 32,
              blocks = x.p.batch * x.p.heads * x.p.rows * lanes / wgi::ROWS_THREADS;
    x.expect_clean(emulated::run(blocks, wgi::ROWS_THREADS, 0,
                                 [&] { wgi::attention_rows<emulated, R, CHUNKS>(x.p, R(unit)); }));
}

template <class E, int HD, bool EXTRA> void run_forward(problem &x)
{
    using S = wgi::forward_shape<HD, EXTRA>;
    const int blocks = (x.p.tq + S::rows - 1) / S::rows * x.p.heads * x.p.batch;
    x.expect_clean(emulated::run(blocks, S::threads, S::bytes,
                                 [&] { wgi::attention_forward<emulated, E, S, EXTRA>(x.p); }));
}

template <class E, int HD, bool EXTRA> void run_backward(problem &x)
{
    using Q = wgi::query_shape<HD, EXTRA>;
    using K = wgi::key_shape<HD, EXTRA>;
    x.expect_clean(emulated::run((x.p.tq + Q::rows - 1) / Q::rows * x.p.heads * x.p.batch,
                                 Q::threads, Q::bytes,
                                 [&] { wgi::attention_of_queries<emulated, E, Q, EXTRA>(x.p); }));
    x.expect_clean(emulated::run((x.p.tk + K::rows - 1) / K::rows * x.p.kv_heads * x.p.batch,
                                 K::threads, K::bytes,
                                 [&] { wgi::attention_of_keys<emulated, E, K, EXTRA>(x.p); }));
}

/* Rounded operands, exact products, probabilities rounded to 16 bits: each output's error is
 * within some units of the type at the size of the largest value. */
template <class E, int HD> void check_kernels(const settings &s)
{
    problem x(s.b, s.h, s.kv, s.tq, s.tk, s.d, s.dv, E::type, s.by_time);
    x.p.causal = s.causal;
    x.p.window = s.window;
    x.p.dropout = s.dropout;
    if (s.mask) x.add_mask(s.mask);
    x.solve();
    const bool extra = s.mask || s.dropout > 0;
    extra ? run_forward<E, HD, true>(x) : run_forward<E, HD, false>(x);
    x.expect_forward(4 * E::unit);
    x.prepare_backward(wgi::log2_e, s.accumulate);
    run_rows<float, true>(x, wgi::log2_e);
    x.expect_rows(1e-4);
    extra ? run_backward<E, HD, true>(x) : run_backward<E, HD, false>(x);
    x.expect_backward(6 * E::unit);
}

template <class E, int HD> void check_head(int d, int dv)
{
    const settings all[] = {
        { 1, 1, 1, 64, 64, d, d, false, 0, 0, 0, false, false },
        { 1, 2, 1, 70, 70, d, dv, true, 0, 0, 0, true, false },
        { 2, 2, 2, 33, 90, dv, d, true, 20, 0, 0, false, true },
        { 1, 2, 2, 90, 33, d, d, true, 0, 0, 0, false, false }, /* blind rows */
        { 1, 2, 1, 37, 51, d, d, true, 0, 1, 0.3, true, false },
        { 1, 2, 2, 20, 70, d, dv, false, 30, 2, 0, false, true },
        { 1, 1, 1, 130, 130, d, d, true, 0, 0, 0.4, false, false },
    };
    for (const settings &s : all) check_kernels<E, HD>(s);
}

/* ---- the plain kernels ---- */

template <class R> void check_plain(const settings &s, int type, double tolerance)
{
    problem x(s.b, s.h, s.kv, s.tq, s.tk, s.d, s.dv, type, s.by_time);
    x.p.causal = s.causal;
    x.p.window = s.window;
    x.p.dropout = s.dropout;
    if (s.mask) x.add_mask(s.mask);
    x.solve();
    const int tile = wgi::PLAIN_TILE, words = wgi::PLAIN_WORDS * int(sizeof(R)),
              queries = (s.tq + tile - 1) / tile * s.h * s.b,
              keys = (s.tk + tile - 1) / tile * s.kv * s.b;
    x.expect_clean(emulated::run(queries * wgi::plain_parts(s.dv), wgi::PLAIN_THREADS,
                                 wgi::PLAIN_FORWARD_WORDS * int(sizeof(R)),
                                 [&] { wgi::plain_forward<emulated, R>(x.p); }));
    x.expect_forward(tolerance);
    x.prepare_backward(1, s.accumulate);
    run_rows<R, false>(x, 1);
    x.expect_rows(type == WG_F64 ? 1e-12 : 1e-4);
    x.expect_clean(emulated::run(queries * wgi::plain_parts(s.d), wgi::PLAIN_THREADS,
                                 wgi::PLAIN_FORWARD_WORDS * int(sizeof(R)),
                                 [&] { wgi::plain_of_queries<emulated, R>(x.p); }));
    x.expect_clean(emulated::run(keys * wgi::plain_parts(std::max(s.d, s.dv)), wgi::PLAIN_THREADS,
                                 words, [&] { wgi::plain_of_keys<emulated, R>(x.p); }));
    x.expect_backward(2 * tolerance);
}

START_TEST(plain_kernels_match_the_formula)
{
    const settings all[] = {
        { 2, 2, 2, 4, 4, 3, 3, true, 0, 0, 0, false, false },
        { 1, 4, 2, 37, 50, 20, 12, true, 9, 0, 0, true, true },
        { 1, 2, 2, 50, 37, 64, 70, true, 0, 0, 0, false, false },
        { 1, 2, 1, 33, 40, 130, 8, false, 0, 1, 0.3, true, false },
        { 1, 2, 2, 20, 70, 5, 66, false, 30, 2, 0.2, false, true },
        { 1, 2, 2, 3, 0, 5, 6, false, 0, 0, 0, false, false },
    };
    for (const settings &s : all) {
        check_plain<float>(s, WG_F32, 2e-6); /* sums of up to 130 terms */
        check_plain<double>(s, WG_F64, 1e-14);
    }
    check_plain<float>(all[1], WG_BF16, bf16::unit);
    check_plain<float>(all[2], WG_F16, f16::unit);
}
END_TEST

START_TEST(kernels_for_head_size_32_match_the_formula)
{
    check_head<bf16, 32>(32, 8);
    check_head<f16, 32>(24, 32);
}
END_TEST

START_TEST(kernels_for_head_size_64_match_the_formula)
{
    check_head<bf16, 64>(64, 64);
    check_head<f16, 64>(64, 40);
}
END_TEST

START_TEST(kernels_for_head_size_96_match_the_formula)
{
    check_head<bf16, 96>(96, 72);
    check_head<f16, 96>(80, 96);
}
END_TEST

START_TEST(kernels_for_head_size_128_match_the_formula)
{
    check_head<bf16, 128>(128, 104);
    check_head<f16, 128>(128, 128);
}
END_TEST

START_TEST(kernels_for_head_size_256_match_the_formula)
{
    check_head<bf16, 256>(256, 192);
    check_head<f16, 256>(136, 256);
}
END_TEST

START_TEST(a_longer_causal_sequence_matches_the_formula)
{
    check_kernels<bf16, 64>({ 1, 1, 1, 400, 400, 64, 64, true, 0, 0, 0, true, false });
    check_kernels<bf16, 64>({ 1, 1, 1, 300, 300, 64, 64, true, 100, 0, 0, true, false });
    check_kernels<bf16, 64>({ 1, 1, 1, 1, 300, 64, 64, true, 0, 0, 0, false, false });
    check_kernels<bf16, 64>({ 1, 3, 1, 5, 0, 64, 64, true, 0, 0, 0, false, false });
}
END_TEST

/* Where a row's maximum stays, what was summed stays to the last bit: an error of a unit in each of 256 tiles would show. */
START_TEST(sums_do_not_drift_where_the_maximum_stays)
{
    problem x(1, 1, 1, 16, 16384, 32, 32, bf16::type, false);
    x.p.scale = 3;
    x.solve();
    run_forward<bf16, 32, false>(x);
    x.expect_forward(4 * bf16::unit, 2e-5);
}
END_TEST

/* ---- the emulation itself finds what it is for ---- */

START_TEST(a_missing_barrier_is_found)
{
    const std::string said = emulated::run(1, 64, 256, [] {
        emulated::put<float>(emulated::thread() * 4, 1.0f);
        if (emulated::get<float>((emulated::thread() + 1) % 64 * 4) < 0) abort();
    });
    ck_assert_msg(said.find("race") == 0, "%s", said.c_str());
}
END_TEST

START_TEST(a_copy_that_is_read_before_it_is_waited_for_is_found)
{
    static const float from[4] = { 1, 2, 3, 4 };
    float got = 0;
    (void)emulated::run(1, 32, 64, [&] {
        if (emulated::thread() == 0) emulated::copy16(0, from, true);
        emulated::commit();
        emulated::sync();
        if (emulated::thread() == 0) got = emulated::get<float>(0);
        emulated::wait<0>();
    });
    ck_assert(got != got);
}
END_TEST

START_TEST(threads_that_part_at_a_barrier_are_found)
{
    const std::string said = emulated::run(1, 64, 64, [] {
        if (emulated::thread() < 32) emulated::sync();
    });
    ck_assert_msg(said.find("threads of a block") == 0, "%s", said.c_str());
}
END_TEST

} // namespace

int main()
{
    return run_problems("attention_tile", {
                                              a_tile_s_chunks_lie_each_once_and_in_different_banks,
                                              tiles_hold_every_pair_that_is_seen,
                                              every_tile_has_one_block_and_the_longest_come_first,
                                              dropout_takes_the_words_that_the_cpu_takes,
                                              plain_kernels_match_the_formula,
                                              kernels_for_head_size_32_match_the_formula,
                                              kernels_for_head_size_64_match_the_formula,
                                              kernels_for_head_size_96_match_the_formula,
                                              kernels_for_head_size_128_match_the_formula,
                                              kernels_for_head_size_256_match_the_formula,
                                              a_longer_causal_sequence_matches_the_formula,
                                              sums_do_not_drift_where_the_maximum_stays,
                                              a_missing_barrier_is_found,
                                              a_copy_that_is_read_before_it_is_waited_for_is_found,
                                              threads_that_part_at_a_barrier_are_found,
                                          });
}
