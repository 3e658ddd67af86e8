// Statements by clients: no text makes the judgement crash, what is not understood is not cached,
// and texts our scanner takes for one shape are the same tokens to PostgreSQL's own, and have one
// verdict: or a write could pass for the read it resembles. An input may hold two texts with 0x1f
// between them; a text is also held against itself with a byte changed.
#include <pg_query.h>

#include <array>
#include <cctype>
#include <utility>

#include "pgweir/query/verdict.hpp"
#include "target.hpp"
#include "unit/query/fixture.hpp"

using namespace pgweir;
using fuzz::must;

namespace {

constexpr std::size_t kLongest = 16 * 1024;
constexpr std::uint64_t kFirstLiteral = 260, kLastLiteral = 264, kInteger = 266;  // FCONST ...
constexpr std::uint64_t kFirstComment = 275, kLastComment = 276;

std::uint64_t varint(std::string_view& from) {
    std::uint64_t value = 0;
    for (unsigned shift = 0; !from.empty() && shift < 64; shift += 7) {
        const auto byte = static_cast<unsigned char>(from[0]);
        from.remove_prefix(1);
        value |= std::uint64_t{byte & 0x7fu} << shift;
        if (byte < 0x80) break;
    }
    return value;
}

/// One protobuf field of a whole number or of bytes.
std::pair<std::uint64_t, std::string_view> field(std::string_view& from, std::uint64_t& number) {
    const auto key = varint(from);
    number = key >> 3;
    const auto value = varint(from);
    if ((key & 7) != 2) return {value, {}};
    const auto bytes = from.substr(0, value);
    from.remove_prefix(bytes.size());
    return {0, bytes};
}

/// What PostgreSQL's scanner reads, constants by their kind; empty when it refuses the text.
std::string tokens_of(const std::string& sql) {
    const auto scanned = pg_query_scan(sql.c_str());
    std::string all;
    std::string_view rest(scanned.pbuf.data, scanned.error != nullptr ? 0 : scanned.pbuf.len);
    while (!rest.empty()) {
        std::uint64_t number = 0;
        auto token = field(rest, number).second;
        if (number != 2) continue;
        std::array<std::uint64_t, 5> is{};  // by field: start 1, end 2, token 4
        while (!token.empty()) {
            const auto value = field(token, number).first;
            if (number < is.size()) is[number] = value;
        }
        const auto kind = is[4];
        if (kind >= kFirstComment && kind <= kLastComment) continue;
        all += std::to_string(kind) + ' ';
        if ((kind >= kFirstLiteral && kind <= kLastLiteral) || kind == kInteger) continue;
        const auto text = sql.substr(is[1], is[2] - is[1]);
        for (const char c : text)
            all +=
                text[0] == '"' ? c : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
        all += '\n';
    }
    pg_query_free_scan_result(scanned);
    return all;
}

const query::ResolveContext& context() {
    static const auto catalog = query::fixture::Builder().take();
    static const query::ResolveContext asks{"alice", {"$user", "public"}, &catalog};
    return asks;
}

/// Neither the pins nor the effects nor the rows may differ.
bool same(const query::Verdict& a, const query::Verdict& b) {
    return a.kind == b.kind && a.pin == b.pin && a.may_leave_state == b.may_leave_state &&
           a.opaque == b.opaque && a.may_end_transaction == b.may_end_transaction &&
           a.writes == b.writes && a.written == b.written && a.not_cached == b.not_cached &&
           a.reads == b.reads && a.timed == b.timed && a.moves_sequence == b.moves_sequence;
}

void compare(const std::string& one, const std::string& other) {
    const auto a = query::scan_text(one), b = query::scan_text(other);
    if (!a.lexed || !b.lexed || !(a.shape == b.shape)) return;
    const auto tokens = tokens_of(one), others = tokens_of(other);
    if (tokens.empty() || others.empty()) return;  // the server refuses it, too
    must(tokens == others, "texts of one shape are the same tokens to PostgreSQL");
    if (a.special_datetime != b.special_datetime) return;  // looked at for each text
    const auto first = query::judge(one, context()), second = query::judge(other, context());
    if (first->kind == query::Kind::unknown || second->kind == query::Kind::unknown) return;
    if (first->literal_dependent && second->literal_dependent) return;
    must(first->literal_dependent == second->literal_dependent,
         "whether constants matter is the same for all texts of one shape");
    must(same(*first, *second), "texts of one shape have one verdict");
}

}  // namespace

FUZZ_TARGET(sql) {
    if (input.size() > kLongest) return;
    const auto verdict = query::judge(input, {});
    must(verdict != nullptr, "there is always a verdict");
    must(verdict->not_cached != query::NotCached::none, "nothing is cached without a catalog");
    must(query::fingerprint(input) == query::fingerprint(input), "a fingerprint is stable");
    if (input.empty() || input.size() > 2000 || input.find('\0') != input.npos) return;
    const std::string text(input);
    if (const auto cut = text.find('\x1f'); cut != text.npos)
        compare(text.substr(0, cut), text.substr(cut + 1));
    std::size_t at = 0;
    for (const char c : text) at = at * 31 + static_cast<unsigned char>(c);
    for (const char* put : {"", "'", " ", "/**/", "--", "\n", "1", "e", "U&", "$a$", "\\", "."}) {
        at = at * 0x9e3779b97f4a7c15u + 1;
        const auto place = (at >> 32) % text.size();
        for (const std::size_t less : {0u, 1u})
            compare(text, std::string(text).replace(place, less, put));
    }
}
