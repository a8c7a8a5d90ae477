/* Template (REAL, VEC, LANES, LOAD, STORE, STREAM, SET, FMA, ROWS, NAME; see gemm_simd.c): the micro-kernel, rows x COLUMNS sums
 * over k in registers. REAL is what C holds, and an element of A and B or a pair of them. */
#define COLUMNS (2 * LANES)
/* Packed, A is rows of k + A_PAD, or blocks (k, A_PANEL) of ROWS transposed rows. */
#define A_PANEL ((ROWS + LANES - 1) / LANES * LANES)
#define A_PAD LANES

typedef struct {
    int64_t k, a_row, a_column, b_row, c_row;
    const REAL *a, *b;
    REAL *c;
    const REAL *bias; /* (COLUMNS), added to what C gets; NULL: none */
    REAL alpha;
    int columns;      /* of C that exist; B's panel has COLUMNS */
    bool add, stream; /* stream: c is new, and too large to be found in a cache again */
    int c_each;       /* rows of C that are fetched at once */
    wgi_ahead next_b, next_a;
} NAME(micro);

/* Every FETCH_EVERY steps of k, some lines of C, of the next panel of B and of A's next depth: more at once would take the
 * buffers that the product's own loads wait for. row: the next of C to fetch. */
static inline __attribute__((always_inline)) void NAME(fetch)(NAME(micro) *restrict g, int64_t *row,
                                                              int64_t rows)
{
    const int64_t end = rows - *row < g->c_each ? rows : *row + g->c_each;
    for (; *row < end; ++*row) {
        const int64_t at = *row * g->c_row;
        __builtin_prefetch(g->c + at, 1);
        __builtin_prefetch(g->c + at + LANES, 1);
    }
    wgi_fetch(&g->next_b);
    wgi_fetch(&g->next_a);
}

static inline int64_t NAME(bursts)(int64_t k)
{
    return (k + FETCH_EVERY - 1) / FETCH_EVERY;
}

/* Rows of A by a pointer for every five of them and two strides, for addresses hold a stride times 1, 2, 4 and 8: a register
 * for every row's own would be more than there are. */
enum { NAME(GROUP) = 5, NAME(GROUPS) = (ROWS + NAME(GROUP) - 1) / NAME(GROUP) };
typedef struct {
    const char *group[NAME(GROUPS)];
    int64_t one, three; /* bytes from a row to the next, and over three */
} NAME(places);

static inline __attribute__((always_inline)) NAME(places)
    NAME(places_of)(const REAL *a, int64_t a_row, const int rows)
{
    NAME(places) r = { .one = a_row * (int64_t)sizeof(REAL) };
    r.three = 3 * r.one;
    __asm__("" : "+r"(r.three));
#pragma GCC unroll 16
    for (int q = 0; q * NAME(GROUP) < rows; q++) {
        r.group[q] = (const char *)a + q * NAME(GROUP) * r.one;
        __asm__("" : "+r"(r.group[q])); /* not to be made of the others again */
    }
    return r;
}

/* One step of k, `ahead` of where the pointers are. */
static inline __attribute__((always_inline)) void NAME(step)(VEC sum[ROWS][2],
                                                             const NAME(places) * a, const REAL *b,
                                                             int rows, int64_t ahead,
                                                             int64_t a_column, int64_t b_row)
{
    VEC b0 = LOAD(b + ahead * b_row), b1 = LOAD(b + ahead * b_row + LANES);
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) {
        const int j = i % NAME(GROUP);
        const char *row = a->group[i / NAME(GROUP)] + (j == 3 ? a->three : j * a->one);
        VEC x = SET(((const REAL *)row)[ahead * a_column]);
        sum[i][0] = FMA(x, b0, sum[i][0]);
        sum[i][1] = FMA(x, b1, sum[i][1]);
    }
    __asm__ volatile("" ::: "memory"); /* the next step's loads stay behind: registers are full */
}

static inline __attribute__((always_inline)) void NAME(advance)(NAME(places) * a, const int rows,
                                                                int64_t elements)
{
#pragma GCC unroll 16
    for (int q = 0; q * NAME(GROUP) < rows; q++) a->group[q] += elements * (int64_t)sizeof(REAL);
}

/* Strides known to the compiler leave nothing to add in `unrolled` steps: what counts loops and moves pointers shares its ports
 * with the products. */
static inline __attribute__((always_inline)) void NAME(micro_rows)(
    NAME(micro) *restrict g, const int rows, const int64_t a_row, const int64_t a_column,
    const int64_t b_row, const int unrolled)
{
    VEC sum[ROWS][2];
    const REAL *b = g->b;
    NAME(places) a = NAME(places_of)(g->a, a_row, rows);
    int64_t fetched = 0;
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) sum[i][0] = sum[i][1] = SET(0);
    for (int64_t p = 0; p < g->k;) {
        const int64_t stop = g->k - p < FETCH_EVERY ? g->k : p + FETCH_EVERY;
        NAME(fetch)(g, &fetched, rows);
        for (; p + unrolled <= stop; p += unrolled, b += unrolled * b_row) {
#pragma GCC unroll 16
            for (int u = 0; u < unrolled; u++) NAME(step)(sum, &a, b, rows, u, a_column, b_row);
            NAME(advance)(&a, rows, unrolled * a_column);
        }
        for (; p < stop; p++, b += b_row) {
            NAME(step)(sum, &a, b, rows, 0, a_column, b_row);
            NAME(advance)(&a, rows, a_column);
        }
    }
    if (g->alpha != 1) {
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
            sum[i][0] *= SET(g->alpha);
            sum[i][1] *= SET(g->alpha);
        }
    }
    if (g->bias) {
        const VEC b0 = LOAD(g->bias), b1 = LOAD(g->bias + LANES);
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
            sum[i][0] += b0;
            sum[i][1] += b1;
        }
    }
    if (g->stream && g->columns == COLUMNS) {
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
            STREAM(g->c + i * g->c_row, sum[i][0]);
            STREAM(g->c + i * g->c_row + LANES, sum[i][1]);
        }
        return;
    }
    if (g->columns == COLUMNS) {
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
            REAL *c = g->c + i * g->c_row;
            STORE(c, g->add ? LOAD(c) + sum[i][0] : sum[i][0]);
            STORE(c + LANES, g->add ? LOAD(c + LANES) + sum[i][1] : sum[i][1]);
        }
        return;
    }
    REAL edge[ROWS][COLUMNS];
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) {
        STORE(edge[i], sum[i][0]);
        STORE(edge[i] + LANES, sum[i][1]);
    }
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < g->columns; j++) {
            REAL *c = g->c + i * g->c_row + j;
            *c = g->add ? *c + edge[i][j] : edge[i][j];
        }
}

static inline __attribute__((always_inline)) void NAME(micro_any)(NAME(micro) *restrict g,
                                                                  const int rows)
{
    NAME(micro_rows)(g, rows, g->a_row, g->a_column, g->b_row, 1);
}

/* One instance for every number of rows; most are whole, with A as it lies or packed. */
static void NAME(micro_run)(NAME(micro) * g, int rows)
{
    if (rows == ROWS && g->b_row == COLUMNS && g->a_column == 1) {
        NAME(micro_rows)(g, ROWS, g->a_row, 1, COLUMNS, UNROLLED);
        return;
    }
    if (rows == ROWS && g->b_row == COLUMNS && g->a_row == 1 && g->a_column == A_PANEL) {
        NAME(micro_rows)(g, ROWS, 1, A_PANEL, COLUMNS, UNROLLED);
        return;
    }
    switch (rows) {
#if defined(__AVX512F__)
    case 14: NAME(micro_any)(g, 14); break;
    case 13: NAME(micro_any)(g, 13); break;
    case 12: NAME(micro_any)(g, 12); break;
    case 11: NAME(micro_any)(g, 11); break;
    case 10: NAME(micro_any)(g, 10); break;
    case 9: NAME(micro_any)(g, 9); break;
    case 8: NAME(micro_any)(g, 8); break;
    case 7: NAME(micro_any)(g, 7); break;
#endif
    case 6: NAME(micro_any)(g, 6); break;
    case 5: NAME(micro_any)(g, 5); break;
    case 4: NAME(micro_any)(g, 4); break;
    case 3: NAME(micro_any)(g, 3); break;
    case 2: NAME(micro_any)(g, 2); break;
    default: NAME(micro_any)(g, 1); break;
    }
}

/* A as the micro-kernel walks it: ROWS rows at a time, `step` elements from one such block to the next. */
typedef struct {
    const REAL *p;
    int64_t row, column, step;
} NAME(left);

/* Elements of a packed A of m rows, k deep. */
static inline int64_t NAME(packed_a)(int64_t m, int64_t k)
{
    int64_t blocks = (m + ROWS - 1) / ROWS * k * A_PANEL, rows = m * (k + A_PAD);
    return blocks > rows ? blocks : rows;
}

static inline int64_t NAME(depth)(int64_t steps) /* equal pieces of at most DEPTH */
{
    int64_t pieces = (steps + DEPTH - 1) / DEPTH;
    return pieces == 0 ? 1 : (steps + pieces - 1) / pieces;
}

/* Element `offset` of x, whose elements have `size` bytes. */
static inline const char *NAME(at)(const void *x, int64_t size, int64_t offset)
{
    return (const char *)x + offset * size;
}
