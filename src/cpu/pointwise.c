/* Dropout and SwiGLU; compiled once per level. */
#include "cpu/pointwise.h"

#include "cpu/random.h"

#include "cpu/as_f32.h"
#include "cpu/pointwise_template.h"
#include "cpu/as_end.h"
#include "cpu/as_f64.h"
#include "cpu/pointwise_template.h"
#include "cpu/as_end.h"

const wgi_pointwise_kernels WGI_AT_LEVEL(wgi_pointwise_kernels) = {
    .dropout = { dropout_f32, dropout_f64 },
    .swiglu = { swiglu_f32, swiglu_f64 },
    .swiglu_backward = { swiglu_backward_f32, swiglu_backward_f64 },
};
