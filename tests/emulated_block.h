/* A block of a GPU on the CPU, as the machine of src/cuda/attention_tile.h: every thread is a
 * fiber; the warp's instructions are done when all 32 lanes have come to them. It finds wrong
 * addresses, layouts and synchronisation: copies to shared memory arrive when they are waited for
 * and not before, memory that was not written holds NaN, and two threads that touch a word between
 * two barriers, one of them writing, are a race. */
#ifndef WENGERT_TESTS_EMULATED_BLOCK_H
#define WENGERT_TESTS_EMULATED_BLOCK_H
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#define EMULATED_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EMULATED_ASAN 1
#endif
#endif
#ifdef EMULATED_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

struct emulated {
    enum { STACK = 1 << 18, LANES = 32, MANY = -2, NOBODY = -1 };
    enum call { SHUFFLE, ANY, LDMATRIX, LDMATRIX_TRANS, MMA };

    /* ---- what a tile's code calls ---- */
    static int thread() { return self().running; }
    static int64_t block() { return self().block_index; }
    static int here(int v) { return v; }
    static int memory() { return 0; }
    static void copy16(int to, const void *from, bool there)
    {
        copy c = { to, {} };
        if (there) memcpy(c.bytes, from, 16);
        self().touch(to, 16, true); /* the place must be free from now on */
        self().current().open.push_back(c);
    }
    static void commit()
    {
        fiber &f = self().current();
        f.groups.push_back(f.open);
        f.open.clear();
    }
    template <int N> static void wait()
    {
        fiber &f = self().current();
        while (f.groups.size() > size_t(N)) {
            for (const copy &c : f.groups.front()) {
                self().touch(c.to, 16, true);
                memcpy(self().shared.get() + c.to, c.bytes, 16);
            }
            f.groups.erase(f.groups.begin());
        }
    }
    static void sync()
    {
        emulated &e = self();
        if (++e.arrived == e.threads) {
            e.arrived = 0;
            e.epoch++;
            e.barrier++;
        } else
            e.wait_for(&e.barrier);
    }
    static void ldmatrix(uint32_t (&r)[4], int at) { matrices(LDMATRIX, r, at); }
    static void ldmatrix_trans(uint32_t (&r)[4], int at) { matrices(LDMATRIX_TRANS, r, at); }
    template <class T> static T shuffle_xor(T v, int n)
    {
        T got = v;
        struct slot {
            T *v, *got;
            int n;
        } own = { &v, &got, n };
        self().collective(SHUFFLE, &own, [](void *const *lane) {
            for (int l = 0; l < LANES; l++) {
                const slot *s = static_cast<slot *>(lane[l]);
                *s->got = *static_cast<slot *>(lane[l ^ s->n])->v;
            }
        });
        return got;
    }
    static bool any(bool b)
    {
        self().collective(ANY, &b, [](void *const *lane) {
            bool all = false;
            for (int l = 0; l < LANES; l++) all = all || *static_cast<bool *>(lane[l]);
            for (int l = 0; l < LANES; l++) *static_cast<bool *>(lane[l]) = all;
        });
        return b;
    }
    template <class T> static T load16(const T *from) { return *from; }
    static float exp2(float x) { return std::exp2(x); }
    static float log2(float x) { return std::log2(x); }
    static float exp(float x) { return std::exp(x); }
    static double exp(double x) { return std::exp(x); }
    static float log(float x) { return std::log(x); }
    static double log(double x) { return std::log(x); }
    template <class T> static T get(int at)
    {
        T v;
        self().touch(at, sizeof(T), false);
        memcpy(&v, self().shared.get() + at, sizeof v);
        return v;
    }
    template <class T> static void put(int at, T v)
    {
        self().touch(at, sizeof(T), true);
        memcpy(self().shared.get() + at, &v, sizeof v);
    }

    /* c (16, 8) += a (16, 16) b (16, 8), who holds what as the PTX ISA has it. */
    typedef float (*value)(uint16_t);
    static void mma(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, value of)
    {
        struct slot {
            float *c;
            const uint32_t *a;
            uint32_t b[2];
            value of;
        } own = { c, a, { b0, b1 }, of };
        self().collective(MMA, &own, [](void *const *lane) {
            float left[16][16], right[16][8];
            for (int l = 0; l < LANES; l++) {
                const slot *s = static_cast<slot *>(lane[l]);
                const int group = l >> 2, member = l & 3;
                for (int i = 0; i < 8; i++) { /* a0 .. a7 */
                    const int row = i < 2 || (i >= 4 && i < 6) ? group : group + 8,
                              column = member * 2 + (i & 1) + (i >= 4 ? 8 : 0);
                    left[row][column] = s->of(uint16_t(s->a[i / 2] >> i % 2 * 16));
                }
                for (int i = 0; i < 4; i++) /* b0 .. b3 */
                    right[member * 2 + (i & 1) + (i >= 2 ? 8 : 0)][group] =
                        s->of(uint16_t(s->b[i / 2] >> i % 2 * 16));
            }
            for (int l = 0; l < LANES; l++) {
                const slot *s = static_cast<slot *>(lane[l]);
                for (int i = 0; i < 4; i++) { /* c0 .. c3 */
                    const int row = i < 2 ? l >> 2 : (l >> 2) + 8, column = (l & 3) * 2 + (i & 1);
                    double sum = double(s->c[i]);
                    for (int k = 0; k < 16; k++)
                        sum += double(left[row][k]) * double(right[k][column]);
                    s->c[i] = float(sum);
                }
            }
        });
    }

    /* ---- running ---- */
    /* body: for each of `blocks` blocks of `threads` threads with `bytes` of shared memory. What
     * went wrong, or "". */
    static std::string run(int64_t blocks, int threads, int bytes,
                           const std::function<void()> &body)
    {
        emulated &e = self();
        e.threads = threads;
        e.bytes = bytes;
        e.body = &body;
        e.wrong.clear();
        e.conflicts = 0;
        for (int64_t b = 0; b < blocks && e.wrong.empty(); b++) {
            e.block_index = b;
            e.run_block();
        }
        return e.wrong;
    }
    /* Rows of a matrix that ldmatrix read from one bank beside another of its eight, in the last
     * run. */
    static int64_t bank_conflicts() { return self().conflicts; }

  private:
    friend struct emulated_group; /* emulated_group.h */
    struct copy {
        int to;
        unsigned char bytes[16];
    };
    struct word {
        int64_t read_epoch, write_epoch;
        int reader, writer;
        int64_t sent; /* how often the writer had called sent() when it wrote */
    };
    struct fiber {
        ucontext_t start;
        jmp_buf at;
        std::unique_ptr<char[]> stack;
        bool started = false, done = false;
        const int64_t *waits_for = nullptr;
        int64_t seen = 0, sent = 0;
        std::vector<copy> open;
        std::vector<std::vector<copy>> groups;
    };
    struct warp {
        int arrived = 0;
        call what = SHUFFLE;
        int64_t generation = 0;
        void *lane[LANES];
    };

    int64_t block_index = 0, barrier = 0, epoch = 0, conflicts = 0;
    int threads = 0, bytes = 0, running = 0, arrived = 0;
    std::unique_ptr<unsigned char[]> shared;
    std::vector<word> words;
    std::vector<fiber> fibers;
    std::vector<warp> warps;
    const std::function<void()> *body = nullptr;
    std::string wrong;
    jmp_buf home;
#ifdef EMULATED_ASAN
    const void *home_stack = nullptr;
    size_t home_size = 0;
#endif

    static emulated &self()
    {
        static emulated e;
        return e;
    }
    fiber &current()
    {
        return fibers[size_t(running)];
    }
    void found(const std::string &what)
    {
        if (wrong.empty())
            wrong = what + " (block " + std::to_string(block_index) + ", thread " +
                    std::to_string(running) + ")";
    }

    /* A word's readers and writers since the last barrier. */
    void touch(int at, size_t size, bool writes)
    {
        if (at < 0 || size_t(at) + size > size_t(bytes)) {
            found("shared memory: byte " + std::to_string(at) + " of " + std::to_string(bytes));
            leave();
        }
        if (size_t(at) % size) {
            found("shared memory: byte " + std::to_string(at) + " is not aligned");
            leave();
        }
        for (size_t n = size_t(at) / 4; n < (size_t(at) + size + 3) / 4; n++) {
            word &w = words[n];
            const bool wrote = w.write_epoch == epoch && w.writer != running,
                       read = w.read_epoch == epoch && w.reader != running;
            if (wrote || (writes && read))
                found("race at byte " + std::to_string(n * 4) + " with thread " +
                      std::to_string(wrote ? w.writer : w.reader));
            if (writes) {
                w.write_epoch = epoch;
                w.writer = running;
                w.sent = current().sent;
            } else {
                w.reader = w.read_epoch == epoch && w.reader != running ? int(MANY) : running;
                w.read_epoch = epoch;
            }
        }
    }

    static void matrices(call what, uint32_t (&r)[4], int at)
    {
        struct slot {
            uint32_t *r;
            int at;
        } own = { r, at };
        self().touch(at, 16, false);
        self().collective(
            what, &own,
            what == LDMATRIX ? [](void *const *lane) { load(lane, false); }
                             : [](void *const *lane) { load(lane, true); });
    }
    /* Matrix q's row i begins where lane 8 q + i says; a lane gets two neighbours of a row, or of
     * a column. */
    static void load(void *const *lane, bool transposed)
    {
        struct slot {
            uint32_t *r;
            int at;
        };
        emulated &e = self();
        for (int q = 0; q < 4; q++) {
            uint16_t m[8][8];
            unsigned banks = 0;
            for (int i = 0; i < 8; i++) {
                const int at = static_cast<slot *>(lane[q * 8 + i])->at;
                memcpy(m[i], e.shared.get() + at, 16);
                banks |= 1u << at / 16 % 8;
            }
            e.conflicts += 8 - __builtin_popcount(banks);
            for (int l = 0; l < LANES; l++) {
                const int a = l / 4, b = l % 4 * 2;
                const uint16_t low = transposed ? m[b][a] : m[a][b],
                               high = transposed ? m[b + 1][a] : m[a][b + 1];
                static_cast<slot *>(lane[l])->r[q] = low | uint32_t(high) << 16;
            }
        }
    }

    /* All lanes come here with the same call; the last one does the work. */
    void collective(call what, void *own, void (*work)(void *const *))
    {
        warp &w = warps[size_t(running) / LANES];
        if (w.arrived == 0) w.what = what;
        if (w.what != what) {
            found("lanes of a warp at different instructions");
            leave();
        }
        w.lane[running % LANES] = own;
        if (++w.arrived < LANES) {
            wait_for(&w.generation);
            return;
        }
        work(w.lane);
        w.arrived = 0;
        w.generation++;
    }

    void wait_for(const int64_t *generation)
    {
        current().waits_for = generation;
        current().seen = *generation;
        leave();
    }

    /* ---- fibers ---- */
    void leave()
    {
        fiber &f = current();
#ifdef EMULATED_ASAN
        void *fake;
        if (_setjmp(f.at) == 0) {
            __sanitizer_start_switch_fiber(&fake, home_stack, home_size);
            _longjmp(home, 1);
        }
        __sanitizer_finish_switch_fiber(fake, &home_stack, &home_size);
#else
        if (_setjmp(f.at) == 0) _longjmp(home, 1);
#endif
    }
    static void entry()
    {
        emulated &e = self();
#ifdef EMULATED_ASAN
        __sanitizer_finish_switch_fiber(nullptr, &e.home_stack, &e.home_size);
#endif
        (*e.body)();
        e.current().done = true;
#ifdef EMULATED_ASAN
        __sanitizer_start_switch_fiber(nullptr, e.home_stack, e.home_size);
#endif
        _longjmp(e.home, 1);
    }
    void resume(fiber &f)
    {
#ifdef EMULATED_ASAN
        void *fake;
        __sanitizer_start_switch_fiber(&fake, f.stack.get(), STACK);
#endif
        if (_setjmp(home) == 0) {
            if (f.started) _longjmp(f.at, 1);
            f.started = true;
            setcontext(&f.start);
        }
#ifdef EMULATED_ASAN
        __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#endif
    }
    void prepare()
    {
        shared.reset(new unsigned char[size_t(bytes)]);
        memset(shared.get(), 0xff, size_t(bytes)); /* NaN in every float format */
        words.assign(size_t(bytes) / 4 + 1, word { -1, -1, NOBODY, NOBODY, 0 });
        warps.assign(size_t(threads) / LANES, warp());
        if (fibers.size() != size_t(threads)) fibers = std::vector<fiber>(size_t(threads));
        barrier = epoch = arrived = 0;
        for (fiber &f : fibers) {
            if (!f.stack) f.stack.reset(new char[STACK]);
            f.started = f.done = false;
            f.sent = 0;
            f.waits_for = nullptr;
            f.open.clear();
            f.groups.clear();
            getcontext(&f.start);
            f.start.uc_stack.ss_sp = f.stack.get();
            f.start.uc_stack.ss_size = STACK;
            f.start.uc_link = nullptr;
            makecontext(&f.start, entry, 0);
        }
    }
    void run_block()
    {
        prepare();
        for (bool moved = true; moved && wrong.empty();) {
            moved = false;
            for (running = 0; running < threads && wrong.empty(); running++) {
                fiber &f = current();
                if (f.done || (f.waits_for && *f.waits_for == f.seen)) continue;
                f.waits_for = nullptr;
                moved = true;
                resume(f);
            }
        }
        for (running = 0; running < threads && wrong.empty(); running++) {
            if (!current().done) found("threads of a block do not come to the same barrier");
            if (!current().open.empty() || !current().groups.empty())
                found("copies that nobody waited for");
        }
    }
};

#endif
