/* Sorting and choosing along one axis. Every element becomes an unsigned key whose order is the
 * wanted one (NaNs where they belong, -0 equal to 0); equal keys keep their order, so that the
 * lower index comes first. */
#include "cpu/parallel.h"
#include "cpu/reduce.h"
#include "cpu/rows.h"
#include "cpu/scan.h"

enum { PIECE = 1024, INSERTION = 48, DIGITS = 8, FEW = 64 };

typedef struct {
    uint64_t key;
    int64_t i;
} pair;

/* Where NaNs go. */
typedef enum { NAN_LAST, NAN_FIRST } nan_place;

static uint64_t key_of_f64(double v, bool descending, nan_place nans)
{
    uint64_t u;
    if (v != v) return nans == NAN_LAST ? UINT64_MAX : 0;
    v += 0.0; /* -0 becomes 0 */
    memcpy(&u, &v, sizeof u);
    u = u >> 63 ? ~u
                : u | UINT64_C(1) << 63; /* by value; never 0 or UINT64_MAX but for NaNs' bits */
    return descending ? ~u : u;
}

static uint64_t key_of_i64(int64_t v, bool descending)
{
    const uint64_t u = (uint64_t)v ^ UINT64_C(1) << 63;
    return descending ? ~u : u;
}

/* Keys of n elements of a row from element `first` on. */
static void make_keys(const wgi_rows *x, const char *row, int64_t first, int64_t n, bool descending,
                      nan_place nans, uint64_t *key)
{
    double packed[PIECE];
    const wgi_acc kind = wgi_acc_of(x->type);
    wgi_fold_table()->pack[x->type](packed, row + first * x->step * x->bytes, n, x->step);
    for (int64_t k = 0; k < n; k++)
        key[k] = kind == WGI_ACC_I64   ? key_of_i64(((int64_t *)packed)[k], descending)
                 : kind == WGI_ACC_F64 ? key_of_f64(packed[k], descending, nans)
                                       : key_of_f64((double)((float *)packed)[k], descending, nans);
}

static void insertion_sort(pair *p, int64_t n)
{
    for (int64_t k = 1; k < n; k++) {
        const pair now = p[k];
        int64_t at = k;
        for (; at > 0 && p[at - 1].key > now.key; at--) p[at] = p[at - 1];
        p[at] = now;
    }
}

/* Least significant digit first; digits that all keys share are passed over. Returns where the
 * result lies: p or q. */
static pair *radix_sort(pair *p, pair *q, int64_t n)
{
    int64_t count[DIGITS][256];
    memset(count, 0, sizeof count);
    for (int64_t k = 0; k < n; k++)
        for (int d = 0; d < DIGITS; d++) count[d][p[k].key >> 8 * d & 255]++;
    for (int d = 0; d < DIGITS; d++) {
        if (count[d][p[0].key >> 8 * d & 255] == n) continue;
        int64_t at = 0;
        for (int v = 0; v < 256; v++) {
            const int64_t c = count[d][v];
            count[d][v] = at;
            at += c;
        }
        for (int64_t k = 0; k < n; k++) q[count[d][p[k].key >> 8 * d & 255]++] = p[k];
        pair *t = p;
        p = q;
        q = t;
    }
    return p;
}

typedef struct {
    wgi_rows x, y, i; /* y: the values, i: their indices */
    bool descending;
    nan_place nans;
    pair *scratch; /* (strips, 2, n) */
} job;

static void put_row(const job *j, int64_t row, const pair *p, int64_t n)
{
    const char *x = wgi_row_at(&j->x, row);
    char *y = wgi_row_at(&j->y, row);
    int64_t *i = wgi_row_at(&j->i, row);
    for (int64_t k = 0; k < n; k++) {
        const char *from = x + p[k].i * j->x.step * j->x.bytes;
        char *to = y + k * j->y.step * j->y.bytes;
        if (j->x.bytes == 4)
            memcpy(to, from, 4);
        else
            memcpy(to, from, (size_t)j->x.bytes);
        i[k * j->i.step] = p[k].i;
    }
}

static void sort_rows(void *self, int64_t first, int64_t last, int64_t strip)
{
    const job *j = self;
    const int64_t n = j->x.n;
    pair *p = j->scratch + strip * 2 * n;
    uint64_t key[PIECE];
    for (int64_t row = first; row < last; row++) {
        for (int64_t k = 0; k < n; k += PIECE) {
            const int64_t now = n - k < PIECE ? n - k : PIECE;
            make_keys(&j->x, wgi_row_at(&j->x, row), k, now, j->descending, j->nans, key);
            for (int64_t e = 0; e < now; e++) p[k + e] = (pair) { key[e], k + e };
        }
        const pair *sorted = p;
        if (n <= INSERTION)
            insertion_sort(p, n);
        else
            sorted = radix_sort(p, p + n, n);
        put_row(j, row, sorted, j->y.n);
    }
}

/* The k smallest keys so far, sorted: a heap would forget which of two equal ones came first. */
static void choose(pair *p, int64_t k, int64_t *have, uint64_t key, int64_t i)
{
    if (*have == k && key >= p[k - 1].key) return;
    int64_t low = 0, high = *have; /* behind all that are not greater */
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (p[middle].key <= key)
            low = middle + 1;
        else
            high = middle;
    }
    const int64_t kept = *have < k ? *have : k - 1;
    memmove(p + low + 1, p + low, (size_t)(kept - low) * sizeof *p);
    p[low] = (pair) { key, i };
    *have = kept + 1;
}

static void choose_rows(void *self, int64_t first, int64_t last, int64_t strip)
{
    const job *j = self;
    const int64_t n = j->x.n, k = j->y.n;
    pair *p = j->scratch + strip * k;
    uint64_t key[PIECE];
    for (int64_t row = first; row < last; row++) {
        int64_t have = 0;
        for (int64_t at = 0; at < n; at += PIECE) {
            const int64_t now = n - at < PIECE ? n - at : PIECE;
            make_keys(&j->x, wgi_row_at(&j->x, row), at, now, true, NAN_FIRST, key);
            for (int64_t e = 0; e < now; e++) choose(p, k, &have, key[e], at + e);
        }
        put_row(j, row, p, k);
    }
}

static void prepare(const wg_run *r, int axis, job *j)
{
    const wg_tensor *x = r->in.t[0];
    if (axis < 0) axis += x->ndim ? x->ndim : 1;
    j->x = wgi_rows_along(x, axis);
    j->y = wgi_rows_along(r->out.t[0], axis);
    j->i = wgi_rows_along(r->out.t[1], axis);
}

static wg_status run(const wg_run *r, job *j, int64_t pairs, wgi_row_fn body)
{
    const int64_t strips = wgi_row_strips(j->x.rows, 8 * j->x.n);
    if (pairs > INT64_MAX / (int64_t)sizeof(pair) / strips)
        return wg_raise(WG_EMEM, "scratch memory is too large");
    j->scratch = wg_scratch(r, (size_t)(strips * pairs) * sizeof(pair));
    if (!j->scratch) return WG_EMEM;
    wgi_row_parallel(j->x.rows, strips, body, j);
    return WG_OK;
}

wg_status wgi_cpu_sort(const wg_run *r)
{
    const wgi_sort_attr *a = r->attr;
    job j = { .descending = a->descending, .nans = NAN_LAST };
    if (r->out.t[0]->numel == 0) return WG_OK;
    prepare(r, a->axis, &j);
    return run(r, &j, 2 * j.x.n, sort_rows);
}

/* Few of many are kept in order while passing over; else everything is sorted. */
wg_status wgi_cpu_topk(const wg_run *r)
{
    const wgi_topk_attr *a = r->attr;
    job j = { .descending = true, .nans = NAN_FIRST };
    if (r->out.t[0]->numel == 0) return WG_OK;
    prepare(r, a->axis, &j);
    return j.y.n <= FEW ? run(r, &j, j.y.n, choose_rows) : run(r, &j, 2 * j.x.n, sort_rows);
}
