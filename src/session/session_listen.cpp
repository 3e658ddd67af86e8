// Session: LISTEN and UNLISTEN without a server connection. The server itself decides what is
// listened to: what the look finds at the end of a transaction is handed over to the hub, or is the
// hub's from then on with the connection, where there is none yet. Invariants: of a channel that
// the hub has the client hears from the hub only; notifications come while no transaction is open,
// and those committed before a statement ended come before its ReadyForQuery. Thread: the worker's.
#include <algorithm>

#include "inspection.hpp"
#include "listening.hpp"
#include "pgweir/base/bytes.hpp"
#include "pgweir/base/log.hpp"
#include "pgweir/query/tokens.hpp"
#include "pgweir/wire/sqlstate.hpp"
#include "turn.hpp"

namespace pgweir::session {

using query::Kind;
using query::PinReason;
using wire::TxStatus;
namespace fe = wire::fe;

namespace {

/// Of notifications that a client is too busy or too slow to be told; PostgreSQL keeps them on its
/// disk.
constexpr std::size_t kMostWaiting = std::size_t{8} * 1024 * 1024;

std::string channel_name(const query::TextToken& token) {
    if (token.kind != query::TextToken::Kind::quoted) return token.text;
    std::string name;
    for (std::size_t i = 1; i + 1 < token.text.size(); ++i) {
        name += token.text[i];
        if (token.text[i] == '"') ++i;
    }
    return name;
}

/// The channels of all UNLISTEN in a text; an empty name for all.
void add_unlistened(std::string_view text, std::vector<std::string>& names) {
    const auto tokens = query::text_tokens(text);
    for (std::size_t i = 0; i + 1 < tokens.size(); ++i) {
        if (!tokens[i].is("unlisten") || (i > 0 && !tokens[i - 1].is(";"))) continue;
        names.push_back(tokens[i + 1].is("*") ? std::string() : channel_name(tokens[i + 1]));
    }
}

}  // namespace

/// Notifications come in the client's encoding, so only sessions of the same one share a hub.
std::string_view Session::encoding() const noexcept {
    const auto set = identity_->profile->find("client_encoding");
    return set.data() == nullptr ? std::string_view() : set;
}

bool Session::expects_hub() const {
    return listening_ != nullptr || env_.hubs.expect(leaser_, encoding());
}

/// True when nothing else keeps the session here, and the channels its server has been found to
/// listen to are on their way to a hub.
bool Session::hand_over_channels(std::vector<std::string>& found) {
    if (found.empty() || found.size() > Inspection::kMostChannels || identity_->opaque_text)
        return false;
    // What others are to hear comes from where they notify.
    if (!leaser_.is_where_others_are(*server_)) return false;
    if (listening_ == nullptr) listening_ = std::make_unique<Listening>(*this);
    auto& l = *listening_;
    std::erase_if(found, [&](const auto& name) { return Listening::has(l.channels, name); });
    l.joining = std::move(found);
    if (l.hub == nullptr) l.hub = env_.hubs.find(leaser_, encoding());
    if (l.hub == nullptr) {
        give_to_hub();
        return true;
    }
    hub_wait_ = true;
    if (l.joining.empty()) {
        l.step = Listening::Step::marked;
        step_hand_over();
    } else {
        l.step = Listening::Step::joining;
        l.mark = l.hub->join(l, l.joining);
    }
    return true;
}

/// The first that listens leaves its server connection to those that follow.
void Session::give_to_hub() {
    auto& l = *listening_;
    l.hub = env_.hubs.make(leaser_, identity_->shared_pool, encoding());
    l.channels = std::move(l.joining);
    l.joining.clear();
    auto permit = std::move(exchange_->pin_permit);
    if (!permit && identity_->shared_pool != nullptr)
        permit = pool::PinPermit::force(identity_->shared_pool);
    pin_ = PinReason::none;
    turn_->server.flush();
    auto& server = *let_go_of_server();
    leaser_.hand_over(server, *l.hub);
    l.hub->adopt(server, std::move(permit), l, l.channels);
}

/// Asks the own server, unseen by the client.
void Session::ask_channels(std::string_view sql) {
    inject(sql);
    exchange_->expects.back().quiet = exchange_->expects.back().channels = true;
    listening_->failed = false;
}

void Session::on_joined(bool ok) {
    if (ended_ || listening_ == nullptr || server_ == nullptr) return;
    const TurnScope scope(*this);
    auto& l = *listening_;
    if (!ok) return end_hand_over(false);
    l.step = Listening::Step::marking;
    std::string sql;
    append_listen(sql, {l.hub->mark()});
    sql += "NOTIFY " + l.hub->mark() + ", '" + l.mark + "'";
    ask_channels(sql);
}

/// The own server has answered.
void Session::step_hand_over() {
    auto& l = *listening_;
    using Step = Listening::Step;
    switch (l.step) {
        case Step::none: return;
        case Step::joining:
        case Step::marking: return end_hand_over(false);
        case Step::marked: l.step = Step::unlistens; return ask_channels("UNLISTEN *");
        case Step::unlistens: return end_hand_over(true);
    }
}

void Session::end_hand_over(bool ok) {
    auto& l = *listening_;
    auto& x = *exchange_;
    l.step = Listening::Step::none;
    hub_wait_ = false;
    if (ok) {
        l.channels.insert(l.channels.end(), l.joining.begin(), l.joining.end());
        l.joining.clear();
        x.may_leave_state = x.reset_after_look || l.failed;
        x.suspicion = pin_ = PinReason::none;
        tell_waiting();
        return;  // the server goes back
    }
    l.hub->give_up(l);
    l.joining.clear();
    if (l.channels.empty()) listening_.reset();
    pin(PinReason::listen);
    match_settings();
    if (!consuming_) consume_buffer();
}

/// What other sessions have sent through this server connection must have come before what this one
/// sends through it can: then what comes from its process is this session's.
void Session::listen_at_lease(bool met) {
    auto& l = *listening_;
    if (!met) return l.hub->set_sender(l, server_->process_id(), own_pid);
    hub_wait_ = true;
    l.hub->catch_up(l);
}

/// True: the client's ReadyForQuery waits until what was committed before it has been told.
bool Session::hold_ready() {
    auto& l = *listening_;
    if (tx_ != TxStatus::idle) return false;
    if (!exchange_->expects.empty() || !l.hub->open()) {
        turn_->client.copy(l.waiting);
        l.waiting.clear();
        return false;
    }
    hub_wait_ = l.owes_ready = true;
    l.hub->catch_up(l);
    return true;
}

void Session::on_caught_up() {
    if (ended_ || listening_ == nullptr || !hub_wait_) return;
    const TurnScope scope(*this);
    auto& l = *listening_;
    hub_wait_ = false;
    if (!std::exchange(l.owes_ready, false)) {
        if (server_ != nullptr) l.hub->set_sender(l, server_->process_id(), own_pid);
        consume_buffer();
        if (!ended_) maybe_release();
        return;
    }
    std::string out = std::exchange(l.waiting, {});
    wire::write_ready(out, tx_);
    turn_->client.copy(out);
    maybe_release();
    if (!ended_) consume_buffer();
}

/// The client is at rest, and nothing else is being written to it.
bool Session::may_be_told() const noexcept {
    if (tx_ != TxStatus::idle || begin_ != nullptr || hub_wait_) return false;
    return server_ == nullptr || (exchange_->expects.empty() && !exchange_->unsynced &&
                                  reply_left_ == 0 && held_ == nullptr);
}

void Session::on_notification(std::string_view message) {
    if (ended_ || listening_ == nullptr) return;
    const TurnScope scope(*this);
    auto& l = *listening_;
    saw_present();  // it is sent once its transaction can be seen
    if (may_be_told())
        turn_->client.copy(message);
    else
        l.waiting += message;
    if (l.waiting.size() <= kMostWaiting && client_.queued() <= kMostWaiting) return;
    fatal({.severity = "FATAL",
           .sqlstate = wire::sqlstate::kProgramLimitExceeded,
           .message = "too many notifications wait for this client"});
}

void Session::tell_waiting() {
    if (listening_ == nullptr || listening_->waiting.empty() || !may_be_told()) return;
    turn_->client.copy(std::exchange(listening_->waiting, {}));
}

bool Session::notifications_wait() const noexcept {
    return listening_ != nullptr && !listening_->waiting.empty();
}

/// None may be lost without a word, and the client knows how to begin anew.
void Session::on_channels_lost(std::string_view why) {
    if (ended_ || listening_ == nullptr) return;
    const TurnScope scope(*this);
    if (listening_->channels.empty() && server_ != nullptr) return end_hand_over(false);
    fatal({.severity = "FATAL",
           .sqlstate = wire::sqlstate::kConnectionFailure,
           .message = "the server connection that listened for notifications was lost",
           .detail = why});
}

/// From the server connection the session itself has.
Session::Reply Session::on_own_notification(Run& run, std::string_view whole) {
    NotificationView n;
    saw_present();
    if (identity_->mode == config::PoolMode::session || !parse_notification(whole, n))
        return Reply::forward;
    if (listening_ != nullptr) {
        auto& l = *listening_;
        using Step = Listening::Step;
        if (n.channel == l.hub->mark()) {
            if (l.step == Step::marking && n.payload == l.mark) l.step = Step::marked;
            return Reply::swallow;
        }
        const bool behind = l.step == Step::marked || l.step == Step::unlistens;
        if (Listening::has(l.channels, n.channel) ||
            (behind && Listening::has(l.joining, n.channel)))
            return Reply::swallow;
    }
    auto number = n.sender == server_->process_id() ? own_pid : 0;
    if (number == 0 && identity_->shared_pool != nullptr) {
        number = identity_->shared_pool->senders.find(n.sender, base::monotonic_now());
        if (number == own_pid) return Reply::forward;
    }
    if (number == 0) return Reply::forward;
    emit(run);
    turn_->client.copy(with_sender(whole, number));
    return Reply::swallow;
}

/// Before a text that says NOTIFY is sent.
void Session::name_sender() {
    const auto& pool = identity_->shared_pool;
    if (pool == nullptr || pool->senders.listeners == 0 || own_pid == 0) return;
    pool->senders.name(server_->process_id(), own_pid);
    server_->notified = true;
}

/// UNLISTEN counts when its transaction has committed.
void Session::heed_channels(const query::Verdict& verdict, std::string_view text) {
    auto& leaving = listening_->leaving;
    const bool back = verdict.kind == Kind::rollback ||
                      ((verdict.kind == Kind::savepoint || verdict.kind == Kind::several) &&
                       query::mentions(text, "rollback"));
    if (back) leaving.clear();
    if (query::mentions(text, "unlisten")) add_unlistened(text, leaving);
}

void Session::settle_channels(TxStatus before) {
    auto& l = *listening_;
    auto leaving = std::exchange(l.leaving, {});
    if (exchange_->unpin_at_ready) leaving.emplace_back();  // DISCARD ALL
    if (before == TxStatus::failed || !exchange_->sqlstate.empty()) return;
    for (const auto& name : leaving) {
        if (name.empty()) return listening_.reset();
        l.hub->leave(l, name);
        std::erase(l.channels, name);
        std::string kept;
        for (std::string_view rest = l.waiting; !rest.empty();) {
            const auto whole = rest.substr(0, wire::scan_frame(rest).size);
            rest.remove_prefix(whole.size());
            NotificationView n;
            if (parse_notification(whole, n) && n.channel != name) kept += whole;
        }
        l.waiting = std::move(kept);
    }
    if (l.channels.empty()) listening_.reset();
}

/// pg_listening_channels() is to show what the session listens to: its server listens, too, ahead
/// of a unit that asks.
void Session::show_channels(const wire::Frame& frame) {
    auto& x = *exchange_;
    if (x.unsynced || (tx_ != TxStatus::idle && begin_ == nullptr)) return;
    for (std::size_t i = 0; i < x.expects.size(); ++i)
        if (!x.expects[i].swallow) return;
    std::string_view text = frame.body;
    if (frame.type == fe::kBind) {
        base::ByteReader r(frame.body);
        r.cstring();
        const auto* found = find_statement(r.cstring());
        text = found != nullptr ? std::string_view((*found)->text) : std::string_view();
    }
    if (!query::mentions(text, "pg_listening_channels")) return;
    std::string sql;
    append_listen(sql, listening_->channels);
    ask_channels(sql);
    x.suspect = x.may_leave_state = true;
    if (x.suspicion == PinReason::none) x.suspicion = PinReason::listen;
}

}  // namespace pgweir::session
