// Session: what it has left on its server connection. Settings and identity are carried: the
// session's profile changes, and the next server connection is brought to it before anything of
// the client's runs there. What cannot be carried pins, for as long as it is there. The server
// itself is asked, once, after whatever may have changed something: so functions, rollbacks and
// computed values need no understanding here.
#include <algorithm>

#include "inspection.hpp"
#include "own_run.hpp"
#include "pgweir/base/bytes.hpp"
#include "pgweir/base/log.hpp"
#include "pgweir/base/plants.hpp"
#include "pgweir/session/session.hpp"
#include "pgweir/wire/sqlstate.hpp"
#include "session_sql.hpp"
#include "turn.hpp"

namespace pgweir::session {

using query::PinReason;

namespace {

/// More settings of its own than this pin a session.
constexpr std::size_t kMostCustom = 256;
/// Bytes of settings that go with a session; with more it stays where they are.
constexpr std::size_t kMostCarried = std::size_t{64} * 1024;

/// Nothing can be asked about others: they last until the end of the session, or DISCARD ALL.
bool lasting(PinReason reason) noexcept {
    switch (reason) {
        case PinReason::set:
        case PinReason::prepare:
        case PinReason::listen:
        case PinReason::temporary:
        case PinReason::advisory_lock:
        case PinReason::hold_cursor: return false;
        default: return true;
    }
}

void append_question(std::string& sql, std::string_view name) {
    sql += "SELECT ";
    pool::append_literal(sql, name);
    sql += ", pg_catalog.current_setting(";
    pool::append_literal(sql, name);
    sql += ", true);";
}

/// What is written in another encoding cannot be sent while a server is in yet another one.
bool plain_ascii(std::string_view value) noexcept {
    return std::all_of(value.begin(), value.end(),
                       [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

}  // namespace

void Inspection::take_row(std::string_view body, std::string_view login) {
    constexpr unsigned kMost = 8;
    std::string_view values[kMost];
    base::ByteReader r(body);
    const unsigned count = r.u16();
    if (count != kMost && (count < 1 || count > 3)) {
        failed = true;
        return;
    }
    for (unsigned i = 0; i < count; ++i) {
        const auto length = r.i32();
        if (length >= 0) values[i] = r.bytes(static_cast<std::size_t>(length));
    }
    if (!r.done())
        failed = true;
    else if (count == kMost)
        take_state(values, login);
    else if (count == 1 && channels.size() <= kMostChannels)
        channels.emplace_back(values[0]);
    else if (count == 2)
        take_setting(values[0], values[1]);
    else if (count == 3)
        take_statement(values[0], values[1]);
}

void Inspection::take_state(const std::string_view* values, std::string_view login) {
    complete = true;
    if (values[0] != login) take_setting("session_authorization", values[0]);
    if (values[1] != "none") take_setting("role", values[1]);
    constexpr PinReason kReasons[] = {PinReason::temporary, PinReason::advisory_lock,
                                      PinReason::prepare, PinReason::hold_cursor,
                                      PinReason::listen};
    for (std::size_t i = std::size(kReasons); i-- > 0;)
        if (values[3 + i] != "f") found = kReasons[i];
}

void Inspection::take_statement(std::string_view name, std::string_view text) {
    constexpr std::size_t kMostStatements = 100;
    statements_size_ += name.size() + text.size();
    too_many_statements = too_many_statements || statements.size() >= kMostStatements ||
                          statements_size_ > kMostCarried || !plain_ascii(name) ||
                          !plain_ascii(text);
    if (!too_many_statements) statements.emplace_back(name, text);
}

void Inspection::take_setting(std::string_view name, std::string_view value) {
    if (value.data() == nullptr) return;  // there is no such setting
    if (!plain_ascii(name) || !plain_ascii(value)) found = PinReason::set;
    if (name == "application_name") {
        has_application_name = true;
        application_name = value;
        return;
    }
    settings_size_ += name.size() + value.size();
    if (settings_size_ > kMostCarried) failed = true;
    if (!failed) settings.emplace_back(name, value);
}

/// Something may be left on the server connection: it is looked at before the connection goes back.
void Session::suspect(const query::Verdict& verdict) {
    auto& x = *exchange_;
    x.may_leave_state = x.suspect = true;
    if (x.suspicion == PinReason::none) x.suspicion = verdict.pin;
    for (const auto& name : verdict.custom_settings) {
        if (std::find(x.custom_settings.begin(), x.custom_settings.end(), name) ==
            x.custom_settings.end())
            x.custom_settings.push_back(name);
    }
    if (verdict.pin == PinReason::none || verdict.resets) x.reset_after_look = true;
    if (verdict.pin == PinReason::none) return;
    if (lasting(verdict.pin) || verdict.opaque || x.custom_settings.size() > kMostCustom)
        x.lasting = verdict.pin;
}

void Session::suspect_lasting(PinReason reason) {
    auto& x = *exchange_;
    x.may_leave_state = x.suspect = x.reset_after_look = true;
    if (reason != PinReason::none) x.suspicion = x.lasting = reason;
}

/// At the end of a transaction that was like that `before`: nothing of it has been committed.
bool Session::undone(wire::TxStatus before) const noexcept {
    const auto& x = *exchange_;
    const bool failed = !x.sqlstate.empty() && before == wire::TxStatus::idle;
    return before == wire::TxStatus::failed || (failed && !x.may_end_transaction);
}

/// At the end of a transaction that began `before`. What was rolled back has set nothing; locks and
/// the like that outlive a rollback are seen by the look.
void Session::settle_suspicion(wire::TxStatus before) {
    auto& x = *exchange_;
    if (x.lasting == PinReason::none) return;
    const bool failed = !x.sqlstate.empty() && before == wire::TxStatus::idle;
    const bool not_parsed = failed && x.lasting == PinReason::not_understood &&
                            x.sqlstate == wire::sqlstate::kSyntaxError;
    if (x.ready_expected == 0 && (undone(before) || not_parsed)) {
        x.lasting = PinReason::none;
        return;
    }
    pin(x.lasting);
    pin_lasts_ = identity_->mode != config::PoolMode::session;
    x.lasting = PinReason::none;
}

/// Another session held this server before: its currval and lastval are not this one's.
void Session::meet_server() {
    server_->last_session = session_id;
    if (std::exchange(server_->notified, false))
        identity_->shared_pool->senders.leave(server_->process_id(), base::monotonic_now());
}

/// Before a statement that may move sequences or ask for their values: what it asks for is this
/// session's own. The session comes back to this server connection while that is free, and once it
/// has asked it keeps it.
void Session::use_sequences(const query::Verdict& verdict) {
    if (identity_->mode == config::PoolMode::session) return;
    const bool asks = verdict.pin == PinReason::sequence;
    const bool known = verdict.catalog_version != 0 || verdict.names_sequence;
    if (asks) env_.sequences_read = true;
    if (asks || (verdict.moves_sequence && known)) preferred_server = server_->process_id();
    auto& owner = server_->sequence_owner;
    if (owner != 0 && owner != session_id) {
        // Where nobody asks, whose values they are need not be kept apart; in a failed transaction
        // nothing can be done about it.
        const bool wanted = verdict.asks_sequence || verdict.names_sequence ||
                            env_.sequences_read || (known && server_->sequences_guessed);
        const bool apart = wanted && tx_ != wire::TxStatus::failed;
        if (apart) forget_sequences();
        owner = apart ? 0 : pool::ServerLink::kSeveralOwners;
        server_->sequences_guessed = !apart && !known;
    }
    if (!verdict.moves_sequence || owner != 0) return;
    owner = session_id;
    server_->sequences_guessed = !known;
}

/// In the protocol the client is using: a simple Query in the middle of a batch would end it.
void Session::forget_sequences() {
    if (exchange_->unsynced) return run_in_batch("DISCARD SEQUENCES");
    inject("DISCARD SEQUENCES");
    exchange_->expects.back().quiet = true;
}

/// In the middle of the client's batch, under names of the proxy's own: what the client has without
/// a name stays.
void Session::run_in_batch(std::string_view sql) {
    constexpr std::string_view kName = "pgweir_0s";
    std::string m;
    wire::write_close(m, 'S', kName);  // the last one may have failed
    wire::write_parse(m, kName, sql, {});
    write_own_run(m, kName);
    wire::write_close(m, 'S', kName);
    turn_->server.copy(m);
    using Kind = Expect::Kind;
    for (const auto kind :
         {Kind::close, Kind::parse, Kind::bind, Kind::execute, Kind::close, Kind::close})
        exchange_->expects.push({.kind = kind, .swallow = true});
}

void Session::inspect() {
    auto& x = *exchange_;
    x.suspect = false;
    preparing_ = true;
    x.inspection = std::make_unique<Inspection>();
    server_->unnamed_statement = 0;  // a simple Query destroys it
    std::string text(sql::inspect);
    for (const auto& [name, value] : identity_->profile->settings)
        if (name.find('.') != std::string::npos) append_question(text, name);
    for (const auto& name : x.custom_settings) append_question(text, name);
    std::string message;
    wire::write_query(message, text);
    turn_->server.copy(message);
    x.expects.push({.kind = Expect::Kind::query, .swallow = true, .inspect = true});
    ++x.ready_expected;
}

const Identity& Session::start() const noexcept {
    return changed_ != nullptr ? *changed_->identity : *identity_;
}

const std::string& Session::start_application_name() const noexcept {
    return changed_ != nullptr ? changed_->application_name : application_name_;
}

/// Takes over what the server has said: true when nothing of it keeps the session here.
bool Session::conclude() {
    auto& x = *exchange_;
    const auto found = std::move(x.inspection);
    if (found->failed || !found->complete) {
        forget_sql_statements();
        pin(x.suspicion == PinReason::none ? PinReason::function : x.suspicion);
        return false;
    }
    carry(*found);
    take_names(*found);
    if (!carry_statements(*found) &&
        (found->found == PinReason::none || found->found == PinReason::listen))
        found->found = PinReason::prepare;
    // A signal that is meant for this client must not meet who listens for all.
    const bool lent = lending_.count > 0 || lending_.signalled;
    if (found->found == PinReason::listen && !lent && hand_over_channels(found->channels))
        return false;
    if (found->found != PinReason::none) {
        pin(found->found);
        return false;
    }
    x.may_leave_state = x.reset_after_look;
    x.suspicion = pin_ = PinReason::none;
    return true;
}

/// The identity says again where names are looked for. Temporary tables are in no catalog.
void Session::take_names(const Inspection& found) {
    if (found.found != PinReason::temporary) scope_ = query::NameScope::path;
    scope_set_ = scope_;
}

/// Of a session that keeps its server connection whatever is found: so that its writes are
/// understood again once it has changed what its names mean.
void Session::look_for_names() {
    auto& x = *exchange_;
    if (x.inspection != nullptr) {
        const auto found = std::move(x.inspection);
        if (found->failed || !found->complete) return forget_sql_statements();
        carry(*found);
        take_names(*found);
        if (identity_->mode == config::PoolMode::session) {
            // What SQL has given, in code too, is not what was prepared by message before.
            if (found->too_many_statements) statements_.clear();
            for (const auto& [name, text] : found->statements) statements_.erase(name);
        }
        carry_statements(*found);
        match_settings();
        return consume_buffer();
    }
    if (scope_ == scope_set_ || !cache_may_answer()) return;
    if (x.suspect) {
        // To look would destroy the client's unnamed statement, which nobody else knows.
        const bool only_there = unnamed_ != nullptr && unnamed_->unseen;
        return only_there ? void() : inspect();
    }
    scope_ = scope_set_;  // for the transaction only
}

/// The session's settings are those it was found with, and those it began with where it has none
/// any more: RESET goes back to them.
void Session::carry(Inspection& found) {
    if (changed_ == nullptr) {
        changed_ = std::make_unique<Start>();
        changed_->identity = identity_;
        changed_->application_name = application_name_;
    }
    auto wanted = found.settings;
    const auto actual = pool::intern_profile(std::move(found.settings));
    for (const auto& s : start().profile->settings)
        if (actual->find(s.first).data() == nullptr) wanted.push_back(s);
    const auto profile = pool::intern_profile(std::move(wanted));
    if (!base::planted(base::Plant::identity_forgotten)) server_->profile = actual;
    server_->application_name = found.application_name;
    application_name_ =
        found.has_application_name ? found.application_name : start_application_name();
    if (profile->id == identity_->profile->id) return;
    if (profile->id == start().profile->id)
        identity_ = changed_->identity;
    else if (leaser_.is_where_others_are(*server_))
        identity_ = env_.with_profile(start(), profile);
    else
        stay_behind(profile);
}

/// Identities are made anew for where the database is now only: of a server where it was, nothing
/// is understood under other settings.
void Session::stay_behind(pool::ProfilePtr profile) {
    auto there = std::make_shared<Identity>(start());
    there->profile = std::move(profile);
    there->opaque_text = true;
    there->not_cached = query::NotCached::unknown_setting;
    identity_ = std::move(there);
    renew_identity();  // once it has no server
}

/// The server would not take this client's settings: the statement that asked for the lease fails
/// with the server's words, and the connection is cleaned before anybody uses it.
void Session::settings_refused() {
    const auto why = std::move(lease_failure_);
    turn_->server.flush();
    give_back({.how = pool::Release::How::reset});
    fail_front(*why);
}

/// Settings are carried, but for those that pin for good; all else that has a reason stays.
bool Session::may_pin(const query::Verdict& verdict) const noexcept {
    if (verdict.pin == PinReason::none) [[likely]]
        return false;
    const bool carried = verdict.pin == PinReason::set || verdict.pin == PinReason::prepare ||
                         (verdict.pin == PinReason::listen && expects_hub());
    return (!carried || verdict.opaque) && identity_->mode != config::PoolMode::session;
}

/// To be asked before what may pin is sent. The place is held until the server goes back.
bool Session::has_pin_place() {
    auto& permit = exchange_->pin_permit;
    const auto& pool = identity_->shared_pool;
    if (permit || pool == nullptr || pin_ != PinReason::none) return true;
    permit = pool::PinPermit::take(pool);
    return static_cast<bool>(permit);
}

void Session::fail_pin() {
    env_.hubs.expect_none(leaser_, encoding());
    fail_batch({std::string(wire::sqlstate::kTooManyConnections),
                "too many sessions keep a server connection of their own (pool.max_pinned is " +
                    std::to_string(identity_->shared_pool->max_pinned()) + ")",
                "SHOW CLIENTS on the console says which, and why."});
}

/// For a message that is answered with ReadyForQuery: true when it was answered with an error.
bool Session::refuse_pin() {
    if (has_pin_place()) return false;
    if (begin_ != nullptr) send_begin();
    fail_pin();
    end_refused();
    return true;
}

/// A Query or FunctionCall that was failed like a batch: ReadyForQuery comes with its Sync.
void Session::end_refused() {
    std::string m;
    wire::write_message(m, wire::fe::kSync);
    turn_->server.copy(m);
    exchange_->unsynced = false;
    expect({.kind = Expect::Kind::sync});
}

void Session::pin(PinReason reason) {
    if (pin_ == reason || pin_lasts_ || identity_->mode == config::PoolMode::session) return;
    pin_ = reason;
    if (!exchange_->pin_permit && identity_->shared_pool != nullptr)
        exchange_->pin_permit = pool::PinPermit::force(identity_->shared_pool);
    const auto bit = std::uint32_t{1} << static_cast<unsigned>(reason);
    if ((pins_told_ & bit) != 0) return;
    pins_told_ |= bit;
    env_.counters().pins[static_cast<std::size_t>(reason)].add(1);
    base::log_info("session " + std::to_string(session_id) + " " +
                   base::printable(identity_->user) + "@" + base::printable(identity_->database) +
                   " is pinned: " + std::string(query::name(reason)));
}

/// After DISCARD ALL, which does not unload what LOAD has loaded.
void Session::unpin() noexcept {
    auto& x = *exchange_;
    if (pin_ == PinReason::load) return;
    pin_ = x.suspicion = PinReason::none;
    pin_lasts_ = x.reset_after_look = false;
    x.custom_settings.clear();
}

/// PostgreSQL tells of a reload with the next answer. A session that is not pinned, not in a
/// transaction and not suspected has changed nothing itself.
void Session::note_parameter(std::string_view body) {
    if (exchange_->suspect || pin_ != query::PinReason::none || tx_ != wire::TxStatus::idle ||
        identity_->mode == config::PoolMode::session)
        return;
    base::ByteReader r(body);
    const auto name = r.cstring();
    const auto value = r.cstring();
    if (r.ok()) leaser_.parameter_changed(*server_, name, value);
}

}  // namespace pgweir::session
