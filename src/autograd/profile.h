/* The door's side of wengert/profile.h: called only while the thread has a profile open. */
#ifndef WGI_AUTOGRAD_PROFILE_H
#define WGI_AUTOGRAD_PROFILE_H
#include "tensor/internal.h"
#include "wengert/op.h"

/* Seconds, once d has nothing left to do. */
double wgi_profile_begin(wg_device d);
/* Adds a kernel's run; `infer` is what its shape rule said. */
void wgi_profile_end(wgi_context *c, const wg_op *op, const wg_infer *infer, wg_list in,
                     wg_list out, wg_device d, double start);
#endif
