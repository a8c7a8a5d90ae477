/* Programs: what passes the door while something runs on meta, noted as kernels that can run again and again on other
 * memory, without the door. Kernels whose results nobody needs are left out; what is made lies in one small block, in
 * which memory is given to the next result as soon as the last one that reads it has run. */
#ifndef WGI_AUTOGRAD_PROGRAM_H
#define WGI_AUTOGRAD_PROGRAM_H
#include "autograd/door.h"
#include "cpu/chain.h"

typedef struct { /* memory: of an operand to be bound, of a constant, or of something made */
    wgi_storage *storage; /* the trace's; one reference */
    void *constant;       /* its data; NULL: no constant */
    wg_tensor *holds;     /* what keeps a constant's data alive; one reference */
    bool made, used;
    int first, last; /* steps from which and to which it is needed */
    size_t at;       /* made: where it lies in the block */
} wgi_value;

typedef struct {
    int value; /* -1: absent */
    wg_tensor like;
} wgi_operand;

typedef struct {
    const wg_op *op;
    wg_kernel kernel;
    size_t attr;            /* where its copy lies; SIZE_MAX: none */
    int first, n_in, n_out; /* operands: inputs, then outputs */
    bool accumulate, used;
    const char *file; /* the place in the user's function */
    int line;
} wgi_step;

typedef struct wgi_program {
    wgi_step *step;
    wgi_value *value;
    wgi_operand *operand;
    char *attr;
    int64_t steps, values, operands, attrs; /* lengths; attrs in bytes */
    int64_t room[4];                        /* capacities of the four */
    size_t block;                           /* bytes for all that is made */
    double flops;                           /* of one run */
} wgi_program;

/* While c->program is p, the door notes what runs on meta. A traced tensor t becomes memory to be bound: its value; -1:
 * raised. */
int wgi_program_bind(wgi_program *p, const wg_tensor *t);
/* A twin on meta of t, whose data is the same at every run. */
wg_status wgi_program_constant(wgi_program *p, const wg_tensor *twin, wg_tensor *t);
/* For the door: op ran on meta. */
wg_status wgi_program_note(wgi_context *c, const wg_op *op, const void *attr, wg_list in,
                           wg_list out, bool accumulate);
/* A result: the operand that shows it after a run; -1: raised. */
int wgi_program_result(wgi_program *p, const wg_tensor *t);
/* After the trace: drops what no result (operands, -1 among them allowed) needs, and lays out the block. */
void wgi_program_close(wgi_program *p, const int *result, int64_t n);
void wgi_program_free(wgi_program *p);

/* ---- runs: replay.c ------------------------------------------------------------------------------------------------ */
typedef struct { /* memory to be fetched */
    const char *data;
    size_t bytes;
} wgi_ahead;

/* One thread's own view of a program. */
typedef struct {
    const wgi_program *program;
    wgi_storage *storage; /* (values) of its own: only data and device count */
    wg_tensor *operand;   /* (operands) */
    struct wgi_launch *launch;
    int64_t launches;
    wgi_ahead *ahead; /* (values) */
    int64_t aheads, lines;
    wgi_chain_item *item; /* of chains: see launch.h */
    struct wgi_address *address;
    bool chained; /* chains were looked for, after the first run */
    void *memory;
    size_t bytes;
} wgi_replay;
wg_status wgi_replay_open(wgi_replay *r, const wgi_program *p);
void wgi_replay_close(wgi_replay *r);
/* Where a value lies in the next run: one that was bound, or a result to be written somewhere else than into the block. */
static inline void wgi_replay_bind(wgi_replay *r, int value, void *data)
{
    r->storage[value].data = data;
}
/* Where a value will lie in the run after the next one: that memory is fetched bit by bit between the kernels of the next.
 * At most once for each value. */
void wgi_replay_ahead(wgi_replay *r, int value, const void *data);
/* Runs the kernels; errors name their op, operands and place. */
wg_status wgi_replay_run(wgi_replay *r, wgi_context *c);
#endif
