/* Attention by warpgroups, the very same templates, on an emulated block: layouts, and whole problems against the formula in
 * f64. */
#include <check.h>

#include <algorithm>
#include <cstdio>
#include <random>

#include "attention_elements.h"
#include "cuda/attention_group.h"
#include "cuda/attention_rows.h"
#include "emulated_group.h"

namespace
{

#include "attention_problem.h"

template <class P> void check_panels()
{
    std::vector<int> places;
    for (int row = 0; row < P::rows; row++)
        for (int chunk = 0; chunk < P::head / 8; chunk++) places.push_back(P::at(row, chunk));
    std::sort(places.begin(), places.end());
    for (size_t i = 0; i < places.size(); i++) ck_assert_int_eq(places[i], int(i) * 16);
    ck_assert_int_eq(P::bytes, int(places.size()) * 16);
    ck_assert_int_eq(P::panel % 1024, 0);
}

START_TEST(a_tile_s_chunks_lie_each_once)
{
    check_panels<wgi::panels<64, 64>>();
    check_panels<wgi::panels<64, 128>>();
    check_panels<wgi::panels<128, 64>>();
    check_panels<wgi::panels<128, 128>>();
}
END_TEST

/* ---- kernels ---- */

struct settings {
    int b, h, kv, tq, tk, d, dv;
    bool causal;
    int window;
    bool by_time, accumulate;
};

template <class E, int HD> void run_kernels(problem &x, bool accumulate)
{
    using F = wgi::group_forward_shape<HD>;
    using Q = wgi::group_query_shape<HD>;
    using K = wgi::group_key_shape<HD>;
    const wgi_attention_pass &p = x.p;
    x.expect_clean(emulated_group::run((p.tq + F::rows - 1) / F::rows * p.heads * p.batch,
                                       F::threads, F::bytes,
                                       [&] { wgi::group_forward<emulated_group, E, F>(p); }));
    x.expect_forward(4 * E::unit);
    x.prepare_backward(wgi::log2_e, accumulate);
    const int blocks = p.batch * p.heads * p.rows * 8 / wgi::ROWS_THREADS;
    x.expect_clean(emulated::run(blocks, wgi::ROWS_THREADS, 0, [&] {
        wgi::attention_rows<emulated, float, true>(p, wgi::log2_e);
    }));
    x.expect_clean(emulated_group::run((p.tq + Q::rows - 1) / Q::rows * p.heads * p.batch,
                                       Q::threads, Q::bytes,
                                       [&] { wgi::group_of_queries<emulated_group, E, Q>(p); }));
    x.expect_clean(emulated_group::run((p.tk + K::rows - 1) / K::rows * p.kv_heads * p.batch,
                                       K::threads, K::bytes,
                                       [&] { wgi::group_of_keys<emulated_group, E, K>(p); }));
    x.expect_backward(6 * E::unit);
}

template <class E, int HD> void check_kernels(const settings &s)
{
    problem x(s.b, s.h, s.kv, s.tq, s.tk, s.d, s.dv, E::type, s.by_time);
    x.p.causal = s.causal;
    x.p.window = s.window;
    x.solve();
    run_kernels<E, HD>(x, s.accumulate);
}

template <class E, int HD> void check_head(int d, int dv)
{
    const settings all[] = {
        { 1, 1, 1, 64, 64, d, d, false, 0, false, false },
        { 1, 2, 1, 70, 70, d, dv, true, 0, true, false },
        { 2, 2, 2, 33, 90, dv, d, true, 20, false, true },
        { 1, 2, 2, 90, 33, d, d, true, 0, false, false }, /* blind rows */
        { 1, 2, 2, 20, 70, d, dv, false, 30, false, true },
        { 1, 1, 1, 130, 130, d, d, true, 0, false, false },
        { 1, 3, 1, 5, 0, d, d, true, 0, false, false },
        { 1, 1, 1, 300, 300, d, d, true, 100, true, false },
        { 1, 1, 1, 1, 300, d, d, true, 0, false, false },
    };
    for (const settings &s : all) check_kernels<E, HD>(s);
}

START_TEST(kernels_for_head_size_64_match_the_formula)
{
    check_head<bf16, 64>(64, 40);
    check_head<f16, 64>(48, 64);
}
END_TEST

START_TEST(kernels_for_head_size_128_match_the_formula)
{
    check_head<bf16, 128>(128, 104);
    check_head<f16, 128>(72, 128);
}
END_TEST

/* ---- the emulation itself finds what it is for ---- */

using tile = wgi::panels<64, 64>;

struct one_group {
    static constexpr int threads = 128;
    static constexpr bool keeps = true;
};

static void load_zeros()
{
    static uint16_t zeros[64 * 64];
    wgi_attention_operand o = {};
    o.data = reinterpret_cast<char *>(zeros);
    o.stride[2] = 64;
    wgi::load_tile<emulated_group, one_group, tile>(o, 0, 0, 0, 64, 64, 0);
}

/* A product of the tile at 0 with itself, read wrongly in some way. */
static std::string said_of(bool sends, bool waits, bool starts)
{
    return emulated_group::run(1, 128, 2 * tile::bytes, [=] {
        float c[1][8][4];
        wgi::clear(c);
        load_zeros();
        emulated_group::commit();
        emulated_group::wait<0>();
        if (sends) emulated_group::sent();
        emulated_group::sync();
        if (starts) emulated_group::start(c);
        bf16::group_mma<emulated_group, 8, false>(c[0], wgi::columns_of(0), wgi::columns_of(0),
                                                  true);
        emulated_group::close();
        if (waits) emulated_group::finish<0>(c);
        if (waits && starts && sends && c[0][0][0] != 0) abort();
    });
}

START_TEST(what_is_missing_around_a_product_is_found)
{
    ck_assert(said_of(true, true, true).empty());
    ck_assert(said_of(false, true, true).find("that was not sent") != std::string::npos);
    ck_assert(said_of(true, false, true) == "products that nobody waited for");
    ck_assert(said_of(true, true, false).find("not started") != std::string::npos);
}
END_TEST

START_TEST(a_tile_that_has_not_arrived_is_not_read)
{
    const std::string said = emulated_group::run(1, 128, tile::bytes, [] {
        float c[1][8][4];
        wgi::clear(c);
        load_zeros();
        emulated_group::commit();
        emulated_group::sent();
        emulated_group::sync();
        emulated_group::start(c);
        bf16::group_mma<emulated_group, 8, false>(c[0], wgi::columns_of(0), wgi::columns_of(0),
                                                  true);
        emulated_group::close();
        emulated_group::finish<0>(c);
        if (c[0][0][0] == c[0][0][0]) abort(); /* NaN, as shared memory was */
        emulated_group::wait<0>();
    });
    ck_assert_msg(said.find("race") == 0, "%s", said.c_str());
}
END_TEST

} // namespace

int main()
{
    return run_problems("attention_group", {
                                               a_tile_s_chunks_lie_each_once,
                                               kernels_for_head_size_64_match_the_formula,
                                               kernels_for_head_size_128_match_the_formula,
                                               what_is_missing_around_a_product_is_found,
                                               a_tile_that_has_not_arrived_is_not_read,
                                           });
}
