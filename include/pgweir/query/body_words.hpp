// Reads the body of a SQL or PL/pgSQL function, or of a DO block, as words: which names it
// mentions, and whether it has words that may leave session state, run text as SQL, or write.
// Sound, not exact: what is not understood counts as harmful. Linear time, no allocation per word
// but for quoted and upper-case ones. Thread: pure function.
#pragma once

#include <functional>
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

/// A word that begins a statement which changes what queries mean or may read: DDL, REFRESH, GRANT.
bool defines_objects(std::string_view word) noexcept;

/// A word of statements that every database of the server feels: about roles, databases, settings.
bool shared_objects(std::string_view word) noexcept;
/// Whether a text of which nothing else is known may be such a statement, or run one: by its words,
/// wherever they stand.
bool may_define_shared(std::string_view text);

}  // namespace pgweir::query
