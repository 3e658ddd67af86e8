// The rules. They read tokens of the sample, which is as a client wrote it, and the figures.
#include "pgweir/admin/advisor.hpp"

#include <algorithm>
#include <bit>
#include <charconv>

#include "pgweir/query/reasons.hpp"
#include "pgweir/query/tokens.hpp"
#include "slow_line.hpp"

namespace pgweir::admin {

namespace {

using query::NotCached;
using query::TextToken;
using Tokens = std::vector<TextToken>;
using Rows = std::vector<QueryRow>;
using Kind = TextToken::Kind;

constexpr std::uint64_t kFewCalls = 10;  // below: chance
constexpr std::uint64_t kDeepOffset = 1000;
constexpr std::uint64_t kWideRow = 2000;     // bytes
constexpr std::uint64_t kManyRows = 10'000;  // of one call
constexpr std::uint64_t kSlowScan = 5'000;   // microseconds
constexpr std::uint64_t kManyTimes = 5;      // that something was seen
constexpr std::uint64_t kOften = 100;        // executions that a cache is worth its while for
constexpr std::uint64_t kDear = 1'000;       // microseconds of each

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

bool offset_paging(const QueryRow& row, const Rows&, Advice& a) {
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

bool wide_star(const QueryRow& row, const Rows&, Advice& a) {
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

bool unbounded(const QueryRow& row, const Rows&, Advice& a) {
    const auto t = query::text_tokens(row.sample);
    const auto calls = executions(row);
    if (!is_select(t) || has_outer(t, "limit") || has_outer(t, "fetch") || calls < 3) return false;
    const auto rows = row.figures.rows / calls;
    if (rows < kManyRows) return false;
    a.evidence = std::to_string(rows) + " rows per call on average, and no LIMIT";
    a.advice = "bound the result by LIMIT and page by key, or read it with a cursor";
    return true;
}

bool leading_wildcard(const QueryRow& row, const Rows&, Advice& a) {
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

bool n_plus_one(const QueryRow& row, const Rows& all, Advice& a) {
    const auto& t = row.traits;
    const auto tokens = query::text_tokens(row.sample);
    if (!is_select(tokens) || t.fanouts < kManyTimes || t.fanout_calls * 2 < row.figures.calls)
        return false;
    a.evidence = std::to_string(t.fanouts) +
                 " times the rows of a query were followed, in its session, by as many executions "
                 "of this one, " +
                 std::to_string(t.fanout_calls) + " in all; the query is " +
                 fingerprint_text(t.fanout_parent);
    for (const auto& other : all)
        if (other.fingerprint == t.fanout_parent && !other.text.empty()) {
            a.evidence += ": " + other.text;
            break;
        }
    a.advice = "fetch for all rows at once: join it to that query, or ask once with = ANY($1)";
    return true;
}

bool autocommit_loop(const QueryRow& row, const Rows&, Advice& a) {
    const auto& t = row.traits;
    const auto tokens = query::text_tokens(row.sample);
    const bool writes = !tokens.empty() && (tokens[0].is("insert") || tokens[0].is("update") ||
                                            tokens[0].is("delete"));
    if (!writes || t.loops < 3 || t.loop_calls * 2 < row.figures.calls) return false;
    a.evidence = std::to_string(t.loops) +
                 " times a session executed it 100 times in a row or more without a transaction, " +
                 std::to_string(t.loop_calls) + " in all: each commits, and waits for the disk";
    a.advice =
        tokens[0].is("insert")
            ? "insert several rows by one statement or by COPY, or put BEGIN and COMMIT "
              "around the loop"
            : "put BEGIN and COMMIT around the loop, or join the table to the list of changes";
    return true;
}

bool idle_in_transaction(const QueryRow& row, const Rows&, Advice& a) {
    const auto& t = row.traits;
    if (t.idles < kManyTimes) return false;
    const auto seconds = [](std::uint64_t ms) {
        return duration_ms_text(static_cast<std::int64_t>(ms) * 1'000'000) + " ms";
    };
    a.evidence = std::to_string(t.idles) +
                 " times a session was silent for a second or more behind it with its transaction "
                 "open, longest " +
                 seconds(t.longest_idle_ms) + ", " + seconds(t.idle_ms) + " in all";
    a.advice =
        "COMMIT before waiting for anything else: the transaction holds its locks, a server "
        "connection, and back VACUUM; idle_in_transaction_session_timeout ends such sessions";
    return true;
}

bool varying_list(const QueryRow& row, const Rows&, Advice& a) {
    const auto lengths = row.traits.list_lengths;
    const auto count = static_cast<std::uint64_t>(std::popcount(lengths));
    if (count < kManyTimes || executions(row) < kFewCalls) return false;
    const auto most = 63 - std::countl_zero(lengths);
    a.evidence = "IN lists of " + std::to_string(count) + " lengths, " +
                 std::to_string(std::countr_zero(lengths)) + " to " + std::to_string(most) +
                 (most == 63 ? " and more" : "") +
                 ": each is a statement of its own to prepare and to plan";
    a.advice = "pass the list as one array: = ANY($1)";
    return true;
}

struct Remedy {
    NotCached reason;
    std::string_view advice;
};
/// Only where something can be done that does not change what the query is for.
constexpr Remedy kRemedies[] = {
    {NotCached::no_catalog, "let pgweir read the catalog: see control.user"},
    {NotCached::several_statements, "send it in a Query message of its own"},
    {NotCached::in_transaction, "run it before BEGIN, where it need not see that transaction"},
    {NotCached::system_column, "name columns other than ctid, xmin and their kin"},
    {NotCached::time_dependent,
     "pass the time or the name as a parameter, rounded as far as the answer allows"},
    {NotCached::unlogged_relation,
     "ALTER TABLE ... SET LOGGED, where its rows have to last anyway"},
    {NotCached::special_date_input, "write the date in place of 'now' or 'today'"},
    {NotCached::client_encoding, "let the client use client_encoding UTF8"},
    {NotCached::too_large, "ask for fewer rows or columns, or raise cache.max_entry"},
    {NotCached::row_limit, "fetch all rows at once (a driver's fetch size 0)"},
    {NotCached::batch_shape, "send one Bind and Execute before each Sync"},
    {NotCached::not_told, "SELECT pgweir.watch_tables() as the table's owner"},
    {NotCached::not_published,
     "add the table, with all rows, to the publication that cache.stream.publication names"},
};

bool cacheable_but(const QueryRow& row, const Rows&, Advice& a) {
    const auto& t = row.traits;
    const auto calls = executions(row);
    const bool always = t.not_cached == calls && !t.several_reasons && row.figures.hits == 0;
    if (!always || calls < kOften || row.figures.total.mean() < kDear) return false;
    if (!is_select(query::text_tokens(row.sample))) return false;
    for (const auto& remedy : kRemedies) {
        if (static_cast<std::uint8_t>(remedy.reason) != t.reason) continue;
        a.evidence = "none of " + std::to_string(calls) +
                     " executions could be cached, always for " +
                     std::string(query::name(remedy.reason)) + ": " +
                     std::string(query::kNotCachedReasons[t.reason].help);
        a.advice = remedy.advice;
        return true;
    }
    return false;
}

/// What was noted when the plan was read, with what the catalog said then.
bool from_plan(std::string_view rule, const QueryRow& row, Advice& a) {
    if (!row.plan || row.figures.server.mean() < kSlowScan) return false;
    for (const auto& n : row.plan->notes) {
        if (n.rule != rule) continue;
        a.evidence = n.evidence;
        a.advice = n.advice;
        return true;
    }
    return false;
}

bool sequential_scan(const QueryRow& row, const Rows&, Advice& a) {
    return from_plan("sequential_scan", row, a);
}
bool function_on_column(const QueryRow& row, const Rows&, Advice& a) {
    return from_plan("function_on_column", row, a);
}
bool implicit_cast(const QueryRow& row, const Rows&, Advice& a) {
    return from_plan("implicit_cast", row, a);
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
        {"n_plus_one",
         "5 times a query's n rows, 5 or more, were followed in its session by exactly n "
         "executions "
         "of this SELECT, which make half of its calls",
         "the numbers differ, other statements are between, or half a second passes", n_plus_one},
        {"autocommit_loop",
         "3 times 100 executions or more in a row in a session, none in a transaction, which make "
         "half of its calls",
         "another statement or half a second is between, or the loop is in a transaction",
         autocommit_loop},
        {"idle_in_transaction",
         "5 times a second or more of silence behind it with the transaction open",
         "the client goes on sooner, or the transaction is over", idle_in_transaction},
        {"varying_in_list",
         "IN lists of constants or parameters of 5 different lengths, 10 executions",
         "the lengths are fewer, or the list is a subquery, an array or expressions", varying_list},
        {"cacheable_but",
         "100 SELECTs of 1 ms or more, none of them cached, always for one reason that can be "
         "mended",
         "it was cached once, had two reasons, or the reason is what the query is for",
         cacheable_but},
        {"sequential_scan",
         "its plan reads a table of 10,000 rows and 8 MiB or more whole to keep one row in 20 or "
         "fewer, by comparisons of columns that no index begins with",
         "plans are not asked for (slow_log.explain), an index begins with one of the columns, the "
         "filter has OR or another form, the table is a partition, or 5 ms suffice",
         sequential_scan},
        {"function_on_column",
         "such a scan compares something computed from a column that an index begins with",
         "as above, or the table has an index on an expression", function_on_column},
        {"implicit_cast",
         "such a scan casts a column that an index begins with, because of what it is compared "
         "with",
         "as above, or the statement itself has a cast", implicit_cast},
    };
    return rules;
}

std::vector<Advice> advise(const std::vector<QueryRow>& rows) {
    std::vector<Advice> found;
    for (const auto& row : rows)
        for (const auto& rule : advice_rules()) {
            Advice advice;
            if (!rule.look(row, rows, advice)) continue;
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
