// See console_session.hpp.
#include "pgweir/session/console_session.hpp"

#include "batch_plan.hpp"
#include "pgweir/wire/frame.hpp"
#include "pgweir/wire/sqlstate.hpp"
#include "pgweir/wire/writer.hpp"

namespace pgweir::session {

namespace {
constexpr std::uint32_t kMaxMessage = 64 * 1024;
/// Bytes of answers a client has not read beyond which it gets no more.
constexpr std::size_t kMostQueued = std::size_t{256} * 1024;
constexpr std::size_t kMaxNamed = 1000;
}  // namespace

ConsoleSession::ConsoleSession(ClientConnection& client, ConsoleCommands& commands, bool admin)
    : client_(client), commands_(commands), admin_(admin) {}

void ConsoleSession::send(std::string_view bytes) { client_.send_now(bytes); }

void ConsoleSession::fail(std::string_view sqlstate, std::string_view message) {
    std::string out;
    wire::write_error(out, {.sqlstate = sqlstate, .message = message});
    send(out);
    skip_until_sync_ = true;
}

void ConsoleSession::on_client_bytes(std::string_view bytes) {
    in_.append(bytes);
    if (!running_) work();
    bound_input();
}

void ConsoleSession::on_client_drained() {
    if (!running_) work();
    bound_input();
}

/// Whoever asks faster than it reads the answers is not read either.
void ConsoleSession::bound_input() {
    const bool full = in_.size() > std::size_t{2} * kMaxMessage;
    if (full == held_up_) return;
    held_up_ = full;
    client_.set_reading(!full);
}

void ConsoleSession::work() {
    while (!running_ && !in_.empty() && client_.queued() <= kMostQueued) {
        const auto frame = wire::scan_frame(in_, kMaxMessage);
        const bool known = wire::is_client_message(in_[0]) && in_[0] != wire::fe::kPassword;
        if (!known || frame.status == wire::FrameStatus::bad_length) {
            client_.shut_down(
                {.severity = "FATAL",
                 .sqlstate = wire::sqlstate::kProtocolViolation,
                 .message = known ? "invalid message length" : "invalid frontend message type"});
            return;
        }
        if (frame.status != wire::FrameStatus::complete) return;
        const std::string body(frame.body);
        const char type = frame.type;
        in_.erase(0, frame.size);
        if (type == wire::fe::kTerminate) {
            client_.finish();
            return;
        }
        on_message(type, body);
    }
}

void ConsoleSession::on_message(char type, std::string_view body) {
    if (type == wire::fe::kSync) {
        skip_until_sync_ = false;
        portals_.clear();
        send(std::string_view("Z\0\0\0\5I", 6));
        return;
    }
    if (skip_until_sync_) return;
    switch (type) {
        case wire::fe::kQuery: {
            base::ByteReader r(body);
            const auto sql = r.cstring();
            simple_ = true;
            run(std::string(sql), false);
            return;
        }
        case wire::fe::kParse: on_parse(body); return;
        case wire::fe::kBind: on_bind(body); return;
        case wire::fe::kDescribe: on_describe(body); return;
        case wire::fe::kExecute: on_execute(body); return;
        case wire::fe::kClose: on_close(body); return;
        case wire::fe::kFlush: return;
        default:
            fail(wire::sqlstate::kFeatureNotSupported, "the console does not take this message");
            return;
    }
}

void ConsoleSession::run(const std::string& sql, bool extended) {
    running_ = true;
    commands_.execute(sql, admin_, extended,
                      [this](std::string answer) { resume(std::move(answer)); });
}

void ConsoleSession::resume(std::string answer) {
    running_ = false;
    const bool failed = !answer.empty() && answer[0] == wire::be::kErrorResponse;
    if (simple_)
        answer += std::string_view("Z\0\0\0\5I", 6);
    else if (failed)
        skip_until_sync_ = true;
    simple_ = false;
    send(answer);
    work();
    bound_input();
}

void ConsoleSession::on_parse(std::string_view body) {
    ParseView parse;
    if (!parse_parse(body, parse)) {
        fail(wire::sqlstate::kProtocolViolation, "invalid message format");
        return;
    }
    if (auto error = commands_.check(parse.text); !error.empty()) {
        send(error);
        skip_until_sync_ = true;
        return;
    }
    if (!parse.name.empty() && statements_.contains(std::string(parse.name))) {
        fail(wire::sqlstate::kDuplicatePreparedStatement,
             "prepared statement \"" + std::string(parse.name) + "\" already exists");
        return;
    }
    if (statements_.size() >= kMaxNamed) {
        fail(wire::sqlstate::kProgramLimitExceeded, "too many prepared statements");
        return;
    }
    statements_[std::string(parse.name)] = parse.text;
    send(std::string_view("1\0\0\0\4", 5));
}

void ConsoleSession::on_bind(std::string_view body) {
    BindView bind;
    if (!parse_bind(body, bind)) {
        fail(wire::sqlstate::kProtocolViolation, "invalid message format");
        return;
    }
    const auto it = statements_.find(std::string(bind.statement));
    if (it == statements_.end()) {
        fail(wire::sqlstate::kInvalidSqlStatementName,
             "prepared statement \"" + std::string(bind.statement) + "\" does not exist");
        return;
    }
    for (std::size_t i = 0; i + 2 <= bind.result_formats.size(); i += 2)
        if (base::load_u16(bind.result_formats.data() + i) != 0) {
            fail(wire::sqlstate::kFeatureNotSupported,
                 "the console gives results in text format only");
            return;
        }
    if (portals_.size() >= kMaxNamed) portals_.clear();
    portals_[std::string(bind.portal)] = it->second;
    send(std::string_view("2\0\0\0\4", 5));
}

void ConsoleSession::on_describe(std::string_view body) {
    base::ByteReader r(body);
    const bool statement = r.u8() == 'S';
    const auto name = std::string(r.cstring());
    auto& from = statement ? statements_ : portals_;
    const auto it = from.find(name);
    if (it == from.end()) {
        fail(statement ? wire::sqlstate::kInvalidSqlStatementName : std::string_view("34000"),
             (statement ? "prepared statement \"" : "portal \"") + name + "\" does not exist");
        return;
    }
    if (statement) send(std::string_view("t\0\0\0\6\0\0", 7));
    send(commands_.describe(it->second));
}

void ConsoleSession::on_execute(std::string_view body) {
    base::ByteReader r(body);
    const auto name = std::string(r.cstring());
    const auto it = portals_.find(name);
    if (it == portals_.end()) {
        fail("34000", "portal \"" + name + "\" does not exist");
        return;
    }
    run(it->second, true);
}

void ConsoleSession::on_close(std::string_view body) {
    base::ByteReader r(body);
    const bool statement = r.u8() == 'S';
    const auto name = std::string(r.cstring());
    (statement ? statements_ : portals_).erase(name);
    send(std::string_view("3\0\0\0\4", 5));
}

}  // namespace pgweir::session
