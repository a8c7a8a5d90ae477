/* The registry: the table of built-in ops, made from list.h. */
#include "ops/registry.h"

#include <string.h>

static const wg_op *const table[] = {
#define OP(name) &wgi_op_##name,
#include "ops/list.h"
#undef OP
};

int wg_op_count(void)
{
    return WGI_OP_COUNT;
}

const wg_op *wg_op_at(int i)
{
    return i < 0 || i >= WGI_OP_COUNT ? NULL : table[i];
}

const wg_op *wg_op_named(const char *name)
{
    for (int i = 0; i < WGI_OP_COUNT; i++)
        if (strcmp(table[i]->name, name) == 0) return table[i];
    return NULL;
}
