/* Random numbers from Philox words (src/tensor/philox.h): value i depends on the generator and i
 * alone, whatever the number of threads or the device.
 *   rand:    uniform in [0, 1). f32: the top 24 bits of word i; bf16 8 bits, f16 11 bits (never
 *            rounded up to 1); f64: 53 bits of words 2i, 2i + 1.
 *   randn:   Box and Muller 1958: values 2j, 2j + 1 from words 2j, 2j + 1 as u = (w + 1) 2^-32 and
 *            v = w 2^-32: sqrt(-2 log u) times cos, sin of 2 pi v; in f64 by libm, else in f32
 *            (src/cpu/normal.h), within 4 ulp.
 *   randint: i64 in [low, high): the high bits of word i times the range; ranges above 2^32 take
 *            the remainder of words 2i, 2i + 1. WG_EARG if low >= high. */
#include "cpu/convert.h"
#include "cpu/normal.h"
#include "cpu/random_words.h"
#include "ops/make.h"
#include "tensor/philox.h"
#include "cuda/cuda.h"

enum { WORDS = 1024 }; /* of one block; a multiple of 4 */

/* ---- blocks of words ---- */

typedef struct random_fill random_fill;
/* Element i .. i + n of y from their words. */
typedef void (*random_block)(const random_fill *f, const uint32_t *words, char *y, int64_t n);
struct random_fill {
    random_block block;
    uint64_t key, counter;
    int64_t per; /* words an element */
    char *data;
    wg_dtype dtype;
    const wgi_make *attr;
};

static void fill(void *self, int64_t first, int64_t last) /* first is a multiple of 4 */
{
    const random_fill *f = self;
    const size_t size = wg_dtype_size(f->dtype);
    uint32_t words[WORDS];
    for (int64_t i = first; i < last; i += WORDS / f->per) {
        int64_t n = last - i < WORDS / f->per ? last - i : WORDS / f->per;
        WGI_PICK(wgi_random_kernels)
            ->words(words, f->key, f->counter + (uint64_t)(i * f->per) / 4, (n * f->per + 3) / 4);
        f->block(f, words, f->data + (size_t)i * size, n);
    }
}

static wg_status generate(const wg_run *r, random_block block, int64_t per)
{
    wg_tensor *y = r->out.t[0];
    random_fill f = { block,       r->random[0],       r->random[1], per,
                      wgi_data(y), (wg_dtype)y->dtype, r->attr };
    if (y->numel < WGI_GRAIN)
        fill(&f, 0, y->numel);
    else
        wgi_parallel_for(y->numel, WGI_GRAIN / 2, fill, &f);
    return WG_OK;
}

static wg_status infer_float(wg_infer *c)
{
    wg_status s = wgi_infer_make(c);
    if (s == WG_OK && !wgi_is_float((int)c->out[0].dtype))
        return wg_raise(WG_EDTYPE, "the dtype should be floating");
    return s;
}

static wg_tensor *make(const wg_op *op, wg_dims shape)
{
    const wgi_make a = wgi_make_here(shape, 0);
    return wgi_make_apply(op, &a);
}

static void shape_samples(wg_samples *s, wgi_make a)
{
    wg_sample(s, "2-d", WG_NO_LIST, &a);
    a.shape = WG_DIMS();
    wg_sample(s, "0-d", WG_NO_LIST, &a);
    a.shape = WG_DIMS(3, 0);
    wg_sample(s, "empty", WG_NO_LIST, &a);
    a.shape = WG_DIMS(-2);
    wg_sample_error(s, "shape", WG_NO_LIST, &a, WG_ESHAPE, "");
}

/* Double of words a and b: their top 27 and 26 bits. */
static double uniform53(uint32_t a, uint32_t b)
{
    return ((double)(a >> 5) * 0x1p26 + (double)(b >> 6)) * 0x1p-53;
}

/* ---- rand ---- */

static void uniform_f64(const random_fill *f, const uint32_t *w, char *data, int64_t n)
{
    (void)f;
    double *y = (double *)(void *)data;
    for (int64_t i = 0; i < n; i++) y[i] = uniform53(w[2 * i], w[2 * i + 1]);
}

static void uniform_f32(const random_fill *f, const uint32_t *w, char *data, int64_t n)
{
    float block[WORDS], *y = f->dtype == WG_F32 ? (float *)(void *)data : block;
    const uint32_t mask = f->dtype == WG_BF16  ? 0xff000000u
                          : f->dtype == WG_F16 ? 0xffe00000u
                                               : ~0u;
    for (int64_t i = 0; i < n; i++) y[i] = wgi_uniform24(w[i] & mask);
    if (y == block) wgi_converter(f->dtype, WG_F32)(data, block, n);
}

static wg_status infer_rand(wg_infer *c)
{
    wg_status s = infer_float(c);
    if (s == WG_OK && c->out[0].dtype == WG_F64) c->random = 2 * wgi_numel(&c->out[0].shape);
    return s;
}

static wg_status run_rand(const wg_run *r)
{
    return r->out.t[0]->dtype == WG_F64 ? generate(r, uniform_f64, 2) : generate(r, uniform_f32, 1);
}

static uint32_t word(const wg_run *r, int64_t i)
{
    return wgi_random_word(r->random[0], r->random[1], i);
}

static wg_status reference_rand(const wg_run *r)
{
    double *y = wg_run_out(r, 0);
    for (int64_t i = 0; i < wg_numel(r->out.t[0]); i++)
        y[i] = uniform53(word(r, 2 * i), word(r, 2 * i + 1));
    return WG_OK;
}

static void samples_rand(wg_samples *s)
{
    shape_samples(s, wgi_make_here(WG_DIMS(5, 3), 0));
}

const wg_op wgi_op_rand = {
    .name = "rand",
    .out = { "y" },
    .attr_size = sizeof(wgi_make),
    .flags = WG_OP_RANDOM | WG_OP_GRAD_ZERO,
    .infer = infer_rand,
    .cpu = run_rand,
    .cuda = wgi_cuda_rand,
    .reference = reference_rand,
    .samples = samples_rand,
};

wg_tensor *wg_rand(wg_dims shape)
{
    return make(&wgi_op_rand, shape);
}

/* ---- randn ---- */

static void normal_f64(const random_fill *f, const uint32_t *w, char *data, int64_t n)
{
    (void)f;
    double block[WORDS]; /* words come by fours: the last pair is whole */
    for (int64_t i = 0; i < n; i += 2) wgi_normal_pair_f64(w[i], w[i + 1], block + i);
    memcpy(data, block, (size_t)n * sizeof *block);
}

static void normal_f32(const random_fill *f, const uint32_t *w, char *data, int64_t n)
{
    float block[WORDS];
    WGI_PICK(wgi_random_kernels)->normal(block, w, n);
    wgi_converter(f->dtype, WG_F32)(data, block, n);
}

static wg_status infer_randn(wg_infer *c)
{
    wg_status s = infer_float(c);
    if (s == WG_OK) c->random = (wgi_numel(&c->out[0].shape) + 1) / 2 * 2;
    return s;
}

static wg_status run_randn(const wg_run *r)
{
    return generate(r, r->out.t[0]->dtype == WG_F64 ? normal_f64 : normal_f32, 1);
}

static wg_status reference_randn(const wg_run *r)
{
    double *y = wg_run_out(r, 0);
    for (int64_t i = 0; i < wg_numel(r->out.t[0]); i++) {
        double u = (word(r, i - i % 2) + 1.0) / 4294967296.0,
               v = word(r, i - i % 2 + 1) / 4294967296.0;
        double angle = 2 * acos(-1) * v;
        y[i] = sqrt(-2 * log(u)) * (i % 2 ? sin(angle) : cos(angle));
    }
    return WG_OK;
}

const wg_op wgi_op_randn = {
    .name = "randn",
    .out = { "y" },
    .attr_size = sizeof(wgi_make),
    .flags = WG_OP_RANDOM | WG_OP_GRAD_ZERO,
    .infer = infer_randn,
    .cpu = run_randn,
    .cuda = wgi_cuda_randn,
    .reference = reference_randn,
    .samples = samples_rand,
};

wg_tensor *wg_randn(wg_dims shape)
{
    return make(&wgi_op_randn, shape);
}

/* ---- randint ---- */

static bool is_wide(const wgi_make *a)
{
    return (uint64_t)a->high - (uint64_t)a->low > UINT32_MAX;
}

static int64_t narrow_integer(const wgi_make *a, uint32_t w)
{
    uint64_t range = (uint64_t)a->high - (uint64_t)a->low;
    return (int64_t)((uint64_t)a->low + (w * range >> 32));
}

static int64_t wide_integer(const wgi_make *a, uint32_t high, uint32_t low)
{
    uint64_t range = (uint64_t)a->high - (uint64_t)a->low;
    return (int64_t)((uint64_t)a->low + (((uint64_t)high << 32 | low) % range));
}

static void integers(const random_fill *f, const uint32_t *w, char *data, int64_t n)
{
    int64_t *y = (int64_t *)(void *)data;
    for (int64_t i = 0; i < n; i++)
        y[i] = f->per == 2 ? wide_integer(f->attr, w[2 * i], w[2 * i + 1])
                           : narrow_integer(f->attr, w[i]);
}

static wg_status infer_randint(wg_infer *c)
{
    const wgi_make *a = c->attr;
    if (a->low >= a->high)
        return wg_raise(WG_EARG, "the range %lld .. %lld is empty", (long long)a->low,
                        (long long)a->high);
    wg_status s = wgi_infer_make(c);
    if (s == WG_OK && is_wide(a)) c->random = 2 * wgi_numel(&c->out[0].shape);
    return s;
}

static wg_status run_randint(const wg_run *r)
{
    return generate(r, integers, is_wide(r->attr) ? 2 : 1);
}

static wg_status randint_cuda(const wg_run *r)
{
    const wgi_make *a = r->attr;
    return wgi_cuda_randint(r, a->low, (uint64_t)a->high - (uint64_t)a->low, is_wide(a));
}

static wg_status reference_randint(const wg_run *r)
{
    const wgi_make *a = r->attr;
    int64_t *y = wg_run_out(r, 0);
    for (int64_t i = 0; i < wg_numel(r->out.t[0]); i++)
        y[i] = is_wide(a) ? wide_integer(a, word(r, 2 * i), word(r, 2 * i + 1))
                          : narrow_integer(a, word(r, i));
    return WG_OK;
}

static void samples_randint(wg_samples *s)
{
    wgi_make a = wgi_make_here(WG_DIMS(4, 5), WG_I64);
    a.low = -3;
    a.high = 7;
    shape_samples(s, a);
    a.high = INT64_MAX;
    wg_sample(s, "wide", WG_NO_LIST, &a);
    a.high = -3;
    wg_sample_error(s, "range", WG_NO_LIST, &a, WG_EARG, "randint: the range -3 .. -3 is empty");
}

const wg_op wgi_op_randint = {
    .name = "randint",
    .out = { "y" },
    .attr_size = sizeof(wgi_make),
    .flags = WG_OP_RANDOM | WG_OP_GRAD_ZERO,
    .infer = infer_randint,
    .cpu = run_randint,
    .cuda = randint_cuda,
    .reference = reference_randint,
    .samples = samples_randint,
};

wg_tensor *wg_randint(int64_t low, int64_t high, wg_dims shape)
{
    wgi_make a = wgi_make_here(shape, WG_I64);
    a.low = low;
    a.high = high;
    return wgi_make_apply(&wgi_op_randint, &a);
}
