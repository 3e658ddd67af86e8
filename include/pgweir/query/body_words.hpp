// Reads the body of a SQL or PL/pgSQL function, or of a DO block, as words: which names it
// mentions, and whether it has words that may leave session state, run text as SQL, or write.
// Sound, not exact: what is not understood counts as harmful. Linear time, no allocation per word
// but for quoted and upper-case ones. Thread: pure function.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace pgweir::query {

struct BodyFacts {
    bool leaves_state =
        false;               // SET, TEMP, LISTEN, PREPARE, CREATE ... as a statement of its own may
    bool runs_text = false;  // EXECUTE, DO: what it runs is not known
    bool writes_rows = false;  // INSERT, UPDATE, DELETE, MERGE, TRUNCATE, COPY: triggers may fire
};

/// `name` is called for each identifier, folded as PostgreSQL folds it, keywords included, repeated
/// ones too.
BodyFacts scan_body(std::string_view body, const std::function<void(std::string_view)>& name);

/// A word that begins a statement which changes rows.
bool writes_rows(std::string_view word) noexcept;

/// A word that begins a statement which changes what queries mean or may read: DDL, REFRESH, GRANT.
bool defines_objects(std::string_view word) noexcept;

/// Finds where a statement that writes rows names its table: told all words of a body in turn.
/// Behind TRUNCATE, which may have a list, every name counts.
class WriteTarget {
  public:
    /// Whether the word may be such a table, its schema or its database.
    bool at(std::string_view word) noexcept;

  private:
    unsigned open_ = 0;  // words of its name that may still come
    bool list_ = false;
};
struct Catalog;
/// Whether a write to what is so named, or is in a schema so named, may be one to the system's
/// tables: DDL, in whatever words. A write to pg_settings sets them.
bool system_target(const Catalog& catalog, std::string_view name);

/// What the words of a function's body say of definitions, told one by one.
class DefiningWords {
  public:
    DefiningWords(const Catalog& catalog, bool in_sql) : catalog_(catalog), in_sql_(in_sql) {}
    void add(std::string_view word);
    /// Of a body that runs text: that may be made of words that stand anywhere in it.
    void add_strings(std::string_view body);
    bool defines = false;
    bool shared = false;  // with `defines`: of what every database of the server feels
    bool cascades = false;
    bool makes = false;  // by SELECT INTO: a table, perhaps a temporary one

  private:
    const Catalog& catalog_;
    bool in_sql_;
    WriteTarget target_;
    std::string previous_;
};

/// A word of statements that every database of the server feels: about roles, databases, settings.
bool shared_objects(std::string_view word) noexcept;
/// Whether a text of which nothing else is known may be such a statement, or run one: by its words,
/// wherever they stand.
bool may_define_shared(std::string_view text);
/// The same of a text of which it is not known either what of it is a string or comment: also by
/// what its words name in the catalog, which may be null.
bool may_define_shared(std::string_view text, const Catalog* catalog);

}  // namespace pgweir::query
