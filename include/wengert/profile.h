/* Where the time of a program's ops goes. */
#ifndef WENGERT_PROFILE_H
#define WENGERT_PROFILE_H
#include "base.h"
#ifdef __cplusplus
extern "C" {
#endif

/** One op, or one op with operands of certain shapes. Seconds are its kernel's own: of the wall clock on the CPU; on
 * CUDA from launch to end, waited for, so that kernels do not overlap while a profile is open. Gradients are ops too
 * (a linear's two are matmul; behind an activation one is linear_act_backward). bytes: what its operands and results hold, each counted once a call. */
typedef struct {
    const char *op;
    const char *shapes; /**< "(256, 768) (2304, 768) -> (256, 2304)"; "" unless asked for */
    int64_t calls;
    double seconds, flops, bytes;
} wg_profile_row;

typedef struct {
    int64_t n;
    wg_profile_row *row; /**< dearest first */
    double seconds; /**< between start and stop; what the rows lack of it passed outside kernels */
    double kernels; /**< the rows' sum */
} wg_profile;

enum { WG_PROFILE_SHAPES = 1 /**< a row for every combination of shapes */ };
/** From now on the ops that this thread runs are counted. WG_EARG if a profile is open already. */
WG_API wg_status wg_profile_start(unsigned flags);
/** Ends the profile; the rows belong to the innermost scope. Without one open it raises WG_EARG and has no rows. */
WG_API wg_profile wg_profile_stop(void);
/** A table of the `most` dearest rows (0: all): share, seconds, calls, GFLOP/s, GB/s. */
WG_API void wg_profile_print(FILE *to, const wg_profile *p, int64_t most);

#ifdef __cplusplus
}
#endif
#define wg_profile_start(...) WG_HERE(wg_profile_start(__VA_ARGS__))
#define wg_profile_stop() WG_HERE(wg_profile_stop())
#endif
