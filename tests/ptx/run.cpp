/* Grids, blocks, warps: which lanes run, and where they meet again. */
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "emulation.h"
#include "lanes.h"
#include "profile.h"

namespace ptx
{

/* Of those that ptxas makes many of, and of those that a multiprocessor begins for 4 lanes at a time only (ex2, rcp). */
static uint16_t cost_of(const words &o)
{
    const std::string_view b = o[0], t = o.back();
    if (b == "mov" || b == "cvta" || (b == "ld" && o[1] == "param"))
        return 0; /* a register's other name */
    const bool divides = b == "div" || b == "rem";
    if (divides && t.substr(1) == "64" && t[0] != 'f') return 70;
    if (divides && t.substr(1) == "32" && t[0] != 'f') return 20;
    if (divides || b == "sqrt" || (b == "rcp" && o[1] == "rn")) return t == "f64" ? 30 : 10;
    if (b == "mul" && t.substr(1) == "64" && t[0] != 'f') return 3;
    return b == "ex2" || b == "rcp" ? 4 : 1;
}

handler find_handler(std::string_view opcode, instruction &i)
{
    words o;
    for (size_t at = 0; at <= opcode.size();) {
        const size_t dot = std::min(opcode.find('.', at), opcode.size());
        o.push_back(opcode.substr(at, dot - at));
        at = dot + 1;
    }
    i.cost = cost_of(o);
    i.together = o[0] == "bar" || o[0] == "shfl" || o[0] == "vote" || o[0] == "mma" ||
                 o[0] == "ldmatrix" || o[0] == "wgmma";
    if (o[0] == "bar" && o[1] != "warp") {
        if (o[1] == "sync")
            i.what = kind::BARRIER;
        else if (o[1] == "red" && o[2] == "or")
            i.what = kind::BARRIER_OR;
        return nullptr;
    }
    if (o[0] == "cvt") return find_conversion(o);
    if (handler h = find_memory(o, i)) return h;
    if (handler h = find_exchange(o)) return h;
    if (handler h = find_matrix(o, i)) return h;
    return find_arithmetic(o);
}

void found(const warp &w, const instruction &i, unsigned lane, const std::string &what)
{
    const auto file = w.code->files.find(int(i.source_file));
    std::fprintf(
        stderr,
        "ptx: %s\n  in %s\n  block (%u, %u, %u) of (%u, %u, %u), thread %d of %u\n  at %s\n",
        what.c_str(), w.code->name.c_str(), w.b->index[0], w.b->index[1], w.b->index[2],
        w.b->count[0], w.b->count[1], w.b->count[2], w.thread(lane),
        w.b->size[0] * w.b->size[1] * w.b->size[2], w.code->statements[i.statement].c_str());
    if (file != w.code->files.end())
        std::fprintf(stderr, "  from %s:%u\n", file->second.c_str(), i.source_line);
    if (const auto caller = w.code->files.find(int(i.caller_file)); caller != w.code->files.end())
        std::fprintf(stderr, "  called at %s:%u\n", caller->second.c_str(), i.caller_line);
    std::abort();
}

namespace
{

/* The lanes that are furthest behind run next; those that are as far join them. Parked ones run when all are: `alone`. */
void choose(warp &w, bool *alone)
{
    const auto before = [](const group &a, const group &b) {
        return a.parked != b.parked ? b.parked : a.at < b.at;
    };
    *alone = false;
    if (w.now.lanes) w.later.push_back(w.now);
    w.now.lanes = 0;
    if (w.later.empty()) return;
    w.now = *std::min_element(w.later.begin(), w.later.end(), before);
    *alone = w.now.parked;
    w.now.lanes = 0;
    w.now.parked = false;
    w.later.erase(std::remove_if(w.later.begin(), w.later.end(),
                                 [&](const group &g) {
                                     if (g.at == w.now.at) w.now.lanes |= g.lanes;
                                     return g.at == w.now.at;
                                 }),
                  w.later.end());
}

uint32_t guarded(const warp &w, const instruction &i)
{
    if (i.guard < 0) return w.now.lanes;
    const uint64_t *p = w.get(i.guard);
    uint32_t yes = 0;
    for (unsigned l = 0; l < LANES; l++) yes |= uint32_t(p[l] & 1) << l;
    return w.now.lanes & (i.guard_negated ? ~yes : yes);
}

void branch(warp &w, const instruction &i)
{
    const uint32_t jump = guarded(w, i), stay = w.now.lanes & ~jump;
    if (jump && stay) w.later.push_back({ w.now.at + 1, stay, false });
    w.now = jump ? group { i.target, jump, false } : group { w.now.at + 1, stay, false };
}

/* Until all its lanes have ended or wait for the block. */
void run_warp(warp &w)
{
    const instruction *code = w.code->code.data();
    unsigned long long unused, &ran = w.b->counts ? w.b->counts->instructions : unused = 0;
    bool alone = false;
    w.joined = nullptr;
    while (w.live) {
        const instruction &i = code[w.now.at];
        if (i.together && w.now.lanes != w.live && !alone) {
            w.now.parked = true;
            choose(w, &alone);
            continue;
        }
        ran += i.cost;
        switch (i.what) {
        case kind::PLAIN:
            if (const uint32_t lanes = guarded(w, i)) i.run(w, i, lanes);
            w.now.at++;
            break;
        case kind::BRANCH: branch(w, i); break;
        case kind::EXIT: {
            const uint32_t lanes = guarded(w, i);
            w.live &= ~lanes;
            w.now = { w.now.at + 1, w.now.lanes & ~lanes, false };
            break;
        }
        case kind::BARRIER:
        case kind::BARRIER_OR:
            if (guarded(w, i) != w.live)
                found(w, i, unsigned(__builtin_ctz(w.now.lanes)),
                      "not all of a warp reach a barrier");
            w.now.at++;
            w.joined = &i;
            return;
        }
        if (!w.later.empty() || alone) choose(w, &alone);
    }
    if (!w.products.open.empty() || !w.products.closed.empty())
        found(w, code[0], 0, "products that nobody waited for");
    w.copies.closed.push_back(w.copies.open);
    for (const auto &c : w.copies.closed)
        if (!c.empty()) found(w, code[0], 0, "copies that nobody waited for");
}

void set_special(warp &w, const std::string &name, value v)
{
    const block &b = *w.b;
    const unsigned axis = unsigned(name.back() - 'x');
    for (unsigned l = 0; l < LANES; l++) {
        const unsigned t = w.index * LANES + l;
        const unsigned tid[3] = { t % b.size[0], t / b.size[0] % b.size[1],
                                  t / b.size[0] / b.size[1] };
        uint64_t x = 0;
        if (name.find("%tid") == 0)
            x = tid[axis];
        else if (name.find("%ntid") == 0)
            x = b.size[axis];
        else if (name.find("%ctaid") == 0)
            x = b.index[axis];
        else if (name.find("%nctaid") == 0)
            x = b.count[axis];
        else if (name == "%laneid")
            x = l;
        else if (name == "%lanemask_lt")
            x = (1u << l) - 1;
        else if (name == "%lanemask_le")
            x = (2u << l) - 1;
        else if (name == "%local")
            x = uint64_t(reinterpret_cast<uintptr_t>(w.local.data() + l * w.code->local));
        else
            found(w, w.code->code[0], l, "no register " + name);
        w.at(v)[l] = x;
    }
}

void start(warp &w, block &b, uint64_t *registers, unsigned index, unsigned threads)
{
    w.b = &b;
    w.code = b.code;
    w.registers = registers;
    w.index = index;
    w.live = threads >= LANES ? ALL : (1u << threads) - 1;
    w.now = { 0, w.live, false };
    w.later.clear();
    w.local.assign(b.code->local * LANES, 0xff);
    for (const auto &[name, v] : b.code->special) set_special(w, name, v);
}

/* All warps wait: the next part begins. */
void release(block &b, std::vector<warp> &warps)
{
    for (warp &w : warps) {
        if (!w.joined || w.joined->what != kind::BARRIER_OR) continue;
        const uint64_t *p = w.get(w.joined->from.back());
        for (unsigned l = 0; l < LANES; l++)
            if (w.live >> l & 1) b.any |= (p[l] & 1) != uint64_t(w.joined->option);
    }
    for (warp &w : warps)
        if (w.joined && w.joined->what == kind::BARRIER_OR)
            for (unsigned l = 0; l < LANES; l++) w.at(w.joined->to[0])[l] = b.any;
    b.any = false;
    if (++b.epoch) return;
    b.wrote.assign(b.wrote.size(), touch());
    b.read.assign(b.read.size(), touch());
    b.epoch = 1;
}

void run_block(block &b, uint64_t *registers)
{
    const unsigned threads = b.size[0] * b.size[1] * b.size[2], n = (threads + LANES - 1) / LANES;
    std::vector<warp> warps(n);
    for (unsigned k = 0; k < n; k++)
        start(warps[k], b, registers + size_t(k) * size_t(b.code->registers) * LANES, k,
              threads - k * LANES);
    for (;;) {
        unsigned waiting = 0;
        for (unsigned k = 0; k < n; k++) {
            warp &w = warps[emulation::backwards ? n - 1 - k : k];
            if (w.live) run_warp(w);
            waiting += w.live != 0;
        }
        if (waiting == 0) return;
        for (warp &w : warps)
            if (waiting != n && w.live)
                found(w, *w.joined, 0, "not all of a block reach a barrier");
        release(b, warps);
    }
}

} // namespace

void run_grid(kernel &k, const unsigned grid[3], const unsigned size[3], size_t dynamic_shared)
{
    static std::vector<uint64_t> registers;
    static uint32_t launches;
    block b;
    b.code = &k;
    b.launch = ++launches;
    account_of_launch(b.launch);
    if (profiles) {
        b.counts = &counts_of(k);
        b.counts->launches++;
    }
    const size_t threads = size_t(size[0]) * size[1] * size[2];
    registers.resize(
        std::max(registers.size(), (threads + LANES - 1) / LANES * size_t(k.registers) * LANES));
    for (int d = 0; d < 3; d++) {
        b.count[d] = grid[d];
        b.size[d] = size[d];
    }
    const size_t shared = (k.shared + dynamic_shared + 3) / 4 * 4;
    const unsigned blocks = grid[0] * grid[1] * grid[2];
    for (unsigned n = 0; n < blocks; n++) {
        const unsigned at = emulation::backwards ? blocks - 1 - n : n;
        b.number = at;
        b.index[0] = at % grid[0];
        b.index[1] = at / grid[0] % grid[1];
        b.index[2] = at / grid[0] / grid[1];
        b.memory.assign(shared, 0xff);
        b.wrote.assign(shared / GRAIN, touch());
        b.read.assign(shared / GRAIN, touch());
        b.unsent.assign(shared / GRAIN, -1);
        b.epoch = 1;
        run_block(b, registers.data());
    }
}

} // namespace ptx
