/* Conversions between all dtypes; compiled once per level. */
#include "cpu/convert.h"

#include "cpu/convert_element.h"

#define TO f64
#define T double
#include "cpu/convert_to.h"
#define TO f32
#define T float
#include "cpu/convert_to.h"
#define TO bf16
#define T uint16_t
#include "cpu/convert_to.h"
#define TO f16
#define T uint16_t
#include "cpu/convert_to.h"
#define TO i64
#define T int64_t
#include "cpu/convert_to.h"
#define TO i32
#define T int32_t
#include "cpu/convert_to.h"
#define TO u8
#define T uint8_t
#include "cpu/convert_to.h"
#define TO boolean
#define T uint8_t
#include "cpu/convert_to.h"

const wgi_convert_kernels WGI_AT_LEVEL(wgi_convert_kernels) = {
    .to = { [WG_F64] = f64_row,
            [WG_F32] = f32_row,
            [WG_BF16] = bf16_row,
            [WG_F16] = f16_row,
            [WG_I64] = i64_row,
            [WG_I32] = i32_row,
            [WG_U8] = u8_row,
            [WG_BOOL] = boolean_row },
};
