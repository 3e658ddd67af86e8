// See replication.hpp.
#include "pgweir/session/replication.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "pgweir/wire/messages.hpp"
#include "pgweir/wire/sqlstate.hpp"

namespace pgweir::session {

namespace {
/// Bytes that may wait for one side before the other is no longer read.
constexpr std::size_t kMostQueued = std::size_t{256} * 1024;

iovec part_of(std::string_view bytes) noexcept {
    return {const_cast<char*>(bytes.data()), bytes.size()};
}

/// Of a Query, to tell commands of replication by.
constexpr std::size_t kKeptOfQuery = 256;

constexpr std::array<std::string_view, 8> kCommands{
    "ALTER_REPLICATION_SLOT", "BASE_BACKUP",      "CREATE_REPLICATION_SLOT",
    "DROP_REPLICATION_SLOT",  "IDENTIFY_SYSTEM",  "READ_REPLICATION_SLOT",
    "START_REPLICATION",      "TIMELINE_HISTORY",
};

/// These words begin no SQL, so a server that does not know them as commands refuses them; SHOW
/// does, and may have other statements behind it there.
bool is_replication_command(const wire::Frame& frame) {
    const auto in_word = [](char c) { return (c >= 'A' && c <= 'Z') || c == '_'; };
    std::string text(frame.body);
    for (auto& c : text)
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    const auto begin = std::min(text.find_first_not_of(" \t\n\r"), text.size());
    const auto end =
        std::find_if_not(text.begin() + static_cast<std::ptrdiff_t>(begin), text.end(), in_word);
    const std::string_view word(text.begin() + static_cast<std::ptrdiff_t>(begin), end);
    if (std::find(kCommands.begin(), kCommands.end(), word) != kCommands.end()) return true;
    if (word != "SHOW" || frame.status != wire::FrameStatus::complete) return false;
    return text.find(';') == text.npos ||
           text.find_first_not_of(std::string_view("; \t\n\r\0", 6), text.find(';')) == text.npos;
}

struct HeldFence final : pool::Held {
    cache::WriteFence fence;
};
}  // namespace

template <class F>
bool FrameTrail::follow(std::string_view bytes, F&& ended) {
    while (!bytes.empty()) {
        const bool header = kept_.size() < wire::kHeaderSize;
        const auto take = std::min<std::uint64_t>(header ? wire::kHeaderSize - kept_.size() : left_,
                                                  bytes.size());
        const auto room = header ? take : keep_ - kept_.size();
        kept_.append(bytes.substr(0, std::min<std::uint64_t>(take, room)));
        bytes.remove_prefix(take);
        if (kept_.size() < wire::kHeaderSize) return true;
        const auto frame = wire::scan_frame(kept_);
        if (frame.status == wire::FrameStatus::bad_length) return false;
        left_ = header ? frame.size - wire::kHeaderSize : left_ - take;
        if (left_ > 0) continue;
        ended(frame);
        kept_.clear();
    }
    return true;
}

WalsenderWrites::WalsenderWrites(Environment& env, IdentityPtr identity, std::uint64_t client)
    : env_(env),
      identity_(std::move(identity)),
      client_(client),
      to_server_(wire::kHeaderSize + kKeptOfQuery),
      to_client_(wire::kHeaderSize) {}

void WalsenderWrites::on_client_bytes(std::string_view bytes) {
    if (lost_track_) return;
    if (!to_server_.follow(bytes, [this](const wire::Frame& f) { on_client_frame(f); }))
        lose_track();
}

void WalsenderWrites::on_client_frame(const wire::Frame& frame) {
    switch (frame.type) {
        case wire::fe::kQuery:
            ++asked_;
            if (!is_replication_command(frame)) may_write(asked_);
            break;
        case wire::fe::kFunctionCall: may_write(++asked_); break;
        case wire::fe::kSync: ++asked_; break;
        case wire::fe::kCopyData:
        case wire::fe::kCopyDone:
        case wire::fe::kCopyFail:
        case wire::fe::kFlush:
        case wire::fe::kTerminate: break;
        default: may_write(asked_ + 1); break;  // its Sync is still to come
    }
}

void WalsenderWrites::may_write(std::uint64_t answered_by) {
    settled_by_ = answered_by;
    if (fence_.raised()) return;
    auto& database = *identity_->context.database;
    fence_.add_schema(database);
    fence_.add(database.everything());
    fence_.note(client_, env_.now());
    fence_.raise();
}

/// Fewer answers than were asked for only settle late: what follows an error may be skipped.
void WalsenderWrites::on_server_bytes(std::string_view bytes) {
    if (lost_track_) return;
    const auto on_frame = [this](const wire::Frame& frame) {
        if (frame.type != wire::be::kReadyForQuery || answered_ == asked_) return;
        if (++answered_ >= settled_by_) settle();
    };
    if (!to_client_.follow(bytes, on_frame)) lose_track();
}

void WalsenderWrites::settle() {
    if (!fence_.raised()) return;
    fence_.settle();
    env_.catalog_may_have_changed(*identity_->context.database);
}

/// No answer settles anything from here on.
void WalsenderWrites::lose_track() {
    lost_track_ = true;
    may_write(asked_ + 1);
}

void WalsenderWrites::hold_until_gone(std::uint32_t server_pid) {
    if (!fence_.raised()) return;
    auto held = std::make_unique<HeldFence>();
    held->fence = std::move(fence_);
    env_.hold_until_gone(*identity_, server_pid, std::move(held));
}

std::string_view name(Replication kind) noexcept {
    switch (kind) {
        case Replication::none: return "none";
        case Replication::logical: return "logical";
        case Replication::physical: return "physical";
    }
    return "";
}

ReplicationRelay::~ReplicationRelay() {
    if (auto* server = std::exchange(server_, nullptr)) {
        if (writes_) writes_->hold_until_gone(server->process_id());
        server->drop_observer();
        pool_.close_own(*server);
    }
}

bool ReplicationRelay::open(auth::Parameters parameters, Ready ready) {
    permit_ = pool::PinPermit::take(pool_.shared());
    if (!permit_) return false;
    ready_ = std::move(ready);
    auto* server = pool_.open_own(*this, *this, std::move(parameters));
    if (ready_) server_ = server;  // else it has failed already, and is gone
    return server != nullptr;
}

void ReplicationRelay::on_client_bytes(std::string_view bytes) {
    if (server_ == nullptr) return;
    if (writes_) writes_->on_client_bytes(bytes);
    const auto part = part_of(bytes);
    server_->send({&part, 1});
    if (server_->queued() > kMostQueued) client_.set_reading(false);
}

void ReplicationRelay::on_client_drained() noexcept {
    if (server_ != nullptr) server_->set_reading(true);
}

void ReplicationRelay::on_server_drained() noexcept { client_.set_reading(true); }

void ReplicationRelay::on_server_bytes(std::string_view bytes) noexcept {
    if (writes_) writes_->on_server_bytes(bytes);
    const auto part = part_of(bytes);
    client_.gather_send({&part, 1});
    if (server_ != nullptr && client_.queued() > kMostQueued) server_->set_reading(false);
}

/// Its own last words, if any, have been passed on.
void ReplicationRelay::on_server_gone(std::string_view) noexcept {
    if (server_ != nullptr && writes_) writes_->hold_until_gone(server_->process_id());
    server_ = nullptr;
    client_.finish();
}

void ReplicationRelay::cancel(pool::CancelToken settled) {
    if (server_ != nullptr) pool_.cancel(*server_, std::move(settled));
}

void ReplicationRelay::on_password_needed() {
    on_server_login_failed({std::string(wire::sqlstate::kInvalidAuthorization),
                            "the server asks for a password and none is known", "", true});
}

void ReplicationRelay::on_server_login(bool) {
    const auto ready = std::exchange(ready_, nullptr);
    if (ready) ready(nullptr);
}

void ReplicationRelay::on_server_login_failed(const pool::ServerFailure& why) {
    // A server that waits for a password is closed when this object goes; others are gone already.
    if (server_ != nullptr && server_->state() == pool::ServerState::closed) server_ = nullptr;
    const auto ready = std::exchange(ready_, nullptr);
    if (ready) ready(&why);
}

}  // namespace pgweir::session
