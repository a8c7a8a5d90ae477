/* Opens a template's instance for f64: see as_f32.h. */
#include <math.h>

#include "cpu/formula.h"
#include "cpu/lanes.h"
#include "tensor/half.h"
#include "wengert/base.h"
#define A double
#define A_TYPE WG_F64
#define N(name) name##_f64
#define F(name) wgi_##name##_f64
#ifndef WGI_SPAN_F64
#define WGI_SPAN_F64
#include "cpu/span_template.h"
#endif
