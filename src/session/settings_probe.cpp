// See settings_probe.hpp.
#include "pgweir/session/settings_probe.hpp"

#include "pgweir/base/bytes.hpp"
#include "pgweir/wire/error_fields.hpp"
#include "pgweir/wire/frame.hpp"
#include "pgweir/wire/sqlstate.hpp"
#include "pgweir/wire/writer.hpp"

namespace pgweir::session {

namespace {
constexpr std::size_t kMaxAnswer = std::size_t{1024} * 1024;

void set_parameter(pool::Parameters& parameters, std::string_view name, std::string_view value) {
    for (auto& [n, v] : parameters)
        if (n == name) {
            v = value;
            return;
        }
    parameters.emplace_back(name, value);
}
}  // namespace

SettingsProbe::SettingsProbe(pool::Pool& pool, pool::ProfilePtr profile, Done done)
    : pool_(pool), profile_(std::move(profile)), done_(std::move(done)) {}

SettingsProbe::~SettingsProbe() {
    if (wait_link.linked()) pool_.cancel_wait(*this);
    if (server_ != nullptr) pool_.release(*server_, {.how = pool::Release::How::close});
}

void SettingsProbe::begin(bool keep) {
    keep_ = keep;
    if (auto* server = pool_.acquire(*this)) {
        server_ = server;
        start();
    }
}

void SettingsProbe::on_lease(pool::ServerLink& server) noexcept {
    server_ = &server;
    start();
}

void SettingsProbe::start() {
    parameters_ = pool_.shared()->parameters(0).value_or(pool::Parameters{});
    // From nothing, and as queries of their own: servers report at the end of a query, and only
    // what differs from what they reported last.
    std::string nothing, wanted, message;
    pool::append_settings_sql(nothing, *server_->profile, *pool::empty_profile());
    pool::append_settings_sql(wanted, *pool::empty_profile(), *profile_);
    wire::write_query(message, nothing);
    wire::write_query(message, wanted);
    ready_expected_ = 2;
    server_->unnamed_statement = 0;  // a simple Query destroys it
    const iovec part{message.data(), message.size()};
    server_->send({&part, 1});
}

void SettingsProbe::on_server_bytes(std::string_view bytes) noexcept {
    in_.append(bytes);
    while (true) {
        const auto frame = wire::scan_frame(in_);
        if (frame.status == wire::FrameStatus::bad_length || in_.size() > kMaxAnswer) {
            failed_ = true;
            failure_ = {std::string(wire::sqlstate::kProtocolViolation),
                        "the server sent a malformed message", "", false};
            finish();
            return;
        }
        if (frame.status != wire::FrameStatus::complete) return;
        if (frame.type == wire::be::kParameterStatus) {
            base::ByteReader r(frame.body);
            const auto name = r.cstring();
            const auto value = r.cstring();
            if (r.ok()) set_parameter(parameters_, name, value);
        } else if (frame.type == wire::be::kErrorResponse && !failed_) {
            const auto f = wire::parse_error_fields(frame.body);
            failed_ = true;
            failure_ = {std::string(f.sqlstate), std::string(f.message), std::string(f.detail),
                        true};
        } else if (frame.type == wire::be::kReadyForQuery && --ready_expected_ == 0) {
            in_.clear();
            finish();
            return;
        }
        in_.erase(0, frame.size);
    }
}

void SettingsProbe::finish() {
    auto* server = keep_ && !failed_ ? server_ : std::exchange(server_, nullptr);
    if (failed_) {
        pool_.release(*server, {.how = pool::Release::How::reset});
        const auto done = std::move(done_);
        done(base::Error{failure_.message}, failure_);
        return;
    }
    server->profile = profile_;
    if (profile_->id != 0) pool_.note_parameters(*server, profile_->id, parameters_);
    const auto done = std::move(done_);
    const auto parameters = parameters_;
    if (!keep_) pool_.release(*server, {.how = pool::Release::How::clean});
    done(parameters, {});
}

void SettingsProbe::on_lease_failed(const pool::ServerFailure& why) noexcept {
    const auto done = std::move(done_);
    done(base::Error{why.message}, why);
}

void SettingsProbe::on_server_gone(std::string_view why) noexcept {
    server_ = nullptr;
    on_lease_failed({std::string(wire::sqlstate::kConnectionFailure), std::string(why), "", false});
}

}  // namespace pgweir::session
