/* The door's rooms: apply.c, the way of a call; operands.c, infer.c, autocast.c, scratch.c. */
#ifndef WGI_AUTOGRAD_DOOR_H
#define WGI_AUTOGRAD_DOOR_H
#include "cpu/elementwise_kernels.h"
#include "tensor/internal.h"
#include "wengert/op.h"

enum { WGI_ON_STACK = 8 }; /* operands that need no allocation */

/* ---- operands.c ------------------------------------------------------------------------------ */
/* "x", "bias?", "more*"; the last name stands for all further inputs. */
const char *wgi_input_name(const wg_op *op, int64_t i);
/* Whether an operand is an error, dead or missing; raises if nothing is pending. */
bool wgi_refuse_operand(const wg_op *op, wg_list in);
/* Whether n operands are too few; raises. */
bool wgi_refuse_number(const wg_op *op, int64_t n);
/* All on one device, and in blocks only where the row takes them. */
wg_status wgi_check_operands(const wg_op *op, wg_list in);
/* Whether the row says that it changes input i; may those be changed; and they were. */
bool wgi_updates_input(const wg_op *op, int64_t i);
wg_status wgi_check_updates(const wgi_context *c, const wg_op *op, wg_list in);
void wgi_touch_updated(const wg_op *op, wg_list in);

/* ---- autocast.c ------------------------------------------------------------------------------ */
/* Casts in's tensors as a row with these flags wants them; space: (WGI_ON_STACK) for the new list. */
wg_status wgi_autocast(wgi_context *c, unsigned flags, wg_list *in, wg_tensor **space);

/* The 16-bit copy of parameter p, for an update that writes p's new values into it, too: current, and nobody's but p's, so
 * that no graph that waits for backward and no view sees it change. NULL: there is none such. Afterwards wgi_cast_copy_renewed says that it holds
 * p's values as they now are. */
wg_tensor *wgi_cast_copy_of(wg_tensor *p);
void wgi_cast_copy_renewed(wg_tensor *p);

/* ---- scratch.c ------------------------------------------------------------------------------- */
/* A kernel that is one call of a loop on the whole of its inputs' memory, in their order, into output 0's. */
typedef struct {
    wgi_loop_fn fn; /* NULL: it is not */
    wgi_numbers numbers;
    wgi_formula formula;
    bool f32; /* it computes in f32 */
} wgi_plain_kernel;

typedef struct {
    struct wgi_scratch *first;
    wg_device device;
    wgi_plain_kernel *plain; /* filled by a kernel of that kind; NULL: nobody asks */
} wgi_kernel_memory;         /* wg_run.door */
void wgi_scratch_release(wgi_kernel_memory *m);
#endif
