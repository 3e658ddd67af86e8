// Pool: opening connections, warm ones, timeouts, retries, reload.
#include <cmath>

#include "pgweir/base/log.hpp"
#include "pgweir/base/random.hpp"
#include "pgweir/pool/pool.hpp"
#include "pgweir/wire/sqlstate.hpp"

namespace pgweir::pool {

namespace {

constexpr base::Nanos kFirstRetry = 50 * base::kMillisecond;
/// Short, so that a server that is back is used within half a second.
constexpr base::Nanos kLongestRetry = 400 * base::kMillisecond;
/// Between two tries with a password the server has refused.
constexpr base::Nanos kFirstRefusal = 500 * base::kMillisecond;
constexpr base::Nanos kLongestRefusal = 30 * base::kSecond;

std::atomic<std::uint64_t> g_next_server_id{1};

/// `nanos` with up to a fifth more or less.
base::Nanos jittered(base::Nanos nanos) {
    const auto fifth = nanos / 5;
    if (fifth == 0) return nanos;
    return nanos - fifth +
           static_cast<base::Nanos>(base::random_u64() % static_cast<std::uint64_t>(2 * fifth));
}

/// Failures that waiting does not mend: told to the waiters at once.
bool is_final(const ServerFailure& why) {
    if (!why.from_server) return false;
    return why.sqlstate.starts_with("28") || why.sqlstate == "3D000" || why.sqlstate == "42501" ||
           why.sqlstate == "22023";
}

}  // namespace

ServerConnection& Pool::add(Permit permit) {
    auto owned =
        std::make_unique<ServerConnection>(*this, std::move(permit), config_, g_next_server_id++);
    auto& server = *owned;
    servers_.emplace(server.id(), std::move(owned));
    starting_.push_back(server);
    host_.counters().server_connects.add(1);
    return server;
}

bool Pool::open() {
    auto permit = Permit::take(shared_);
    if (!permit) return false;
    add(std::move(permit)).start(shared_->credentials(), nullptr);
    return true;
}

Permit Pool::take_place(std::string_view why) {
    auto permit = Permit::take(shared_);
    if (!permit && idle_.front() != nullptr) {
        remove(*idle_.front(), why);
        permit = Permit::take(shared_);
    }
    if (!permit) host_.make_room(shared_);
    return permit;
}

bool Pool::make_room_for(const SharedPool& other) {
    auto* longest = idle_.front();
    if (longest == nullptr || !shared_->holds_place_of(other)) return false;
    remove(*longest, "another needs its place");
    return true;
}

ServerConnection* Pool::open_own(ServerUser& user, LoginObserver& observer,
                                 auth::Parameters parameters) {
    auto permit = take_place("a replication connection needs its place");
    if (!permit) return nullptr;
    auto& server = add(std::move(permit));
    server.reserve_for(user, std::move(parameters));
    server.start(shared_->credentials(), &observer);
    return &server;
}

void Pool::on_own_ready(ServerConnection& server) { lease(server, *server.owner()); }

void Pool::close_own(ServerConnection& server) {
    remove(server, "its client is gone");
    open_if_needed();
}

ServerConnection* Pool::open_for_login(const Credentials& credentials, LoginObserver& observer) {
    auto permit = take_place("a login needs its place");
    if (!permit) return nullptr;
    auto& server = add(std::move(permit));
    server.start(credentials, &observer);
    return &server;
}

/// Not those that are long about it: what they run may take longer than anybody's patience.
std::size_t Pool::soon_clean() {
    constexpr base::Nanos kSoon = 50 * base::kMillisecond;
    const auto since = now() - kSoon;
    std::size_t n = 0;
    cleaning_.for_each([&](const ServerConnection& s) { n += s.since() > since ? 1 : 0; });
    return n;
}

void Pool::open_if_needed() {
    const auto now = this->now();
    if (waiters_.empty() || now < retry_at_ || now < refused_until_) return;
    const auto cleaned = soon_clean();
    while (starting_.size() + cleaned < waiters_.size()) {
        // After a failure one connection tries while the others wait for what it finds.
        if (connect_failures_ > 0 && !starting_.empty()) return;
        if (!open()) return;
        if (now < retry_at_) return;
    }
}

void Pool::on_server_ready(ServerConnection& server) {
    connect_failures_ = 0;
    refusals_ = 0;
    refused_until_ = 0;
    shared_->failing = false;
    retry_at_ = 0;
    const auto now = this->now();
    const auto lifetime = config_->database.pool.lifetime;
    server.retire_at = lifetime == 0 ? 0 : now + jittered(lifetime);
    const auto& given = server.login().parameters();
    shared_->note_login(server.config(), server.opened, given);
    for (const auto& [name, value] : given) {
        if (hides_text(name, value)) server.hides_text.push_back(name);
        if (other_encoding(name, value)) server.other_encoding.push_back(name);
    }
    cleaning_.push_back(server);
    give_or_idle(server);
    open_if_needed();
}

void Pool::on_server_login_failed(ServerConnection& server, const ServerFailure& why,
                                  bool observed) {
    host_.counters().server_connect_failures.add(1);
    const bool left = server.config().generation != config_->generation;
    remove(server, why.message);
    if (observed) return;  // told to the one who wanted it; says nothing about others
    if (left) {            // nor does one where the database was before a reload
        open_if_needed();
        return;
    }
    if (is_final(why)) {
        base::log_warning("pool " + base::printable(shared_->name) +
                          ": the server refused the login: " + base::printable(why.message));
        if (why.sqlstate.starts_with("28")) note_refusal(why);
        fail_waiters(why);
        return;
    }
    ++connect_failures_;
    shared_->failing = true;
    last_failure_ = why;
    const auto factor = std::min(connect_failures_ - 1, 4u);
    retry_at_ = now() + jittered(std::min(kFirstRetry << factor, kLongestRetry));
    if (connect_failures_ == 1)
        base::log_warning(
            "pool " + base::printable(shared_->name) + ": cannot connect to the server: " +
            base::printable(why.message + (why.detail.empty() ? "" : " (" + why.detail + ")")));
}

/// A password that is wrong is not tried again and again: servers lock roles, and log each try.
void Pool::note_refusal(const ServerFailure& why) {
    Credentials known;
    if (!config_->database.login.user.empty()) {  // the configuration's: only a reload changes it
        known = shared_->credentials();
        known.keys.reset();
    }
    shared_->set_credentials(std::move(known));
    refusal_ = why;
    refused_until_ =
        now() + jittered(std::min(kFirstRefusal << std::min(refusals_, 8u), kLongestRefusal));
    ++refusals_;
}

void Pool::fail_waiters(const ServerFailure& why) {
    std::size_t n = waiters_.size();
    while (n-- > 0) {
        auto* w = waiters_.pop_front();
        if (w == nullptr) break;
        queue_changed();
        w->on_lease_failed(why);
    }
}

void Pool::expire_waiters(base::Nanos now) {
    const auto limit = config_->database.pool.wait_timeout;
    if (limit == 0) return;
    while (auto* w = waiters_.front()) {
        if (now - w->waiting_since < limit) return;
        waiters_.pop_front();
        queue_changed();
        host_.counters().wait_timeouts.add(1);
        ServerFailure why;
        const auto waited = std::to_string((now - w->waiting_since) / base::kMillisecond);
        if (connect_failures_ > 0) {
            why = {std::string(wire::sqlstate::kCannotConnect), "could not connect to the server",
                   last_failure_.message +
                       (last_failure_.detail.empty() ? "" : ": " + last_failure_.detail),
                   false};
            if (last_failure_.from_server) why.sqlstate = last_failure_.sqlstate;
        } else {
            why = {std::string(wire::sqlstate::kTooManyConnections),
                   "timed out waiting for a server connection",
                   "pool " + shared_->name + ", waited " + waited + " ms, pool.max_size " +
                       std::to_string(config_->database.pool.max_size),
                   false};
        }
        w->on_lease_failed(why);
    }
}

void Pool::expire_servers(base::Nanos now) {
    const auto& p = config_->database.pool;
    const auto connect_timeout = config_->connect_timeout;
    std::vector<ServerConnection*> late;
    starting_.for_each([&](ServerConnection& s) {
        if (connect_timeout > 0 && now - s.since() > connect_timeout) late.push_back(&s);
    });
    for (auto* s : late) s->connect_timed_out();
    late.clear();
    constexpr base::Nanos kCleaningTime = 5 * base::kSecond;
    cleaning_.for_each([&](ServerConnection& s) {
        if (now - s.since() > kCleaningTime) late.push_back(&s);
    });
    for (auto* s : late) {
        remove(*s, "cleaning it took too long");
        open_if_needed();
    }
    late.clear();
    const bool named_user = !config_->database.login.user.empty();
    std::uint32_t keep = named_user || shared_->clients.load() > 0 ? p.min_size : 0;
    const auto total = shared_->permits_used();
    std::uint32_t surplus = total > keep ? total - keep : 0;
    idle_.for_each([&](ServerConnection& s) {
        const bool old = s.retire_at != 0 && now >= s.retire_at;
        const bool unused = p.idle_timeout != 0 && now - s.since() >= p.idle_timeout && surplus > 0;
        if (unused && !old) --surplus;
        if (old || unused || !reusable(s)) late.push_back(&s);
    });
    for (auto* s : late) remove(*s, "idle too long or at the end of its lifetime");
}

void Pool::keep_warm(base::Nanos now) {
    if (host_.draining() || now < vacated_until_ || now < retry_at_ || now < refused_until_ ||
        !starting_.empty())
        return;
    const auto& db = config_->database;
    const bool named_user = !db.login.user.empty();
    if (!named_user && local_clients == 0) return;
    const auto credentials = shared_->credentials();
    if (!named_user && credentials.state == Credentials::State::unknown) return;
    if (shared_->permits_used() < std::min(db.pool.min_size, db.pool.max_size)) open();
}

/// Whoever has waited since the last look waits for places that nobody may be using.
void Pool::open_or_make_room() {
    open_if_needed();
    if (starting_.empty() && !waiters_.empty() && now() >= retry_at_ && !shared_->full())
        host_.make_room(shared_);
}

void Pool::tick(base::Nanos now) {
    expire_waiters(now);
    expire_servers(now);
    if (host_.draining()) close_idle("the proxy is shutting down");
    if (!waiters_.empty() && now < refused_until_)
        fail_waiters(refusal_);
    else if (!waiters_.empty())
        open_or_make_room();
    else
        keep_warm(now);
}

void Pool::apply_config(PoolConfigPtr config) {
    config_ = std::move(config);
    refusals_ = 0;
    refused_until_ = 0;
    std::vector<ServerConnection*> old;
    idle_.for_each([&](ServerConnection& s) {
        if (!reusable(s)) old.push_back(&s);
    });
    for (auto* s : old) remove(*s, "its settings are no longer current");
    open_if_needed();
}

void Pool::close_idle(std::string_view why) {
    while (auto* s = idle_.front()) remove(*s, why);
}

void Pool::vacate() {
    // The server itself waits five seconds for sessions to leave.
    constexpr base::Nanos kAway = 6 * base::kSecond;
    vacated_until_ = now() + kAway;
    close_idle("a statement needs the database free of sessions");
}

}  // namespace pgweir::pool
