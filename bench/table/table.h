/* The table of targets: the machine's ceilings, and every work beside them, in one run.
 *   main.c      options, and the run
 *   rows.c      what is measured, and what it is held to
 *   ceilings.c  products, memory
 *   training.c  steps of transformers; their peak memory
 *   kernels.c   an op's door, an elementwise chain, fused and not, attention
 *   runs.c      repeated runs, and their costs by the profile
 *   print.c     the table's lines */
#ifndef BENCH_TABLE_H
#define BENCH_TABLE_H
#include "../bench.h"

enum { MAX_RUNS = 512, MAX_LINES = 4 };

typedef struct {
    bool quick;    /* fewer runs */
    bool smoke;    /* tiny sizes, one run: whether it runs, not how fast */
    bool shapes;   /* costs by shapes */
    int64_t costs; /* how many of each row */
    int threads;   /* 0: all */
} settings;

/* Of several runs, a second: FLOPs or bytes. */
typedef struct {
    double median, best;
} rate;

/* One line of the table. What is 0 has no place in it. */
typedef struct {
    char work[64];
    int64_t runs;
    bool is_bytes;            /* what follows is bytes, else seconds */
    double median, low, high; /* of the runs */
    double limit;             /* median at most */
    double flops;             /* of a run */
    double target;            /* share of the product rate, at least */
    double passes;            /* over memory, that take as long */
    double target_passes;     /* at most */
} line;

/* What a row gives. */
typedef struct {
    int n;
    line lines[MAX_LINES];
    char *costs; /* the profile as text, to be freed; NULL: none */
} result;

/* A transformer, and what it is trained on at once. */
typedef struct {
    int64_t layers, heads, width, vocab, block, batch;
    double dropout;
    bool nano; /* nanoGPT's own models: no biases, GELU by erf; else GPT-2's */
} model;

typedef struct row row;
struct row {
    const char *name, *work;
    void (*measure)(const row *r, const settings *s, result *to); /* errors stay pending */
    const model *model;
    wg_dtype autocast;     /* 0: none */
    int64_t warm, runs;    /* runs before, and those that are timed */
    double target;         /* share of the product rate, at least */
    double target_seconds; /* at most, where products run at target_rate */
    double limit;          /* seconds or bytes, at most */
    double target_passes;  /* over memory, at most */
};
extern const row rows[]; /* up to one without a name */
/* The rate of f32 products at which targets in seconds were set. */
extern const double target_rate;

/* ---- ceilings.c ------------------------------------------------------------------------------ */
/* FLOP/s of 2304 x 768 x 768 products of t; bytes a second of a 1 GiB sum by a plain loop; of x + y over 64 Mi floats, three
 * tensors counted. */
rate product_rate(const settings *s, wg_dtype t);
rate read_rate(const settings *s);
rate triad_rate(const settings *s);
/* Floats in each of triad_rate's tensors. */
int64_t triad_floats(const settings *s);

/* ---- runs.c ---------------------------------------------------------------------------------- */
/* One run: its seconds. */
typedef double (*run_fn)(void *self);
int64_t runs_of(const row *r, const settings *s);
/* A new line, named after the row and `part` (NULL: the whole), with the median and spread of v (n; gets sorted). */
line *add_line(const row *r, result *to, const char *part, double *v, int64_t n);
/* Runs: some to warm up, those that count, and as many as warmed up under the profile. Returns the line. */
line *measure_runs(const row *r, const settings *s, result *to, run_fn run, void *self);
/* Only the last. */
void measure_costs(const row *r, const settings *s, result *to, run_fn run, void *self);

/* ---- rows' measures -------------------------------------------------------------------------- */
void measure_training(const row *r, const settings *s, result *to);
/* By a process of its own, which is this program with --peak NAME. */
void measure_peak(const row *r, const settings *s, result *to);
/* That process: three steps; prints its VmHWM in bytes. */
void print_peak(const row *r, const settings *s);
void measure_add_chain(const row *r, const settings *s, result *to);
void measure_elementwise(const row *r, const settings *s, result *to);
void measure_fused(const row *r, const settings *s, result *to);
void measure_attention(const row *r, const settings *s, result *to);

/* ---- print.c --------------------------------------------------------------------------------- */
void print_machine(const settings *s);
void print_ceiling(const char *what, rate r, const char *unit);
void print_header(void);
/* product: the f32 rate around the row. */
void print_line(const line *l, double product);
void print_list(void);
#endif
