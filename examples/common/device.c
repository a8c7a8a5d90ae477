#include "device.h"

#include <stdlib.h>
#include <string.h>

#include <wengert/wengert.h>

#include "program.h"

bool use_device(const char *name)
{
    char *end;
    if (!strcmp(name, "cpu"))
        wg_use_device(wg_cpu());
    else if (!strcmp(name, "cuda"))
        wg_use_device(wg_cuda(0));
    else if (!strncmp(name, "cuda:", 5) && name[5] >= '0' && name[5] <= '9') {
        const long index = strtol(name + 5, &end, 10);
        if (*end || index > 1000)
            return complain("--device: '%s' is none of cpu, cuda, cuda:N", name);
        wg_use_device(wg_cuda((int)index));
    } else
        return complain("--device: '%s' is none of cpu, cuda, cuda:N", name);
    return true;
}
