/* A kernel's text, read once. */
#ifndef WENGERT_TESTS_PTX_PARSE_H
#define WENGERT_TESTS_PTX_PARSE_H
#include <set>

#include "ptx.h"

namespace ptx
{

class parser
{
  public:
    parser(module &of, kernel &to) : m(of), k(to) {}
    void entry(size_t begin);

  private:
    struct operand {
        value v;
        int64_t more;
    };
    module &m;
    kernel &k;
    std::map<std::string, value> registers;
    std::map<uint64_t, value> constants;
    std::map<std::string, int32_t> labels;
    std::vector<std::pair<size_t, std::string>> jumps;
    std::map<std::string, size_t> offsets; /* of the kernel's parameters */
    std::map<std::string, size_t> places;  /* of shared variables */
    std::map<std::string, size_t> locals;  /* of a thread's own */
    std::set<std::string> used_dynamic;
    std::vector<std::pair<value, std::string>> dynamic_constants;
    std::vector<std::map<std::string, value>> inner; /* registers of each open brace in a body */
    std::string scope; /* before names of a function that stands in its caller */
    int calls = 0;
    uint32_t line = 0, source = 0, caller_line = 0, caller_source = 0;

    void body(size_t at);
    void one(std::string_view statement);
    void directive(std::string_view statement);
    void call(const std::vector<std::string_view> &given);
    void plain(instruction i, std::string_view opcode,
               const std::vector<std::string_view> &operands, std::string_view statement);
    void put(instruction i, std::string_view statement);
    std::vector<std::string_view> parameters_of(std::string_view &head);
    operand read(std::string_view s);
    value named(std::string_view name);
    value constant(uint64_t bits);
    value fresh_constant(uint64_t bits);
    void set_constant(value v, uint64_t bits);
};

} // namespace ptx
#endif
