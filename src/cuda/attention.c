/* Attention: which kernels a call gets, and what they get. A few queries (generation) have kernels of their own. The
 * tensor-core kernels are for bf16 and f16 whose rows are whole 16-byte chunks, those of warpgroups among them for devices that
 * have these; everything else goes to the plain ones. */
#include "cuda/attention.h"

#include "cuda/device.h"
#include "cuda/sdpa.h"
#include "cuda/sdpa_cudnn.h"
#include "wengert/error.h"

/* Positions are added to one another in 32 bits. */
static const int64_t LONGEST = INT64_C(1) << 29;

static wgi_attention_operand operand(const wgi_operand *o)
{
    wgi_attention_operand to = { .data = o->data, .type = o->type };
    for (int i = 0; i < 4; i++) to.stride[i] = o->stride[i];
    return to;
}

static bool too_large(const wgi_attention *a)
{
    const int64_t widest = a->d > a->dv ? a->d : a->dv;
    const double tiles = (double)(a->tq > a->tk ? a->tq : a->tk) / 16 + 1;
    return a->tq > LONGEST || a->tk > LONGEST || widest > LONGEST ||
           (double)a->batch * (double)a->heads * tiles * ((double)widest / 64 + 1) > 0x1p31 ||
           (double)a->batch * (double)a->heads * ((double)a->tq / 4 + 32) > 0x1p31 ||
           (double)a->batch * (double)a->kv_heads > 0x1p31;
}

static wg_status pass_of(const wgi_attention *a, wgi_attention_pass *p)
{
    if (too_large(a))
        return wg_raise(WG_ESHAPE, "%lld x %lld heads of %lld queries and %lld keys are too many",
                        (long long)a->batch, (long long)a->heads, (long long)a->tq,
                        (long long)a->tk);
    *p = (wgi_attention_pass) { .batch = (int)a->batch,
                                .heads = (int)a->heads,
                                .kv_heads = (int)a->kv_heads,
                                .tq = (int)a->tq,
                                .tk = (int)a->tk,
                                .d = (int)a->d,
                                .dv = (int)a->dv,
                                .window = a->window < a->tq + a->tk ? (int)a->window : 0,
                                .causal = a->causal,
                                .accumulate = a->accumulate,
                                .scale = a->scale,
                                .dropout = a->dropout,
                                .random = { a->random[0], a->random[1] },
                                .q = operand(&a->q),
                                .k = operand(&a->k),
                                .v = operand(&a->v),
                                .mask = operand(&a->mask),
                                .y = operand(&a->y),
                                .lse = operand(&a->lse),
                                .dy = operand(&a->dy),
                                .dq = operand(&a->dq),
                                .dk = operand(&a->dk),
                                .dv_out = operand(&a->dv_out) };
    const int64_t rows = a->tq + WGI_ATTENTION_ROWS - 1;
    p->rows = (int)(rows / WGI_ATTENTION_ROWS * WGI_ATTENTION_ROWS);
    return WG_OK;
}

/* Rows of whole 16-byte chunks of `type`, at multiples of 16 bytes. An axis of one element has no
 * stride to look at, so its stride counts too; absent operands are in order. */
static bool in_chunks(const wgi_attention_operand *o, int type)
{
    const int chunk = type == WG_F32 ? 4 : 8;
    if (!o->data) return true;
    return o->type == type && o->stride[3] == 1 && (uintptr_t)o->data % 16 == 0 &&
           o->stride[0] % chunk == 0 && o->stride[1] % chunk == 0 && o->stride[2] % chunk == 0;
}

/* ---- a few queries ---- */

wgi_attention_decode wgi_plan_decode(const wgi_attention_pass *p)
{
    const int rows = p->tq * (p->heads / p->kv_heads), width = rows > 2 ? 4 : rows,
              seen = wgi_first_key(p, 0), end = wgi_end_key(p, p->tq - 1),
              first = seen > 0 ? seen / WGI_DECODE_KEYS * WGI_DECODE_KEYS : 0,
              parts = (end - first + WGI_DECODE_KEYS - 1) / WGI_DECODE_KEYS;
    return (wgi_attention_decode) { .rows = rows,
                                    .width = width,
                                    .row_blocks = (rows + width - 1) / width,
                                    .first = first,
                                    .end = end,
                                    .parts = end > first ? parts : 1 };
}

/* What the parts leave for their join: o, then terms. */
static double scratch_of(const wgi_attention_pass *p, const wgi_attention_decode *d)
{
    const double rows = (double)p->batch * p->kv_heads * d->rows;
    return d->parts > 1 ? rows * d->parts * (p->dv + 2) * sizeof(float) : 0;
}

/* A few queries of whole chunks of one type, without dropout. */
bool wgi_decodes(const wgi_attention_pass *p)
{
    const int type = p->q.type;
    if (!(type == WG_F32 || type == WG_BF16 || type == WG_F16) || p->tq < 1 ||
        p->tq > WGI_DECODE_QUERIES || p->batch < 1 || p->heads < 1 || p->dropout != 0)
        return false;
    if (p->d % 8 || p->dv % 8 || p->d < 8 || p->dv < 8 || p->d > WGI_DECODE_WIDEST ||
        p->dv > WGI_DECODE_WIDEST)
        return false;
    const wgi_attention_decode d = wgi_plan_decode(p);
    return in_chunks(&p->q, type) && in_chunks(&p->k, type) && in_chunks(&p->v, type) &&
           (double)p->batch * p->kv_heads * d.row_blocks * d.parts < 0x1p31 &&
           scratch_of(p, &d) <= WGI_DECODE_SCRATCH;
}

static wg_status decode(const wg_run *r, const wgi_attention_pass *p)
{
    wgi_attention_decode d = wgi_plan_decode(p);
    const size_t bytes = (size_t)scratch_of(p, &d);
    if (bytes && !(d.o = wg_scratch(r, bytes))) return WG_EMEM;
    if (bytes) d.terms = d.o + bytes / sizeof(float) / (size_t)(p->dv + 2) * (size_t)p->dv;
    wgi_launch_attention_decode(p, &d, r->stream);
    return WG_OK;
}

/* ---- many ---- */

/* The head size of the tensor-core kernels for this call; 0: there are none. */
static int head_of(const wgi_attention_pass *p)
{
    static const int sizes[] = { 32, 64, 96, 128, 256 };
    const int widest = p->d > p->dv ? p->d : p->dv, type = p->q.type;
    const wgi_attention_operand *all[] = { &p->q,  &p->k,  &p->v,  &p->y,
                                           &p->dy, &p->dq, &p->dk, &p->dv_out };
    if ((type != WG_BF16 && type != WG_F16) || p->d % 8 || p->dv % 8 || p->d == 0 || p->dv == 0)
        return 0;
    if (p->lse.data && p->lse.type != WG_F32 && !p->dy.data) return 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!in_chunks(all[i], type)) return 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (widest <= sizes[i]) return sizes[i];
    return 0;
}

/* What runs a call. */
typedef void launch(const wgi_attention_pass *p, int head, void *stream);
typedef struct {
    launch *forward, *backward;
} kernels;

static bool groups_off(void)
{
    static atomic_int known = -1;
    return wgi_flag_once(&known, "WG_CUDA_NO_WGMMA");
}

static kernels kernels_of(const wg_run *r, const wgi_attention_pass *p, int head)
{
    static const kernels tiles[] = {
        { wgi_launch_attention_bf16, wgi_launch_attention_backward_bf16 },
        { wgi_launch_attention_f16, wgi_launch_attention_backward_f16 },
    };
    const int type = p->q.type == WG_F16;
#ifdef WGI_HAVE_HOPPER
    static const kernels groups[] = {
        { wgi_launch_attention_hopper_bf16, wgi_launch_attention_hopper_backward_bf16 },
        { wgi_launch_attention_hopper_f16, wgi_launch_attention_hopper_backward_f16 },
    };
    const bool fits = (head == 64 || head == 128) && !wgi_attention_has_extra(p);
    if (fits && wgi_cuda_opened(r->in.t[0]->device.index)->major == 9 && !groups_off())
        return groups[type];
#else
    (void)r;
    (void)head;
    (void)groups_off;
#endif
    return tiles[type];
}

/* By cuDNN where it was asked for. */
static wg_status by_cudnn(const wg_run *r, const wgi_attention_pass *p, bool *done)
{
#ifdef WGI_HAVE_CUDNN
    return wgi_cuda_sdpa_cudnn(r, p, done);
#else
    static atomic_int known = -1;
    (void)r;
    (void)p;
    *done = false;
    return wgi_flag_once(&known, "WG_CUDA_CUDNN")
               ? wg_raise(WG_EDEVICE, "WG_CUDA_CUDNN=1: this library was built without cuDNN")
               : WG_OK;
#endif
}

wg_status wgi_cuda_sdpa(const wg_run *r, const wgi_attention *a)
{
    wgi_attention_pass p;
    wg_status s = pass_of(a, &p);
    if (s != WG_OK) return s;
    if (wgi_decodes(&p)) return decode(r, &p);
    bool done;
    s = by_cudnn(r, &p, &done);
    if (s != WG_OK || done) return s;
    const int head = head_of(&p);
    if (head)
        kernels_of(r, &p, head).forward(&p, head, r->stream);
    else
        wgi_launch_attention_plain(&p, p.q.type == WG_F64, r->stream);
    return WG_OK;
}

wg_status wgi_cuda_sdpa_backward(const wg_run *r, const wgi_attention *a)
{
    static const double log2_e = 1.4426950408889634074;
    wgi_attention_pass p;
    wg_status s = pass_of(a, &p);
    if (s != WG_OK) return s;
    bool done;
    s = by_cudnn(r, &p, &done);
    if (s != WG_OK || done) return s;
    const bool f64 = p.q.type == WG_F64;
    const int head = head_of(&p);
    const size_t terms = (size_t)(a->batch * a->heads * p.rows) * (f64 ? 8 : 4);
    if (terms && (!(p.row_delta = wg_scratch(r, terms)) || !(p.row_lse = wg_scratch(r, terms))))
        return WG_EMEM;
    if (terms)
        wgi_launch_attention_rows(&p,
                                  f64    ? WGI_ATTENTION_ROWS_F64
                                  : head ? WGI_ATTENTION_ROWS_CHUNKS
                                         : WGI_ATTENTION_ROWS_F32,
                                  head ? log2_e : 1, r->stream);
    if (head)
        kernels_of(r, &p, head).backward(&p, head, r->stream);
    else
        wgi_launch_attention_backward_plain(&p, f64, r->stream);
    return WG_OK;
}
