/* Warpgroups on the emulated block: the machine of src/cuda/attention_group.h. Products run when they are waited for and
 * not before; until then their registers hold NaN, and what they read must stay. They find what was not sent to them before
 * a barrier, descriptors of another kind than the kernels use, and lanes that ask for different products. */
#ifndef WENGERT_TESTS_EMULATED_GROUP_H
#define WENGERT_TESTS_EMULATED_GROUP_H
#include <map>

#include "emulated_block.h"

struct emulated_group : emulated {
    enum { GROUP = 128 };

    static void sent() { self().current().sent++; }
    template <int NT> static void start(float (&c)[1][NT][4]) { own().started = &c[0][0][0]; }
    static void close()
    {
        own().started = nullptr;
        own().closed.push_back(own().issued);
    }
    static int uniform(int at) { return at; }
    template <int N, int NT> static void finish(float (&c)[1][NT][4])
    {
        thread_state &t = own();
        const size_t batches = t.closed.size() > size_t(N) ? t.closed.size() - size_t(N) : 0;
        t.wanted = batches ? t.closed[batches - 1] : t.done;
        group_state &g = group();
        if (++g.arrived < GROUP)
            self().wait_for(&g.generation);
        else {
            g.arrived = 0;
            g.run();
            g.generation++;
        }
        if (t.flying.count(&c[0][0][0]))
            self().found("registers are read while a product has them");
        t.closed.erase(t.closed.begin(), t.closed.begin() + long(batches));
    }
    template <int KT> static void keep(uint32_t (&)[1][KT][4]) {}

    template <int NT>
    static void group_mma(float (&c)[NT][4], uint64_t a, uint64_t b, bool turned, bool add,
                          value of)
    {
        issue(&c[0][0], NT, { a, b, NT, true, turned, add, of, {}, {} }, nullptr);
    }
    template <int NT>
    static void group_mma(float (&c)[NT][4], const uint32_t (&a)[4], uint64_t b, bool turned,
                          bool add, value of)
    {
        issue(&c[0][0], NT, { 0, b, NT, false, turned, add, of, {}, {} }, a);
    }

    static std::string run(int64_t blocks, int threads, int bytes,
                           const std::function<void()> &body)
    {
        states().assign(size_t(threads), thread_state());
        groups().assign(size_t(threads) / GROUP, group_state());
        std::string said = emulated::run(blocks, threads, bytes, body);
        for (const thread_state &t : states())
            if (said.empty() && !t.flying.empty()) said = "products that nobody waited for";
        return said;
    }

  private:
    struct product {
        uint64_t a, b;
        int nt;
        bool whole; /* a is a descriptor, not a fragment */
        bool turned, add;
        value of;
        float *c[GROUP];
        const uint32_t *left[GROUP];
        bool same(const product &p) const
        {
            return a == p.a && b == p.b && nt == p.nt && whole == p.whole && turned == p.turned &&
                   add == p.add;
        }
    };
    struct thread_state {
        const float *started = nullptr;
        int64_t issued = 0, done = 0, wanted = 0;
        std::vector<int64_t> closed;                  /* products issued at the end of each batch */
        std::map<float *, std::vector<float>> flying; /* what the registers really hold */
    };
    struct group_state {
        int arrived = 0, number = -1;
        int64_t generation = 0, first = 0; /* products before this one are done */
        std::vector<product> products;
        std::vector<int> lanes; /* that have asked for it */

        /* All that every lane has waited for. */
        void run()
        {
            int64_t upto = INT64_MAX;
            for (int l = 0; l < GROUP; l++)
                upto = std::min(upto, states()[size_t(number * GROUP + l)].wanted);
            while (!products.empty() && first < upto) {
                multiply(products.front(), number);
                products.erase(products.begin());
                lanes.erase(lanes.begin());
                first++;
            }
            for (int l = 0; l < GROUP; l++) settle(states()[size_t(number * GROUP + l)], l);
        }
        /* Registers that no product has any more get their values. */
        void settle(thread_state &t, int l)
        {
            t.done = std::max(t.done, first);
            for (auto f = t.flying.begin(); f != t.flying.end();) {
                bool busy = false;
                for (const product &p : products) busy = busy || p.c[l] == f->first;
                if (busy) {
                    ++f;
                    continue;
                }
                std::copy(f->second.begin(), f->second.end(), f->first);
                f = t.flying.erase(f);
            }
        }
    };

    static std::vector<thread_state> &states()
    {
        static std::vector<thread_state> s;
        return s;
    }
    static std::vector<group_state> &groups()
    {
        static std::vector<group_state> g;
        return g;
    }
    static thread_state &own() { return states()[size_t(self().running)]; }
    static group_state &group()
    {
        const int number = self().running / GROUP;
        group_state &g = groups()[size_t(number)];
        g.number = number;
        return g;
    }

    static void issue(float *c, int nt, const product &p, const uint32_t *left)
    {
        thread_state &t = own();
        group_state &g = group();
        const int lane = self().running % GROUP;
        const size_t at = size_t(t.issued++ - g.first);
        if (at == g.products.size()) {
            g.products.push_back(p);
            g.lanes.push_back(0);
        }
        product &q = g.products[at];
        if (!q.same(p)) self().found("lanes of a warpgroup at different products");
        q.c[lane] = c;
        q.left[lane] = left;
        g.lanes[at]++;
        if (t.started != c) self().found("a product writes registers that were not started");
        if (!t.flying.count(c)) {
            t.flying[c] = std::vector<float>(c, c + nt * 4);
            std::fill(c, c + nt * 4, NAN);
        }
        if (p.whole) operand(p.a, 64, false, nullptr);
        operand(p.b, nt * 8, p.turned, nullptr);
    }

    /* Element (i, k), k < 16, of the matrix that a descriptor names: rows of 128 bytes, by eight; turned: rows are k's. */
    static int place(uint64_t d, int i, int k, bool turned)
    {
        const int start = int(d & 0x3fff) << 4, lead = int(d >> 16 & 0x3fff) << 4,
                  eight = int(d >> 32 & 0x3fff) << 4;
        const int plain = turned ? start + i % 64 * 2 + i / 64 * lead + k % 8 * 128 + k / 8 * eight
                                 : start + i % 8 * 128 + i / 8 * eight + k * 2;
        return plain ^ (plain >> 7 & 7) << 4;
    }
    static void operand(uint64_t d, int n, bool turned, uint16_t *to)
    {
        emulated &e = self();
        if (d >> 62 != 1 || (d >> 46 & 0xffff)) e.found("a descriptor of another kind");
        for (int i = 0; i < n; i++)
            for (int k = 0; k < 16; k += 2) {
                const int step = turned ? 1 : 2; /* neighbours in memory: of a row */
                if (turned && i % 2) break;
                for (int r = 0; r < 2 / step; r++) {
                    const int at = place(d, i, k + r, turned);
                    read_word(e, at);
                    if (!to) continue;
                    uint16_t pair[2];
                    memcpy(pair, e.shared.get() + at, 4);
                    to[i * 16 + k + r] = pair[0];
                    (turned ? to[(i + 1) * 16 + k + r] : to[i * 16 + k + 1]) = pair[1];
                }
            }
    }
    static void read_word(emulated &e, int at)
    {
        const char *wrong = nullptr;
        if (at < 0 || at + 4 > e.bytes) wrong = "behind shared memory";
        word &w = e.words[wrong ? 0 : size_t(at) / 4];
        if (!wrong && w.writer != NOBODY && w.write_epoch == e.epoch)
            wrong = "with no barrier behind its writer";
        if (!wrong && w.writer != NOBODY && e.fibers[size_t(w.writer)].sent <= w.sent)
            wrong = "that was not sent";
        if (wrong) {
            e.found("a product reads byte " + std::to_string(at) + " " + wrong);
            e.leave();
        }
        w.read_epoch = e.epoch;
        w.reader = MANY;
    }

    static void multiply(const product &p, int number)
    {
        std::vector<uint16_t> left(64 * 16), right(size_t(p.nt) * 8 * 16);
        if (p.whole)
            operand(p.a, 64, false, left.data());
        else
            for (int l = 0; l < GROUP; l++) gather(p.left[l], l, left);
        operand(p.b, p.nt * 8, p.turned, right.data());
        for (int l = 0; l < GROUP; l++) {
            std::vector<float> &c = states()[size_t(number * GROUP + l)].flying[p.c[l]];
            for (int i = 0; i < p.nt * 4; i++) {
                const int row = l / 32 * 16 + l % 32 / 4 + i / 2 % 2 * 8,
                          column = i / 4 * 8 + l % 4 * 2 + i % 2;
                double sum = p.add ? double(c[size_t(i)]) : 0;
                for (int k = 0; k < 16; k++)
                    sum += double(p.of(left[size_t(row * 16 + k)])) *
                           double(p.of(right[size_t(column * 16 + k)]));
                c[size_t(i)] = float(sum);
            }
        }
    }
    /* A lane's part of a (64, 16) operand in registers: as mma.m16n8k16 has it in each warp. */
    static void gather(const uint32_t *a, int l, std::vector<uint16_t> &left)
    {
        for (int i = 0; i < 8; i++) {
            const int row = l / 32 * 16 + l % 32 / 4 + i / 2 % 2 * 8,
                      column = l % 4 * 2 + i % 2 + i / 4 * 8;
            left[size_t(row * 16 + column)] = uint16_t(a[i / 2] >> i % 2 * 16);
        }
    }
};

#endif
