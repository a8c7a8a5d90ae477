/* Runs what nvcc made for the device, on the CPU: the library's objects with their PTX in them are linked with a CUDA
 * runtime of ours (registration.cpp, and the streams and memory of tests/emulation), and each launch is interpreted, warp by
 * warp, 32 lanes at a time. So the device's own code is tested where there is no device: its inline assembly, its mathematical
 * functions, the layout of its arguments, its sort. It also finds what compute-sanitizer does: addresses outside of
 * allocations, misaligned ones, reads of what nobody has written, races in shared memory and between blocks, barriers that
 * not all threads reach. Approximate instructions (ex2, rcp, div.approx) are the rounded exact ones. What it does not know:
 * what ptxas makes of the PTX, races of a block's threads in global memory, and time. The instructions are those of the PTX ISA 9.0 that the kernels use; another one ends the program by its name. */
#ifndef WENGERT_TESTS_PTX_H
#define WENGERT_TESTS_PTX_H
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace emulation
{
struct range;
}

namespace ptx
{

struct counts;

enum {
    LANES = 32,
    SHARED_BASE = 1024 /* as on compute capability 9.0: the first KB is the system's */
};
constexpr uint32_t ALL = 0xffffffff;

struct warp;
struct instruction;
using handler = void (*)(warp &, const instruction &, uint32_t lanes);

enum class kind : uint8_t { PLAIN, BRANCH, EXIT, BARRIER, BARRIER_OR };

/* A value is a register of 32 lanes with 64 bits each (>= 0), or a constant (< 0: ~index). */
using value = int32_t;

struct instruction {
    kind what = kind::PLAIN;
    bool guard_negated = false;
    bool together = false; /* lanes meet for it */
    value guard = -1;      /* a predicate's register; -1: none */
    handler run = nullptr;
    std::vector<value> to, from; /* an address is a value in `from` and an offset */
    int64_t offset = 0;
    int32_t target = 0; /* of a branch */
    int32_t option = 0; /* what an instruction has beside its operands */
    uint16_t cost = 1;  /* about so many of the device's own */
    uint32_t statement = 0, source_line = 0, source_file = 0;
    uint32_t caller_line = 0, caller_file = 0; /* where its function was inlined; 0: nowhere */
};

struct parameter {
    size_t at, bytes;
};

class module;

struct kernel {
    module *of = nullptr;
    std::string name; /* as written in the PTX */
    std::string shown;
    std::vector<instruction> code;
    std::vector<std::string> statements; /* the text of each, for messages */
    std::vector<uint64_t> constants;     /* 32 lanes each */
    int32_t registers = 0;
    std::vector<parameter> parameters;
    std::vector<unsigned char> arguments; /* of the running launch */
    std::map<std::string, value>
        special;                  /* registers that are set when a warp starts: %tid.x, ... */
    size_t shared = 0;            /* bytes, without what the launch adds */
    size_t local = 0;             /* a thread */
    unsigned most_threads = 1024; /* .maxntid */
    int32_t dynamic_limit = 0;    /* cudaFuncSetAttribute */
    std::map<int, std::string> files;
};

/* A file's PTX: kernels are parsed when they are first launched. */
class module
{
  public:
    explicit module(std::string text);
    kernel *find(const std::string &name);
    bool holds(const unsigned char *p, size_t bytes) const; /* in its variables */

  private:
    friend class parser;
    std::string text;
    std::map<std::string, size_t, std::less<>> entries, functions; /* where their headers begin */
    std::map<std::string, std::vector<unsigned char>, std::less<>> variables;
    std::map<std::string, size_t, std::less<>> dynamic; /* extern .shared: alignment */
    std::map<std::string, std::pair<size_t, size_t>, std::less<>> shared; /* alignment, bytes */
    std::map<std::string, std::unique_ptr<kernel>> parsed;
    std::map<int, std::string> files;
    void variable(std::string_view s);
};

handler find_handler(std::string_view opcode, instruction &i); /* NULL: none has this name */

/* ---- a running block ---------------------------------------------------------------------------------------------- */

/* Who touched GRAIN bytes of shared memory last, to find races: two threads' accesses must be apart by a barrier. */
struct touch {
    uint16_t epoch = 0, warp_epoch = 0; /* how many barriers the block has passed, and the warp */
    int16_t thread = -1; /* MANY: of more than one warp; MANY + 1 + n: several of warp n */
    uint8_t bytes = 0;   /* of these, a bit each */
    bool atomic = false;
};
enum { MANY = 2048, GRAIN = 2 /* halves are often of different threads */ };

struct block {
    const kernel *code;
    unsigned index[3], count[3], size[3]; /* %ctaid, %nctaid, %ntid */
    std::vector<unsigned char> memory;    /* shared */
    std::vector<touch> wrote, read;
    std::vector<int16_t>
        unsent; /* the thread whose write fence.proxy.async has not passed on; -1 */
    uint16_t epoch = 1;
    bool any = false;                /* of bar.red.or */
    struct counts *counts = nullptr; /* profile.h; NULL: not wanted */
    uint32_t number = 0, launch = 0; /* in the grid; of the launch */
};

struct copy {
    unsigned char *to;
    const unsigned char *from;
    uint32_t bytes, lane;
};

struct product {
    const instruction *what;
    uint64_t a, b;
    bool add;
};

template <class T> struct batches { /* of asynchronous work */
    std::vector<T> open;
    std::vector<std::vector<T>> closed;
};

struct group {
    int32_t at;
    uint32_t lanes;
    bool parked = false; /* until others have come to where they meet */
};

struct warp {
    block *b;
    const kernel *code;
    uint64_t *registers;
    unsigned index; /* in the block */
    uint32_t live;  /* lanes that have not ended */
    group now;      /* what runs: the lanes that are behind all others */
    std::vector<group> later;
    std::vector<unsigned char> local;
    uint16_t epoch = 1; /* of bar.warp.sync */
    uint8_t carry[LANES];
    batches<copy> copies;
    batches<product> products;
    const instruction *joined; /* the barrier it waits at; NULL: it has ended */

    uint64_t *at(value v) { return registers + int64_t(v) * LANES; }
    const uint64_t *get(value v) const
    {
        return v >= 0 ? registers + int64_t(v) * LANES
                      : code->constants.data() + int64_t(~v) * LANES;
    }
    int thread(unsigned lane) const { return int(index * LANES + lane); }
};

/* Ends the program: what, where, by which thread. */
[[noreturn]] void found(const warp &w, const instruction &i, unsigned lane,
                        const std::string &what);

/* The address's bytes, after checks. */
enum space { PARAM, GLOBAL, SHARED, LOCAL, GENERIC };
unsigned char *reach(warp &w, const instruction &i, unsigned lane, space s, uint64_t address,
                     size_t bytes, bool writes, bool atomic = false);
unsigned char *shared_at(warp &w, const instruction &i, unsigned lane, uint64_t address,
                         size_t bytes, bool writes, bool atomic = false);
/* For wgmma: written, by a thread that has passed it on, before a barrier. */
const unsigned char *sent_at(warp &w, const instruction &i, uint64_t address, size_t bytes);

/* account.cpp: what is wrong with a block's touch of the device's memory; NULL: nothing. */
void keep_account(); /* from the first allocation on */
void account_of_launch(uint32_t number);
const char *account(const emulation::range &r, const void *p, size_t bytes, uint32_t block,
                    bool writes, bool atomic);

void run_grid(kernel &k, const unsigned grid[3], const unsigned size[3], size_t dynamic_shared);

} // namespace ptx
#endif
