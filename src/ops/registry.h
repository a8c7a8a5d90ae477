/* The built-in ops by name: `wgi_op_add`. The engine reaches ops only through this header. */
#ifndef WGI_OPS_REGISTRY_H
#define WGI_OPS_REGISTRY_H
#include "wengert/op.h"

#define OP(name) extern const wg_op wgi_op_##name;
#include "ops/list.h"
#undef OP

enum {
#define OP(name) WGI_OP_##name,
#include "ops/list.h"
#undef OP
    WGI_OP_COUNT
};
#endif
