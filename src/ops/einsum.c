/* Sums of products named by letters (Einstein's convention as in NumPy and PyTorch). Operands are
 * contracted from left to right; each pair is one product of matrices, so that the gradient is that
 * of matmul, permute, reshape and sum. */
#include "ops/shape_op.h"

enum {
    LETTERS = 52,
    LABELS = LETTERS + WG_MAX_DIMS, /* letters, then an ellipsis's axes from the right */
};

typedef struct { /* a tensor and the label of each axis */
    wg_tensor *t;
    int n;
    int label[2 * WG_MAX_DIMS];
} term;

typedef struct {
    const char *at;    /* the rest of the formula */
    const char *whole; /* for messages */
    int uses[LABELS];  /* in how many terms, still to be contracted, a label occurs */
    int output[LABELS], outputs;
    bool wanted[LABELS]; /* is in the output */
    int dots;            /* axes of the longest ellipsis */
} einsum;

static int letter_label(char c)
{
    return c >= 'a' && c <= 'z' ? c - 'a' + 26 : c >= 'A' && c <= 'Z' ? c - 'A' : -1;
}

static wg_status refuse(const einsum *e, const char *why)
{
    return wg_raise(WG_EARG, "einsum: \"%s\": %s", e->whole, why);
}

/* Labels up to a comma, an arrow or the end. *dots: where the ellipsis stands, -1 without one. */
static wg_status read_labels(einsum *e, int *label, int *n, int *dots)
{
    *n = 0;
    *dots = -1;
    for (; *e->at && *e->at != ',' && *e->at != '-'; e->at++) {
        if (*e->at == ' ') continue;
        if (*e->at == '.') {
            if (strncmp(e->at, "...", 3) != 0) return refuse(e, "a lone dot");
            if (*dots >= 0) return refuse(e, "two ellipses in one operand");
            *dots = *n;
            e->at += 2;
            continue;
        }
        int l = letter_label(*e->at);
        if (l < 0) return refuse(e, "only letters, commas, spaces, ... and -> have a meaning");
        if (*n == WG_MAX_DIMS) return refuse(e, "more than 8 letters for one tensor");
        label[(*n)++] = l;
    }
    return WG_OK;
}

/* Puts the labels of `count` ellipsis axes at place `dots`. */
static void insert_dots(int *label, int *n, int dots, int count)
{
    for (int i = *n - 1; i >= dots; i--) label[i + count] = label[i];
    for (int i = 0; i < count; i++) label[dots + i] = LETTERS + count - 1 - i;
    *n += count;
}

static wg_status read_operand(einsum *e, term *x, wg_tensor *t, int number)
{
    int dots;
    wg_status s = read_labels(e, x->label, &x->n, &dots);
    if (s != WG_OK) return s;
    int rest = wg_ndim(t) - x->n;
    x->t = t;
    if (rest < 0 || (rest > 0 && dots < 0))
        return wg_raise(WG_ESHAPE, "einsum: \"%s\": operand %d has %d dimensions and %d letters",
                        e->whole, number, wg_ndim(t), x->n);
    if (dots >= 0) insert_dots(x->label, &x->n, dots, rest);
    if (dots >= 0 && rest > e->dots) e->dots = rest;
    return WG_OK;
}

static wg_status read_output(einsum *e, const term *x, int64_t terms)
{
    int times[LABELS] = { 0 }, dots;
    for (int64_t i = 0; i < terms; i++)
        for (int k = 0; k < x[i].n; k++) times[x[i].label[k]]++;
    if (!*e->at) { /* implicit: the ellipsis, then letters that occur once, sorted */
        for (int i = e->dots - 1; i >= 0; i--) e->output[e->outputs++] = LETTERS + i;
        for (int l = 0; l < LETTERS; l++)
            if (times[l] == 1) e->output[e->outputs++] = l;
    } else {
        if (strncmp(e->at, "->", 2) != 0)
            return refuse(e, "more operands than tensors, or a broken arrow");
        e->at += 2;
        wg_status s = read_labels(e, e->output, &e->outputs, &dots);
        if (s != WG_OK) return s;
        if (*e->at) return refuse(e, "something follows the output");
        if (dots >= 0 && e->outputs + e->dots > WG_MAX_DIMS)
            return refuse(e, "more than 8 dimensions");
        if (dots >= 0) insert_dots(e->output, &e->outputs, dots, e->dots);
    }
    if (e->outputs > WG_MAX_DIMS) return refuse(e, "more than 8 dimensions");
    for (int k = 0; k < e->outputs; k++) {
        if (!times[e->output[k]]) return refuse(e, "a letter of the output is in no operand");
        if (e->wanted[e->output[k]]) return refuse(e, "a letter occurs twice in the output");
        e->wanted[e->output[k]] = true;
    }
    return WG_OK;
}

static int find(const term *x, int label)
{
    for (int k = 0; k < x->n; k++)
        if (x->label[k] == label) return k;
    return -1;
}

static int64_t size_of(const term *x, int label)
{
    int k = find(x, label);
    return k < 0 ? 1 : wg_size(x->t, k);
}

static void drop_label(term *x, int k)
{
    x->n--;
    for (; k < x->n; k++) x->label[k] = x->label[k + 1];
}

/* x's axes in this order; a label that x lacks becomes an axis of size 1. */
static void arrange(term *x, const int *label, int n)
{
    wg_dims axes = { .n = 0 };
    for (int k = 0; k < n; k++)
        if (find(x, label[k]) >= 0) axes.d[axes.n++] = find(x, label[k]);
    wg_tensor *t = wg_permute(x->t, axes);
    for (int k = 0; k < n; k++)
        if (find(x, label[k]) < 0) t = wg_unsqueeze(t, k);
    x->t = t;
    x->n = n;
    for (int k = 0; k < n; k++) x->label[k] = label[k];
}

/* Axes a < b of the same letter become their diagonal: last two, flat, every (n + 1)-th element. */
static wg_status take_diagonal(const einsum *e, term *x, int a, int b)
{
    int64_t n = wg_size(x->t, a);
    if (wg_size(x->t, b) != n)
        return wg_raise(WG_ESHAPE, "einsum: \"%s\": a repeated letter has sizes %lld and %lld",
                        e->whole, (long long)n, (long long)wg_size(x->t, b));
    wg_dims axes = { .n = x->n }, shape = { .n = 0 };
    int kept = 0;
    for (int k = 0; k < x->n; k++)
        if (k != a && k != b) axes.d[kept++] = k;
    axes.d[kept] = a;
    axes.d[kept + 1] = b;
    for (int k = 0; k < kept; k++) shape.d[shape.n++] = wg_size(x->t, (int)axes.d[k]);
    shape.d[shape.n++] = n * n;
    x->t = wg_slice(wg_reshape(wg_permute(x->t, axes), shape), -1, 0, n * n, n + 1);
    int label = x->label[a];
    drop_label(x, b);
    drop_label(x, a);
    x->label[x->n++] = label;
    return WG_OK;
}

static wg_status take_diagonals(const einsum *e, term *x)
{
    for (int b = 1; b < x->n; b++)
        for (int a = 0; a < b; a++) {
            if (x->label[a] != x->label[b]) continue;
            wg_status s = take_diagonal(e, x, a, b);
            if (s != WG_OK) return s;
            b = 0; /* the axes have moved */
            break;
        }
    return WG_OK;
}

/* Sums axes that neither another term nor the output names. */
static void sum_alone(einsum *e, term *x)
{
    wg_dims axes = { .n = 0 };
    for (int k = x->n - 1; k >= 0; k--)
        if (e->uses[x->label[k]] == 1 && !e->wanted[x->label[k]]) axes.d[axes.n++] = k;
    if (axes.n == 0) return;
    x->t = wg_sum(x->t, axes, false);
    for (int i = 0; i < axes.n; i++) { /* from the last on */
        e->uses[x->label[axes.d[i]]]--;
        drop_label(x, (int)axes.d[i]);
    }
}

typedef struct {
    int n, label[2 * WG_MAX_DIMS];
    int64_t size;
} group;

static void add_label(group *g, int label, int64_t size)
{
    g->label[g->n++] = label;
    g->size *= size;
}

/* x with sizes of 1 repeated to `size[label]`, as (|first|, |second|, |third|). */
static wg_tensor *as_matrices(term *x, const group *first, const group *second, const group *third,
                              const int64_t *size)
{
    int label[3 * WG_MAX_DIMS], n = 0;
    const group *g[] = { first, second, third };
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < g[i]->n; k++) label[n++] = g[i]->label[k];
    arrange(x, label, n);
    wg_dims full = { .n = n };
    for (int k = 0; k < n; k++) full.d[k] = size[label[k]];
    return wg_reshape(wg_expand(x->t, full), WG_DIMS(first->size, second->size, third->size));
}

/* x <- x times y, summed over labels that are needed no more. */
static wg_status contract(einsum *e, term *x, term *y)
{
    group batch = { .size = 1 }, left = { .size = 1 }, inner = { .size = 1 }, right = { .size = 1 };
    int64_t size[LABELS] = { 0 };
    for (int l = 0; l < LABELS; l++) {
        bool in_x = find(x, l) >= 0, in_y = find(y, l) >= 0;
        int64_t a = size_of(x, l), b = size_of(y, l);
        if (!in_x && !in_y) continue;
        if (a != b && a != 1 && b != 1)
            return wg_raise(WG_ESHAPE, "einsum: \"%s\": sizes %lld and %lld of one letter",
                            e->whole, (long long)a, (long long)b);
        size[l] = a == 1 ? b : a;
        bool summed = in_x && in_y && e->uses[l] == 2 && !e->wanted[l];
        add_label(summed ? &inner : in_x && in_y ? &batch : in_x ? &left : &right, l, size[l]);
        if (in_x && in_y) e->uses[l] -= summed ? 2 : 1;
    }
    if (batch.n + left.n + right.n > WG_MAX_DIMS)
        return refuse(e, "more than 8 dimensions on the way");
    if (batch.n + left.n + inner.n > WG_MAX_DIMS || batch.n + inner.n + right.n > WG_MAX_DIMS)
        return refuse(e, "more than 8 dimensions on the way");
    wg_tensor *a = as_matrices(x, &batch, &left, &inner, size);
    wg_tensor *b = as_matrices(y, &batch, &inner, &right, size);
    const group *order[] = { &batch, &left, &right };
    wg_dims shape = { .n = 0 };
    x->n = 0;
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < order[i]->n; k++) {
            x->label[x->n++] = order[i]->label[k];
            shape.d[shape.n++] = size[order[i]->label[k]];
        }
    x->t = wg_reshape(inner.n ? wg_matmul(a, b) : wg_mul(a, b),
                      shape); /* (B, L, K) (B, K, R); K = 1: an outer product */
    return wg_error_code();
}

static wg_tensor *evaluate(einsum *e, term *x, wg_list in)
{
    for (int64_t i = 0; i < in.n; i++) {
        if (i > 0 && *e->at++ != ',')
            return refuse(e, "fewer operands than tensors"), &wgi_error_tensor;
        if (read_operand(e, &x[i], in.t[i], (int)i) != WG_OK) return &wgi_error_tensor;
    }
    if (read_output(e, x, in.n) != WG_OK) return &wgi_error_tensor;
    for (int64_t i = 0; i < in.n; i++) {
        if (take_diagonals(e, &x[i]) != WG_OK) return &wgi_error_tensor;
        for (int k = 0; k < x[i].n; k++) e->uses[x[i].label[k]]++;
    }
    for (int64_t i = 0; i < in.n; i++) {
        sum_alone(e, &x[i]);
        if (i == 0) continue;
        if (contract(e, &x[0], &x[i]) != WG_OK) return &wgi_error_tensor;
        sum_alone(e, &x[0]);
    }
    arrange(&x[0], e->output, e->outputs);
    return x[0].t;
}

wg_tensor *wg_einsum(const char *formula, wg_list in)
{
    einsum e = { .at = formula, .whole = formula };
    if (!formula) return wg_fail(WG_EARG, "einsum: the formula is NULL");
    if (in.n < 1 || !in.t) return wg_fail(WG_EARG, "einsum: \"%s\": no tensors", formula);
    for (int64_t i = 0; i < in.n; i++)
        if (wgi_refuse(in.t[i], "einsum")) return &wgi_error_tensor;
    wg_scope s = wg_scope_push(); /* what is made on the way goes */
    term *x = wg_scope_alloc((size_t)in.n * sizeof *x);
    return wg_scope_return(s, x ? evaluate(&e, x, in) : &wgi_error_tensor);
}
