/* What the tests of GGUF share. */
#ifndef WENGERT_TESTS_GGUF_SAMPLE_H
#define WENGERT_TESTS_GGUF_SAMPLE_H
#include "suite.h"

static inline size_t bytes_of(wg_tensor *t)
{
    const wg_dtype d = wg_dtype_of(t);
    return (size_t)(wg_numel(t) / wg_dtype_block(d)) * wg_dtype_block_bytes(d);
}

/* 18 keys. */
static inline wg_gguf_writer *with_every_type(void)
{
    wg_gguf_writer *w = wg_gguf_writer_new();
    static const float floats[] = { -1.5f, 0, 3e38f };
    static const int64_t longs[] = { INT64_MIN, 0, INT64_MAX };
    static const unsigned char bools[] = { 0, 1, 1 };
    static const char *const texts[] = { "a", "", "b\0c", "\xC3\xA4" };
    static const int64_t lengths[] = { 1, 0, 3, 2 };
    wg_gguf_put_int(w, "u8", WG_GGUF_U8, 255);
    wg_gguf_put_int(w, "i8", WG_GGUF_I8, -128);
    wg_gguf_put_int(w, "u16", WG_GGUF_U16, 65535);
    wg_gguf_put_int(w, "i16", WG_GGUF_I16, -32768);
    wg_gguf_put_int(w, "u32", WG_GGUF_U32, UINT32_MAX);
    wg_gguf_put_int(w, "i32", WG_GGUF_I32, INT32_MIN);
    wg_gguf_put_double(w, "f32", WG_GGUF_F32, 0.1);
    wg_gguf_put_int(w, "bool", WG_GGUF_BOOL, 1);
    wg_gguf_put_string(w, "string", "x\0y", 3);
    wg_gguf_put_int(w, "u64", WG_GGUF_U64, INT64_MAX);
    wg_gguf_put_int(w, "i64", WG_GGUF_I64, INT64_MIN);
    wg_gguf_put_double(w, "f64", WG_GGUF_F64, 0.1);
    wg_gguf_put_array(w, "floats", WG_GGUF_F32, floats, 3);
    wg_gguf_put_array(w, "longs", WG_GGUF_I64, longs, 3);
    wg_gguf_put_array(w, "bools", WG_GGUF_BOOL, bools, 3);
    wg_gguf_put_array(w, "none", WG_GGUF_U16, NULL, 0);
    wg_gguf_put_strings(w, "strings", texts, lengths, 4);
    wg_gguf_put_string(w, "replaced", "first", -1);
    wg_gguf_put_int(w, "replaced", WG_GGUF_I8, 2);
    return w;
}
#endif
