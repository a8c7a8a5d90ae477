/* A thread's profile: a table of ops, found by hash, in one block of memory. */
#include "autograd/profile.h"

#include <stdlib.h>
#include <time.h>

#include "wengert/error.h"
#include "wengert/profile.h"
#include "wengert/scope.h"

enum {
    ROWS = 4096, /* beyond them, everything else goes into the last row */
    SLOTS = 2 * ROWS,
    TEXT = 112 /* of shapes, at most */
};

typedef struct {
    const wg_op *op; /* NULL: everything else */
    int64_t calls;
    double seconds, flops, bytes;
    char shapes[TEXT];
} row;

struct wgi_profile {
    unsigned flags;
    double start;
    int64_t n;
    int slot[SLOTS]; /* row + 1; 0: free */
    row rows[ROWS];
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

wg_status(wg_profile_start)(unsigned flags)
{
    wgi_context *c = wgi_ctx();
    if (flags & ~(unsigned)WG_PROFILE_SHAPES)
        return wg_raise(WG_EARG, "profile_start: unknown flags %u", flags);
    if (c->profile) return wg_raise(WG_EARG, "profile_start: a profile is open already");
    c->profile = calloc(1, sizeof *c->profile);
    if (!c->profile) return wg_raise(WG_EMEM, "profile_start: out of memory");
    c->profile->flags = flags;
    c->profile->start = now();
    return WG_OK;
}

/* ---- counting -------------------------------------------------------------------------------- */
static int add_shapes(char *out, int at, wg_list l)
{
    for (int64_t i = 0; i < l.n; i++) {
        if (!l.t[i] || at >= TEXT) continue;
        const wg_dims shape = wgi_shape(l.t[i]);
        if (at > 0 && at < TEXT - 1) out[at++] = ' ';
        at += wgi_shape_text(out + at, (size_t)(TEXT - at), &shape);
    }
    return at < TEXT ? at : TEXT - 1;
}

static void shapes_text(char *out, wg_list in, wg_list results)
{
    out[0] = 0;
    int at = add_shapes(out, 0, in);
    at += snprintf(out + at, (size_t)(TEXT - at), " ->");
    if (at < TEXT) add_shapes(out, at, results);
}

static uint64_t hash_of(const wg_op *op, const char *shapes)
{
    uint64_t h = (uint64_t)(uintptr_t)op * 0x9e3779b97f4a7c15u;
    for (; *shapes; shapes++) h = (h ^ (unsigned char)*shapes) * 0x100000001b3u; /* FNV-1a */
    return h ^ h >> 32;
}

static row *find(struct wgi_profile *p, const wg_op *op, const char *shapes)
{
    for (uint64_t at = hash_of(op, shapes);; at++) {
        int *slot = &p->slot[at % SLOTS];
        if (*slot == 0) {
            if (p->n == ROWS - 1) return &p->rows[ROWS - 1];
            row *r = &p->rows[p->n++];
            *slot = (int)p->n;
            r->op = op;
            memcpy(r->shapes, shapes, strlen(shapes) + 1);
            return r;
        }
        row *r = &p->rows[*slot - 1];
        if (r->op == op && strcmp(r->shapes, shapes) == 0) return r;
    }
}

static double bytes_of(wg_list l)
{
    double sum = 0;
    for (int64_t i = 0; i < l.n; i++)
        if (l.t[i])
            sum += (double)l.t[i]->numel / (double)wg_dtype_block((wg_dtype)l.t[i]->dtype) *
                   (double)wg_dtype_block_bytes((wg_dtype)l.t[i]->dtype);
    return sum;
}

double wgi_profile_begin(wg_device d)
{
    (void)!wg_synchronize(d);
    return now();
}

void wgi_profile_end(wgi_context *c, const wg_op *op, const wg_infer *infer, wg_list in,
                     wg_list out, wg_device d, double start)
{
    char shapes[TEXT] = "";
    (void)!wg_synchronize(d);
    const double seconds = now() - start;
    if (c->profile->flags & WG_PROFILE_SHAPES) shapes_text(shapes, in, out);
    row *r = find(c->profile, op, shapes);
    r->calls++;
    r->seconds += seconds;
    r->flops += op->flops ? op->flops(infer) : out.n && out.t[0] ? (double)out.t[0]->numel : 0;
    r->bytes += bytes_of(in) + bytes_of(out);
}

/* ---- reading --------------------------------------------------------------------------------- */
static int dearest_first(const void *a, const void *b)
{
    const double x = ((const wg_profile_row *)a)->seconds, y = ((const wg_profile_row *)b)->seconds;
    return (x < y) - (x > y);
}

/* The rows, their texts behind them, in the innermost scope's memory. */
static wg_profile_row *take_rows(const struct wgi_profile *p, int64_t n)
{
    wg_profile_row *to = wg_scope_alloc((size_t)(n + 1) * (sizeof *to + TEXT));
    if (!to) return NULL;
    char *text = (char *)(to + n + 1);
    for (int64_t i = 0; i < n; i++, text += TEXT) {
        const row *r = &p->rows[i < p->n ? i : ROWS - 1];
        memcpy(text, r->shapes, TEXT);
        to[i] = (wg_profile_row) { .op = r->op ? r->op->name : "(other)",
                                   .shapes = text,
                                   .calls = r->calls,
                                   .seconds = r->seconds,
                                   .flops = r->flops,
                                   .bytes = r->bytes };
    }
    return to;
}

wg_profile(wg_profile_stop)(void)
{
    wgi_context *c = wgi_ctx();
    struct wgi_profile *p = c->profile;
    wg_profile out = { 0 };
    if (!p) {
        wg_raise(WG_EARG, "profile_stop: no profile is open");
        return out;
    }
    out.seconds = now() - p->start;
    const int64_t n = p->n + (p->rows[ROWS - 1].calls > 0);
    out.row = take_rows(p, n);
    out.n = out.row ? n : 0;
    c->profile = NULL;
    free(p);
    for (int64_t i = 0; i < out.n; i++) out.kernels += out.row[i].seconds;
    if (out.n) qsort(out.row, (size_t)out.n, sizeof *out.row, dearest_first);
    return out;
}

void wg_profile_print(FILE *to, const wg_profile *p, int64_t most)
{
    fprintf(to, "  share   seconds    calls  GFLOP/s    GB/s  op\n");
    for (int64_t i = 0; i < p->n && (most == 0 || i < most); i++) {
        const wg_profile_row *r = &p->row[i];
        const double s = r->seconds > 0 ? r->seconds : 1e-12;
        fprintf(to, "%6.1f%% %9.4f %8lld %8.1f %7.1f  %s%s%s\n", 100 * s / p->seconds, r->seconds,
                (long long)r->calls, 1e-9 * r->flops / s, 1e-9 * r->bytes / s, r->op,
                r->shapes[0] ? " " : "", r->shapes);
    }
    fprintf(to, "%6.1f%% %9.4f  outside kernels\n", 100 * (p->seconds - p->kernels) / p->seconds,
            p->seconds - p->kernels);
}
