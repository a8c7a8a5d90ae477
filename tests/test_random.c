/* Philox and the thread's generator. */
#include "suite.h"
#include "tensor/internal.h"
#include "tensor/philox.h"

/* Random123's kat_vectors for philox4x32-10, those whose counter's upper half is 0; and one with the counter's lower
 * half all ones. The other published ones need a 128-bit counter: philox_full below. */
START_TEST(zero_counter_and_key)
{
    wgi_philox4 r = wgi_philox(0, 0);
    ck_assert_uint_eq(r.v[0], 0x6627e8d5u);
    ck_assert_uint_eq(r.v[1], 0xe169c58du);
    ck_assert_uint_eq(r.v[2], 0xbc57ac4cu);
    ck_assert_uint_eq(r.v[3], 0x9b00dbd8u);
}
END_TEST

/* The ten rounds again, on a 128-bit counter, to hold them against all published vectors. */
static wgi_philox4 philox_full(const uint32_t counter[4], const uint32_t key[2])
{
    wgi_philox4 c = { { counter[0], counter[1], counter[2], counter[3] } };
    uint32_t k0 = key[0], k1 = key[1];
    for (int i = 0; i < 10; i++) {
        uint64_t a = 0xD2511F53ull * c.v[0], b = 0xCD9E8D57ull * c.v[2];
        c = (wgi_philox4) { { (uint32_t)(b >> 32) ^ c.v[1] ^ k0, (uint32_t)b,
                              (uint32_t)(a >> 32) ^ c.v[3] ^ k1, (uint32_t)a } };
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return c;
}

START_TEST(the_published_vectors)
{
    static const uint32_t v[3][10] = {
        { 0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 },
        { 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x408f276d,
          0x41c83b0e, 0xa20bc7c6, 0x6d5451fd },
        { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09,
          0x94fdcceb, 0x5001e420, 0x24126ea1 },
    };
    for (int i = 0; i < 3; i++) {
        wgi_philox4 r = philox_full(v[i], v[i] + 4);
        for (int k = 0; k < 4; k++)
            ck_assert_msg(r.v[k] == v[i][6 + k], "vector %d word %d: %08x", i, k, r.v[k]);
    }
    for (uint64_t k = 0; k < 1000; k++) { /* the library's is the same with an upper half of 0 */
        uint64_t key = k * 0x9E3779B97F4A7C15u, counter = ~k * 0xD1B54A32D192ED03u;
        uint32_t full[4] = { (uint32_t)counter, (uint32_t)(counter >> 32), 0, 0 };
        uint32_t keys[2] = { (uint32_t)key, (uint32_t)(key >> 32) };
        wgi_philox4 a = wgi_philox(key, counter), b = philox_full(full, keys);
        ck_assert_mem_eq(&a, &b, sizeof a);
    }
}
END_TEST

START_TEST(value_i_is_word_i_mod_4_of_counter_plus_i_div_4)
{
    for (int64_t i = 0; i < 40; i++)
        ck_assert_uint_eq(wgi_random_word(11, 100, i),
                          wgi_philox(11, 100 + (uint64_t)i / 4).v[i % 4]);
    ck_assert_float_eq(wgi_uniform24(0), 0);
    ck_assert_float_lt(wgi_uniform24(UINT32_MAX), 1);
}
END_TEST

START_TEST(the_generator_is_seeded_read_and_set)
{
    wg_seed(42);
    wg_generator g = wg_generator_get();
    ck_assert_uint_eq(g.seed, 42);
    ck_assert_uint_eq(g.offset, 0);
    g.offset = 1ull << 40;
    wg_generator_set(g);
    ck_assert_uint_eq(wg_generator_get().offset, 1ull << 40);
    wg_seed(42);
    ck_assert_uint_eq(wg_generator_get().offset, 0);
}
END_TEST

int main(void)
{
    return suite_run("random", (const TTest *[]) { zero_counter_and_key, the_published_vectors,
                                                   value_i_is_word_i_mod_4_of_counter_plus_i_div_4,
                                                   the_generator_is_seeded_read_and_set, NULL });
}
