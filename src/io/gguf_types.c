/* The types of GGUF files: of metadata, and ggml's of tensors (ggml.h, ggml-common.h). */
#include "io/gguf.h"

/* By ggml's number; 4 and 5, 31 to 33 and 36 to 38 were given up, 9 (Q8_1) is of no file. */
static const wgi_gguf_tensor_type types[] = {
    [0] = { "F32", WG_F32, 1, 4 },
    [1] = { "F16", WG_F16, 1, 2 },
    [2] = { "Q4_0", WG_Q4_0, 32, 18 },
    [3] = { "Q4_1", WG_Q4_1, 32, 20 },
    [6] = { "Q5_0", WG_Q5_0, 32, 22 },
    [7] = { "Q5_1", WG_Q5_1, 32, 24 },
    [8] = { "Q8_0", WG_Q8_0, 32, 34 },
    [10] = { "Q2_K", WG_Q2_K, 256, 84 },
    [11] = { "Q3_K", WG_Q3_K, 256, 110 },
    [12] = { "Q4_K", WG_Q4_K, 256, 144 },
    [13] = { "Q5_K", WG_Q5_K, 256, 176 },
    [14] = { "Q6_K", WG_Q6_K, 256, 210 },
    [15] = { "Q8_K", (wg_dtype)0, 256, 292 },
    [16] = { "IQ2_XXS", (wg_dtype)0, 256, 66 },
    [17] = { "IQ2_XS", (wg_dtype)0, 256, 74 },
    [18] = { "IQ3_XXS", (wg_dtype)0, 256, 98 },
    [19] = { "IQ1_S", (wg_dtype)0, 256, 50 },
    [20] = { "IQ4_NL", (wg_dtype)0, 32, 18 },
    [21] = { "IQ3_S", (wg_dtype)0, 256, 110 },
    [22] = { "IQ2_S", (wg_dtype)0, 256, 82 },
    [23] = { "IQ4_XS", (wg_dtype)0, 256, 136 },
    [24] = { "I8", (wg_dtype)0, 1, 1 },
    [25] = { "I16", (wg_dtype)0, 1, 2 },
    [26] = { "I32", WG_I32, 1, 4 },
    [27] = { "I64", WG_I64, 1, 8 },
    [28] = { "F64", WG_F64, 1, 8 },
    [29] = { "IQ1_M", (wg_dtype)0, 256, 56 },
    [30] = { "BF16", WG_BF16, 1, 2 },
    [34] = { "TQ1_0", (wg_dtype)0, 256, 54 },
    [35] = { "TQ2_0", (wg_dtype)0, 256, 66 },
    [39] = { "MXFP4", (wg_dtype)0, 32, 17 },
    [40] = { "NVFP4", (wg_dtype)0, 64, 36 },
    [41] = { "Q1_0", (wg_dtype)0, 128, 18 },
};
enum { TYPES = sizeof types / sizeof types[0] };

const wgi_gguf_tensor_type *wgi_gguf_tensor_type_of(uint32_t number)
{
    return number < TYPES && types[number].name ? &types[number] : NULL;
}

int wgi_gguf_number_of(wg_dtype t)
{
    for (int i = 0; i < TYPES; i++)
        if (types[i].name && types[i].dtype == t && t) return i;
    return -1;
}

static const struct {
    const char *name;
    int64_t bytes;
} values[] = {
    [WG_GGUF_U8] = { "u8", 1 },         [WG_GGUF_I8] = { "i8", 1 },
    [WG_GGUF_U16] = { "u16", 2 },       [WG_GGUF_I16] = { "i16", 2 },
    [WG_GGUF_U32] = { "u32", 4 },       [WG_GGUF_I32] = { "i32", 4 },
    [WG_GGUF_F32] = { "f32", 4 },       [WG_GGUF_BOOL] = { "bool", 1 },
    [WG_GGUF_STRING] = { "string", 0 }, [WG_GGUF_ARRAY] = { "array", 0 },
    [WG_GGUF_U64] = { "u64", 8 },       [WG_GGUF_I64] = { "i64", 8 },
    [WG_GGUF_F64] = { "f64", 8 },
};

static bool known(wg_gguf_type t)
{
    return (int)t >= 0 && (int)t <= WG_GGUF_F64;
}

int64_t wgi_gguf_type_bytes(wg_gguf_type t)
{
    return known(t) ? values[t].bytes : 0;
}

const char *wgi_gguf_type_name(wg_gguf_type t)
{
    return known(t) ? values[t].name : "no type";
}
