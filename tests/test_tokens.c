/* Texts and shards as tokens, and the loaders that cut batches from them. */
#include <stdint.h>

#include "folder.h"
#include "suite.h"

/* ---- texts ----------------------------------------------------------------------------------- */
START_TEST(characters_are_numbered_by_code_point)
{
    static const char text[] = "ba\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80"
                               "a\n"; /* b a ä € 😀 a \n */
    static const int64_t want[] = { 2, 1, 3, 4, 5, 1, 0 };
    put_text(in_folder("t"), text);
    wg_tokens *t = wg_tokens_text(in_folder("t"), WG_CHARS);
    expect_no_error();
    ck_assert_int_eq(wg_tokens_count(t), 7);
    ck_assert_int_eq(wg_tokens_vocab(t), 6);
    char back[64] = "";
    for (int i = 0; i < 7; i++) {
        char piece[5];
        ck_assert_int_eq(wg_tokens_at(t, i), want[i]);
        ck_assert_int_eq(wg_tokens_decode(t, wg_tokens_at(t, i), piece), (int)strlen(piece));
        strcat(back, piece);
    }
    ck_assert_str_eq(back, text);
    ck_assert_int_eq(wg_tokens_at(t, 7), -1);
    ck_assert_int_eq(wg_tokens_at(t, -1), -1);
    int64_t *ids;
    ck_assert_int_eq(wg_tokens_encode(t, text, &ids), 7);
    ck_assert_mem_eq(ids, want, sizeof want);
    free(ids);
    ck_assert_int_eq(wg_tokens_encode(t, "ac", &ids), -1);
    ck_assert_ptr_null(ids);
    expect_error(WG_ENOTFOUND, "tokens_encode: the vocabulary lacks the character 'c' (U+0063)");
    ck_assert_int_eq(wg_tokens_encode(t, "a\xC3", &ids), -1);
    expect_error(WG_EFORMAT, "tokens_encode: malformed UTF-8 at byte 1");
    ck_assert_int_eq(wg_tokens_encode(t, "", &ids), 0);
    free(ids);
    wg_tokens_free(t);
}
END_TEST

START_TEST(bytes_are_themselves)
{
    static const char text[] = { 'a', '\0', '\xFF', '\n' };
    put_file(in_folder("t"), text, sizeof text);
    wg_tokens *t = wg_tokens_text(in_folder("t"), WG_BYTES);
    ck_assert_int_eq(wg_tokens_count(t), 4);
    ck_assert_int_eq(wg_tokens_vocab(t), 256);
    ck_assert_int_eq(wg_tokens_at(t, 2), 255);
    char piece[5];
    ck_assert_int_eq(wg_tokens_decode(t, 255, piece), 1);
    ck_assert_int_eq(piece[0], '\xFF');
    ck_assert_int_eq(wg_tokens_decode(t, 256, piece), 0);
    wg_tokens_free(t);
}
END_TEST

START_TEST(wide_vocabularies_keep_every_character)
{
    /* 70,000 characters from U+10000 on: ids of four bytes. */
    enum { N = 70000 };
    char *text = malloc(4 * N);
    for (uint32_t i = 0; i < N; i++) {
        const uint32_t c = 0x10000 + i;
        const char bytes[4] = { (char)(0xF0 | c >> 18), (char)(0x80 | (c >> 12 & 0x3F)),
                                (char)(0x80 | (c >> 6 & 0x3F)), (char)(0x80 | (c & 0x3F)) };
        memcpy(text + 4 * (N - 1 - i), bytes, 4); /* backwards */
    }
    put_file(in_folder("wide"), text, 4 * N);
    wg_tokens *t = wg_tokens_text(in_folder("wide"), WG_CHARS);
    expect_no_error();
    ck_assert_int_eq(wg_tokens_vocab(t), N);
    for (int i = 0; i < N; i++) ck_assert_int_eq(wg_tokens_at(t, i), N - 1 - i);
    wg_tokens_free(t);
    free(text);
}
END_TEST

START_TEST(malformed_texts_are_refused)
{
    static const struct {
        const char *text;
        int byte;
    } bad[] = { { "ab\x80", 2 },           { "\xC0\x80", 0 },
                { "\xC1\xBF", 0 },         { "a\xC3", 1 },
                { "\xE0\x80\x80", 0 },     { "\xED\xA0\x80", 0 },
                { "\xE2\x82", 0 },         { "\xF0\x80\x80\x80", 0 },
                { "\xF4\x90\x80\x80", 0 }, { "\xF5\x80\x80\x80", 0 },
                { "x\xC3\xC3\xA4", 1 },    { "\xFF", 0 } };
    const char *path = in_folder("bad");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        put_text(path, bad[i].text);
        ck_assert_ptr_null(wg_tokens_text(path, WG_CHARS));
        expect_error(WG_EFORMAT, format("%s: malformed UTF-8 at byte %d", path, bad[i].byte));
    }
    put_text(path, "");
    ck_assert_ptr_null(wg_tokens_text(path, WG_CHARS));
    expect_error(WG_EFORMAT, path);
    ck_assert_ptr_null(wg_tokens_text(path, WG_BYTES));
    expect_error(WG_EFORMAT, path);
    ck_assert_ptr_null(wg_tokens_text(in_folder("none"), WG_CHARS));
    expect_error(WG_ENOTFOUND, in_folder("none"));
    ck_assert_ptr_null(wg_tokens_text(folder_path, WG_CHARS));
    expect_error(WG_EIO, folder_path);
    ck_assert_ptr_null(wg_tokens_text("/dev/null", WG_BYTES));
    expect_error(WG_EIO, "/dev/null: not a regular file");
}
END_TEST

START_TEST(parts_share_the_whole_and_outlive_it)
{
    put_text(in_folder("t"), "abcdefghij");
    wg_tokens *t = wg_tokens_text(in_folder("t"), WG_CHARS), *part = wg_tokens_part(t, 3, 9),
              *inner = wg_tokens_part(part, 1, 4);
    wg_tokens_free(t);
    ck_assert_int_eq(wg_tokens_count(part), 6);
    wg_tokens_free(part);
    ck_assert_int_eq(wg_tokens_count(inner), 3);
    ck_assert_int_eq(wg_tokens_at(inner, 0), 4);
    ck_assert_int_eq(wg_tokens_at(inner, 3), -1);
    ck_assert_int_eq(wg_tokens_vocab(inner), 10);
    ck_assert_ptr_null(wg_tokens_part(inner, 2, 4));
    expect_error(WG_EINDEX, "tokens_part: [2, 4) of 3 tokens");
    ck_assert_ptr_null(wg_tokens_part(NULL, 0, 0));
    expect_error(WG_EARG, "tokens_part: no tokens given");
    wg_tokens_free(inner);
    wg_tokens_free(NULL);
}
END_TEST

/* ---- shards ---------------------------------------------------------------------------------- */
static void put_shard(const char *path, int32_t magic, int32_t version, int32_t count, int real,
                      uint16_t first)
{
    static char file[1024 + 2 * 1000];
    memset(file, 0, sizeof file);
    memcpy(file, (int32_t[]) { magic, version, count }, 12);
    for (int i = 0; i < real; i++)
        memcpy(file + 1024 + 2 * i, &(uint16_t) { (uint16_t)(first + i) }, 2);
    put_file(path, file, 1024 + 2 * (size_t)real);
}

START_TEST(shards_are_read_and_checked)
{
    const char *path = in_folder("s.bin");
    put_shard(path, 20240520, 1, 10, 10, 50000);
    wg_tokens *t = wg_tokens_shard(path);
    expect_no_error();
    ck_assert_int_eq(wg_tokens_count(t), 10);
    ck_assert_int_eq(wg_tokens_vocab(t), 50257);
    ck_assert_int_eq(wg_tokens_at(t, 9), 50009);
    char piece[5];
    ck_assert_int_eq(wg_tokens_decode(t, 5, piece), 0);
    int64_t *ids;
    ck_assert_int_eq(wg_tokens_encode(t, "a", &ids), -1);
    expect_error(WG_EARG, "tokens_encode: token ids and shards have no vocabulary of text");
    wg_tokens_free(t);

    static const struct {
        int32_t magic, version, count;
        int real;
        const char *message;
    } bad[] = { { 20240521, 1, 10, 10, "no token shard: it begins with 20240521" },
                { 20240520, 7, 10, 10, "a token shard of version 7" },
                { 20240520, 1, 11, 10, "its header says 11 tokens" },
                { 20240520, 1, 9, 10, "its header says 9 tokens" },
                { 20240520, 1, -1, 10, "its header says -1 tokens" },
                { 20240520, 1, INT32_MAX, 10, "its header says 2147483647 tokens" } };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        put_shard(path, bad[i].magic, bad[i].version, bad[i].count, bad[i].real, 0);
        ck_assert_ptr_null(wg_tokens_shard(path));
        expect_error(WG_EFORMAT, format("%s: %s", path, bad[i].message));
    }
    put_text(path, "short");
    ck_assert_ptr_null(wg_tokens_shard(path));
    expect_error(WG_EFORMAT, path);
}
END_TEST

START_TEST(a_token_outside_the_vocabulary_is_an_error_where_it_is_met)
{
    put_shard(in_folder("s.bin"), 20240520, 1, 100, 100, 50200);
    wg_tokens *t = wg_tokens_shard(in_folder("s.bin"));
    wg_loader *l = wg_loader_new(.tokens = t, .batch = 1, .block = 50, .sequential = true);
    const wg_scope s = wg_scope_push();
    wg_tensor *x, *y;
    ck_assert(wg_loader_next(l, &x, &y));
    ck_assert(!wg_loader_next(l, &x, &y));
    expect_error(WG_EFORMAT, "loader_next: token 57 is 50257, the vocabulary has 50257");
    ck_assert(wg_is_error(x) && wg_is_error(y));
    pop(s);
    wg_loader_free(l);
    wg_tokens_free(t);
}
END_TEST

/* ---- loaders --------------------------------------------------------------------------------- */
enum { COUNT = 103 };
/* COUNT bytes that count up. */
static wg_tokens *counting(void)
{
    unsigned char text[COUNT];
    for (int i = 0; i < COUNT; i++) text[i] = (unsigned char)i;
    put_file(in_folder("counting"), text, COUNT);
    return wg_tokens_text(in_folder("counting"), WG_BYTES);
}

/* Checks that y follows x; marks every target in seen; returns the batch's rows. */
static int64_t check_batch(wg_tensor *x, wg_tensor *y, int64_t T, int *seen)
{
    ck_assert_int_eq(wg_size(x, 1), T);
    ck_assert_int_eq(wg_numel(y), wg_numel(x));
    const int64_t *a = wg_data(x), *b = wg_data(y), n = wg_numel(x);
    for (int64_t i = 0; i < n; i++) {
        ck_assert_int_eq(b[i], a[i] + 1);
        if (i % T) ck_assert_int_eq(a[i], a[i - 1] + 1);
        if (seen) seen[b[i]]++;
    }
    return wg_size(x, 0);
}

START_TEST(a_sequential_pass_has_every_target_once)
{
    wg_tokens *t = counting();
    for (int shuffle = 0; shuffle < 2; shuffle++) {
        wg_loader *l = wg_loader_new(.tokens = t, .batch = 4, .block = 10, .sequential = true,
                                     .shuffle = shuffle);
        int64_t firsts[2][10];
        for (int pass = 0; pass < 2; pass++) {
            static const int64_t rows[] = { 4, 4, 2, 1 };
            int seen[256] = { 0 };
            const wg_scope s = wg_scope_push();
            wg_tensor *x, *y;
            for (int i = 0, k = 0; i < 4; i++) {
                ck_assert(wg_loader_next(l, &x, &y));
                ck_assert_int_eq(check_batch(x, y, i < 3 ? 10 : 2, seen),
                                 rows[i]); /* 102 targets: 10 blocks and 2 */
                const int64_t *first = wg_data(x);
                for (int64_t b = 0; i < 3 && b < rows[i]; b++) firsts[pass][k++] = first[10 * b];
            }
            ck_assert(!wg_loader_next(l, &x, &y));
            ck_assert(!wg_loader_next(l, &x, &y));
            ck_assert_ptr_null(x);
            for (int i = 1; i < COUNT; i++) ck_assert_int_eq(seen[i], 1);
            pop(s);
            wg_loader_rewind(l);
        }
        ck_assert((memcmp(firsts[0], firsts[1], sizeof firsts[0]) != 0) == shuffle);
        if (!shuffle) ck_assert_int_eq(firsts[0][3], 30);
        wg_loader_free(l);
    }
    wg_tokens_free(t);
}
END_TEST

START_TEST(random_batches_cover_all_and_depend_on_the_seed_alone)
{
    wg_tokens *t = counting();
    wg_loader *a = wg_loader_new(.tokens = t, .batch = 6, .block = 8, .seed = 5);
    wg_loader *b = wg_loader_new(.tokens = t, .batch = 2, .block = 8, .seed = 5);
    wg_loader *c = wg_loader_new(.tokens = t, .batch = 6, .block = 8, .seed = 6);
    wg_tokens_free(t); /* the loaders keep the data */
    int seen[256] = { 0 };
    bool other = false;
    for (int i = 0; i < 200; i++) {
        const wg_scope s = wg_scope_push();
        wg_tensor *x, *y, *p, *q, *parts[3];
        wg_rand(WG_DIMS(i % 5)); /* the thread's generator does not matter */
        ck_assert(wg_loader_next(a, &x, &y));
        ck_assert_int_eq(check_batch(x, y, 8, seen), 6);
        for (int j = 0; j < 3; j++) ck_assert(wg_loader_next(b, &parts[j], &q));
        const int64_t *whole = wg_data(x);
        for (int j = 0; j < 3; j++)
            ck_assert_mem_eq(whole + 16 * j, wg_data(parts[j]), 16 * sizeof *whole);
        ck_assert(wg_loader_next(c, &p, &q));
        other |= memcmp(wg_data(p), whole, 48 * sizeof *whole) != 0;
        pop(s);
    }
    ck_assert(other);
    for (int i = 1; i < COUNT; i++) ck_assert_msg(seen[i] > 0, "target %d never came", i);
    wg_loader_free(a);
    wg_loader_free(b);
    wg_loader_free(c);
}
END_TEST

START_TEST(a_position_brings_a_loader_back)
{
    wg_tokens *t = counting();
    for (int kind = 0; kind < 3; kind++) {
        const wg_loader_args args = { .tokens = t,
                                      .batch = 3,
                                      .block = 7,
                                      .seed = 11,
                                      .sequential = kind > 0,
                                      .shuffle = kind > 1 };
        wg_loader *a = wg_loader_call(args);
        wg_loader_args changed = args;
        changed.seed = 99; /* the position carries the seed */
        wg_loader *b = wg_loader_call(changed);
        for (int i = 0; i < 30; i++) {
            const wg_scope s = wg_scope_push();
            wg_tensor *x, *y, *p, *q;
            int64_t at[4];
            wg_loader_position(a, at);
            ck_assert_int_eq(wg_loader_seek(b, at), WG_OK);
            const bool more = wg_loader_next(a, &x, &y);
            ck_assert(wg_loader_next(b, &p, &q) == more);
            if (more)
                ck_assert_mem_eq(wg_data(x), wg_data(p), (size_t)wg_numel(x) * 8);
            else
                wg_loader_rewind(a);
            pop(s);
        }
        ck_assert_int_eq(wg_loader_seek(b, (int64_t[]) { 0, 0, 0, COUNT + 1 }), WG_EARG);
        expect_error(WG_EARG, "loader_seek: the position is one in 104 tokens, these are 103");
        ck_assert_int_eq(wg_loader_seek(b, (int64_t[]) { -1, 0, 0, COUNT }), WG_EARG);
        wg_error_clear();
        ck_assert_int_eq(wg_loader_seek(b, (int64_t[]) { 0, INT64_MAX, 0, COUNT }), WG_EARG);
        wg_error_clear();
        wg_loader_free(a);
        wg_loader_free(b);
    }
    wg_tokens_free(t);
}
END_TEST

START_TEST(shuffled_orders_are_permutations_of_any_length)
{
    for (int n = 1; n < 70; n++) {
        unsigned char text[71];
        for (int i = 0; i <= n; i++) text[i] = (unsigned char)i;
        put_file(in_folder("n"), text, (size_t)n + 1);
        wg_tokens *t = wg_tokens_text(in_folder("n"), WG_BYTES);
        wg_loader *l = wg_loader_new(.tokens = t, .batch = n, .block = 1, .seed = (uint64_t)n,
                                     .sequential = true, .shuffle = true);
        int seen[256] = { 0 };
        const wg_scope s = wg_scope_push();
        wg_tensor *x, *y;
        ck_assert(wg_loader_next(l, &x, &y));
        ck_assert_int_eq(check_batch(x, y, 1, seen), n);
        for (int i = 1; i <= n; i++) ck_assert_int_eq(seen[i], 1);
        pop(s);
        wg_loader_free(l);
        wg_tokens_free(t);
    }
}
END_TEST

START_TEST(wrong_arguments_are_refused)
{
    wg_tokens *t = counting();
    ck_assert_ptr_null(wg_loader_new(.batch = 1, .block = 1));
    expect_error(WG_EARG, "loader_new: no tokens given");
    ck_assert_ptr_null(wg_loader_new(.tokens = t, .block = 1));
    expect_error(WG_EARG, "loader_new: batch and block must be at least 1, are 0 and 1");
    ck_assert_ptr_null(wg_loader_new(.tokens = t, .batch = 1, .block = COUNT));
    expect_error(WG_EARG,
                 "loader_new: 103 tokens are too few for blocks of 103: at least 104 are needed");
    ck_assert_ptr_null(wg_loader_new(.tokens = t, .batch = 1, .block = INT64_MAX));
    expect_error(WG_EARG, "loader_new: batch or block is above 2^31");
    ck_assert_ptr_null(wg_loader_new(.tokens = t, .batch = 1, .block = 1, .shuffle = true));
    expect_error(WG_EARG, "loader_new: .shuffle orders blocks");
    wg_tokens *one = wg_tokens_part(t, 0, 1);
    ck_assert_ptr_null(wg_loader_new(.tokens = one, .batch = 1, .block = 1, .sequential = true));
    expect_error(WG_EARG, "loader_new: 1 tokens are too few");
    wg_tokens_free(one);
    wg_tokens_free(t);
    const wg_scope s = wg_scope_push();
    wg_tensor *x, *y;
    ck_assert(!wg_loader_next(NULL, &x, &y));
    expect_error(WG_EARG, "loader_next: no loader given");
    ck_assert(wg_is_error(x));
    wg_loader_rewind(NULL);
    wg_loader_free(NULL);
    pop(s);
}
END_TEST

START_TEST(batches_are_made_on_the_current_device)
{
    wg_tokens *t = counting();
    wg_loader *l = wg_loader_new(.tokens = t, .batch = 2, .block = 4);
    const wg_scope s = wg_scope_push();
    wg_use_device(wg_meta());
    wg_tensor *x, *y;
    ck_assert(wg_loader_next(l, &x, &y));
    ck_assert_int_eq(wg_device_of(x).kind, WG_META);
    ck_assert_int_eq(wg_device_of(y).kind, WG_META);
    pop(s);
    wg_loader_free(l);
    wg_tokens_free(t);
}
END_TEST

int main(void)
{
    folder_make();
    const int failed =
        suite_run("tokens", (const TTest *[]) {
                                characters_are_numbered_by_code_point,
                                bytes_are_themselves,
                                wide_vocabularies_keep_every_character,
                                malformed_texts_are_refused,
                                parts_share_the_whole_and_outlive_it,
                                shards_are_read_and_checked,
                                a_token_outside_the_vocabulary_is_an_error_where_it_is_met,
                                a_sequential_pass_has_every_target_once,
                                random_batches_cover_all_and_depend_on_the_seed_alone,
                                a_position_brings_a_loader_back,
                                shuffled_orders_are_permutations_of_any_length,
                                wrong_arguments_are_refused,
                                batches_are_made_on_the_current_device,
                                NULL,
                            });
    folder_remove();
    return failed;
}
