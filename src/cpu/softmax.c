/* Softmax rows; compiled once per level. */
#include "cpu/softmax.h"

#include "cpu/as_f32.h"
#include "cpu/softmax_template.h"
#include "cpu/as_end.h"
#include "cpu/as_f64.h"
#include "cpu/softmax_template.h"
#include "cpu/as_end.h"

const wgi_softmax_kernels WGI_AT_LEVEL(wgi_softmax_kernels) = {
    .forward = { forward_f32, forward_f64 },
    .backward = { backward_f32, backward_f64 },
};
