/* Optimizers' passes; compiled once per level. */
#include "cpu/update.h"

#include "cpu/as_f32.h"
#include "cpu/update.inc.h"
#include "cpu/as_end.h"
#include "cpu/as_f64.h"
#include "cpu/update.inc.h"
#include "cpu/as_end.h"

const wgi_update_kernels WGI_AT_LEVEL(wgi_update_kernels) = {
    .adam = { adam_f32, adam_f64 },
    .sgd = { sgd_f32, sgd_f64 },
    .sgd_momentum = { sgd_momentum_f32, sgd_momentum_f64 },
    .lion = { lion_f32, lion_f64 },
    .squares = { squares_f32, squares_f64 },
    .scale = { scale_f32, scale_f64 },
};
