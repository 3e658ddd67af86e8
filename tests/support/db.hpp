// A libpq connection for tests: an ordinary client, direct or through the proxy. Results are text;
// NULL is "NULL". Thread: one at a time. Errors: a failed connect or a failed value() throws
// std::runtime_error, exec() reports in its answer.
#pragma once

#include <libpq-fe.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace pgweir::testing {

struct Answer {
    bool ok = false;
    std::string sqlstate;  // empty when ok
    std::string message;   // primary message of the error
    std::string severity;
    std::string tag;  // command tag of the last statement
    std::vector<std::string> columns;
    std::vector<Oid> types;
    std::vector<std::vector<std::string>> rows;

    /// First column of the first row, or "" without rows.
    std::string value() const { return rows.empty() || rows[0].empty() ? "" : rows[0][0]; }
    /// The named column of row `row`, or "<no such column>".
    std::string at(std::size_t row, const std::string& column) const;
};

using Parameter = std::optional<std::string>;

class Db {
  public:
    /// `dsn`: a libpq connection string.
    explicit Db(const std::string& dsn);
    ~Db();
    Db(const Db&) = delete;
    Db& operator=(const Db&) = delete;
    Db(Db&& other) noexcept : connection_(std::exchange(other.connection_, nullptr)) {}

    Answer exec(const std::string& sql);
    Answer exec_params(const std::string& sql, const std::vector<Parameter>& values);
    Answer prepare(const std::string& name, const std::string& sql);
    Answer exec_prepared(const std::string& name, const std::vector<Parameter>& values);
    /// One value. Throws when the statement fails.
    std::string value(const std::string& sql);
    /// Runs a statement that must succeed. Throws when it does not.
    void run(const std::string& sql) { value(sql); }
    bool alive() const { return PQstatus(connection_) == CONNECTION_OK; }
    /// 'I', 'T', 'E' as the last ReadyForQuery said, '?' otherwise.
    char status() const;
    PGconn* raw() const noexcept { return connection_; }

  private:
    PGconn* connection_;
};

/// Error text of a connection that must not be accepted; empty when it was.
std::string connect_error(const std::string& dsn);
/// Reads a result and frees it.
Answer take_answer(PGresult* result);

}  // namespace pgweir::testing
