/* GGUF: what is malformed is refused, with its reason, before anything is made of it. */
#include <stdint.h>

#include "damage.h"
#include "folder.h"
#include "gguf_sample.h"
#include "tensor/internal.h"

/* ---- what must be refused -------------------------------------------------------------------- */
/* A file made by hand. */
static char made[4096];
static size_t made_bytes;
static void put(const void *p, size_t n)
{
    memcpy(made + made_bytes, p, n);
    made_bytes += n;
}
static void put32(uint32_t v)
{
    put(&v, 4);
}
static void put64(uint64_t v)
{
    put(&v, 8);
}
static void put_name(const char *s)
{
    put64(strlen(s));
    put(s, strlen(s));
}
static void begin_file(uint32_t version, uint64_t tensors, uint64_t keys)
{
    made_bytes = 0;
    put("GGUF", 4);
    put32(version);
    put64(tensors);
    put64(keys);
}
static void put_description(const char *name, int n, const uint64_t *dims, uint32_t type,
                            uint64_t offset)
{
    put_name(name);
    put32((uint32_t)n);
    for (int i = 0; i < n; i++) put64(dims[i]);
    put32(type);
    put64(offset);
}
static void put_data(size_t n)
{
    made_bytes = (made_bytes + 31) / 32 * 32;
    memset(made + made_bytes, 0, n);
    made_bytes += n;
}
static void refused(const char *message)
{
    const char *path = in_folder("bad");
    put_file(path, made, made_bytes);
    ck_assert_msg(wg_gguf_open(path) == NULL, "accepted, but: %s", message);
    expect_error(WG_EFORMAT, format("%s: %s", path, message));
}

START_TEST(wrong_heads_are_refused)
{
    begin_file(3, 0, 0);
    made[0] = 'X';
    refused("no GGUF file");
    begin_file(0x03000000, 0, 0);
    refused("a big-endian GGUF file");
    begin_file(1, 0, 0);
    refused("version 1 of GGUF: 2 and 3 are supported");
    begin_file(3, 0, 1);
    refused("1 keys in 0 bytes");
    begin_file(3, UINT64_MAX, 0);
    refused("18446744073709551615 tensors in 0 bytes");
    begin_file(3, 0, 0);
    made_bytes--;
    refused("no GGUF file");
    ck_assert_ptr_null(wg_gguf_open(in_folder("none")));
    expect_error(WG_ENOTFOUND, in_folder("none"));
}
END_TEST

START_TEST(wrong_keys_are_refused)
{
    begin_file(3, 0, 1);
    put64(1000);
    put("0123456789", 10);
    refused("key 0: a name of 1000 bytes where 10 are left");
    begin_file(3, 0, 1);
    put64(0);
    put32(4);
    put64(4);
    refused("key 0: its name is empty");
    begin_file(3, 0, 1);
    put_name("k");
    put32(13);
    put64(0);
    refused("key \"k\": unknown type 13");
    begin_file(3, 0, 1);
    put_name("k");
    put32(8);
    put64(UINT64_MAX);
    refused("key \"k\": a string of 18446744073709551615 bytes where 0 are left");
    begin_file(3, 0, 1);
    put_name("k");
    put32(9);
    put32(9);
    put64(0);
    refused("key \"k\": arrays of arrays are not supported");
    begin_file(3, 0, 1);
    put_name("k");
    put32(9);
    put32(8);
    put64((uint64_t)1 << 61);
    refused("key \"k\": an array of 2305843009213693952 where 0 bytes are left");
    begin_file(3, 0, 1);
    put_name("k");
    put32(9);
    put32(4);
    put64(3);
    put64(0);
    refused("key \"k\": 3 values of u32 where 8 bytes are left");
    begin_file(3, 0, 1);
    put_name("key");
    put32(7);
    put("\2", 1);
    refused("key \"key\": a bool is 2");
    begin_file(3, 0, 2);
    put_name("k");
    put32(4);
    put32(1);
    put_name("k");
    put32(4);
    put32(1);
    refused("key \"k\" occurs twice");
    begin_file(3, 0, 1);
    put_name("general.alignment");
    put32(4);
    put32(33);
    refused("key \"general.alignment\": 33 is no power of two");
}
END_TEST

/* One tensor, `data` bytes of data. */
static void one(int n, const uint64_t *dims, uint32_t type, uint64_t offset, size_t data)
{
    begin_file(3, 1, 0);
    put_description("t", n, dims, type, offset);
    put_data(data);
}

START_TEST(wrong_tensors_are_refused)
{
    static const uint64_t four[] = { 4, 1, 1, 1, 1 }, large[] = { 1u << 31, 1u << 31, 4 },
                          negative[] = { (uint64_t)1 << 63 }, odd[] = { 33 };
    one(5, four, 0, 0, 64);
    refused("tensor \"t\": 5 dimensions: 4 are the most");
    one(3, large, 0, 0, 64);
    refused("tensor \"t\": its size overflows");
    one(1, negative, 0, 0, 64);
    refused("tensor \"t\": its size overflows");
    one(1, odd, 2, 0, 64);
    refused("tensor \"t\": rows of 33 in blocks of 32 (Q4_0)");
    one(1, four, 0, 16, 64);
    refused("tensor \"t\": its data begin at 16, no multiple of 32");
    one(1, four, 0, 64, 64);
    refused("tensor \"t\": its data reach beyond the end of the file");
    one(1, four, 0, 0, 15);
    refused("tensor \"t\": its data reach beyond the end of the file");
    one(1, four, 0, UINT64_MAX - 31, 64);
    refused("tensor \"t\": its data reach beyond the end of the file");
    begin_file(3, 2, 0);
    put_description("t", 1, four, 0, 0);
    put_description("u", 1, four, 0, 0);
    put_data(64);
    refused("tensor \"u\": its data overlap another tensor's");
    begin_file(3, 2, 0);
    put_description("t", 1, four, 0, 0);
    put_description("t", 1, four, 0, 32);
    put_data(64);
    refused("tensor \"t\" occurs twice");
}
END_TEST

START_TEST(tensors_of_other_types_leave_the_rest_readable)
{
    const wg_scope s = wg_scope_push();
    static const uint64_t dims[] = { 256, 2 };
    const char *path = in_folder("types");
    begin_file(2, 3, 0);
    put_description("i", 2, dims, 23, 0);
    put_description("new", 2, dims, 77, 288);
    put_description("f", 2, dims, 30, 320);
    put_data(320 + 1024);
    put_file(path, made, made_bytes);
    wg_gguf *f = wg_gguf_open(path);
    expect_no_error();
    ck_assert_int_eq(wg_gguf_version(f), 2);
    ck_assert_int_eq(wg_gguf_dtype(f, 0), 0);
    ck_assert(wg_is_error(wg_gguf_get(f, "i")));
    expect_error(WG_EDTYPE, format("%s: tensor \"i\" is IQ4_XS, which is not supported", path));
    ck_assert(wg_is_error(wg_gguf_get(f, "new")));
    expect_error(WG_EDTYPE, format("%s: tensor \"new\" is of ggml's type 77", path));
    wg_tensor *t = wg_gguf_get(f, "f");
    ck_assert(wg_size(t, 0) == 2 && wg_size(t, 1) == 256 && wg_dtype_of(t) == WG_BF16);
    wg_gguf_close(f);
    pop(s);
}
END_TEST

/* ---- damage ---------------------------------------------------------------------------------- */
static char *sample_file(size_t *bytes)
{
    const wg_scope s = wg_scope_push();
    wg_gguf_writer *w = with_every_type();
    wg_gguf_put_tensor(w, "a", wg_randn(WG_DIMS(3, 2)));
    wg_gguf_put_tensor(w, "b.c", wg_arange(0, 5));
    wg_gguf_put_tensor(w, "d", wg_cast(wg_ones(WG_DIMS(3)), WG_F16));
    wg_gguf_put_tensor(w, "e", wg_zeros(WG_DIMS(0, 4)));
    wg_gguf_put_tensor(w, "f", wg_randn(WG_DIMS(2, 1, 4)));
    ck_assert_int_eq(wg_gguf_write(w, in_folder("sample")), WG_OK);
    wg_gguf_writer_free(w);
    pop(s);
    return get_file(in_folder("sample"), bytes);
}

static void read_keys(wg_gguf *f)
{
    volatile double sum = 0;
    int64_t n = 0;
    for (int64_t i = 0; i < wg_gguf_key_count(f); i++) {
        const char *key = wg_gguf_key(f, i);
        for (int64_t j = wg_gguf_array_size(f, key) - 1; j >= 0; j--) {
            const char *text = wg_gguf_array_string(f, key, j, &n);
            if (text) ck_assert_int_eq(text[n], 0);
            sum = sum + wg_gguf_array_double(f, key, j) + (double)wg_gguf_array_int(f, key, j);
        }
        const char *text = wg_gguf_string(f, key, &n);
        if (text) ck_assert_int_eq(text[n], 0);
        sum = sum + wg_gguf_double(f, key, 0) + (double)wg_gguf_int(f, key, 0);
    }
    wg_error_clear(); /* values of another type */
}

/* Opens it and reads all that it holds; whether it opened. */
static bool try_file(const char *path)
{
    const wg_scope s = wg_scope_push();
    wg_gguf *f = wg_gguf_open(path);
    const bool opened = f != NULL;
    if (!opened && !wg_error_code()) ck_abort_msg("refused without an error");
    if (opened) read_keys(f);
    volatile unsigned sum = 0;
    for (int64_t i = 0; i < wg_gguf_count(f); i++) {
        wg_tensor *t = wg_gguf_get(f, wg_gguf_name(f, i));
        if (!t) ck_abort_msg("a tensor with a name and without data");
        const unsigned char *data = wg_is_error(t) ? NULL : wg_data(t);
        for (size_t j = 0; data && j < bytes_of(t); j++) sum = sum + data[j];
    }
    wg_gguf_close(f);
    wg_scope_return(s, NULL);
    wg_error_clear();
    return opened;
}

START_TEST(a_file_cut_at_any_byte_is_refused)
{
    size_t bytes;
    char *file = sample_file(&bytes);
    const char *path = in_folder("cut");
    put_file(path, file, bytes);
    ck_assert(try_file(path));
    /* The last tensor's data, eight floats, fill their 32 bytes. */
    for (size_t n = 0; n < bytes; n++) {
        put_file(path, file, n);
        ck_assert_msg(!try_file(path), "accepted when cut at byte %zu of %zu", n, bytes);
    }
    free(file);
}
END_TEST

START_TEST(random_damage_neither_crashes_nor_leaks)
{
    enum { ROUNDS = 20000 };
    size_t bytes;
    char *file = sample_file(&bytes), *copy = malloc(2 * bytes);
    const char *path = in_folder("fuzz");
    int opened = 0;
    wg_memory before = { 0 };
    for (int i = 0; i < ROUNDS; i++) {
        memcpy(copy, file, bytes);
        const size_t n = damage(copy, bytes, i % 4 ? bytes : 40);
        put_file(path, copy, n);
        opened += try_file(path);
        if (i == 100) before = wg_memory_stats(wg_cpu());
    }
    const wg_memory after = wg_memory_stats(wg_cpu());
    ck_assert_int_eq(after.current, before.current);
    ck_assert_int_eq(after.tensors, before.tensors);
    printf("%d damaged files, %d still well-formed\n", ROUNDS, opened);
    free(copy);
    free(file);
}
END_TEST

START_TEST(every_failed_allocation_is_an_error)
{
    size_t bytes;
    free(sample_file(&bytes));
    bool struck = true;
    for (int64_t n = 1; struck; n++) {
        const wg_scope s = wg_scope_push();
        wg_tensor *x = wg_ones(WG_DIMS(3));
        wgi_fail_alloc_after(n);
        wg_gguf *f = wg_gguf_open(in_folder("sample"));
        wg_gguf_writer *w = wg_gguf_writer_new();
        wg_gguf_put_from(w, f, NULL);
        wg_gguf_put_string(w, "s", "text", -1);
        wg_gguf_put_tensor(w, "x", x);
        const wg_status st = wg_gguf_write(w, in_folder("short"));
        struck = wgi_fail_alloc_left() == 0;
        wgi_fail_alloc_after(0);
        ck_assert_int_eq(st, struck ? WG_EMEM : WG_OK);
        wg_gguf_writer_free(w);
        wg_gguf_close(f);
        wg_scope_return(s, NULL);
        wg_error_clear();
    }
}
END_TEST

int main(void)
{
    folder_make();
    const int failed = suite_run(
        "gguf_damage",
        (const TTest *[]) {
            wrong_heads_are_refused, wrong_keys_are_refused, wrong_tensors_are_refused,
            tensors_of_other_types_leave_the_rest_readable, a_file_cut_at_any_byte_is_refused,
            random_damage_neither_crashes_nor_leaks, every_failed_allocation_is_an_error, NULL });
    folder_remove();
    return failed;
}
