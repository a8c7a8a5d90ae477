#include "cuda/product_key.h"

#include <string.h>

void wgi_product_problem_of(wgi_product_problem *p, const wgi_gemm_args *g, bool tf32)
{
    const wgi_product_layout a = wgi_product_layout_of(&g->a, g->m, g->k),
                             b = wgi_product_layout_of(&g->b, g->k, g->n),
                             c = wgi_product_layout_of(&g->c, g->m, g->n);
    const int inner = g->batch_dims - 1;
    memset(p, 0, sizeof *p); /* also what lies between its members */
    p->m = g->n;
    p->n = g->m;
    p->k = g->k;
    p->batch = inner >= 0 ? g->batch_shape[inner] : 1;
    p->lda = b.ld;
    p->trans_a = b.by_columns;
    p->ldb = a.ld;
    p->trans_b = a.by_columns;
    p->ldc = c.ld;
    if (inner >= 0) {
        p->stride_a = g->b.batch[inner];
        p->stride_b = g->a.batch[inner];
        p->stride_c = g->c.batch[inner];
    }
    p->type = (int)g->a.type;
    p->type_c = (int)g->c.type;
    p->compute = tf32;
    p->epilogue = g->bias ? WGI_EPILOGUE_BIAS : WGI_EPILOGUE_NONE;
    p->beta = g->beta != 0;
}

int wgi_product_alignment(const void *const *address, int n)
{
    uintptr_t all = 256;
    for (int i = 0; i < n; i++) all |= (uintptr_t)address[i];
    return (int)(all & -all);
}

uint64_t wgi_product_hash(const wgi_product_problem *p)
{
    const unsigned char *b = (const unsigned char *)p;
    uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (size_t i = 0; i < sizeof *p; i++) h = (h ^ b[i]) * UINT64_C(0x100000001b3);
    return h;
}

bool wgi_product_same(const wgi_product_problem *a, const wgi_product_problem *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

int wgi_product_slot(const wgi_product_keys *k, const wgi_product_problem *p, bool *known)
{
    const uint64_t h = wgi_product_hash(p);
    for (uint64_t i = 0; i < 8; i++) {
        const int at = (int)((h + i) % WGI_PRODUCT_SLOTS);
        *known = k->used[at] && wgi_product_same(&k->key[at], p);
        if (*known || !k->used[at]) return at;
    }
    return (int)(h % WGI_PRODUCT_SLOTS);
}

void wgi_product_keep(wgi_product_keys *k, int slot, const wgi_product_problem *p)
{
    k->key[slot] = *p;
    k->used[slot] = true;
}

/* ---- epilogues ------------------------------------------------------------------------------------------------- */
static bool is_16bit(wg_dtype t)
{
    return t == WG_BF16 || t == WG_F16;
}

/* One product of two operands of one type that needs no packing. */
static bool is_plain(const wgi_gemm_args *g)
{
    const wgi_product_layout c = wgi_product_layout_of(&g->c, g->m, g->n);
    return g->batch_dims == 0 && g->m > 0 && g->n > 0 && g->k > 0 && g->a.type == g->b.type &&
           c.usable && !c.by_columns && wgi_product_layout_of(&g->a, g->m, g->k).usable &&
           wgi_product_layout_of(&g->b, g->k, g->n).usable;
}

bool wgi_product_is_direct(const wgi_gemm_args *g)
{
    return is_plain(g) && g->beta == 0 && g->c.type == g->a.type &&
           (!g->bias ||
            (g->bias_type == g->c.type && g->bias_stride == 1 && wgi_product_takes_bias(g->bias)));
}

/* What cuBLASLt asks of aux: rows of whole 8 elements, 16-byte addresses. */
static bool takes_aux(const wgi_gemm_args *g, const void *h)
{
    return wgi_product_layout_of(&g->c, g->m, g->n).ld % 8 == 0 && (uintptr_t)h % 16 == 0;
}

int wgi_epilogue_of(const wgi_epilogue_wish *w, const wgi_gemm_args *g, const void *h)
{
    const int bias = g->bias ? WGI_EPILOGUE_BIAS : WGI_EPILOGUE_NONE;
    if (w->off || !wgi_product_is_direct(g)) return WGI_EPILOGUE_NONE;
    /* max(x, 0) is exact; with h kept it would want a mask of bits instead */
    if (w->act == WG_ACT_RELU && !w->backward && !w->keeps_h && g->c.type != WG_F64)
        return WGI_EPILOGUE_RELU | bias;
    /* In f32 it would have to be the CPU's to some ulp. Before 9.0 cuBLASLt's is an extra kernel. */
    if (w->act != WG_ACT_GELU_TANH || !is_16bit(g->c.type) || w->major != 9)
        return WGI_EPILOGUE_NONE;
    if (w->backward) return takes_aux(g, h) ? WGI_EPILOGUE_DGELU : WGI_EPILOGUE_NONE;
    if (!w->keeps_h) return WGI_EPILOGUE_GELU | bias;
    return takes_aux(g, h) ? WGI_EPILOGUE_GELU | WGI_EPILOGUE_AUX | bias : WGI_EPILOGUE_NONE;
}

int wgi_epilogue_of_bias(const wgi_gemm_args *g, bool off)
{
    const bool fits = is_plain(g) && is_16bit(g->a.type) && g->c.type == WG_F32 && !g->bias;
    return fits && !off ? WGI_EPILOGUE_BGRADB : WGI_EPILOGUE_NONE;
}
