/* Rows of cross-entropy; compiled once per level. */
#include "cpu/cross_entropy.h"

enum { CHUNK = 2048 };

#include "cpu/as_f32.h"
#include "cpu/cross_entropy_template.h"
#include "cpu/as_end.h"
#include "cpu/as_f64.h"
#include "cpu/cross_entropy_template.h"
#include "cpu/as_end.h"

const wgi_cross_entropy_kernels WGI_AT_LEVEL(wgi_cross_entropy_kernels) = {
    .forward = { forward_f32, forward_f64 },
    .part = { part_f32, part_f64 },
    .backward = { backward_f32, backward_f64 },
};
