// The way of a text to its verdict: PostgreSQL's parser where it can be used, tokens where not.
// Invariant: no input makes this throw, crash or take more than linear time.
#include <algorithm>
#include <initializer_list>
#include <new>
#include <string>

#include "assess.hpp"
#include "by_tokens.hpp"
#include "lexer.hpp"
#include "pg_facts.h"
#include "pgweir/base/plants.hpp"
#include "pgweir/query/verdict.hpp"

namespace pgweir::query {

namespace {

/// Longer texts are not parsed: the parser's memory is some hundred times the text.
constexpr std::size_t kLongestParsed = std::size_t{64} * 1024;

/// Closes the parser's memory whatever happens in between.
class Parse {
  public:
    explicit Parse(const std::string& sql) : result_(pgw_open(sql.c_str())) {}
    ~Parse() { pgw_close(&result_); }
    Parse(const Parse&) = delete;
    Parse& operator=(const Parse&) = delete;
    const pgw_result& operator*() const { return result_; }

  private:
    pgw_result result_;
};

/// libpg_query's grammar does not look past a comment for the second word of WITH TIME, NOT IN or
/// NULLS FIRST, and refuses what PostgreSQL takes.
std::string for_parser(std::string_view sql) {
    const bool comments = sql.find("/*") != sql.npos || sql.find("--") != sql.npos;
    return comments ? blank_comments(sql) : std::string(sql);
}

/// `whole`: this is the text itself, so that places in it can be found again.
Verdict judge_parsed(const std::string& sql, const ResolveContext& context, bool whole) {
    const Parse parse(sql);
    if ((*parse).failed != 0) return judge_by_tokens(sql, context);
    Assessor assessor(context);
    const bool doubt = names_in_doubt(sql, context);
    if (doubt) assessor.refuse(NotCached::client_encoding);
    RowsOf rows(whole && !doubt ? sql : std::string_view(), (*parse).keys, (*parse).parameter_uses);
    for (std::size_t i = 0; i < (*parse).statement_count; ++i)
        assessor.add((*parse).statements[i], (*parse).facts, &rows);
    if (doubt) assessor.any_name();
    return assessor.finish();
}

Verdict judge_long(std::string_view sql, const ResolveContext& context) {
    if (names_in_doubt(sql, context)) return judge_by_tokens(sql, context);
    if (auto insert = judge_plain_insert(sql, context)) return *insert;
    if (const auto shorter = without_long_literals(sql);
        shorter && shorter->size() <= kLongestParsed) {
        auto verdict = judge_parsed(for_parser(*shorter), context, false);
        // What was left out may be the code of a DO block.
        const bool calls = verdict.kind == Kind::call || verdict.kind == Kind::several;
        if (calls && verdict.writes >= Writes::database) {
            verdict.may_define = true;
            verdict.writes = Writes::all_databases;
        }
        return verdict;
    }
    Verdict verdict = judge_by_tokens(sql, context);
    if (verdict.kind != Kind::unknown) verdict.not_cached = NotCached::too_complex;
    // A shorter text of this shape may still be judged better.
    verdict.literal_dependent = true;
    return verdict;
}

#ifdef PGWEIR_PLANTS
/// See base/plants.hpp.
void plant(std::string_view sql, Verdict& verdict) {
    using base::Plant;
    const auto starts = [sql](std::initializer_list<std::string_view> words) {
        return std::any_of(words.begin(), words.end(),
                           [sql](std::string_view w) { return sql.starts_with(w); });
    };
    const bool forgotten =
        (base::planted(Plant::copy_truncate_merge_read) && starts({"COPY", "TRUNCATE", "MERGE"})) ||
        (base::planted(Plant::recreated_table) && starts({"CREATE", "DROP"})) ||
        (base::planted(Plant::revoke_ignored) && starts({"REVOKE"}));
    if (!forgotten) return;
    verdict.writes = Writes::nothing;
    verdict.written.clear();
}
#endif

Verdict judge_any(std::string_view sql, const ResolveContext& context) {
    const TextScan scan = scan_text(sql);
    Verdict verdict;
    // The parser would stop at NUL and see less than the server is sent.
    if (sql.find('\0') == std::string_view::npos)
        verdict = sql.size() > kLongestParsed ? judge_long(sql, context)
                                              : judge_parsed(for_parser(sql), context, true);
    const bool reads = verdict.not_cached == NotCached::none;
    if (reads && !scan.lexed) verdict.not_cached = NotCached::not_understood;
    if (reads && scan.lexed && scan.special_datetime)
        verdict.not_cached = NotCached::special_date_input;
    if (verdict.not_cached != NotCached::none) {
        verdict.reads.clear();
        verdict.read_rows.clear();
    }
    // The constants that PostgreSQL sees may be others, as where a string goes on in the next line.
    if (!scan.lexed) verdict.written_rows.clear();
    if (!scan.lexed || (reads && scan.special_datetime)) verdict.literal_dependent = true;
#ifdef PGWEIR_PLANTS
    plant(sql, verdict);
#endif
    return verdict;
}

}  // namespace

VerdictPtr judge(std::string_view sql, const ResolveContext& context) {
    try {
        auto verdict = judge_any(sql, context);
        if (verdict.kind == Kind::several && verdict.names_after > context.scope) {
            // Some of its statements may run under names that an earlier one has moved.
            ResolveContext wider = context;
            wider.scope = verdict.names_after;
            verdict = judge_any(sql, wider);
            if (wider.scope == NameScope::unknown)
                verdict.writes = std::max(verdict.writes, Writes::database);
        }
        return std::make_shared<const Verdict>(std::move(verdict));
    } catch (const std::bad_alloc&) {
        static const auto nothing_known = std::make_shared<const Verdict>();
        return nothing_known;
    }
}

}  // namespace pgweir::query
