/* Attention's tile kernels of one instruction-set level: the templates below in float and in double. */
#include "cpu/attention.h"

#include <math.h>

#include "cpu/formula.h"
#include "cpu/random.h"
#include "cpu/vec_exp.h"
#include "ops/sdpa_mask.h"
#include "tensor/internal.h"

/* Slot memory, cut into 64-byte aligned pieces; base NULL only measures. */
typedef struct {
    char *base;
    size_t used;
} arena;

static void *take(arena *m, int64_t n, size_t size)
{
    void *p = m->base ? m->base + m->used : NULL;
    m->used += ((size_t)n * size + 63) & ~(size_t)63;
    return p;
}

static char *row_at(const wgi_operand *o, int64_t b, int64_t h, int64_t i)
{
    return o->data + (size_t)(b * o->stride[0] + h * o->stride[1] + i * o->stride[2]) * o->size;
}

enum { PIECE = 64 };

static void copy_strided(char *to, int64_t to_stride, const char *from, int64_t from_stride,
                         int64_t n, size_t size)
{
    for (int64_t i = 0; i < n; i++)
        memcpy(to + (size_t)(i * to_stride) * size, from + (size_t)(i * from_stride) * size, size);
}

/* n elements at p, `stride` apart, of o's type, as `type`. */
static void load_converted(void *to, wg_dtype type, const wgi_operand *o, const char *p, int64_t n)
{
    if (o->stride[3] == 1) {
        wgi_convert(to, type, p, o->type, n);
        return;
    }
    uint64_t piece[PIECE];
    for (int64_t i = 0; i < n; i += PIECE) {
        const int64_t m = n - i < PIECE ? n - i : PIECE;
        copy_strided((char *)piece, 1, p + (size_t)(i * o->stride[3]) * o->size, o->stride[3], m,
                     o->size);
        wgi_convert((char *)to + (size_t)i * wg_dtype_size(type), type, piece, o->type, m);
    }
}

static void store_converted(const wgi_operand *o, char *p, const void *from, wg_dtype type,
                            int64_t n)
{
    if (o->stride[3] == 1) {
        wgi_convert(p, o->type, from, type, n);
        return;
    }
    uint64_t piece[PIECE];
    for (int64_t i = 0; i < n; i += PIECE) {
        const int64_t m = n - i < PIECE ? n - i : PIECE;
        wgi_convert(piece, o->type, (const char *)from + (size_t)i * wg_dtype_size(type), type, m);
        copy_strided(p + (size_t)(i * o->stride[3]) * o->size, o->stride[3], (char *)piece, 1, m,
                     o->size);
    }
}

#if defined(__AVX512F__)
#define MR 8
#elif defined(__AVX2__)
#define MR 6
#else
#define MR 4
#endif
#define NR (2 * VL)

/* float */
#define R float
#define RTYPE WG_F32
#define VEC wgi_vf
#define VL WGI_VF
#define PAD 16
#define V(op) wgi_vf_##op
#define NAME(x) x##_f32
#define LOG wgi_log_f32
#define OWN_PRODUCT(g) (g)->product
#include "cpu/attention_tile.inc.h"
#include "cpu/attention_forward.inc.h"
#include "cpu/attention_backward.inc.h"
#undef R
#undef RTYPE
#undef VEC
#undef VL
#undef PAD
#undef V
#undef NAME
#undef LOG
#undef OWN_PRODUCT

/* double */
#define R double
#define RTYPE WG_F64
#define VEC wgi_vd
#define VL WGI_VD
#define PAD 8
#define V(op) wgi_vd_##op
#define NAME(x) x##_f64
#define LOG wgi_log_f64
#include "cpu/attention_tile.inc.h"
#include "cpu/attention_forward.inc.h"
#include "cpu/attention_backward.inc.h"

extern const wgi_attention_table WGI_AT_LEVEL(wgi_attention_table);
const wgi_attention_table WGI_AT_LEVEL(wgi_attention_table) = {
    .f32 = { packed_bytes_f32, forward_bytes_f32, direct_bytes_f32, backward_bytes_f32, pack_f32,
             forward_f32, direct_f32, backward_f32 },
    .f64 = { packed_bytes_f64, forward_bytes_f64, direct_bytes_f64, backward_bytes_f64, pack_f64,
             forward_f64, direct_f64, backward_f64 },
};
