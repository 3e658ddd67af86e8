// The rules. They read tokens of the sample, which is as a client wrote it, and the figures.
#include "pgweir/admin/advisor.hpp"

#include <algorithm>
#include <charconv>

#include "pgweir/query/tokens.hpp"
#include "slow_line.hpp"

namespace pgweir::admin {

namespace {

using query::TextToken;
using Tokens = std::vector<TextToken>;
using Kind = TextToken::Kind;

constexpr std::uint64_t kFewCalls = 10;  // below: chance
constexpr std::uint64_t kDeepOffset = 1000;
constexpr std::uint64_t kWideRow = 2000;     // bytes
constexpr std::uint64_t kManyRows = 10'000;  // of one call
constexpr std::uint64_t kSlowScan = 5'000;   // microseconds

/// Calls f(index, token) for the tokens outside all brackets.
template <class F>
void each_outer(const Tokens& tokens, F f) {
    int depth = 0;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
        if (tokens[i].is(")") || tokens[i].is("]")) --depth;
        if (depth == 0) f(i, tokens[i]);
        if (tokens[i].is("(") || tokens[i].is("[")) ++depth;
    }
}

std::size_t find_outer(const Tokens& tokens, std::string_view word) {
    auto found = tokens.size();
    each_outer(tokens, [&](std::size_t i, const TextToken& t) {
        if (found == tokens.size() && t.is(word)) found = i;
    });
    return found;
}

bool has_outer(const Tokens& tokens, std::string_view word) {
    return find_outer(tokens, word) != tokens.size();
}

bool is_select(const Tokens& tokens) { return !tokens.empty() && tokens[0].is("select"); }

std::uint64_t executions(const QueryRow& row) { return row.figures.total.histogram.count(); }

/// "col" of ORDER BY col [ASC|DESC] LIMIT ...; empty when the order is anything else.
std::string order_column(const Tokens& t, bool& descending) {
    auto i = find_outer(t, "order");
    if (i + 2 >= t.size() || !t[i + 1].is("by")) return {};
    std::string column;
    for (i += 2; i < t.size(); ++i) {
        const bool name = t[i].kind == Kind::word || t[i].kind == Kind::quoted;
        const bool ends =
            t[i].is("limit") || t[i].is("offset") || t[i].is("asc") || t[i].is("desc");
        if (ends || (!name && !t[i].is("."))) break;
        column += t[i].text;
    }
    descending = i < t.size() && t[i].is("desc");
    if (i < t.size() && (t[i].is("asc") || t[i].is("desc"))) ++i;
    return i < t.size() && (t[i].is("limit") || t[i].is("offset")) ? column : std::string();
}

bool offset_paging(const QueryRow& row, Advice& a) {
    const auto t = query::text_tokens(row.sample);
    const auto at = find_outer(t, "offset");
    if (!is_select(t) || at + 1 >= t.size() || t[at + 1].kind != Kind::constant) return false;
    std::uint64_t offset = 0;
    const auto& digits = t[at + 1].text;
    std::from_chars(digits.data(), digits.data() + digits.size(), offset);
    if (offset < kDeepOffset || executions(row) < kFewCalls) return false;
    a.evidence = "OFFSET " + std::to_string(offset) +
                 " in the sample: the server reads and throws "
                 "away as many rows for each page";
    bool descending = false;
    const auto column = order_column(t, descending);
    a.advice = "page by key: remember the last row of a page and ask for those behind it";
    if (!column.empty())
        a.advice += ", such as " + std::string(has_outer(t, "where") ? "AND " : "WHERE ") + column +
                    (descending ? " < " : " > ") + "$last ORDER BY " + column +
                    (descending ? " DESC" : "") + " LIMIT n (" + column +
                    " has to be unique and indexed)";
    return true;
}

bool wide_star(const QueryRow& row, Advice& a) {
    const auto t = query::text_tokens(row.sample);
    const bool star = is_select(t) && t.size() > 2 &&
                      (t[1].is("*") || (t.size() > 4 && t[2].is(".") && t[3].is("*")));
    const auto& f = row.figures;
    if (!star || f.rows < kFewCalls || executions(row) < kFewCalls) return false;
    const auto width = f.bytes / f.rows;
    if (width < kWideRow) return false;
    a.evidence = "rows of " + std::to_string(width) + " bytes on average, " +
                 std::to_string(f.bytes) + " bytes in all";
    a.advice = "name the columns that are used instead of *";
    return true;
}

bool unbounded(const QueryRow& row, Advice& a) {
    const auto t = query::text_tokens(row.sample);
    const auto calls = executions(row);
    if (!is_select(t) || has_outer(t, "limit") || has_outer(t, "fetch") || calls < 3) return false;
    const auto rows = row.figures.rows / calls;
    if (rows < kManyRows) return false;
    a.evidence = std::to_string(rows) + " rows per call on average, and no LIMIT";
    a.advice = "bound the result by LIMIT and page by key, or read it with a cursor";
    return true;
}

bool leading_wildcard(const QueryRow& row, Advice& a) {
    const auto t = query::text_tokens(row.sample);
    if (executions(row) < kFewCalls || row.figures.server.mean() < kSlowScan) return false;
    for (std::size_t i = 0; i + 1 < t.size(); ++i) {
        if (!t[i].is("like") && !t[i].is("ilike")) continue;
        const auto& pattern = t[i + 1];
        const bool leads = pattern.kind == Kind::constant && pattern.text.size() > 2 &&
                           pattern.text[0] == '\'' && pattern.text[1] == '%';
        if (!leads) continue;
        a.evidence = "a pattern that begins with %, and " +
                     duration_ms_text(static_cast<std::int64_t>(row.figures.server.mean()) * 1000) +
                     " ms on the server on average";
        a.advice =
            "a B-tree index cannot be used for it; a GIN index with gin_trgm_ops "
            "(extension pg_trgm) can, or full text search";
        return true;
    }
    return false;
}

}  // namespace

const std::vector<AdviceRule>& advice_rules() {
    static const std::vector<AdviceRule> rules{
        {"offset_paging", "a SELECT with OFFSET 1000 or more in its sample, 10 executions",
         "the offset is a parameter or an expression, small, or in a subquery", offset_paging},
        {"select_star", "SELECT * whose rows take 2000 bytes or more on average, 10 executions",
         "columns are named, or rows are narrow", wide_star},
        {"unbounded_result", "10,000 rows per execution or more without LIMIT, 3 executions",
         "LIMIT or FETCH is there, or what comes is less", unbounded},
        {"leading_wildcard",
         "LIKE '%...' in the sample and 5 ms on the server on average, 10 executions",
         "the pattern is a parameter, begins otherwise, or is answered faster (an index serves it)",
         leading_wildcard},
    };
    return rules;
}

std::vector<Advice> advise(const std::vector<QueryRow>& rows) {
    std::vector<Advice> found;
    for (const auto& row : rows)
        for (const auto& rule : advice_rules()) {
            Advice advice;
            if (!rule.look(row, advice)) continue;
            advice.rule = rule.name;
            advice.fingerprint = row.fingerprint;
            advice.time_us = row.figures.total.sum;
            advice.query = row.text;
            found.push_back(std::move(advice));
        }
    std::stable_sort(found.begin(), found.end(),
                     [](const Advice& a, const Advice& b) { return a.time_us > b.time_us; });
    return found;
}

}  // namespace pgweir::admin
