/* Rows of norms; compiled once per level. */
#include "cpu/norm.h"

#include "cpu/as_f32.h"
#include "cpu/norm_template.h"
#include "cpu/as_end.h"
#include "cpu/as_f64.h"
#include "cpu/norm_template.h"
#include "cpu/as_end.h"

const wgi_norm_kernels WGI_AT_LEVEL(wgi_norm_kernels) = {
    .forward = { forward_f32, forward_f64 },
    .add_forward = { add_forward_f32, add_forward_f64 },
    .backward = { backward_f32, backward_f64 },
    .group_forward = { group_forward_f32, group_forward_f64 },
    .group_backward = { group_backward_f32, group_backward_f64 },
};
