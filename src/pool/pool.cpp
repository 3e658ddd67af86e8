// See pool.hpp: leasing, giving back, waiting.
#include "pgweir/pool/pool.hpp"

#include "pgweir/base/log.hpp"
#include "pgweir/base/plants.hpp"
#include "pgweir/pool/cancel.hpp"
#include "pgweir/wire/sqlstate.hpp"

namespace pgweir::pool {

namespace {
/// A session of another worker must have waited this much longer to be served first: a hand-over
/// costs both workers a wake-up.
constexpr base::Nanos kFairnessSlack = base::kMillisecond;

ServerConnection& as_connection(ServerLink& link) noexcept {
    return static_cast<ServerConnection&>(link);
}
}  // namespace

Pool::Pool(PoolHost& host, std::shared_ptr<SharedPool> shared)
    : host_(host),
      shared_(std::move(shared)),
      config_(shared_->config()),
      clock_(host.loop().clock()),
      used_at_(*clock_) {}

Pool::~Pool() {
    while (waiters_.pop_front() != nullptr) {
    }
    queue_changed();
    for (auto& [id, server] : servers_) server->close("the pool is closed");
    shared_->idle[host_.worker()] = 0;
}

ServerLink* Pool::acquire(Waiter& waiter) {
    const auto now = this->now();
    if (waiters_.empty() && shared_->waiting_workers.load() == 0) {
        const bool in_turn = config_->database.pool.reuse == config::PoolReuse::in_turn;
        const bool prefers = waiter.preferred_server != 0 && !in_turn;
        if (auto* own = prefers ? find_idle(waiter.preferred_server) : nullptr) {
            lease(*own, waiter.server_user());
            return own;
        }
        // The last used is the warmest.
        while (auto* server = in_turn ? idle_.front() : idle_.back()) {
            if (!reusable(*server)) {
                remove(*server, "its settings are no longer current");
                continue;
            }
            if (!fit_for_lease(*server, now)) break;
            lease(*server, waiter.server_user());
            return server;
        }
    }
    waiter.waiting_since = now;
    waiters_.push_back(waiter);
    queue_changed();
    if (auto* server = idle_.back(); server != nullptr) give_or_idle(*server);
    if (!waiter.wait_link.linked()) return nullptr;  // served through on_lease
    open_if_needed();
    if (waiter.wait_link.linked()) ask_others_for_idle();
    return nullptr;
}

ServerConnection* Pool::find_idle(std::uint32_t process) {
    ServerConnection* found = nullptr;
    idle_.for_each([&](ServerConnection& s) {
        if (s.process_id() == process && reusable(s) && fit_for_lease(s, now()) &&
            s.cancels_in_flight == 0)
            found = &s;
    });
    return found;
}

void Pool::cancel_wait(Waiter& waiter) {
    waiter.wait_link.unlink();
    queue_changed();
}

bool Pool::reusable(const ServerConnection& server) const noexcept {
    return server.config().generation == config_->generation &&
           server.opened >= shared_->logins_changed();
}

bool Pool::fit_for_lease(const ServerConnection& server, base::Nanos now) const noexcept {
    const auto& p = config_->database.pool;
    return p.validation_after == 0 || p.validation_query.empty() ||
           now - server.since() < p.validation_after;
}

void Pool::lease(ServerConnection& server, ServerUser& user) {
    active_.push_back(server);
    set_idle_count();
    server.lease_to(&user, now());
    counters_.server_assignment_count.add(1);
}

void Pool::hand_over(ServerLink& server, ServerUser& to) noexcept {
    as_connection(server).lease_to(&to, now());
}

bool Pool::is_where_others_are(const ServerLink& server) const noexcept {
    return same_place(static_cast<const ServerConnection&>(server).config(), *config_);
}

void Pool::note_parameters(const ServerLink& server, std::uint64_t profile_id, Parameters told) {
    shared_->set_parameters(static_cast<const ServerConnection&>(server).config(), profile_id,
                            std::move(told));
}

void Pool::release(ServerLink& link, Release how) {
    auto& server = as_connection(link);
    const auto now = this->now();
    server.unlease(now);
    server.pinned = false;
    if (server.state() == ServerState::closed) return;
    const auto& settings = config_->database.pool;
    if (settings.reuse == config::PoolReuse::never && settings.mode == config::PoolMode::session) {
        if (how.how == Release::How::abandon) cancel_abandoned(server, how.ready_expected);
        remove(server, "pool.reuse is never");
        open_if_needed();
        return;
    }
    switch (how.how) {
        case Release::How::clean:
            if (server.tx != wire::TxStatus::idle || server.dirty)
                clean(server);
            else
                give_or_idle(server);
            return;
        case Release::How::reset:
            server.held.reset();
            clean(server);
            return;
        case Release::How::abandon:
            cancel_abandoned(server, how.ready_expected);
            if (how.in_copy || how.ready_expected != 1 || server.queued() > 0) {
                remove(server, "its client left in the middle of a request");
                open_if_needed();
            }
            return;
        case Release::How::close:
            remove(server, "it is in an unknown state");
            open_if_needed();
            return;
    }
}

/// Nobody's before it is cancelled: whenever that is over, it still runs what its client asked.
void Pool::cancel_abandoned(ServerConnection& server, unsigned ready_expected) {
    cleaning_.push_back(server);
    server.dirty = true;
    server.drain(ready_expected);
    cancel(server);
}

void Pool::clean(ServerConnection& server) {
    cleaning_.push_back(server);
    server.dirty = true;
    // DISCARD ALL cannot run in a transaction block, so the ROLLBACK is a query of its own.
    const bool open_tx = server.tx != wire::TxStatus::idle;
    host_.counters().resets.add(1);
    if (open_tx)
        server.run_query(ServerState::rolling_back, "ROLLBACK");
    else
        server.run_query(ServerState::resetting, "DISCARD ALL");
}

void Pool::on_cleaned(ServerConnection& server, bool ok) {
    const bool idle = server.tx == wire::TxStatus::idle;
    if (!ok || !idle) {
        base::log_warning("pool " + base::printable(shared_->name) +
                          ": cleaning a server connection failed; it is closed");
        remove(server, "cleaning it failed");
        open_if_needed();
        return;
    }
    if (server.state() == ServerState::rolling_back) {
        server.run_query(ServerState::resetting, "DISCARD ALL");
        return;
    }
    if (server.state() == ServerState::resetting) {
        server.prepared.clear();
        server.unnamed_statement = 0;
        server.profile = empty_profile();
        server.application_name.clear();
        server.last_session = 0;
        server.sequence_owner = 0;
        server.sql_statements.reset();
        server.dirty = false;
    }
    server.set_since(now());
    give_or_idle(server);
}

void Pool::on_drained(ServerConnection& server) {
    server.held.reset();
    clean(server);
}

void Pool::give_or_idle(ServerConnection& server) {
    const auto now = this->now();
    // Who is in a transaction while the proxy shuts down may finish it.
    const bool drained =
        host_.draining() && waiters_.empty() && shared_->waiting_workers.load() == 0;
    if (!reusable(server) || (server.retire_at != 0 && now >= server.retire_at) || drained ||
        (now < vacated_until_ && waiters_.empty())) {
        remove(server, "its lifetime is over, or its settings are no longer current");
        open_if_needed();
        return;
    }
    if (server.cancels_in_flight > 0 &&
        !base::planted(base::Plant::late_cancel)) {  // a late cancel must not hit the next query
        cleaning_.push_back(server);
        server.unlease(now);
        set_idle_count();
        return;
    }
    if (shared_->waiting_workers.load() != 0 && donate(server)) return;
    if (waiters_.empty()) {
        make_idle(server);
        return;
    }
    if (!fit_for_lease(server, now) && server.state() == ServerState::idle) {
        cleaning_.push_back(server);
        set_idle_count();
        server.run_query(ServerState::validating, config_->database.pool.validation_query);
        return;
    }
    give_to_waiter(server);
}

bool Pool::give_to_waiter(ServerConnection& server) {
    auto* waiter = waiters_.pop_front();
    if (waiter == nullptr) return false;
    queue_changed();
    active_.push_back(server);
    set_idle_count();
    counters_.server_assignment_count.add(1);
    server.lease_to(&waiter->server_user(), now());
    waiter->on_lease(server);
    if (base::planted(base::Plant::two_waiters_woken) && server.user() == &waiter->server_user()) {
        if (auto* second = waiters_.pop_front(); second != nullptr) {
            server.lease_to(&second->server_user(), now());
            second->on_lease(server);
        }
    }
    return true;
}

void Pool::make_idle(ServerConnection& server) {
    idle_.push_back(server);
    server.unlease(now());
    set_idle_count();
    // Somebody may have begun to wait elsewhere after the look and before the count.
    if (shared_->waiting_workers.load() != 0) donate(server);
}

void Pool::set_idle_count() noexcept {
    if (shared_->idle.size() > 1)
        shared_->idle[host_.worker()].store(static_cast<std::uint32_t>(idle_.size()));
}

bool Pool::donate(ServerConnection& server) {
    const auto other = shared_->longest_waiting(host_.worker());
    if (!other) return false;
    const auto since = shared_->oldest_wait[*other].load();
    if (since == 0) return false;
    if (auto* mine = waiters_.front();
        mine != nullptr && mine->waiting_since <= since + kFairnessSlack)
        return false;
    auto taken = std::make_shared<std::unique_ptr<ServerConnection>>(take_out(server));
    (*taken)->detach();
    set_idle_count();
    // Not at once: a call of the connection's own may be on the stack, and would go on with it
    // while the other worker does.
    host_.loop().at_end_of_turn([&host = host_, shared = shared_, other = *other, taken] {
        host.post_to_pool(other, shared, [taken](Pool& pool) { pool.adopt(std::move(*taken)); });
    });
    return true;
}

void Pool::adopt(std::unique_ptr<ServerConnection> server) {
    auto& s = *server;
    if (!s.attach(*this)) return;  // its permit goes with it
    servers_.emplace(s.id(), std::move(server));
    give_or_idle(s);
}

void Pool::ask_others_for_idle() {
    for (unsigned w = 0; w < shared_->idle.size(); ++w) {
        if (w == host_.worker() || shared_->idle[w].load() == 0) continue;
        host_.post_to_pool(w, shared_, [](Pool& pool) {
            if (auto* server = pool.idle_.front()) pool.donate(*server);
        });
    }
}

void Pool::queue_changed() noexcept {
    auto* first = waiters_.front();
    shared_->oldest_wait[host_.worker()].store(first == nullptr ? 0 : first->waiting_since);
    const bool waiting = first != nullptr;
    if (waiting == listed_as_waiting_) return;
    listed_as_waiting_ = waiting;
    // Own waiters are seen in waiters_; the shared count is for the other workers.
    if (shared_->idle.size() > 1)
        waiting ? shared_->waiting_workers.fetch_add(1) : shared_->waiting_workers.fetch_sub(1);
}

std::unique_ptr<ServerConnection> Pool::take_out(ServerConnection& server) {
    server.link.unlink();
    const auto it = servers_.find(server.id());
    auto owned = std::move(it->second);
    if (owned->held != nullptr)
        host_.hold_until_gone(owned->config(), owned->process_id(), std::move(owned->held));
    servers_.erase(it);
    return owned;
}

void Pool::remove(ServerConnection& server, std::string_view why) {
    auto owned = take_out(server);
    set_idle_count();
    owned->close(why);
    host_.loop().bury(std::move(owned));
    if (const auto other = shared_->longest_waiting(host_.worker()); other && waiters_.empty())
        host_.post_to_pool(*other, shared_, [](Pool& pool) { pool.open_if_needed(); });
}

void Pool::on_server_lost(ServerConnection& server) {
    remove(server, "the server closed it");
    open_if_needed();
}

void Pool::cancel(ServerLink& link, CancelToken settled) {
    auto& server = as_connection(link);
    ++server.cancels_in_flight;
    ++cancels_;
    host_.counters().cancel_requests.add(1);
    send_cancel(host_.loop(), server.cancel_target(), server.login(),
                [this, id = server.id(), settled = std::move(settled)] { on_cancel_done(id); });
}

void Pool::parameter_changed(ServerLink& link, std::string_view name, std::string_view value) {
    if (name == "application_name") return;
    auto& server = as_connection(link);
    if (server.profile->find(name).data() == nullptr) {
        shared_->note_parameter(server.config(), name, value);
        if (hides_text(name, value)) server.hides_text.emplace_back(name);
        if (other_encoding(name, value)) server.other_encoding.emplace_back(name);
    }
    host_.on_server_settings_changed(server.config());
}

void Pool::on_cancel_done(std::uint64_t server_id) {
    --cancels_;
    const auto it = servers_.find(server_id);
    if (it == servers_.end()) return;
    auto& server = *it->second;
    if (server.cancels_in_flight > 0) --server.cancels_in_flight;
    if (server.state() == ServerState::idle && server.cancels_in_flight == 0) give_or_idle(server);
}

Pool::Counts Pool::counts() const noexcept {
    return {idle_.size(), active_.size(), starting_.size(), cleaning_.size(), waiters_.size(), 0};
}

base::Nanos Pool::oldest_wait() noexcept {
    auto* w = waiters_.front();
    return w == nullptr ? 0 : w->waiting_since;
}

void Pool::for_each_server(const std::function<void(ServerConnection&)>& f) {
    for (auto& [id, s] : servers_) f(*s);
}

}  // namespace pgweir::pool
