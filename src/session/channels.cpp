// See channels.hpp.
#include "pgweir/session/channels.hpp"

#include <algorithm>
#include <charconv>

#include "pgweir/base/bytes.hpp"
#include "pgweir/base/random.hpp"
#include "pgweir/wire/error_fields.hpp"
#include "pgweir/wire/writer.hpp"

namespace pgweir::session {

namespace be = wire::be;

namespace {

/// PostgreSQL's notifications are below 8000 bytes, its notices not much longer.
constexpr std::size_t kMostHeld = std::size_t{1024} * 1024;

/// What the session that made it has set must not end or change it while it serves others.
constexpr std::string_view kNeutral =
    "SET SESSION AUTHORIZATION DEFAULT; RESET ALL; SET application_name = 'pgweir notifications'; "
    "SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name IN "
    "('idle_session_timeout', 'statement_timeout', 'lock_timeout');";

}  // namespace

bool parse_notification(std::string_view message, NotificationView& out) noexcept {
    const auto frame = wire::scan_frame(message);
    if (frame.status != wire::FrameStatus::complete) return false;
    base::ByteReader r(frame.body);
    out.sender = r.u32();
    out.channel = r.cstring();
    out.payload = r.cstring();
    return r.done();
}

std::string with_sender(std::string_view message, std::uint32_t sender) {
    std::string changed(message);
    base::store_u32(changed.data() + wire::kHeaderSize, sender);
    return changed;
}

void append_listen(std::string& sql, const std::vector<std::string>& channels) {
    for (const auto& c : channels) {
        sql += "LISTEN ";
        pool::append_identifier(sql, c);
        sql += ';';
    }
}

ChannelHub::ChannelHub(pool::Leaser& leaser, std::shared_ptr<pool::SharedPool> pool,
                       std::string encoding)
    : leaser_(leaser), pool_(std::move(pool)), encoding_(std::move(encoding)) {
    if (pool_ != nullptr) ++pool_->senders.listeners;
    // Nobody else can know it, so nobody else can mark a place.
    mark_ = "pgweir_";
    for (const char c : base::random_string(16)) {
        constexpr std::string_view kHex = "0123456789abcdef";
        mark_ += kHex[static_cast<unsigned char>(c) >> 4];
        mark_ += kHex[static_cast<unsigned char>(c) & 15];
    }
}

ChannelHub::~ChannelHub() {
    if (pool_ != nullptr) --pool_->senders.listeners;
    if (server_ == nullptr) return;
    using How = pool::Release::How;
    leaser_.release(*server_, {.how = asked_.empty() && in_.empty() ? How::reset : How::close});
}

void ChannelHub::adopt(pool::ServerLink& server, pool::PinPermit permit, ChannelUser& user,
                       const std::vector<std::string>& channels) {
    server_ = &server;
    permit_ = std::move(permit);
    server.set_reading(true);  // a slow client may have stopped it
    for (const auto& c : channels) routes_[c].push_back({&user, 0});
    std::string sql(kNeutral);
    if (!encoding_.empty()) {
        sql += "SELECT pg_catalog.set_config('client_encoding', ";
        pool::append_literal(sql, encoding_);
        sql += ", false);";
    }
    append_listen(sql, {mark_});
    ask(sql, {});
}

void ChannelHub::ask(std::string_view sql, Asked asked) {
    asked_.push_back(asked);
    std::string message;
    wire::write_query(message, sql);
    const iovec part{message.data(), message.size()};
    server_->send({&part, 1});
}

std::string ChannelHub::join(ChannelUser& user, const std::vector<std::string>& channels) {
    ++last_mark_;
    std::string sql;
    append_listen(sql, channels);
    for (const auto& c : channels) routes_[c].push_back({&user, last_mark_});
    ask(sql, {Asked::Kind::join, &user, false});
    return std::to_string(last_mark_);
}

void ChannelHub::give_up(ChannelUser& user) { remove_everywhere(user, true); }

void ChannelHub::leave(ChannelUser& user, std::string_view channel) {
    remove(user, channel, false);
}

void ChannelHub::leave(ChannelUser& user) {
    remove_everywhere(user, false);
    for (auto& a : asked_)
        if (a.user == &user) a.user = nullptr;
    std::erase_if(senders_, [&](const auto& s) { return s.second.user == &user; });
}

void ChannelHub::remove_everywhere(ChannelUser& user, bool waiting_only) {
    std::vector<std::string> names;
    for (const auto& r : routes_) names.push_back(r.first);
    for (const auto& name : names) remove(user, name, waiting_only);
}

void ChannelHub::remove(ChannelUser& user, std::string_view channel, bool waiting_only) {
    const auto it = routes_.find(channel);
    if (it == routes_.end()) return;
    std::erase_if(it->second, [&](const Route& r) {
        return r.user == &user && (!waiting_only || r.from != 0);
    });
    if (!it->second.empty()) return;
    std::string sql = "UNLISTEN ";
    pool::append_identifier(sql, it->first);
    routes_.erase(it);
    if (server_ != nullptr && !routes_.empty()) ask(sql, {});  // else the connection is given back
}

void ChannelHub::catch_up(ChannelUser& user) {
    // Before it is ready again the server passes on all that was committed until it was asked.
    ask("", {Asked::Kind::catch_up, &user, false});
}

void ChannelHub::set_sender(ChannelUser& user, std::uint32_t pid, std::uint32_t number) {
    senders_[pid] = {&user, number};
}

void ChannelHub::on_server_bytes(std::string_view bytes) noexcept {
    const auto self = shared_from_this();  // the last user may leave in a call
    in_.append(bytes);
    std::size_t at = 0;
    while (server_ != nullptr) {
        const auto rest = std::string_view(in_).substr(at);
        if (rest.empty()) break;
        const auto frame = wire::scan_frame(rest);
        const bool odd = frame.status == wire::FrameStatus::bad_length || frame.size > kMostHeld;
        if (odd || !wire::is_server_message(rest[0])) return lose("the server sent nonsense");
        if (frame.status != wire::FrameStatus::complete) break;
        take_frame(frame, rest.substr(0, frame.size));
        at += frame.size;
    }
    in_.erase(0, at);
}

void ChannelHub::take_frame(const wire::Frame& frame, std::string_view whole) {
    switch (frame.type) {
        case be::kNotificationResponse: return take_notification(whole);
        case be::kReadyForQuery: return take_ready();
        case be::kErrorResponse:
            if (!asked_.empty()) asked_.front().failed = true;
            return;
        default: return;
    }
}

void ChannelHub::take_notification(std::string_view whole) {
    NotificationView n;
    if (!parse_notification(whole, n)) return lose("the server sent nonsense");
    if (n.channel == mark_) {
        std::uint64_t number = 0;
        std::from_chars(n.payload.data(), n.payload.data() + n.payload.size(), number);
        for (auto& [name, all] : routes_)
            for (auto& r : all)
                if (number != 0 && r.from == number) r.from = 0;
        return;
    }
    const auto it = routes_.find(n.channel);
    if (it == routes_.end()) return;
    const auto sender = senders_.find(n.sender);
    const bool certain = sender != senders_.end();
    std::uint32_t number = certain ? sender->second.number : 0;
    if (!certain && pool_ != nullptr) number = pool_->senders.find(n.sender, base::monotonic_now());
    const std::string unnamed(whole);
    const std::string named = number == 0 ? unnamed : with_sender(whole, number);
    const std::string channel(n.channel);
    const auto served = it->second;  // it may change in a call
    for (const auto& r : served) {
        if (r.from != 0) continue;
        const auto now = routes_.find(channel);
        if (now == routes_.end()) return;
        const bool there = std::any_of(now->second.begin(), now->second.end(),
                                       [&](const Route& o) { return o.user == r.user; });
        if (!there) continue;
        // A client that takes another's notification for its own may ignore it.
        const bool tell = certain || r.user->number() != number;
        r.user->on_notification(tell ? named : unnamed);
    }
}

void ChannelHub::take_ready() {
    if (asked_.empty()) return lose("the server was ready for what nobody asked");
    const auto done = asked_.front();
    asked_.pop_front();
    if (done.kind == Asked::Kind::own) {
        if (done.failed) lose("the server refused to listen");
        return;
    }
    if (done.user == nullptr) return;
    if (done.kind == Asked::Kind::join)
        done.user->on_joined(!done.failed);
    else
        done.user->on_caught_up();
}

void ChannelHub::on_server_gone(std::string_view why) noexcept {
    const auto self = shared_from_this();
    server_ = nullptr;
    lose(why);
}

void ChannelHub::end_if_moved() {
    if (server_ == nullptr || leaser_.is_where_others_are(*server_)) return;
    const auto self = shared_from_this();
    lose("the database has moved to another server");
}

void ChannelHub::lose(std::string_view why) {
    const std::string reason(why);
    if (auto* server = std::exchange(server_, nullptr); server != nullptr)
        leaser_.release(*server, {.how = pool::Release::How::close});
    asked_.clear();
    in_.clear();
    while (!routes_.empty()) {
        auto* user = routes_.begin()->second.front().user;
        leave(*user);
        user->on_channels_lost(reason);
    }
}

std::shared_ptr<ChannelHub> ChannelHubs::find(pool::Leaser& leaser, std::string_view encoding) {
    const auto it = hubs_.find({&leaser, std::string(encoding)});
    if (it == hubs_.end()) return nullptr;
    auto hub = it->second.lock();
    return hub && hub->open() ? hub : nullptr;
}

std::shared_ptr<ChannelHub> ChannelHubs::make(pool::Leaser& leaser,
                                              std::shared_ptr<pool::SharedPool> pool,
                                              std::string_view encoding) {
    std::erase_if(hubs_, [](const auto& h) { return h.second.expired(); });
    auto hub = std::make_shared<ChannelHub>(leaser, std::move(pool), std::string(encoding));
    const Key key{&leaser, std::string(encoding)};
    expected_.erase(key);
    hubs_[key] = hub;
    return hub;
}

void ChannelHubs::end_moved() {
    std::vector<std::shared_ptr<ChannelHub>> all;
    for (const auto& [key, hub] : hubs_)
        if (auto open = hub.lock()) all.push_back(std::move(open));
    for (const auto& hub : all) hub->end_if_moved();
}

bool ChannelHubs::expect(pool::Leaser& leaser, std::string_view encoding) {
    return find(leaser, encoding) != nullptr ||
           !expected_.emplace(&leaser, std::string(encoding)).second;
}

}  // namespace pgweir::session
