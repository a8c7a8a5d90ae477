/* Losses of one value a place; compiled once per level. */
#include "cpu/loss.h"

#include "cpu/rows.h"

#include "cpu/as_f32.h"
#include "cpu/loss_template.h"
#include "cpu/as_end.h"
#include "cpu/as_f64.h"
#include "cpu/loss_template.h"
#include "cpu/as_end.h"

const wgi_loss_kernels WGI_AT_LEVEL(wgi_loss_kernels) = {
    .forward = { forward_f32, forward_f64 },
    .backward = { backward_f32, backward_f64 },
};
