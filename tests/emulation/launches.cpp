/* Which kernels were launched how often, and which products were asked for: what a step consists of. */
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

#include "emulation.h"

namespace
{

std::map<std::string, int64_t> launches;

/* "layer<T, 8>" and "wgi::layer" are told as "layer". */
std::string plain(const std::string &name)
{
    const std::string own = name.substr(0, name.find('<'));
    const size_t colon = own.rfind(':');
    return colon == std::string::npos ? own : own.substr(colon + 1);
}

} // namespace

void emulation::count_launch(const char *name)
{
    launches[plain(name)]++;
}

/* Of every device from 8.0 on, and CUDA from 12.1 on. */
void emulation::check_launch(const char *name, dim3 grid, dim3 block, size_t shared,
                             size_t arguments)
{
    const size_t threads = size_t(block.x) * block.y * block.z;
    const bool right = grid.x > 0 && grid.x <= 0x7fffffff && grid.y > 0 && grid.y <= 65535 &&
                       grid.z > 0 && grid.z <= 65535 && threads > 0 && threads <= 1024 &&
                       block.z <= 64 && shared <= 227 * 1024 && arguments <= 32764;
    if (right) return;
    std::fprintf(
        stderr,
        "emulation: %s: grid %u x %u x %u, block %u x %u x %u, %zu bytes shared, %zu of arguments\n",
        name, grid.x, grid.y, grid.z, block.x, block.y, block.z, shared, arguments);
    std::abort();
}

extern "C" void emulation_count_launch(const char *name)
{
    launches[name]++;
}

/* How often `name` was launched since the last call with NULL, which forgets all. */
extern "C" int64_t emulation_launches(const char *name)
{
    if (!name) return launches.clear(), 0;
    const auto found = launches.find(name);
    return found == launches.end() ? 0 : found->second;
}

/* Those launched, in the order of their names: the i-th; NULL behind the last. */
extern "C" const char *emulation_launched(int i, int64_t *count)
{
    for (const auto &l : launches)
        if (i-- == 0) return *count = l.second, l.first.c_str();
    return nullptr;
}
