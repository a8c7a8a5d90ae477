/* PTX text to instructions. */
#include "parse.h"

#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace ptx
{

namespace
{

[[noreturn]] void refuse(const std::string &what, std::string_view where)
{
    std::fprintf(stderr, "ptx: %s: %.*s\n", what.c_str(), int(std::min<size_t>(where.size(), 200)),
                 where.data());
    std::abort();
}

std::string_view trimmed(std::string_view s)
{
    while (!s.empty() && std::isspace(static_cast<unsigned char>(s.front()))) s.remove_prefix(1);
    while (!s.empty() && std::isspace(static_cast<unsigned char>(s.back()))) s.remove_suffix(1);
    return s;
}

bool is_name(char c)
{
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '$' || c == '.' ||
           c == '%';
}

/* The first word of s, which is taken off. */
std::string_view word(std::string_view &s)
{
    s = trimmed(s);
    size_t n = 0;
    while (n < s.size() && is_name(s[n])) n++;
    const std::string_view w = s.substr(0, n);
    s.remove_prefix(n);
    return w;
}

/* Cut at the commas that are in no bracket. */
std::vector<std::string_view> parts(std::string_view s)
{
    std::vector<std::string_view> out;
    int depth = 0;
    size_t begin = 0;
    for (size_t i = 0; i < s.size(); i++) {
        depth += (s[i] == '{' || s[i] == '[' || s[i] == '(') -
                 (s[i] == '}' || s[i] == ']' || s[i] == ')');
        if (s[i] == ',' && depth == 0) {
            out.push_back(trimmed(s.substr(begin, i - begin)));
            begin = i + 1;
        }
    }
    const std::string_view last = trimmed(s.substr(begin));
    if (!last.empty()) out.push_back(last);
    return out;
}

size_t bytes_of_type(std::string_view type)
{
    if (type == "pred") return 1;
    const size_t digits = type.find_first_of("0123456789");
    if (digits == std::string_view::npos) refuse("a type", type);
    return size_t(std::atoi(std::string(type.substr(digits)).c_str())) / 8;
}

/* A number's bits; false: s is none. */
bool number(std::string_view s, uint64_t *bits)
{
    if (s.size() > 2 && s[0] == '0' && (s[1] == 'f' || s[1] == 'F' || s[1] == 'd' || s[1] == 'D'))
        return *bits = std::strtoull(std::string(s.substr(2)).c_str(), nullptr, 16), true;
    const bool minus = s[0] == '-';
    if (!std::isdigit(static_cast<unsigned char>(s[minus]))) return false;
    const uint64_t magnitude = std::strtoull(std::string(s.substr(minus)).c_str(), nullptr, 0);
    return *bits = minus ? -magnitude : magnitude, true;
}

/* ".align 8 .b8 name[40]", ".b64 name", ".u64 name": behind the state space. */
struct declaration {
    size_t alignment, bytes, element;
    std::string name;
    std::string_view initial; /* what stands behind =, without braces */
};

declaration declared(std::string_view s)
{
    declaration d { 0, 0, 0, {}, {} };
    for (std::string_view w = word(s);; w = word(s)) {
        if (w == ".align") {
            d.alignment = size_t(std::atoi(std::string(word(s)).c_str()));
        } else if (w[0] == '.') {
            if (w != ".ptr" && w != ".global") d.element = bytes_of_type(w.substr(1));
        } else {
            d.name = w;
            break;
        }
        if (w.empty()) refuse("a declaration", s);
    }
    d.bytes = d.element;
    s = trimmed(s);
    if (!s.empty() && s[0] == '[')
        d.bytes = d.element * size_t(std::atoll(std::string(s.substr(1)).c_str()));
    if (const size_t brace = s.find('{'); brace != std::string_view::npos)
        d.initial = s.substr(brace + 1, s.find('}') - brace - 1);
    else if (const size_t equals = s.find('='); equals != std::string_view::npos)
        d.initial = s.substr(equals + 1);
    if (d.alignment == 0) d.alignment = d.element;
    return d;
}

size_t aligned(size_t at, size_t alignment)
{
    return (at + alignment - 1) / alignment * alignment;
}

/* Without comments; .loc lines stay. */
std::string without_comments(const std::string &s)
{
    std::string out;
    out.reserve(s.size());
    for (size_t i = 0; i < s.size(); i++) {
        if (s[i] == '/' && i + 1 < s.size() && s[i + 1] == '/') {
            while (i < s.size() && s[i] != '\n') i++;
            out += '\n';
        } else if (s[i] == '/' && i + 1 < s.size() && s[i + 1] == '*') {
            i = s.find("*/", i) + 1;
        } else {
            out += s[i];
        }
    }
    return out;
}

} // namespace

/* ---- the file ----------------------------------------------------------------------------------------------------- */

module::module(std::string given) :text(without_comments(given))
{
    /* Only what stands outside of braces is looked at. */
    int depth = 0;
    size_t begin = 0;
    for (size_t i = 0; i < text.size(); i++) {
        const char c = text[i];
        if (c == '{' && depth++ == 0) {
            std::string_view head = trimmed(std::string_view(text).substr(begin, i - begin));
            for (const char *what : { ".entry", ".func" }) {
                size_t at = head.find(what);
                if (at == std::string_view::npos || head.find(" = ") != std::string_view::npos)
                    continue;
                std::string_view rest = trimmed(head.substr(at + std::strlen(what)));
                if (rest[0] == '(') rest = trimmed(rest.substr(rest.find(')') + 1));
                auto &names = what[1] == 'e' ? entries : functions;
                names[std::string(word(rest))] = begin;
            }
        }
        if (c == '}' && --depth == 0 && text[i + 1] != ';') begin = i + 1;
        if (c == ';' && depth == 0) {
            variable(trimmed(std::string_view(text).substr(begin, i - begin)));
            begin = i + 1;
        }
        if (c == '\n' && depth == 0) {
            std::string_view line = trimmed(std::string_view(text).substr(begin, i - begin));
            std::string_view rest = line;
            const std::string_view w = word(rest);
            if (w == ".file") {
                const int n = std::atoi(std::string(word(rest)).c_str());
                const size_t quote = rest.find('"');
                files[n] = rest.substr(quote + 1, rest.find('"', quote + 1) - quote - 1);
            }
            if (w == ".version" || w == ".target" || w == ".address_size" || w == ".file")
                begin = i + 1;
            if (w == ".section") break; /* what debuggers want */
        }
    }
}

/* ".global .align 4 .b8 name[24] = {...}", ".shared ...", ".extern .shared ...". */
void module::variable(std::string_view s)
{
    std::string_view rest = s;
    bool dynamically = false;
    for (;;) {
        const std::string_view w = word(rest);
        if (w == ".extern") {
            dynamically = true;
        } else if (w == ".shared" || w == ".global" || w == ".const") {
            const declaration d = declared(rest);
            if (w == ".shared" && dynamically) {
                dynamic[d.name] = d.alignment;
            } else if (w == ".shared") {
                shared[d.name] = { d.alignment, d.bytes };
            } else {
                std::vector<unsigned char> &v = variables[d.name];
                v.assign(d.bytes, 0); /* zeros at the end are not written out */
                size_t at = 0;
                for (const std::string_view &x : parts(d.initial)) {
                    uint64_t bits;
                    if (at + d.element > v.size() || !number(x, &bits)) refuse("a value", s);
                    std::memcpy(&v[at], &bits, d.element);
                    at += d.element;
                }
            }
            return;
        } else if (w != ".visible" && w != ".weak" && w != ".common") {
            return;
        }
    }
}

kernel *module::find(const std::string &name)
{
    const auto known = parsed.find(name);
    if (known != parsed.end()) return known->second.get();
    const auto at = entries.find(name);
    if (at == entries.end()) return nullptr;
    std::unique_ptr<kernel> k = std::make_unique<kernel>();
    k->name = name;
    k->of = this;
    parser(*this, *k).entry(at->second);
    return (parsed[name] = std::move(k)).get();
}

bool module::holds(const unsigned char *p, size_t bytes) const
{
    for (const auto &[name, v] : variables)
        if (p >= v.data() && p + bytes <= v.data() + v.size()) return true;
    return false;
}

/* ---- a kernel ----------------------------------------------------------------------------------------------------- */

/* From '(' to its ')' : the parameters, in order. */
std::vector<std::string_view> parser::parameters_of(std::string_view &head)
{
    const size_t open = head.find('('), close = head.find(')', open);
    std::vector<std::string_view> out = parts(head.substr(open + 1, close - open - 1));
    head.remove_prefix(close + 1);
    return out;
}

void parser::entry(size_t begin)
{
    const size_t brace = m.text.find('{', begin);
    std::string_view head = std::string_view(m.text).substr(begin, brace - begin);
    size_t at = 0;
    const bool has_parameters = head.find('(') != std::string_view::npos;
    for (std::string_view p :
         has_parameters ? parameters_of(head) : std::vector<std::string_view>()) {
        p.remove_prefix(p.find(".param") + 6);
        const declaration d = declared(p);
        at = aligned(at, d.alignment);
        k.parameters.push_back({ at, d.bytes });
        offsets[d.name] = at;
        at += d.bytes;
    }
    k.arguments.resize(at + 64);
    if (const size_t most = head.find(".maxntid"); most != std::string_view::npos) {
        unsigned x = 1, y = 1, z = 1;
        std::sscanf(std::string(head.substr(most + 8)).c_str(), " %u , %u , %u", &x, &y, &z);
        k.most_threads = x * y * z;
    }
    body(brace + 1);
    k.local = aligned(k.local, 16); /* a lane's lies behind another's */
    k.files = m.files;
    instruction end;
    end.what = kind::EXIT;
    put(std::move(end), "ret");
    for (const auto &[at_, label] : jumps) {
        const auto to = labels.find(label);
        if (to == labels.end()) refuse("no label", label);
        k.code[at_].target = to->second;
    }
    for (const auto &[name, alignment] : m.dynamic)
        if (used_dynamic.count(name)) k.shared = aligned(k.shared, alignment);
    for (const auto &[place, name] : dynamic_constants) set_constant(place, SHARED_BASE + k.shared);
}

void parser::put(instruction i, std::string_view statement)
{
    i.statement = uint32_t(k.statements.size());
    i.source_line = line;
    i.source_file = source;
    i.caller_line = caller_line;
    i.caller_file = caller_source;
    k.statements.emplace_back(statement);
    k.code.push_back(std::move(i));
}

/* The statements behind the '{' of a body, to its '}'. */
void parser::body(size_t at)
{
    const std::string &s = m.text;
    int depth = 1;
    for (;;) {
        while (std::isspace(static_cast<unsigned char>(s[at]))) at++;
        if (s[at] == '{') {
            depth++;
            inner.emplace_back();
            at++;
            continue;
        }
        if (s[at] == '}') {
            if (--depth == 0) return;
            inner.pop_back();
            at++;
            continue;
        }
        if (s.compare(at, 5, ".loc\t") == 0 || s.compare(at, 5, ".loc ") == 0) {
            const size_t end = s.find('\n', at);
            char *rest = nullptr; /* sscanf would look for the end of the whole text */
            source = uint32_t(std::strtoul(s.c_str() + at + 4, &rest, 10));
            line = uint32_t(std::strtoul(rest, nullptr, 10));
            const size_t caller = std::string_view(s).substr(at, end - at).find("inlined_at");
            caller_source = caller_line = 0;
            if (caller != std::string_view::npos) {
                caller_source = uint32_t(std::strtoul(s.c_str() + at + caller + 10, &rest, 10));
                caller_line = uint32_t(std::strtoul(rest, nullptr, 10));
            }
            at = end;
            continue;
        }
        size_t end = at;
        while (s[end] != ';' && s[end] != ':') end += s[end] == ':' || s[end] == ';' ? 0 : 1;
        /* "shared::cta" is no label */
        while (s[end] == ':') {
            std::string_view before = trimmed(std::string_view(s).substr(at, end - at));
            bool label = true;
            for (char c : before) label = label && (is_name(c) && c != '.');
            if (label) break;
            end++;
            while (s[end] != ';' && s[end] != ':') end++;
        }
        const std::string_view statement = trimmed(std::string_view(s).substr(at, end - at));
        if (s[end] == ':')
            labels[scope + std::string(statement)] = int32_t(k.code.size());
        else
            one(statement);
        at = end + 1;
    }
}

void parser::one(std::string_view s)
{
    if (s.empty()) return;
    if (s[0] == '.') {
        directive(s);
        return;
    }
    instruction i;
    std::string_view rest = s;
    if (rest[0] == '@') {
        rest.remove_prefix(1);
        if (rest[0] == '!') {
            i.guard_negated = true;
            rest.remove_prefix(1);
        }
        i.guard = named(word(rest));
    }
    rest = trimmed(rest);
    size_t n = 0;
    while (n < rest.size() && (is_name(rest[n]) || rest[n] == ':')) n++;
    const std::string_view opcode = rest.substr(0, n);
    rest.remove_prefix(n);
    if (opcode == "bra" || opcode == "bra.uni") {
        i.what = kind::BRANCH;
        jumps.emplace_back(k.code.size(), scope + std::string(trimmed(rest)));
        put(std::move(i), s);
    } else if (opcode == "ret" || opcode == "exit") {
        if (scope.empty() || opcode == "exit") {
            i.what = kind::EXIT;
        } else { /* of a function that stands in its caller */
            i.what = kind::BRANCH;
            jumps.emplace_back(k.code.size(), scope + "end");
        }
        put(std::move(i), s);
    } else if (opcode == "call.uni" || opcode == "call") {
        call(parts(rest));
    } else {
        plain(std::move(i), opcode, parts(rest), s);
    }
}

void parser::directive(std::string_view s)
{
    std::string_view rest = s;
    const std::string_view w = word(rest);
    if (w == ".pragma") return;
    if (w == ".reg") { /* in braces of its own a name may be another register than outside */
        word(rest);
        for (const std::string_view name : parts(rest))
            if (!inner.empty()) inner.back()[scope + std::string(name)] = k.registers++;
        return;
    }
    if (w != ".shared" && w != ".local" && w != ".param") refuse("a directive", s);
    const declaration d = declared(rest);
    if (w == ".shared") {
        k.shared = aligned(k.shared, d.alignment);
        places[d.name] = k.shared;
        k.shared += d.bytes;
    } else { /* a call's parameters lie in the thread's own memory, too */
        k.local = aligned(k.local, std::max<size_t>(d.alignment, 8));
        locals[scope + d.name] = k.local;
        k.local += d.bytes;
    }
}

/* A function is called by standing in its caller. */
void parser::call(const std::vector<std::string_view> &given)
{
    const bool gives = given[0][0] == '(';
    const std::string name(given[gives ? 1 : 0]);
    const auto inside = [](std::string_view s) { return parts(s.substr(1, s.size() - 2)); };
    const auto at = m.functions.find(name);
    if (at == m.functions.end()) refuse("no function", name);
    const size_t brace = m.text.find('{', at->second);
    std::string_view head = std::string_view(m.text).substr(at->second, brace - at->second);
    std::vector<std::string_view> results =
        gives ? inside(given[0]) : std::vector<std::string_view>();
    std::vector<std::string_view> arguments = given.size() > (gives ? 2u : 1u)
                                                  ? inside(given[gives ? 2 : 1])
                                                  : std::vector<std::string_view>();
    const std::string outer = scope, own = scope + std::to_string(calls++) + "/";
    for (std::vector<std::string_view> *mine : { &results, &arguments }) {
        if (mine == &results && !gives) continue;
        if (head.find('(') == std::string_view::npos) continue;
        const std::vector<std::string_view> theirs = parameters_of(head);
        for (size_t n = 0; n < theirs.size(); n++) {
            std::string_view p = theirs[n];
            p.remove_prefix(p.find(".param") + 6);
            locals[own + declared(p).name] = locals.at(outer + std::string((*mine)[n]));
        }
    }
    scope = own;
    body(brace + 1);
    labels[own + "end"] = int32_t(k.code.size());
    scope = outer;
}

/* ---- operands ----------------------------------------------------------------------------------------------------- */

void parser::set_constant(value v, uint64_t bits)
{
    for (int l = 0; l < LANES; l++) k.constants[size_t(~v) * LANES + size_t(l)] = bits;
}

value parser::constant(uint64_t bits)
{
    const auto known = constants.find(bits);
    if (known != constants.end()) return known->second;
    const value v = fresh_constant(bits);
    return constants[bits] = v;
}

value parser::fresh_constant(uint64_t bits)
{
    const value v = ~value(k.constants.size() / LANES);
    k.constants.resize(k.constants.size() + LANES);
    set_constant(v, bits);
    return v;
}

value parser::named(std::string_view name)
{
    const bool special = name == "%laneid" || name.find("%tid.") == 0 || name.find("%ntid.") == 0 ||
                         name.find("%ctaid.") == 0 || name.find("%nctaid.") == 0 ||
                         name.find("%lanemask") == 0 || name == "%local";
    const std::string key = special ? std::string(name) : scope + std::string(name);
    for (auto names = inner.rbegin(); names != inner.rend(); names++)
        if (const auto own = names->find(key); own != names->end()) return own->second;
    const auto known = registers.find(key);
    if (known != registers.end()) return known->second;
    const value v = k.registers++;
    if (special) k.special[key] = v;
    return registers[key] = v;
}

/* A value, and what is to be added to it: local variables are told from the thread's memory. */
parser::operand parser::read(std::string_view s)
{
    uint64_t bits;
    if (number(s, &bits)) return { constant(bits), 0 };
    if (s == "_") return { k.registers++, 0 };
    const std::string name(s);
    if (const auto l = locals.find(scope + name); l != locals.end())
        return { named("%local"), int64_t(l->second) };
    if (const auto p = offsets.find(name); p != offsets.end())
        return { constant(uint64_t(reinterpret_cast<uintptr_t>(k.arguments.data()) + p->second)),
                 0 };
    if (const auto v = m.variables.find(name); v != m.variables.end())
        return { constant(uint64_t(reinterpret_cast<uintptr_t>(v->second.data()))), 0 };
    if (const auto v = places.find(name); v != places.end())
        return { constant(SHARED_BASE + v->second), 0 };
    if (const auto v = m.shared.find(name); v != m.shared.end()) {
        k.shared = aligned(k.shared, v->second.first);
        places[name] = k.shared;
        k.shared += v->second.second;
        return { constant(SHARED_BASE + places[name]), 0 };
    }
    if (m.dynamic.count(name)) {
        used_dynamic.insert(name);
        const value v = fresh_constant(0);
        dynamic_constants.emplace_back(v, name);
        return { v, 0 };
    }
    return { named(s), 0 };
}

void parser::plain(instruction i, std::string_view opcode,
                   const std::vector<std::string_view> &operands, std::string_view statement)
{
    i.run = find_handler(opcode, i);
    if (!i.run && i.what == kind::PLAIN) refuse("no instruction " + std::string(opcode), statement);
    const bool stores = opcode.substr(0, 3) == "st." || opcode.substr(0, 8) == "cp.async";
    if (i.what != kind::PLAIN && operands[i.what == kind::BARRIER ? 0 : 1] != "0")
        refuse("a barrier of its own", statement);
    const bool nothing = opcode.substr(0, 3) == "bar" && i.what == kind::BARRIER;
    for (size_t n = 0; n < operands.size(); n++) {
        std::string_view s = operands[n];
        const bool result = n == 0 && !stores && !nothing && opcode.substr(0, 6) != "membar" &&
                            opcode.substr(0, 5) != "fence" && opcode.substr(0, 8) != "bar.warp" &&
                            opcode.substr(0, 12) != "wgmma.commit" &&
                            opcode.substr(0, 10) != "wgmma.wait";
        std::vector<value> &to = result ? i.to : i.from;
        if (s[0] == '{') {
            for (std::string_view e : parts(s.substr(1, s.size() - 2))) to.push_back(read(e).v);
            if (!result && n == 1 && opcode.substr(0, 5) == "wgmma")
                i.option |= 1; /* A is in registers */
        } else if (s[0] == '[') {
            s = trimmed(s.substr(1, s.size() - 2));
            const size_t plus = s.find('+');
            const operand o = read(trimmed(s.substr(0, plus)));
            i.offset = o.more;
            if (plus != std::string_view::npos)
                i.offset += std::atoll(std::string(trimmed(s.substr(plus + 1))).c_str());
            to.push_back(o.v);
        } else if (s.find('|') != std::string_view::npos) {
            to.push_back(read(trimmed(s.substr(0, s.find('|')))).v);
            to.push_back(read(trimmed(s.substr(s.find('|') + 1))).v);
        } else if (s[0] == '!') {
            i.option = 1; /* the predicate's opposite */
            to.push_back(read(trimmed(s.substr(1))).v);
        } else {
            const operand o = read(s);
            to.push_back(o.v);
            if (o.more) i.offset = o.more;
        }
    }
    put(std::move(i), statement);
}

} // namespace ptx
