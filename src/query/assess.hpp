// Turns the facts of a statement into a verdict: what may be cached, written, left behind.
// Invariant: every fact only ever makes the verdict more careful, so their order does not matter
// but for which reason is given. Thread: one assessor, one thread.
#pragma once

#include <optional>
#include <string_view>

#include "closure.hpp"
#include "inline_code.hpp"
#include "names.hpp"
#include "pg_facts.h"
#include "pgweir/query/verdict.hpp"
#include "rows_of.hpp"

namespace pgweir::query {

/// Whether names of the text may be others to the server than they are here.
bool names_in_doubt(std::string_view sql, const ResolveContext& context);

class Assessor {
  public:
    explicit Assessor(const ResolveContext& context);

    /// Adds one statement; more than one make the verdict one of several. `rows` may be null.
    void add(const pgw_statement& statement, const pgw_fact* facts, RowsOf* rows);
    void refuse(NotCached reason);
    /// Behind the last one: names in what was added may mean any that is not plain ASCII.
    void any_name();
    /// The verdict of all that was added. Call once.
    Verdict finish();

  private:
    void flags(const pgw_statement& statement);
    void reads_all();
    void fact(const pgw_fact& fact, const pgw_statement& statement);
    void read(const pgw_fact& fact);
    void readable(const Relation& relation, const pgw_fact* fact);
    void depends_on(const Relation& relation);
    void write(const pgw_fact& fact);
    void writable(const Relation& relation, const pgw_fact& fact);
    void settle_rows();
    void call(const pgw_fact& fact);
    void planned_call(const pgw_fact& fact);
    void planned_write(const pgw_fact& fact);
    CallMatch match_call(std::string_view schema, std::string_view name) const;
    void session(std::string_view function, unsigned flags, bool harmless);
    void setting(std::string_view name);
    void calls_writer(const CallMatch& match);
    void code(std::string_view language, std::string_view body);
    void column(const pgw_fact& fact, const pgw_statement& statement);
    void field(std::string_view name, bool any_function);
    void call_as_cast(std::string_view schema, std::string_view name, unsigned flags);
    void operation(std::string_view schema, std::string_view name);
    void type(std::string_view schema, std::string_view name, unsigned flags);
    void plant();
    void hidden_code(const Relation& relation, bool written);
    void leaves_state();
    void sequences(SequenceUse use);
    void moves_names(NameScope scope);
    void pin(PinReason reason);
    void may_define(Defines what);
    void writes_database() { verdict_.writes = std::max(verdict_.writes, Writes::database); }

    Verdict verdict_;
    const Catalog* catalog_ = nullptr;  // with names_
    std::optional<Names> names_;
    bool any_harmful_trigger_ = true;
    bool only_path_ =
        false;  // names are looked for in the search_path, nothing temporary before it
    bool other_encoding_;
    bool may_make_temporary_;  // what is made without naming its schema
    std::size_t statements_ = 0;
    std::size_t targets_ = 0;               // places of the text that write a relation
    RowsOf* rows_ = nullptr;                // of the statement being added
    std::vector<Oid> whole_reads_;          // relations of which any row may count
    std::vector<const pgw_fact*> scalars_;  // of the statement being added, or the first of them
};

}  // namespace pgweir::query
