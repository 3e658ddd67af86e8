// libpq behind control/connection.hpp; the only file that includes it.
#include "pgweir/control/connection.hpp"

#include <libpq-fe.h>
#include <poll.h>

#include <array>
#include <charconv>
#include <string>

#include "pgweir/base/bytes.hpp"

namespace pgweir::control {

namespace {

const char* mode_name(config::TlsMode mode) noexcept {
    switch (mode) {
        case config::TlsMode::disable: return "disable";
        case config::TlsMode::allow: return "allow";
        case config::TlsMode::prefer: return "prefer";
        case config::TlsMode::require: return "require";
        case config::TlsMode::verify_ca: return "verify-ca";
        case config::TlsMode::verify_full: return "verify-full";
    }
    return "verify-full";
}

/// libpq's texts end with a newline and may span lines; reasons are one line.
std::string one_line(const char* text) {
    std::string s = text == nullptr ? "" : text;
    while (!s.empty() && (s.back() == '\n' || s.back() == ' ')) s.pop_back();
    for (char& c : s)
        if (static_cast<unsigned char>(c) < ' ') c = ' ';
    if (s.size() > 500) s.resize(500);
    return s;
}

int wait_milliseconds(base::Nanos deadline) noexcept {
    const auto left = deadline - base::monotonic_now();
    return left <= 0 ? 0 : static_cast<int>(left / base::kMillisecond + 1);
}

void ignore_notice(void*, const PGresult*) noexcept {}

/// What PQsendQueryParams wants of a Bind's body.
struct Bound {
    std::vector<std::string> values;
    std::vector<const char*> pointers;
    std::vector<int> lengths, formats;

    bool read(std::string_view bind) {
        if (bind.empty()) return true;
        base::ByteReader r(bind);
        const std::size_t codes = r.u16();
        const auto given = r.bytes(codes * 2);
        const std::size_t count = r.u16();
        if (!r.ok() || (codes > 1 && codes != count)) return false;
        values.reserve(count);
        for (std::size_t i = 0; i < count; ++i) {
            const auto size = static_cast<std::int32_t>(r.u32());
            const auto value =
                size < 0 ? std::string_view() : r.bytes(static_cast<std::size_t>(size));
            if (!r.ok()) return false;
            values.emplace_back(value);
            pointers.push_back(size < 0 ? nullptr : values.back().c_str());
            lengths.push_back(static_cast<int>(value.size()));
            const std::size_t code = codes == 1 ? 0 : i;
            formats.push_back(code < codes ? base::load_u16(given.data() + code * 2) : 0);
        }
        return true;
    }
};

void free_copied(char* text) noexcept {
    if (text != nullptr) PQfreemem(text);
}

}  // namespace

bool Row::is_null(int column) const noexcept {
    return column >= PQnfields(result_) || PQgetisnull(result_, row_, column) != 0;
}

std::string_view Row::text(int column) const noexcept {
    if (is_null(column)) return {};
    return {PQgetvalue(result_, row_, column),
            static_cast<std::size_t>(PQgetlength(result_, row_, column))};
}

std::uint32_t Row::number(int column) const noexcept {
    const auto t = text(column);
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(t.data(), t.data() + t.size(), value);
    return error == std::errc{} && end == t.data() + t.size() ? value : 0;
}

bool Row::flag(int column) const noexcept { return text(column) == "t"; }

char Row::letter(int column) const noexcept {
    const auto t = text(column);
    return t.empty() ? '\0' : t[0];
}

Connection::Connection(const Target& target, Limits limits)
    : limits_(limits), copied_(nullptr, free_copied) {
    const auto port = std::to_string(target.port);
    const auto root = target.tls_ca_file;
    // A missing entry would be filled from the environment of the process or a password file.
    const auto* binding = target.require_channel_binding ? "require" : "prefer";
    const std::array<std::pair<const char*, const char*>, 21> given{{
        {"host", target.host.c_str()},
        {"port", port.c_str()},
        {"dbname", target.dbname.c_str()},
        {"user", target.user.c_str()},
        {"password", target.password.c_str()},
        {"passfile", "/dev/null/none"},
        {"sslmode", mode_name(target.tls_mode)},
        {"sslrootcert", root.c_str()},
        {"sslcrl", target.tls_crl_file.c_str()},
        {"sslcert", target.tls_cert_file.c_str()},
        {"sslkey", target.tls_key_file.c_str()},
        {"channel_binding", binding},
        {"gssencmode", "disable"},
        {"application_name", target.replication ? "pgweir stream" : "pgweir control"},
        {"replication", target.replication ? "database" : "false"},
        // The change stream's dates are compared with those of statements.
        {"options", target.replication ? "-c datestyle=ISO" : ""},
        {"keepalives_idle", "5"},
        {"keepalives_interval", "2"},
        {"keepalives_count", "3"},
        {"tcp_user_timeout", "5000"},
        {nullptr, nullptr},
    }};
    std::array<const char*, 21> keys{};
    std::array<const char*, 21> values{};
    for (std::size_t i = 0; i < given.size(); ++i) {
        keys[i] = given[i].first;
        values[i] = given[i].second;
    }
    deadline_ = base::monotonic_now() + limits_.connect;
    conn_ = PQconnectStartParams(keys.data(), values.data(), 0);
    if (conn_ == nullptr || PQstatus(conn_) == CONNECTION_BAD) {
        fail(conn_ == nullptr ? "out of memory" : one_line(PQerrorMessage(conn_)));
        return;
    }
    PQsetNoticeReceiver(conn_, ignore_notice, nullptr);
    events_ = POLLOUT;
}

Connection::~Connection() {
    if (conn_ != nullptr) PQfinish(conn_);
}

int Connection::fd() const noexcept { return conn_ == nullptr ? -1 : PQsocket(conn_); }

ConnectState Connection::advance() noexcept {
    if (broken_) return ConnectState::failed;
    if (ready_) return ConnectState::ready;
    pollfd p{fd(), events_, 0};
    if (::poll(&p, 1, 0) <= 0) {
        if (base::monotonic_now() < deadline_) return ConnectState::connecting;
        fail("no answer while connecting");
        return ConnectState::failed;
    }
    switch (PQconnectPoll(conn_)) {
        case PGRES_POLLING_READING: events_ = POLLIN; break;
        case PGRES_POLLING_WRITING: events_ = POLLOUT; break;
        case PGRES_POLLING_OK:
            ready_ = PQsetnonblocking(conn_, 1) == 0;
            if (!ready_) fail(one_line(PQerrorMessage(conn_)));
            return ready_ ? ConnectState::ready : ConnectState::failed;
        default: fail(one_line(PQerrorMessage(conn_))); return ConnectState::failed;
    }
    return ConnectState::connecting;
}

std::optional<std::string> Connection::wait_connected() {
    while (true) {
        switch (advance()) {
            case ConnectState::ready: return std::nullopt;
            case ConnectState::failed: return error_;
            case ConnectState::connecting: break;
        }
        // A time out is found by the next advance(), with the better text.
        if (auto error = wait(events_, deadline_); error && base::monotonic_now() < deadline_)
            return fail(*error);
    }
}

std::optional<std::string> Connection::fail(std::string text) {
    broken_ = true;
    ready_ = false;
    error_ = std::move(text);
    return error_;
}

std::optional<std::string> Connection::wait(short events, base::Nanos deadline) {
    std::array<pollfd, 2> fds{{{fd(), events, 0}, {limits_.stop_fd, POLLIN, 0}}};
    const int n = ::poll(fds.data(), fds.size(), wait_milliseconds(deadline));
    if (fds[1].revents != 0) return "stopped";
    if (n == 0) return "no answer within the time limit";
    return std::nullopt;
}

std::optional<std::string> Connection::next_result(base::Nanos deadline, pg_result** result) {
    *result = nullptr;
    while (true) {
        const int unsent = PQflush(conn_);
        if (unsent < 0) return fail(one_line(PQerrorMessage(conn_)));
        if (unsent == 0 && PQisBusy(conn_) == 0) break;
        const auto wanted = static_cast<short>(unsent > 0 ? POLLIN | POLLOUT : POLLIN);
        if (auto error = wait(wanted, deadline)) return fail(*error);
        if (PQconsumeInput(conn_) == 0) return fail(one_line(PQerrorMessage(conn_)));
    }
    // Rows that are there already must not outrun the limit or a stop either.
    if (base::monotonic_now() > deadline) return fail("no answer within the time limit");
    *result = PQgetResult(conn_);
    return std::nullopt;
}

std::optional<std::string> Connection::query(std::string_view sql, const RowCallback& row,
                                             base::Nanos limit) {
    if (!usable()) return fail(error_.empty() ? "not connected" : error_);
    const auto deadline = base::monotonic_now() + (limit > 0 ? limit : limits_.statement);
    return read_results(PQsendQuery(conn_, std::string(sql).c_str()) != 0, row, deadline);
}

std::optional<std::string> Connection::query_one(const std::string& sql,
                                                 const std::string& parameter,
                                                 const RowCallback& row) {
    if (!usable()) return fail(error_.empty() ? "not connected" : error_);
    const char* value = parameter.c_str();
    const bool sent =
        PQsendQueryParams(conn_, sql.c_str(), 1, nullptr, &value, nullptr, nullptr, 0) != 0;
    return read_results(sent, row, base::monotonic_now() + limits_.statement);
}

std::optional<std::string> Connection::query_bound(const std::string& sql,
                                                   const std::vector<std::uint32_t>& types,
                                                   std::string_view bind, const RowCallback& row) {
    if (!usable()) return fail(error_.empty() ? "not connected" : error_);
    Bound bound;
    if (!bound.read(bind)) return fail("parameters that cannot be read");
    auto declared = types;
    declared.resize(bound.values.size());
    const bool sent = PQsendQueryParams(conn_, sql.c_str(), static_cast<int>(bound.values.size()),
                                        declared.data(), bound.pointers.data(),
                                        bound.lengths.data(), bound.formats.data(), 0) != 0;
    return read_results(sent, row, base::monotonic_now() + limits_.statement);
}

std::optional<std::string> Connection::read_results(bool sent, const RowCallback& row,
                                                    base::Nanos deadline) {
    if (!sent || PQsetSingleRowMode(conn_) == 0) return fail(one_line(PQerrorMessage(conn_)));
    std::optional<std::string> failed;
    while (true) {
        pg_result* raw = nullptr;
        if (auto error = next_result(deadline, &raw)) return error;
        if (raw == nullptr) break;
        const std::unique_ptr<pg_result, decltype(&PQclear)> result(raw, PQclear);
        switch (PQresultStatus(raw)) {
            case PGRES_SINGLE_TUPLE:
                if (row && !row(Row(raw, 0))) return fail("reading was ended");
                break;
            case PGRES_TUPLES_OK:
            case PGRES_COMMAND_OK:
            case PGRES_EMPTY_QUERY: break;
            default: failed = one_line(PQresultErrorMessage(raw)); break;
        }
    }
    if (failed) return fail(*failed);
    return std::nullopt;
}

std::optional<std::string> Connection::run(std::string_view sql) { return query(sql, nullptr); }

base::Result<std::string> Connection::value(std::string_view sql) {
    std::string found;
    bool first = true;
    if (auto error = query(sql, [&](const Row& r) {
            if (first) found = r.text(0);
            first = false;
            return true;
        }))
        return base::Error{*error};
    return found;
}

bool Connection::begin_query(std::string_view sql) {
    if (usable() && PQsendQuery(conn_, std::string(sql).c_str()) != 0) return true;
    fail(usable() ? one_line(PQerrorMessage(conn_)) : error_);
    return false;
}

Connection::Step Connection::advance_query(const RowCallback& row) {
    if (!usable()) return Step::failed;
    if (PQflush(conn_) < 0 || PQconsumeInput(conn_) == 0) {
        fail(one_line(PQerrorMessage(conn_)));
        return Step::failed;
    }
    while (PQisBusy(conn_) == 0) {
        const std::unique_ptr<pg_result, decltype(&PQclear)> result(PQgetResult(conn_), PQclear);
        if (!result) return Step::done;
        switch (PQresultStatus(result.get())) {
            case PGRES_COPY_BOTH: return Step::copying;
            case PGRES_TUPLES_OK:
                for (int i = 0; row && i < PQntuples(result.get()); ++i)
                    if (!row(Row(result.get(), i))) {
                        fail("an answer that was not expected");
                        return Step::failed;
                    }
                break;
            case PGRES_COMMAND_OK: break;
            default: fail(one_line(PQresultErrorMessage(result.get()))); return Step::failed;
        }
    }
    return Step::busy;
}

Connection::Step Connection::next_copy(std::string_view& message) {
    if (!usable()) return Step::failed;
    char* text = nullptr;
    auto size = PQgetCopyData(conn_, &text, 1);
    if (size == 0) {
        if (PQflush(conn_) < 0 || PQconsumeInput(conn_) == 0) {
            fail(one_line(PQerrorMessage(conn_)));
            return Step::failed;
        }
        size = PQgetCopyData(conn_, &text, 1);
    }
    copied_.reset(text);
    if (size > 0) {
        message = {text, static_cast<std::size_t>(size)};
        return Step::row;
    }
    if (size == 0) return Step::busy;
    const std::unique_ptr<pg_result, decltype(&PQclear)> result(PQgetResult(conn_), PQclear);
    auto why = one_line(result ? PQresultErrorMessage(result.get()) : PQerrorMessage(conn_));
    fail(why.empty() ? "the server ended the stream" : why);
    return Step::failed;
}

bool Connection::put_copy(std::string_view message) {
    if (!usable()) return false;
    if (PQputCopyData(conn_, message.data(), static_cast<int>(message.size())) > 0 &&
        PQflush(conn_) >= 0)
        return true;
    fail(one_line(PQerrorMessage(conn_)));
    return false;
}

bool Connection::next_notice(Notice& notice) {
    if (!usable()) return false;
    const std::unique_ptr<PGnotify, decltype(&PQfreemem)> got(PQnotifies(conn_), PQfreemem);
    if (!got) return false;
    notice.sender = got->be_pid;
    notice.text = got->extra;
    return true;
}

std::int32_t Connection::process() const noexcept {
    return conn_ == nullptr ? 0 : PQbackendPID(conn_);
}

short Connection::wanted() noexcept {
    if (!ready_) return events_;
    return usable() && PQflush(conn_) > 0 ? static_cast<short>(POLLIN | POLLOUT)
                                          : static_cast<short>(POLLIN);
}

bool Connection::usable() const noexcept { return ready_ && !broken_; }

std::uint32_t Connection::server_version_num() const noexcept {
    const int v = conn_ == nullptr ? 0 : PQserverVersion(conn_);
    return v > 0 ? static_cast<std::uint32_t>(v) : 0;
}

std::string Connection::server_version() const {
    const char* v = conn_ == nullptr ? nullptr : PQparameterStatus(conn_, "server_version");
    return v == nullptr ? "" : v;
}

bool Connection::lost() noexcept {
    if (!usable()) return true;
    pollfd p{fd(), POLLIN, 0};
    if (::poll(&p, 1, 0) > 0 && PQconsumeInput(conn_) == 0) {
        fail(one_line(PQerrorMessage(conn_)));
        return true;
    }
    return PQstatus(conn_) != CONNECTION_OK;
}

}  // namespace pgweir::control
