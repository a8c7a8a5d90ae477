/* Loads, stores, atomics, copies that go on by themselves; and whether an address may be touched. */
#include <cstdio>

#include "emulation.h"
#include "lanes.h"
#include "profile.h"

namespace ptx
{

namespace
{

std::string hexadecimal(uint64_t v)
{
    char s[32];
    std::snprintf(s, sizeof s, "0x%llx", static_cast<unsigned long long>(v));
    return s;
}

/* The device's memory, pinned memory, or a variable of the file's. */
void check_global(warp &w, const instruction &i, unsigned lane, const unsigned char *p,
                  size_t bytes, bool writes, bool atomic)
{
    static emulation::range
        known; /* allocations stay while kernels run: the one that was reached last */
    static uint32_t known_in;
    if (known_in != w.b->launch || reinterpret_cast<const char *>(p) < known.begin ||
        reinterpret_cast<const char *>(p) >= known.end)
        known = emulation::allocation_of(p);
    known_in = w.b->launch;
    if (!known.begin || reinterpret_cast<const char *>(p) + bytes > known.end) {
        if (w.code->of->holds(p, bytes)) return;
        found(w, i, lane,
              hexadecimal(uint64_t(reinterpret_cast<uintptr_t>(p))) +
                  (writes ? " is written" : " is read") + " outside of all allocations");
    }
    if (const char *wrong = account(known, p, bytes, w.b->number, writes, atomic))
        found(w, i, lane, hexadecimal(uint64_t(reinterpret_cast<uintptr_t>(p))) + " " + wrong);
}

/* Of the one or more threads; -1: there are others. */
int warp_of(const touch &t)
{
    return t.thread < MANY ? t.thread / LANES : t.thread - MANY - 1;
}

/* Whether what `thread` does now and what `t` tells of are apart by a barrier, or are one thread's. */
bool apart(const warp &w, const touch &t, int thread)
{
    if (t.epoch != w.b->epoch || t.thread == thread) return true;
    return warp_of(t) == int(w.index) && t.warp_epoch != w.epoch;
}

void note(const warp &w, touch &t, int thread, uint8_t bytes, bool atomic)
{
    const bool now = t.epoch == w.b->epoch;
    const bool same_warp = warp_of(t) == int(w.index),
               apart_in_warp = same_warp && t.warp_epoch != w.epoch;
    t.atomic = atomic && (!now || apart_in_warp || t.atomic);
    if (now && t.thread != thread && t.thread >= 0 && !apart_in_warp) /* another, since then */
        t.thread = int16_t(same_warp ? MANY + 1 + int(w.index) : MANY);
    else
        t.thread = int16_t(thread);
    t.bytes = uint8_t(now ? t.bytes | bytes : bytes);
    t.epoch = w.b->epoch;
    t.warp_epoch = w.epoch;
}

std::string told(const touch &t)
{
    return t.thread < MANY    ? "thread " + std::to_string(t.thread)
           : t.thread == MANY ? "threads of several warps"
                              : "several threads of warp " + std::to_string(warp_of(t));
}

/* A grain's bytes are read or written. */
void touched(warp &w, const instruction &i, unsigned lane, size_t grain, uint8_t bytes, bool writes,
             bool atomic)
{
    const int thread = w.thread(lane);
    touch &wrote = w.b->wrote[grain], &read = w.b->read[grain];
    if (!writes && wrote.epoch != w.b->epoch && read.epoch == w.b->epoch && read.thread == MANY &&
        (read.bytes & bytes) == bytes && !atomic)
        return; /* as most reads are: nothing new */
    const bool after_write =
        (wrote.bytes & bytes) && !(atomic && wrote.atomic) && !apart(w, wrote, thread);
    const bool after_read =
        writes && (read.bytes & bytes) && !(atomic && read.atomic) && !apart(w, read, thread);
    if (after_write || after_read)
        found(w, i, lane,
              std::string("a race: shared ") + hexadecimal(SHARED_BASE + GRAIN * grain) + " was " +
                  (after_write ? "written" : "read") + " by " + told(after_write ? wrote : read) +
                  " since the last barrier");
    note(w, writes ? wrote : read, thread, bytes, atomic);
    if (writes) w.b->unsent[grain] = int16_t(thread);
}

} // namespace

unsigned char *shared_at(warp &w, const instruction &i, unsigned lane, uint64_t address,
                         size_t bytes, bool writes, bool atomic)
{
    const uint64_t at = uint32_t(address) - uint64_t(SHARED_BASE);
    if (at + bytes > w.b->memory.size() || at > w.b->memory.size())
        found(w, i, lane, "shared " + hexadecimal(address) + " is outside of the block's memory");
    if (address % bytes) found(w, i, lane, "shared " + hexadecimal(address) + " is misaligned");
    for (size_t k = at / GRAIN; k <= (at + bytes - 1) / GRAIN; k++) {
        const size_t first = k == at / GRAIN ? at % GRAIN : 0,
                     end = std::min<size_t>(at + bytes - GRAIN * k, GRAIN);
        touched(w, i, lane, k, uint8_t((1 << end) - (1 << first)), writes, atomic);
    }
    return w.b->memory.data() + at;
}

const unsigned char *sent_at(warp &w, const instruction &i, uint64_t address, size_t bytes)
{
    const uint64_t at = address - SHARED_BASE;
    if (at + bytes > w.b->memory.size())
        found(w, i, 0,
              "a product's shared " + hexadecimal(address) + " is outside of the block's memory");
    for (size_t k = at / GRAIN; k <= (at + bytes - 1) / GRAIN; k++) {
        const touch &t = w.b->wrote[k];
        if (t.bytes == 0)
            found(w, i, 0,
                  "a product reads shared " + hexadecimal(address) + ", which nobody has written");
        if (w.b->unsent[k] >= 0)
            found(w, i, 0,
                  "a product reads shared " + hexadecimal(address) + ", which thread " +
                      std::to_string(w.b->unsent[k]) +
                      " has written without fence.proxy.async behind it");
        if (t.epoch == w.b->epoch)
            found(w, i, 0,
                  "a product reads shared " + hexadecimal(address) +
                      ", written since the last barrier");
        touch &r = w.b->read[k];
        r.bytes = (1 << GRAIN) - 1;
        r.thread = MANY;
        r.epoch = w.b->epoch;
    }
    return w.b->memory.data() + at;
}

unsigned char *reach(warp &w, const instruction &i, unsigned lane, space s, uint64_t address,
                     size_t bytes, bool writes, bool atomic)
{
    if (s == SHARED) return shared_at(w, i, lane, address, bytes, writes, atomic);
    unsigned char *p = reinterpret_cast<unsigned char *>(uintptr_t(address));
    if (address % bytes)
        found(w, i, lane,
              hexadecimal(address) + " is misaligned for " + std::to_string(bytes) + " bytes");
    const auto within = [=](const unsigned char *begin, size_t n) {
        return p >= begin && p + bytes <= begin + n;
    };
    const bool own = within(w.local.data() + lane * w.code->local, w.code->local) ||
                     within(w.code->arguments.data(), w.code->arguments.size());
    if (s == PARAM || s == LOCAL) {
        if (!own) found(w, i, lane, hexadecimal(address) + " is outside of the thread's memory");
        return p;
    }
    if (s == GENERIC && own) return p;
    if (within(w.b->memory.data(), w.b->memory.size())) /* a generic address of shared memory */
        return s == GENERIC ? shared_at(w, i, lane, SHARED_BASE + uint64_t(p - w.b->memory.data()),
                                        bytes, writes, atomic)
                            : (found(w, i, lane, "shared memory by a global address"), p);
    check_global(w, i, lane, p, bytes, writes, atomic);
    return p;
}

namespace
{

space space_of(const words &o, size_t *rest)
{
    for (size_t n = 1; n < o.size(); n++) {
        *rest = n + 1;
        if (o[n] == "param") return PARAM;
        if (o[n] == "global") return GLOBAL;
        if (o[n] == "shared") return SHARED;
        if (o[n] == "local") return LOCAL;
    }
    *rest = 1;
    return GENERIC;
}

/* For the profile: what lanes touch; i.option is the space. */
void count(const warp &w, const instruction &i, const uint64_t *a, uint32_t lanes, size_t bytes)
{
    uint64_t address[LANES];
    if (!w.b->counts || (i.option != GLOBAL && i.option != SHARED)) return;
    for (unsigned l = 0; l < LANES; l++) address[l] = a[l] + uint64_t(i.offset);
    i.option == GLOBAL ? count_global(*w.b->counts, address, lanes, bytes)
                       : count_shared(*w.b->counts, address, lanes, bytes);
}

/* Of 1 to 4 values of T side by side; i.option is the space. */
template <class T> void load(warp &w, const instruction &i, uint32_t lanes)
{
    const uint64_t *a = w.get(i.from[0]);
    const size_t n = i.to.size();
    count(w, i, a, lanes, n * sizeof(T));
    each(lanes, [&](unsigned l) {
        const unsigned char *p =
            reach(w, i, l, space(i.option), a[l] + uint64_t(i.offset), n * sizeof(T), false);
        T v[4];
        std::memcpy(v, p, n * sizeof(T));
        for (size_t k = 0; k < n; k++) w.at(i.to[k])[l] = bits_of(v[k]);
    });
}

/* What all threads read alike: the launch's arguments. */
template <class T> void load_argument(warp &w, const instruction &i, uint32_t lanes)
{
    const unsigned char *p =
        reinterpret_cast<const unsigned char *>(uintptr_t(w.get(i.from[0])[0])) + i.offset;
    for (size_t k = 0; k < i.to.size(); k++) {
        T v;
        std::memcpy(&v, p + k * sizeof v, sizeof v);
        uint64_t *d = w.at(i.to[k]);
        each(lanes, [=](unsigned l) { d[l] = bits_of(v); });
    }
}

template <class T> void load_any(warp &w, const instruction &i, uint32_t lanes)
{
    i.from[0] < 0 && i.option == PARAM ? load_argument<T>(w, i, lanes) : load<T>(w, i, lanes);
}

template <class T> void store(warp &w, const instruction &i, uint32_t lanes)
{
    const uint64_t *a = w.get(i.from[0]);
    const size_t n = i.from.size() - 1;
    count(w, i, a, lanes, n * sizeof(T));
    each(lanes, [&](unsigned l) {
        unsigned char *p =
            reach(w, i, l, space(i.option), a[l] + uint64_t(i.offset), n * sizeof(T), true);
        T v[4];
        for (size_t k = 0; k < n; k++) v[k] = as<T>(w.get(i.from[1 + k])[l]);
        std::memcpy(p, v, n * sizeof(T));
    });
}

/* fn(old, b, c) is the new value. */
template <class T, class F> void atomic(warp &w, const instruction &i, uint32_t lanes, F fn)
{
    const uint64_t *a = w.get(i.from[0]), *b = w.get(i.from[1]), *c = w.get(i.from.back());
    uint64_t *d = w.at(i.to[0]);
    each(lanes, [&](unsigned l) {
        unsigned char *p =
            reach(w, i, l, space(i.option), a[l] + uint64_t(i.offset), sizeof(T), true, true);
        T v;
        std::memcpy(&v, p, sizeof v);
        const T now = fn(v, as<T>(b[l]), as<T>(c[l]));
        std::memcpy(p, &now, sizeof now);
        d[l] = bits_of(v);
    });
}

/* Widened by the sign: a register may be wider than what it is loaded from. */
template <class T> void load_signed(warp &w, const instruction &i, uint32_t lanes)
{
    load<T>(w, i, lanes);
    for (value v : i.to) {
        uint64_t *d = w.at(v);
        each(lanes, [=](unsigned l) { d[l] = uint64_t(int64_t(as<T>(d[l]))); });
    }
}

handler typed_load(std::string_view t)
{
    if (t == "u8" || t == "b8") return load_any<uint8_t>;
    if (t == "s8") return load_signed<int8_t>;
    if (t == "s16") return load_signed<int16_t>;
    if (t == "s32") return load_signed<int32_t>;
    if (t == "u16" || t == "b16") return load_any<uint16_t>;
    if (t == "u32" || t == "b32" || t == "f32") return load_any<uint32_t>;
    if (t == "u64" || t == "b64" || t == "s64" || t == "f64") return load_any<uint64_t>;
    return nullptr;
}

handler typed_store(std::string_view t)
{
    return of_bits(t, []<class T>() -> handler { return store<T>; });
}

/* ---- cp.async ----------------------------------------------------------------------------------------------------- */

/* Nothing is copied before it is waited for. */
void copy_later(warp &w, const instruction &i, uint32_t lanes)
{
    const uint64_t *to = w.get(i.from[0]), *from = w.get(i.from[1]), *size = w.get(i.from[2]);
    const uint64_t *given = i.from.size() > 3 ? w.get(i.from[3]) : size;
    if (w.b->counts) {
        count_global(*w.b->counts, from, lanes, 16);
        count_shared(*w.b->counts, to, lanes, 16);
    }
    each(lanes, [&](unsigned l) {
        if (size[l] != 16) found(w, i, l, "cp.async of other than 16 bytes");
        if (uint32_t(given[l]) > 16) found(w, i, l, "cp.async reads more than it writes");
        if (to[l] % 16) found(w, i, l, "cp.async to a misaligned address");
        const unsigned char *source = nullptr;
        if (from[l] % 16) found(w, i, l, "cp.async from a misaligned address");
        if (uint32_t(given[l]) > 0) {
            source = reinterpret_cast<const unsigned char *>(uintptr_t(from[l]));
            check_global(w, i, l, source, uint32_t(given[l]), false, false);
        }
        w.copies.open.push_back({ reinterpret_cast<unsigned char *>(uintptr_t(uint32_t(to[l]))),
                                  source, uint32_t(given[l]), l });
    });
}

void finish_copies(warp &w, const instruction &i, uint32_t)
{
    const size_t keep = size_t(w.get(i.from[0])[0]);
    auto &closed = w.copies.closed;
    while (closed.size() > keep) {
        for (const copy &c : closed.front()) {
            unsigned char *to =
                shared_at(w, i, c.lane, uint64_t(reinterpret_cast<uintptr_t>(c.to)), 16, true);
            std::memset(to, 0, 16);
            if (c.bytes) std::memcpy(to, c.from, c.bytes);
        }
        closed.erase(closed.begin());
    }
}

template <class T> void close(batches<T> &b)
{
    b.closed.push_back(std::move(b.open));
    b.open.clear();
}

/* What these lanes have written may be read by products, behind a barrier. */
void pass_on(warp &w, const instruction &, uint32_t lanes)
{
    for (int16_t &t : w.b->unsent)
        if (t >= 0 && t / LANES == int(w.index) && (lanes >> (t % LANES) & 1)) t = -1;
}

} // namespace

handler find_memory(const words &o, instruction &i)
{
    size_t rest = 0;
    const std::string_view b = o[0], t = o.back();
    if (b == "membar") return +[](warp &, const instruction &, uint32_t) {};
    if (b == "cvta" && o.size() == 4 && o[2] == "shared")
        return +[](warp &w, const instruction &n, uint32_t lanes) {
            const uint64_t base =
                uint64_t(reinterpret_cast<uintptr_t>(w.b->memory.data())) - SHARED_BASE;
            unary<uint64_t, uint64_t>(w, n, lanes, [=](uint64_t a) { return a - base; });
        };
    if (b == "cvta" && o.size() == 3 && o[1] == "shared")
        return +[](warp &w, const instruction &n, uint32_t lanes) {
            const uint64_t base =
                uint64_t(reinterpret_cast<uintptr_t>(w.b->memory.data())) - SHARED_BASE;
            unary<uint64_t, uint64_t>(w, n, lanes, [=](uint64_t a) { return a + base; });
        };
    if (b == "ld") {
        i.option = space_of(o, &rest);
        return typed_load(t);
    }
    if (b == "st") {
        i.option = space_of(o, &rest);
        return typed_store(t);
    }
    if (b == "atom") {
        i.option = space_of(o, &rest);
        if (o.size() != rest + 2) return nullptr;
        const bool wide = t.substr(1) == "64";
        if (o[rest] == "add" && wide)
            return +[](warp &w, const instruction &n, uint32_t l) {
                atomic<uint64_t>(w, n, l, [](uint64_t a, uint64_t v, uint64_t) { return a + v; });
            };
        if (o[rest] == "add" && t == "u32")
            return +[](warp &w, const instruction &n, uint32_t l) {
                atomic<uint32_t>(w, n, l, [](uint32_t a, uint32_t v, uint32_t) { return a + v; });
            };
        if (o[rest] == "cas" && t == "b32")
            return +[](warp &w, const instruction &n, uint32_t l) {
                atomic<uint32_t>(
                    w, n, l, [](uint32_t a, uint32_t was, uint32_t v) { return a == was ? v : a; });
            };
        return nullptr;
    }
    if (b == "cp" && o.size() == 5 && o[2] == "cg" && o[3] == "shared" && o[4] == "global")
        return copy_later;
    if (b == "cp" && o.size() == 3 && o[2] == "commit_group")
        return +[](warp &w, const instruction &, uint32_t) { close(w.copies); };
    if (b == "cp" && o.size() == 3 && o[2] == "wait_group") return finish_copies;
    if (b == "fence" && o.size() >= 3 && o[1] == "proxy" && o[2] == "async") return pass_on;
    return nullptr;
}

} // namespace ptx
