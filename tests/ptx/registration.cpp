/* What the objects of nvcc ask of the CUDA runtime: they tell of their PTX and kernels when the program starts, and launch. */
#include <cuda_runtime.h>
#include <cxxabi.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>

#include "emulation.h"
#include "ptx.h"

namespace
{

/* As fatbinary.h of the toolkit has them: a wrapper, a header, and entries of which one is the PTX. */
struct wrapper {
    int magic, version;
    const char *data;
    void *file;
};
struct header {
    uint32_t magic;
    uint16_t version, bytes;
    uint64_t size;
};
struct fat_entry {
    uint16_t kind, attributes;
    uint32_t bytes;
    uint64_t size;
    uint32_t compressed, unused;
    uint16_t minor, major;
    uint32_t arch;
};
enum { PTX = 1 };

[[noreturn]] void refuse(const char *what)
{
    std::fprintf(stderr, "ptx: %s\n", what);
    std::abort();
}

std::string ptx_of(const void *fat)
{
    const wrapper *w = static_cast<const wrapper *>(fat);
    const header *h = reinterpret_cast<const header *>(w->data);
    if (w->magic != 0x466243b1 || h->magic != 0xba55ed50)
        refuse("an object that nvcc has not made");
    const char *at = w->data + h->bytes, *end = at + h->size;
    while (at < end) {
        const fat_entry *e = reinterpret_cast<const fat_entry *>(at);
        const char *text = at + e->bytes;
        if (e->kind == PTX) {
            if (e->compressed) refuse("PTX that is compressed: nvcc --compress-mode=none");
            return std::string(text, strnlen(text, size_t(e->size)));
        }
        at = text + e->size;
    }
    refuse("an object without PTX");
}

struct registered {
    ptx::module *module;
    std::string name;
    std::string shown;
    int dynamic = 48 << 10; /* how much shared memory a launch may ask for */
    ptx::kernel *parsed = nullptr;
};

std::map<const void *, registered> &kernels()
{
    static std::map<const void *, registered> all;
    return all;
}

registered &kernel_of(const void *function)
{
    const auto found = kernels().find(function);
    if (found == kernels().end()) refuse("a launch of what is no kernel");
    return found->second;
}

/* "void (anonymous namespace)::copy<float>(int)" is told as "copy<float>". */
std::string short_name(const char *mangled)
{
    int status = 0;
    char *d = abi::__cxa_demangle(mangled, nullptr, nullptr, &status);
    std::string s = d ? d : mangled;
    std::free(d);
    const std::string anonymous = "(anonymous namespace)";
    for (size_t at; (at = s.find(anonymous)) != std::string::npos;) s.erase(at, anonymous.size());
    const size_t end = std::min(s.find('<'), s.find('('));
    const size_t begin = s.find_last_of(" :", end);
    return s.substr(begin == std::string::npos ? 0 : begin + 1,
                    end - (begin == std::string::npos ? 0 : begin + 1));
}

struct configuration {
    dim3 grid, block;
    size_t shared;
    cudaStream_t stream;
};
thread_local std::vector<configuration> pushed;

void run(registered &r, dim3 grid, dim3 block, size_t shared,
         const std::vector<unsigned char> &arguments)
{
    ptx::kernel &k = *r.parsed;
    std::memcpy(k.arguments.data(), arguments.data(), arguments.size());
    const unsigned g[3] = { grid.x, grid.y, grid.z }, b[3] = { block.x, block.y, block.z };
    ptx::run_grid(k, g, b, shared);
}

cudaError_t launch(const void *function, dim3 grid, dim3 block, void **given, size_t shared,
                   cudaStream_t stream)
{
    registered &r = kernel_of(function);
    {
        static std::mutex lock;
        const std::lock_guard<std::mutex> held(lock);
        if (!r.parsed) r.parsed = r.module->find(r.name);
    }
    if (r.parsed) r.parsed->shown = r.shown;
    if (!r.parsed) refuse(("no kernel " + r.name).c_str());
    const ptx::kernel &k = *r.parsed;
    size_t bytes = 0;
    for (const ptx::parameter &p : k.parameters) bytes = p.at + p.bytes;
    emulation::check_launch(r.shown.c_str(), grid, block, k.shared + shared, bytes);
    if (block.x * block.y * block.z > k.most_threads)
        refuse(("too many threads for __launch_bounds__: " + r.shown).c_str());
    if (shared > size_t(r.dynamic))
        refuse(("more shared memory than cudaFuncSetAttribute allows: " + r.shown).c_str());
    emulation::count_launch(r.shown.c_str());
    std::vector<unsigned char> arguments(bytes);
    for (size_t n = 0; n < k.parameters.size(); n++)
        std::memcpy(&arguments[k.parameters[n].at], given[n], k.parameters[n].bytes);
    return emulation::enqueue(stream, emulation::KERNEL,
                              [=, &r] { run(r, grid, block, shared, arguments); });
}

} // namespace

extern "C" {

void **__cudaRegisterFatBinary(void *fat)
{
    ptx::keep_account();
    return reinterpret_cast<void **>(new ptx::module(ptx_of(fat)));
}
void __cudaRegisterFatBinaryEnd(void **) {}
void __cudaUnregisterFatBinary(void **) {}
void __cudaRegisterFunction(void **module, const char *function, char *, const char *name, int,
                            uint3 *, uint3 *, dim3 *, dim3 *, int *)
{
    kernels()[function] = { reinterpret_cast<ptx::module *>(module), name, short_name(name) };
}
void __cudaRegisterVar(void **, char *, char *, const char *, int, size_t, int, int) {}

unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, cudaStream_t stream)
{
    pushed.push_back({ grid, block, shared, stream });
    return 0;
}
cudaError_t __cudaPopCallConfiguration(dim3 *grid, dim3 *block, size_t *shared, void *stream)
{
    const configuration c = pushed.back();
    pushed.pop_back();
    *grid = c.grid;
    *block = c.block;
    *shared = c.shared;
    *static_cast<cudaStream_t *>(stream) = c.stream;
    return cudaSuccess;
}
/* CUDA 13 launches by a kernel that it has asked for, CUDA 12 by the function. */
cudaError_t __cudaGetKernel(cudaKernel_t *k, const void *function)
{
    *k = reinterpret_cast<cudaKernel_t>(const_cast<void *>(function));
    return cudaSuccess;
}
cudaError_t __cudaLaunchKernel(cudaKernel_t k, dim3 grid, dim3 block, void **arguments,
                               size_t shared, cudaStream_t stream)
{
    return launch(k, grid, block, arguments, shared, stream);
}
#undef cudaLaunchKernel
cudaError_t cudaLaunchKernel(const void *function, dim3 grid, dim3 block, void **arguments,
                             size_t shared, cudaStream_t stream)
{
    return launch(function, grid, block, arguments, shared, stream);
}

cudaError_t cudaFuncSetAttribute(const void *function, cudaFuncAttribute which, int value)
{
    registered &r = kernel_of(function);
    if (which == cudaFuncAttributeMaxDynamicSharedMemorySize) r.dynamic = value;
    return cudaSuccess;
}
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *a, const void *)
{
    std::memset(a, 0, sizeof *a);
    a->ptxVersion = a->binaryVersion = 90;
    a->maxThreadsPerBlock = 1024;
    return cudaSuccess;
}
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *n, const void *, int,
                                                                   size_t, unsigned)
{
    return *n = 2, cudaSuccess;
}
cudaError_t cudaGetDevice(int *d)
{
    return *d = 0, cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int *v, cudaDeviceAttr a, int)
{
    switch (a) {
    case cudaDevAttrComputeCapabilityMajor: *v = 9; break;
    case cudaDevAttrComputeCapabilityMinor: *v = 0; break;
    case cudaDevAttrMultiProcessorCount: *v = 132; break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *v = 227 << 10; break;
    case cudaDevAttrMaxGridDimX: *v = 0x7fffffff; break;
    default: refuse("an attribute of the device that is not known here");
    }
    return cudaSuccess;
}
}
