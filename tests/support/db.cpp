// See db.hpp.
#include "support/db.hpp"

#include <stdexcept>

namespace pgweir::testing {
namespace {

std::string text(const char* s) { return s == nullptr ? "" : s; }

std::vector<const char*> value_pointers(const std::vector<Parameter>& values) {
    std::vector<const char*> p;
    for (const auto& v : values) p.push_back(v ? v->c_str() : nullptr);
    return p;
}

void ignore_notices(void*, const PGresult*) {}

}  // namespace

std::string Answer::at(std::size_t row, const std::string& column) const {
    for (std::size_t i = 0; i < columns.size(); ++i)
        if (columns[i] == column && row < rows.size()) return rows[row][i];
    return "<no such column>";
}

Answer take_answer(PGresult* result) {
    Answer a;
    const auto status = PQresultStatus(result);
    a.ok = status != PGRES_FATAL_ERROR && status != PGRES_BAD_RESPONSE && result != nullptr;
    if (!a.ok) {
        a.sqlstate = text(PQresultErrorField(result, PG_DIAG_SQLSTATE));
        a.severity = text(PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED));
        a.message = text(PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
        if (a.message.empty()) a.message = text(PQresultErrorMessage(result));
    }
    a.tag = text(PQcmdStatus(result));
    for (int c = 0; c < PQnfields(result); ++c) {
        a.columns.push_back(text(PQfname(result, c)));
        a.types.push_back(PQftype(result, c));
    }
    for (int r = 0; r < PQntuples(result); ++r) {
        std::vector<std::string> row;
        for (int c = 0; c < PQnfields(result); ++c)
            row.push_back(PQgetisnull(result, r, c) ? "NULL" : PQgetvalue(result, r, c));
        a.rows.push_back(std::move(row));
    }
    PQclear(result);
    return a;
}

Db::Db(const std::string& dsn) : connection_(PQconnectdb(dsn.c_str())) {
    if (!alive()) {
        const std::string error = PQerrorMessage(connection_);
        PQfinish(connection_);
        throw std::runtime_error("connect: " + error);
    }
    PQsetNoticeReceiver(connection_, ignore_notices, nullptr);
}

Db::~Db() {
    if (connection_ != nullptr) PQfinish(connection_);
}

Answer Db::exec(const std::string& sql) { return take_answer(PQexec(connection_, sql.c_str())); }

Answer Db::exec_params(const std::string& sql, const std::vector<Parameter>& values) {
    const auto p = value_pointers(values);
    return take_answer(PQexecParams(connection_, sql.c_str(), static_cast<int>(p.size()), nullptr,
                                    p.data(), nullptr, nullptr, 0));
}

Answer Db::prepare(const std::string& name, const std::string& sql) {
    return take_answer(PQprepare(connection_, name.c_str(), sql.c_str(), 0, nullptr));
}

Answer Db::exec_prepared(const std::string& name, const std::vector<Parameter>& values) {
    const auto p = value_pointers(values);
    return take_answer(PQexecPrepared(connection_, name.c_str(), static_cast<int>(p.size()),
                                      p.data(), nullptr, nullptr, 0));
}

std::string Db::value(const std::string& sql) {
    const auto a = exec(sql);
    if (!a.ok) throw std::runtime_error(a.sqlstate + " " + a.message + " in: " + sql);
    return a.value();
}

char Db::status() const {
    switch (PQtransactionStatus(connection_)) {
        case PQTRANS_IDLE: return 'I';
        case PQTRANS_INTRANS: return 'T';
        case PQTRANS_INERROR: return 'E';
        default: return '?';
    }
}

std::string connect_error(const std::string& dsn) {
    PGconn* c = PQconnectdb(dsn.c_str());
    const std::string error = PQstatus(c) == CONNECTION_OK ? "" : PQerrorMessage(c);
    PQfinish(c);
    return error;
}

}  // namespace pgweir::testing
