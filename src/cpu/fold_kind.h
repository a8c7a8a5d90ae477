/* What a fold does and what it is accumulated in. For C and CUDA. */
#ifndef WGI_CPU_FOLD_KIND_H
#define WGI_CPU_FOLD_KIND_H
typedef enum { WGI_FOLD_SUM, WGI_FOLD_PROD, WGI_FOLD_MAX, WGI_FOLD_MIN, WGI_FOLD_OPS } wgi_fold_op;
/* What is accumulated in: f32 for f32, bf16 and f16; f64; i64 for integers and bool. */
typedef enum { WGI_ACC_F32, WGI_ACC_F64, WGI_ACC_I64, WGI_ACC_KINDS } wgi_acc;
typedef enum {
    WGI_MAP_NONE,
    WGI_MAP_ABS,
    WGI_MAP_SQUARE,
    WGI_MAP_NONZERO, /* x != 0 ? 1 : 0 */
    WGI_MAP_POWER,   /* |x|^p */
    WGI_MAP_EXP
} wgi_map;
#endif
