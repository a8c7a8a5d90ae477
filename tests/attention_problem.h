/* A problem of attention on the CPU with its solution by the formula in f64, for kernels that run
 * on an emulated block. Memory behind what an operand has is not theirs: the vectors are as long
 * as their elements reach. */
#ifndef WENGERT_TESTS_ATTENTION_PROBLEM_H
#define WENGERT_TESTS_ATTENTION_PROBLEM_H

struct problem {
    wgi_attention_pass p = {};

    /* by_time: (B, T, H, D) in memory, else (B, H, T, D). */
    problem(int b, int h, int kv, int tq, int tk, int d, int dv, int type, bool by_time)
        : type(type), by_time(by_time)
    {
        p.batch = b;
        p.heads = h;
        p.kv_heads = kv;
        p.tq = tq;
        p.tk = tk;
        p.d = d;
        p.dv = dv;
        p.scale = 1 / std::sqrt(double(d));
        p.random[0] = 7;
        p.random[1] = 11;
        p.rows = (tq + WGI_ATTENTION_ROWS - 1) / WGI_ATTENTION_ROWS * WGI_ATTENTION_ROWS;
        make(p.q, h, tq, d, true);
        make(p.k, kv, tk, d, true);
        make(p.v, kv, tk, dv, true);
        make(p.dy, h, tq, dv, true);
        make(p.y, h, tq, dv, false);
        make(p.dq, h, tq, d, true); /* something to add to */
        make(p.dk, kv, tk, d, true);
        make(p.dv_out, kv, tk, dv, true);
        const bool keep = by_time, f64 = type == WG_F64;
        this->by_time = false;
        this->type = f64 ? WG_F64 : WG_F32;
        make(p.lse, h, tq, 1, false);
        p.lse.stride[0] = int64_t(h) * tq;
        p.lse.stride[1] = tq;
        p.lse.stride[2] = p.lse.stride[3] = 1;
        this->by_time = keep;
        this->type = type;
        for (const wgi_attention_operand *o : { &p.dq, &p.dk, &p.dv_out })
            before.push_back(std::vector<char>(o->data, o->data + memory_of(*o).size()));
    }

    /* 1: bool (Tq, Tk), row 3 blind; 2: floating, by head. */
    void add_mask(int kind)
    {
        const int64_t n = int64_t(p.tq) * p.tk;
        p.mask.stride[2] = p.tk;
        p.mask.stride[3] = 1;
        p.mask.stride[1] = kind == 2 ? n : 0;
        p.mask.type = kind == 2 ? int(WG_F32) : int(WG_BOOL);
        memory.emplace_back(new std::vector<char>(size_t(kind == 2 ? n * p.heads * 4 : n)));
        p.mask.data = memory.back()->data();
        for (int64_t i = 0; i < (kind == 2 ? n * p.heads : n); i++)
            if (kind == 2)
                reinterpret_cast<float *>(p.mask.data)[i] = float(normal(random));
            else
                p.mask.data[i] = i / p.tk != 3 && normal(random) > -0.5;
    }

    /* The outputs by the formula. */
    void solve()
    {
        const size_t rows = size_t(p.batch) * size_t(p.heads) * size_t(p.tq),
                     keys = size_t(p.batch) * size_t(p.kv_heads) * size_t(p.tk);
        y.assign(rows * size_t(p.dv), 0);
        lse.assign(rows, -INFINITY);
        dq.assign(rows * size_t(p.d), 0);
        dk.assign(keys * size_t(p.d), 0);
        dv.assign(keys * size_t(p.dv), 0);
        for (int b = 0; b < p.batch; b++)
            for (int h = 0; h < p.heads; h++)
                for (int i = 0; i < p.tq; i++) solve_row(b, h, i);
    }

    void expect_clean(const std::string &said) const
    {
        ck_assert_msg(said.empty(), "%s: %s", text().c_str(), said.c_str());
        ck_assert_msg(emulated::bank_conflicts() == 0, "%s: %lld bank conflicts", text().c_str(),
                      (long long)emulated::bank_conflicts());
    }

    void expect_forward(double tolerance, double of_lse = 1e-4)
    {
        expect_near("y", p.y, p.heads, p.tq, p.dv, y, tolerance);
        for (int b = 0, row = 0; b < p.batch; b++)
            for (int h = 0; h < p.heads; h++)
                for (int i = 0; i < p.tq; i++, row++) {
                    const double got = at(p.lse, b, h, i, 0), want = lse[size_t(row)];
                    ck_assert_msg(got == want || std::fabs(got - want) < of_lse,
                                  "%s: lse %g, want %g", text().c_str(), got, want);
                }
    }

    /* What row_delta and row_lse should become, with memory for them; poison in what backward
     * writes. */
    void prepare_backward(double unit, bool accumulate)
    {
        const size_t n = size_t(p.batch) * size_t(p.heads) * size_t(p.rows);
        const bool f64 = type == WG_F64;
        p.accumulate = accumulate;
        for (void **terms : { &p.row_delta, &p.row_lse }) {
            memory.emplace_back(new std::vector<char>(n * (f64 ? 8 : 4)));
            *terms = memory.back()->data();
        }
        for (size_t r = 0; r < n; r++) {
            const int i = int(r % size_t(p.rows)), h = int(r / size_t(p.rows)) % p.heads,
                      b = int(r / size_t(p.rows)) / p.heads;
            double delta = 0, own = INFINITY;
            if (i < p.tq) {
                for (int c = 0; c < p.dv; c++) delta += at(p.dy, b, h, i, c) * at(p.y, b, h, i, c);
                own = at(p.lse, b, h, i, 0) * unit;
                if (own == -INFINITY) own = INFINITY;
            }
            terms_wanted.push_back(delta);
            terms_wanted.push_back(own);
        }
        if (accumulate) return;
        for (const wgi_attention_operand *o : { &p.dq, &p.dk, &p.dv_out })
            memset(o->data, 0xff, memory_of(*o).size());
    }

    void expect_rows(double tolerance) const
    {
        const bool f64 = type == WG_F64;
        for (size_t n = 0; n < terms_wanted.size(); n++) {
            const void *terms = n % 2 ? p.row_lse : p.row_delta;
            const double want = terms_wanted[n],
                         got = f64 ? static_cast<const double *>(terms)[n / 2]
                                   : double(static_cast<const float *>(terms)[n / 2]);
            ck_assert_msg(got == want || std::fabs(got - want) < tolerance,
                          "%s: %s of row %d: %g, want %g", text().c_str(), n % 2 ? "lse" : "delta",
                          int(n / 2), got, want);
        }
    }

    void expect_backward(double tolerance)
    {
        expect_near("dq", p.dq, p.heads, p.tq, p.d, added(0, p.dq, p.heads, p.tq, p.d, dq),
                    tolerance);
        expect_near("dk", p.dk, p.kv_heads, p.tk, p.d, added(1, p.dk, p.kv_heads, p.tk, p.d, dk),
                    tolerance);
        expect_near("dv", p.dv_out, p.kv_heads, p.tk, p.dv,
                    added(2, p.dv_out, p.kv_heads, p.tk, p.dv, dv), tolerance);
    }

  private:
    int type;
    bool by_time;
    std::mt19937 random { 5 };
    std::normal_distribution<double> normal;
    std::vector<std::unique_ptr<std::vector<char>>> memory;
    std::vector<std::vector<char>> before;
    std::vector<double> terms_wanted, y, lse, dq, dk, dv;

    void make(wgi_attention_operand &o, int heads, int t, int d, bool filled)
    {
        const int64_t n = int64_t(p.batch) * heads * t * d, size = type == WG_F64   ? 8
                                                                   : type == WG_F32 ? 4
                                                                                    : 2;
        memory.emplace_back(new std::vector<char>(size_t(n * size) + 16, char(0xff)));
        /* vectors begin at 16 bytes; the end is theirs exactly */
        memory.back()->resize(size_t(n * size));
        o.data = memory.back()->data();
        o.type = type;
        o.stride[0] = int64_t(heads) * t * d;
        o.stride[1] = by_time ? d : int64_t(t) * d;
        o.stride[2] = by_time ? int64_t(heads) * d : d;
        o.stride[3] = 1;
        for (int64_t i = 0; i < n && filled; i++) wgi::set_element(o, i, normal(random));
    }

    const std::vector<char> &memory_of(const wgi_attention_operand &o) const
    {
        for (const auto &m : memory)
            if (m->data() == o.data) return *m;
        return *memory.front();
    }

    double at(const wgi_attention_operand &o, int b, int h, int i, int c) const
    {
        return wgi::element<double>(o, wgi_row_offset(&o, b, h, i) + c * o.stride[3]);
    }

    bool seen(int i, int j) const
    {
        const int now = i + p.tk - p.tq;
        return !(p.causal && j > now) && !(p.window && j <= now - p.window);
    }

    void solve_row(int b, int h, int i)
    {
        const int kv = h / (p.heads / p.kv_heads);
        const size_t row = (size_t(b) * size_t(p.heads) + size_t(h)) * size_t(p.tq) + size_t(i),
                     head = (size_t(b) * size_t(p.kv_heads) + size_t(kv)) * size_t(p.tk);
        std::vector<double> s(size_t(p.tk), -INFINITY), keep(size_t(p.tk), 1);
        double top = -INFINITY, sum = 0, delta = 0;
        for (int j = 0; j < p.tk; j++) {
            if (!seen(i, j)) continue;
            double dot = 0;
            for (int c = 0; c < p.d; c++) dot += at(p.q, b, h, i, c) * at(p.k, b, kv, j, c);
            double &v = s[size_t(j)];
            v = dot * p.scale;
            const int64_t m = h * p.mask.stride[1] + i * p.mask.stride[2] + j;
            if (p.mask.data && p.mask.type == WG_BOOL) v = p.mask.data[m] ? v : -INFINITY;
            if (p.mask.data && p.mask.type == WG_F32)
                v += double(reinterpret_cast<const float *>(p.mask.data)[m]);
            if (p.dropout > 0) {
                const uint32_t word =
                    wgi_random_word(p.random[0], p.random[1], int64_t(row) * p.tk + j);
                keep[size_t(j)] = wgi_uniform24(word) >= float(p.dropout) ? 1 / (1 - p.dropout) : 0;
            }
            top = std::max(top, v);
        }
        if (top == -INFINITY) return;
        for (int j = 0; j < p.tk; j++) sum += s[size_t(j)] = std::exp(s[size_t(j)] - top);
        lse[row] = top + std::log(sum);
        for (int j = 0; j < p.tk; j++) {
            double &v = s[size_t(j)];
            v /= sum;
            for (int c = 0; c < p.dv; c++) {
                y[row * size_t(p.dv) + size_t(c)] += v * keep[size_t(j)] * at(p.v, b, kv, j, c);
                dv[(head + size_t(j)) * size_t(p.dv) + size_t(c)] +=
                    v * keep[size_t(j)] * at(p.dy, b, h, i, c);
            }
        }
        for (int c = 0; c < p.dv; c++)
            delta += y[row * size_t(p.dv) + size_t(c)] * at(p.dy, b, h, i, c);
        for (int j = 0; j < p.tk; j++) {
            double dp = 0;
            for (int c = 0; c < p.dv; c++) dp += at(p.dy, b, h, i, c) * at(p.v, b, kv, j, c);
            const double ds = p.scale * s[size_t(j)] * (dp * keep[size_t(j)] - delta);
            for (int c = 0; c < p.d; c++) {
                dq[row * size_t(p.d) + size_t(c)] += ds * at(p.k, b, kv, j, c);
                dk[(head + size_t(j)) * size_t(p.d) + size_t(c)] += ds * at(p.q, b, h, i, c);
            }
        }
    }

    /* What an output should be: with what was there, if that was to be added to. */
    std::vector<double> added(size_t which, const wgi_attention_operand &o, int heads, int t, int d,
                              std::vector<double> want)
    {
        if (!p.accumulate) return want;
        wgi_attention_operand old = o;
        old.data = before[which].data();
        size_t n = 0;
        for (int b = 0; b < p.batch; b++)
            for (int h = 0; h < heads; h++)
                for (int i = 0; i < t; i++)
                    for (int c = 0; c < d; c++) want[n++] += at(old, b, h, i, c);
        return want;
    }

    void expect_near(const char *name, const wgi_attention_operand &o, int heads, int t, int d,
                     const std::vector<double> &want, double tolerance)
    {
        double largest = 0, far = 0;
        size_t n = 0;
        for (double v : want) largest = std::max(largest, std::fabs(v));
        for (int b = 0; b < p.batch; b++)
            for (int h = 0; h < heads; h++)
                for (int i = 0; i < t; i++)
                    for (int c = 0; c < d; c++) {
                        const double off = std::fabs(at(o, b, h, i, c) - want[n++]);
                        far = off > far || off != off ? off : far;
                    }
        worst = std::max(worst, largest > 0 ? far / largest / tolerance : 0);
        ck_assert_msg(far <= tolerance * largest, "%s: %s is off by %g of %g", text().c_str(), name,
                      far, largest);
    }

    std::string text() const
    {
        char s[200];
        snprintf(s, sizeof s,
                 "type %d B %d H %d/%d T %d,%d D %d,%d causal %d window %d mask %d dropout %g",
                 type, p.batch, p.heads, p.kv_heads, p.tq, p.tk, p.d, p.dv, p.causal, p.window,
                 p.mask.data != nullptr, p.dropout);
        return s;
    }

  public:
    static double worst; /* of all errors, in parts of their tolerance */
};

double problem::worst = 0;

/* A test program of problems. */
static int run_problems(const char *name, const std::vector<const TTest *> &tests)
{
    Suite *suite = suite_create(name);
    TCase *c = tcase_create(name);
    tcase_set_timeout(c, 0);
    for (const TTest *t : tests) tcase_add_test(c, t);
    suite_add_tcase(suite, c);
    SRunner *r = srunner_create(suite);
    srunner_set_fork_status(r, CK_NOFORK);
    srunner_run_all(r, CK_NORMAL);
    printf("the largest error is %.2f of its tolerance\n", problem::worst);
    const int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
#endif
