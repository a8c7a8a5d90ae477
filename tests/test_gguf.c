/* GGUF: published files open and say what they hold; what is written comes back. */
#include <stdint.h>

#include "data_file.h"
#include "gguf_sample.h"

/* Same dtype, shape and bits. */
static void expect_same(wg_tensor *a, wg_tensor *b, const char *name)
{
    ck_assert_msg(a && b && !wg_is_error(a) && !wg_is_error(b), "%s is missing", name);
    ck_assert_msg(wg_dtype_of(a) == wg_dtype_of(b) && wg_ndim(a) == wg_ndim(b), "%s: dtype or rank",
                  name);
    for (int i = 0; i < wg_ndim(a); i++)
        ck_assert_msg(wg_size(a, i) == wg_size(b, i), "%s: size %d", name, i);
    wg_tensor *x = wg_contiguous(a), *y = wg_contiguous(b);
    ck_assert_msg(memcmp(wg_data(x), wg_data(y), bytes_of(a)) == 0, "%s: bits differ", name);
}

/* Every key of a is in b with the same value. */
static void expect_same_keys(wg_gguf *a, wg_gguf *b)
{
    ck_assert_int_eq(wg_gguf_key_count(a), wg_gguf_key_count(b));
    for (int64_t i = 0; i < wg_gguf_key_count(a); i++) {
        const char *key = wg_gguf_key(a, i);
        const wg_gguf_type t = wg_gguf_key_type(a, key), e = wg_gguf_array_type(a, key);
        ck_assert_str_eq(key, wg_gguf_key(b, i));
        ck_assert_int_eq(t, wg_gguf_key_type(b, key));
        ck_assert_int_eq(e, wg_gguf_array_type(b, key));
        ck_assert_int_eq(wg_gguf_array_size(a, key), wg_gguf_array_size(b, key));
        int64_t n[2];
        if (t == WG_GGUF_STRING) {
            const char *x = wg_gguf_string(a, key, &n[0]), *y = wg_gguf_string(b, key, &n[1]);
            ck_assert(n[0] == n[1] && !memcmp(x, y, (size_t)n[0]));
        }
        for (int64_t j = 0; j < wg_gguf_array_size(a, key); j++) {
            if (e != WG_GGUF_STRING) {
                ck_assert(wg_gguf_array_double(a, key, j) == wg_gguf_array_double(b, key, j));
                continue;
            }
            const char *x = wg_gguf_array_string(a, key, j, &n[0]),
                       *y = wg_gguf_array_string(b, key, j, &n[1]);
            ck_assert(n[0] == n[1] && !memcmp(x, y, (size_t)n[0]));
        }
        if (t != WG_GGUF_STRING && t != WG_GGUF_ARRAY)
            ck_assert(wg_gguf_double(a, key, -1) == wg_gguf_double(b, key, -2));
    }
    expect_no_error();
}

/* ---- published files ------------------------------------------------------------------------- */
START_TEST(a_published_model_says_what_it_holds)
{
    const char *path = data_file("stories260K/stories260K.gguf");
    if (!path) return;
    const wg_scope s = wg_scope_push();
    wg_gguf *f = wg_gguf_open(path);
    expect_no_error();
    ck_assert_int_eq(wg_gguf_version(f), 3);
    ck_assert_str_eq(wg_gguf_string(f, "general.architecture", NULL), "llama");
    ck_assert_int_eq(wg_gguf_int(f, "llama.block_count", -1), 5);
    ck_assert_int_eq(wg_gguf_int(f, "llama.attention.head_count_kv", -1), 4);
    ck_assert_double_eq_tol(wg_gguf_double(f, "llama.attention.layer_norm_rms_epsilon", 0), 1e-5,
                            1e-12);
    ck_assert_int_eq(wg_gguf_int(f, "no.such.key", -7), -7);
    ck_assert_int_eq(wg_gguf_array_size(f, "tokenizer.ggml.tokens"), 512);
    ck_assert_str_eq(wg_gguf_array_string(f, "tokenizer.ggml.tokens", 1, NULL), "<s>");
    ck_assert_int_eq(wg_gguf_array_int(f, "tokenizer.ggml.token_type", 2), 3);
    ck_assert_int_eq(wg_gguf_count(f), 48);
    for (int64_t i = 0; i < wg_gguf_count(f); i++) {
        wg_tensor *t = wg_gguf_get(f, wg_gguf_name(f, i)), *u = wg_gguf_get(f, wg_gguf_name(f, i));
        ck_assert(!wg_is_error(t) && wg_dtype_of(t) == wg_gguf_dtype(f, i));
        ck_assert_ptr_eq(wg_data(t), wg_data(u)); /* mapped */
        ck_assert_ptr_null(wg_data_write(t));
        wg_error_clear();
    }
    const wg_dims shape = wg_gguf_shape(f, 0);
    ck_assert(shape.n == 2 && shape.d[0] == 512 && shape.d[1] == 64);
    ck_assert_ptr_null(wg_gguf_get(f, "none"));
    wg_gguf_close(f);
    pop(s);
}
END_TEST

START_TEST(a_published_file_written_again_is_the_same)
{
    static const char *const names[] = {
        "stories260K/stories260K.gguf",         "stories260K/stories260K-f16.gguf",
        "stories260K/stories260K-q8_0.gguf",    "stories260K/stories260K-q4_0.gguf",
        "gpt2-tokenizer/ggml-vocab-gpt-2.gguf", "qwen2-tokenizer/ggml-vocab-qwen2.gguf"
    };
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        const char *path = data_file(names[k]);
        if (!path) return;
        const wg_scope s = wg_scope_push();
        wg_gguf *f = wg_gguf_open(path);
        wg_gguf_writer *w = wg_gguf_writer_new();
        wg_gguf_put_from(w, f, NULL);
        for (int64_t i = 0; i < wg_gguf_count(f); i++)
            wg_gguf_put_tensor(w, wg_gguf_name(f, i), wg_gguf_get(f, wg_gguf_name(f, i)));
        ck_assert_int_eq(wg_gguf_write(w, in_folder("again")), WG_OK);
        wg_gguf_writer_free(w);
        wg_gguf *g = wg_gguf_open(in_folder("again"));
        expect_no_error();
        expect_same_keys(f, g);
        ck_assert_int_eq(wg_gguf_count(f), wg_gguf_count(g));
        for (int64_t i = 0; i < wg_gguf_count(f); i++) {
            const char *name = wg_gguf_name(f, i);
            ck_assert_str_eq(name, wg_gguf_name(g, i));
            expect_same(wg_gguf_get(f, name), wg_gguf_get(g, name), name);
        }
        wg_gguf_close(f);
        wg_gguf_close(g);
        pop(s);
    }
}
END_TEST

/* ---- there and back -------------------------------------------------------------------------- */
static void check_every_type(wg_gguf *f)
{
    int64_t n;
    ck_assert_int_eq(wg_gguf_key_count(f), 18);
    ck_assert_int_eq(wg_gguf_int(f, "u8", 0), 255);
    ck_assert_int_eq(wg_gguf_int(f, "i8", 0), -128);
    ck_assert_int_eq(wg_gguf_int(f, "u16", 0), 65535);
    ck_assert_int_eq(wg_gguf_int(f, "i16", 0), -32768);
    ck_assert_int_eq(wg_gguf_int(f, "u32", 0), UINT32_MAX);
    ck_assert_int_eq(wg_gguf_int(f, "i32", 0), INT32_MIN);
    ck_assert(wg_gguf_double(f, "f32", 0) == 0.1f && wg_gguf_double(f, "f64", 0) == 0.1);
    ck_assert_int_eq(wg_gguf_int(f, "bool", 0), 1);
    ck_assert_int_eq(wg_gguf_int(f, "u64", 0), INT64_MAX);
    ck_assert_int_eq(wg_gguf_int(f, "i64", 0), INT64_MIN);
    ck_assert(!memcmp(wg_gguf_string(f, "string", &n), "x\0y", 4) && n == 3);
    ck_assert(wg_gguf_array_double(f, "floats", 2) == 3e38f);
    ck_assert_int_eq(wg_gguf_array_int(f, "longs", 0), INT64_MIN);
    ck_assert_int_eq(wg_gguf_array_int(f, "bools", 2), 1);
    ck_assert_int_eq(wg_gguf_array_size(f, "none"), 0);
    ck_assert_str_eq(wg_gguf_array_string(f, "strings", 1, &n), "");
    ck_assert(!memcmp(wg_gguf_array_string(f, "strings", 2, &n), "b\0c", 4) && n == 3);
    ck_assert_str_eq(wg_gguf_array_string(f, "strings", 3, NULL), "\xC3\xA4");
    ck_assert_int_eq(wg_gguf_int(f, "replaced", 0), 2);
    expect_no_error();
}

START_TEST(every_type_and_any_strides_come_back)
{
    const wg_scope s = wg_scope_push();
    static const wg_dtype dtypes[] = { WG_F64, WG_F32, WG_BF16, WG_F16, WG_I64, WG_I32 };
    wg_tensor *x = wg_affine(wg_randn(WG_DIMS(5, 1, 3, 7)), 100, 0);
    wg_tensor *t[6];
    wg_gguf_writer *w = with_every_type();
    for (int i = 0; i < 6; i++) {
        t[i] = wg_transpose(wg_cast(x, dtypes[i]), 0, 3);
        if (i == 1) t[i] = wg_reshape(wg_narrow(x, 0, 2, 1), WG_DIMS(21));
        if (i == 2) t[i] = wg_cast(wg_full(WG_DIMS(), 3), WG_BF16);
        wg_gguf_put_tensor(w, wg_dtype_name(dtypes[i]), t[i]);
    }
    ck_assert_int_eq(wg_gguf_write(w, in_folder("all")), WG_OK);
    wg_gguf *f = wg_gguf_open(in_folder("all"));
    expect_no_error();
    check_every_type(f);
    for (int i = 0; i < 6; i++)
        expect_same(t[i], wg_gguf_get(f, wg_dtype_name(dtypes[i])), wg_dtype_name(dtypes[i]));
    wg_gguf_put_int(w, "general.alignment", WG_GGUF_U32, 4096);
    ck_assert_int_eq(wg_gguf_write(w, in_folder("wide")), WG_OK);
    wg_gguf *g = wg_gguf_open(in_folder("wide"));
    for (int i = 0; i < 6; i++) {
        wg_tensor *u = wg_gguf_get(g, wg_dtype_name(dtypes[i]));
        expect_same(t[i], u, wg_dtype_name(dtypes[i]));
        ck_assert_uint_eq((uintptr_t)wg_data(u) % 4096, 0);
    }
    wg_gguf_close(f);
    wg_gguf_close(g);
    wg_gguf_writer_free(w);
    pop(s);
}
END_TEST

START_TEST(blocks_of_any_rows_come_back)
{
    const wg_scope s = wg_scope_push();
    static const wg_dtype dtypes[] = { WG_Q4_0, WG_Q4_1, WG_Q5_0, WG_Q5_1, WG_Q8_0 };
    wg_tensor *x = wg_randn(WG_DIMS(6, 3, 64)), *t[10];
    wg_gguf_writer *w = wg_gguf_writer_new();
    for (int i = 0; i < 10; i++) {
        t[i] = wg_cast(x, dtypes[i / 2]);
        if (i % 2) t[i] = wg_transpose(t[i], 0, 1); /* rows in another order */
        wg_gguf_put_tensor(w, format("t%d", i), t[i]);
    }
    ck_assert_int_eq(wg_gguf_write(w, in_folder("blocks")), WG_OK);
    wg_gguf *f = wg_gguf_open(in_folder("blocks"));
    expect_no_error();
    for (int i = 0; i < 10; i++) expect_same(t[i], wg_gguf_get(f, format("t%d", i)), "t");
    wg_gguf_close(f);
    wg_gguf_writer_free(w);
    pop(s);
}
END_TEST

/* gguf-py wrote the quantised files from the plain one. */
START_TEST(quantising_a_model_gives_the_published_bytes)
{
    static const char *const names[] = { "f16", "q8_0", "q4_0" };
    for (int k = 0; k < 3; k++) {
        const char *from = data_file("stories260K/stories260K.gguf"),
                   *to = data_file(format("stories260K/stories260K-%s.gguf", names[k]));
        if (!from || !to) return;
        const wg_scope s = wg_scope_push();
        wg_gguf *f = wg_gguf_open(from), *g = wg_gguf_open(to);
        for (int64_t i = 0; i < wg_gguf_count(g); i++) {
            const char *name = wg_gguf_name(g, i);
            expect_same(wg_cast(wg_gguf_get(f, name), wg_gguf_dtype(g, i)), wg_gguf_get(g, name),
                        name);
        }
        wg_gguf_close(f);
        wg_gguf_close(g);
        pop(s);
    }
}
END_TEST

START_TEST(values_of_another_type_are_errors)
{
    wg_gguf_writer *w = with_every_type();
    ck_assert_int_eq(wg_gguf_write(w, in_folder("types")), WG_OK);
    wg_gguf_writer_free(w);
    const char *path = in_folder("types");
    wg_gguf *f = wg_gguf_open(path);
    ck_assert_int_eq(wg_gguf_int(f, "string", -3), -3);
    expect_error(WG_EFORMAT, format("%s: key \"string\" is a value of type string where an integer "
                                    "below 2^63 is wanted",
                                    path));
    ck_assert_int_eq(wg_gguf_int(f, "f32", -3), -3);
    expect_error(WG_EFORMAT, format("%s: key \"f32\" is a value of type f32", path));
    ck_assert_ptr_null(wg_gguf_string(f, "strings", NULL));
    expect_error(WG_EFORMAT, format("%s: key \"strings\" is an array of string", path));
    ck_assert_int_eq(wg_gguf_array_int(f, "floats", 0), 0);
    expect_error(WG_EFORMAT, format("%s: key \"floats\" is an array of f32", path));
    ck_assert_ptr_null(wg_gguf_array_string(f, "longs", 0, NULL));
    expect_error(WG_EFORMAT, format("%s: key \"longs\" is an array of i64", path));
    ck_assert_ptr_null(wg_gguf_array_string(f, "strings", 4, NULL));
    expect_error(WG_EINDEX, format("%s: element 4 of the 4 of \"strings\"", path));
    ck_assert_int_eq(wg_gguf_array_int(f, "no", 0), 0);
    expect_error(WG_ENOTFOUND, format("%s: there is no key \"no\"", path));
    ck_assert_int_eq(wg_gguf_array_size(f, "u8"), -1);
    wg_gguf_close(f);
}
END_TEST

START_TEST(wrong_arguments_write_nothing)
{
    const wg_scope s = wg_scope_push();
    wg_gguf_writer *w = wg_gguf_writer_new();
    wg_tensor *x = wg_ones(WG_DIMS(2));
    const unsigned char two = 2;
    const char *null = NULL;
    char name[80];
    memset(name, 'n', 64);
    name[64] = '\0';
    wg_gguf_put_int(w, "a", WG_GGUF_U8, 256);
    expect_error(WG_EARG, "gguf_put_int: a: 256 is outside u8");
    wg_gguf_put_int(w, "a", WG_GGUF_U64, -1);
    expect_error(WG_EARG, "gguf_put_int: a: -1 is outside u64");
    wg_gguf_put_int(w, "a", WG_GGUF_BOOL, 2);
    expect_error(WG_EARG, "gguf_put_int: a: 2 is outside bool");
    wg_gguf_put_int(w, "a", WG_GGUF_F32, 2);
    expect_error(WG_EARG, "gguf_put_int: a: the type f32 holds no integer");
    wg_gguf_put_double(w, "a", WG_GGUF_U8, 2);
    expect_error(WG_EARG, "gguf_put_double: a: the type is u8");
    wg_gguf_put_array(w, "a", WG_GGUF_BOOL, &two, 1);
    expect_error(WG_EARG, "gguf_put_array: a: a bool is neither 0 nor 1");
    wg_gguf_put_array(w, "a", WG_GGUF_STRING, &two, 1);
    expect_error(WG_EARG, "gguf_put_array: a: 1 elements of type string");
    wg_gguf_put_strings(w, "a", &null, NULL, 1);
    expect_error(WG_EARG, "gguf_put_strings: a: string 0 is NULL");
    wg_gguf_put_string(w, "", "x", -1);
    expect_error(WG_EARG, "gguf_put: a key is empty");
    wg_gguf_put_tensor(w, name, x);
    expect_error(WG_EARG, "gguf_put_tensor: nnn");
    wg_gguf_put_tensor(w, "x", wg_cast(x, WG_U8));
    expect_error(WG_EDTYPE, "gguf_put_tensor: x: GGUF has no dtype u8");
    wg_gguf_put_tensor(w, "x", wg_reshape(x, WG_DIMS(1, 1, 1, 1, 2)));
    expect_error(WG_ESHAPE, "gguf_put_tensor: x has 5 dimensions");
    wg_gguf_put_tensor(w, "x", x);
    wg_gguf_put_tensor(w, "x", x);
    expect_error(WG_EARG, "gguf_put_tensor: x is given twice");
    wg_raise(WG_ENUMERIC, "something before");
    ck_assert_int_eq(wg_gguf_write(w, in_folder("never")), WG_ENUMERIC);
    wg_error_clear();
    wg_gguf_put_int(w, "general.alignment", WG_GGUF_U32, 48);
    ck_assert_int_eq(wg_gguf_write(w, in_folder("never")), WG_EARG);
    wg_error_clear();
    ck_assert_int_ne(access(in_folder("never"), F_OK), 0);
    wg_gguf_writer_free(w);
    pop(s);
}
END_TEST

int main(void)
{
    folder_make();
    const int failed =
        suite_run("gguf", (const TTest *[]) { a_published_model_says_what_it_holds,
                                              a_published_file_written_again_is_the_same,
                                              every_type_and_any_strides_come_back,
                                              blocks_of_any_rows_come_back,
                                              quantising_a_model_gives_the_published_bytes,
                                              values_of_another_type_are_errors,
                                              wrong_arguments_write_nothing, NULL });
    folder_remove();
    return failed;
}
