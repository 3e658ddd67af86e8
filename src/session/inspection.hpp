// What the server says of the state a session has left on it (sql/inspect.sql), read row by row.
// Invariant: a row that does not look as expected makes the inspection a failed one, and then the
// session stays pinned. Thread: the worker's.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pgweir/pool/server_link.hpp"
#include "pgweir/query/reasons.hpp"

namespace pgweir::session {

struct Inspection {
    /// A session that listens to more is pinned.
    static constexpr std::size_t kMostChannels = 1000;

    bool failed = false;
    bool complete = false;  // the row of state has come
    /// What keeps the session on this connection; none: nothing but settings was found.
    query::PinReason found = query::PinReason::none;
    pool::Settings settings;  // in force beside the server's defaults, application_name apart
    std::vector<std::string> channels;  // that are listened to
    /// Made by SQL's PREPARE, each with the text it was made by.
    pool::SqlStatements statements;
    bool too_many_statements = false;  // or too long, or not ASCII: not all are in `statements`
    bool has_application_name = false;
    std::string application_name;

    /// The body of a DataRow. `login` is the user the server connection was opened as.
    void take_row(std::string_view body, std::string_view login);

  private:
    void take_state(const std::string_view* values, std::string_view login);
    void take_setting(std::string_view name, std::string_view value);
    void take_statement(std::string_view name, std::string_view text);

    std::size_t settings_size_ = 0;
    std::size_t statements_size_ = 0;
};

}  // namespace pgweir::session
