// See worker.hpp: clients, pools and the thread.
#include "pgweir/server/worker.hpp"

#include <unistd.h>

#include "pgweir/base/log.hpp"
#include "pgweir/server/supervisor.hpp"
#include "pgweir/wire/sqlstate.hpp"
#include "plans.hpp"

namespace pgweir::server {

namespace {

constexpr base::Nanos kTick = 100 * base::kMillisecond;
/// The process number a client cancels with: worker and slot (its secret is elsewhere).
constexpr unsigned kSlotBits = session::kCancelSlotBits;

}  // namespace

Worker::Worker(Supervisor& supervisor, unsigned number)
    : session::Environment(loop_.clock()),
      supervisor_(supervisor),
      number_(number),
      config_(supervisor.directory().config()),
      doors_(supervisor.doors()) {
    statements = supervisor.statements();
    if (config_->queries.enabled) queries.use(supervisor_.query_stats());
}

Worker::~Worker() {
    stop_and_join();
    self_.reset();
    by_id_.clear();
    pools_.clear();
    listeners_.clear();
    ticker_.reset();
}

void Worker::start() {
    ticker_ = std::make_unique<io::Ticker>(loop_, kTick, [this] { tick(); });
    thread_ = std::thread([this] { loop_.run(); });
}

void Worker::stop_and_join() {
    if (!thread_.joinable()) return;
    loop_.stop();
    thread_.join();
}

void Worker::post(std::function<void(Worker&)> task) {
    loop_.post([this, task = std::move(task)] { task(*this); });
}

bool Worker::listen(const io::Address& at, bool shared, bool distribute, std::string& error) {
    auto l = io::Listener::open(
        loop_, at, shared,
        [this, distribute](int fd, const io::Address& peer) { on_accept(fd, peer, distribute); });
    if (!l) {
        error = l.error();
        return false;
    }
    listeners_.push_back(std::move(*l));
    return true;
}

void Worker::on_accept(int fd, const io::Address& peer, bool distribute) {
    counters_.clients_accepted.add(1);
    // The kernel spreads by hash; a worker that has clearly more than another passes clients on.
    const auto target = supervisor_.least_loaded(number_, distribute ? 1 : 8);
    if (target == number_) {
        adopt_client(fd, peer);
        return;
    }
    supervisor_.worker(target).post([fd, peer](Worker& w) { w.adopt_client(fd, peer); });
}

void Worker::adopt_client(int fd, const io::Address& peer) {
    if (!make_room_for_stranger()) {
        counters_.clients_refused.add(1);
        ::close(fd);
        return;
    }
    const auto id = supervisor_.next_client_id();
    auto owned = std::make_unique<session::ClientConnection>(*this, id);
    auto* client = owned.get();
    if (free_slots_.empty()) {
        client->slot = static_cast<std::uint32_t>(slots_.size());
        slots_.push_back(client);
    } else {
        client->slot = free_slots_.front();  // a number is not soon another client's
        free_slots_.pop_front();
        slots_[client->slot] = client;
    }
    by_id_.emplace(id, std::move(owned));
    clients.store(static_cast<std::uint32_t>(by_id_.size()), std::memory_order_relaxed);
    strangers_.push_back(*client);
    if (!client->open(fd, peer)) forget(*client);
}

/// Where too many have not logged in, the one that has kept us waiting longest goes: silence costs
/// those who are silent, not those who come after them.
bool Worker::make_room_for_stranger() {
    constexpr int kLooks = 64;
    const auto share = std::max(1u, config_->limits.max_logins / supervisor_.workers());
    if (strangers_.size() < share) return true;
    auto* c = strangers_.front();
    for (int i = 0; c != nullptr && i < kLooks; ++i, c = strangers_.next(*c)) {
        if (!c->keeps_us_waiting()) continue;
        counters_.clients_refused.add(1);
        forget(*c);
        return true;
    }
    return false;
}

void Worker::forget(session::ClientConnection& client) noexcept {
    const auto it = by_id_.find(client.id());
    if (it == by_id_.end()) return;
    if (auto* s = client.session()) {
        if (!s->ended()) {
            s->on_client_gone();  // may come back here itself
            if (by_id_.find(client.id()) == by_id_.end()) return;
        }
        auto* shared = s->identity().shared_pool.get();
        if (const auto p = pools_.find(shared); p != pools_.end()) --p->second->local_clients;
        shared->clients.fetch_sub(1);
    }
    counters_.disconnects.add(1);
    client.stranger_link.unlink();
    client.socket().close();
    const auto again = by_id_.find(client.id());
    slots_[client.slot] = nullptr;
    free_slots_.push_back(client.slot);
    loop_.bury(std::move(again->second));
    by_id_.erase(again);
    clients.store(static_cast<std::uint32_t>(by_id_.size()), std::memory_order_relaxed);
}

bool Worker::accepts_more_clients() noexcept {
    return supervisor_.client_count() <= config_->limits.max_clients;
}

pool::Pool& Worker::pool(const std::shared_ptr<pool::SharedPool>& shared) {
    auto& p = pools_[shared.get()];
    if (!p) p = std::make_unique<pool::Pool>(*this, shared);
    return *p;
}

session::LoginTarget Worker::find_target(const std::string& database, const std::string& user) {
    session::LoginTarget t;
    auto& directory = supervisor_.directory();
    if (database == config_->admin.database || database == "pgbouncer") {
        t.console = true;
        // The console has no server of its own; a login is proven where the first database lives.
        for (const auto& db : config_->databases) {
            if (auto shared = directory.pool(db.name == "*" ? "postgres" : db.name, user, true)) {
                t.proof_pool = &pool(shared);
                break;
            }
        }
        return t;
    }
    t.database = config_->find_database(database);
    if (t.database == nullptr) return t;
    if (auto shared = directory.pool(database, user, false)) t.pool = &pool(shared);
    if (t.database->login.user.empty())
        t.proof_pool = t.pool;
    else if (auto proof = directory.pool(database, user, true))
        t.proof_pool = &pool(proof);
    return t;
}

std::optional<std::vector<std::string>> Worker::search_path_of(
    const pool::Profile& profile, const std::string& user,
    const cache::DatabaseState& database) const {
    // Whether its tables are still those is another matter.
    const auto catalog = database.last_catalog();
    // Such a login is another role from its start on, and "$user" that one's schema.
    if (catalog && (catalog->other_at_login.contains(user) || catalog->other_at_login.contains("")))
        return std::nullopt;
    if (const auto own = profile.find("search_path"); own.data() != nullptr)
        return query::split_search_path(own);
    if (catalog) {
        for (const auto* key : {user.c_str(), ""})
            if (const auto it = catalog->role_search_path.find(std::string_view(key));
                it != catalog->role_search_path.end())
                return query::split_search_path(it->second);
    }
    return std::nullopt;
}

namespace {

/// Settings a cached answer may be served under: all of them are part of the key.
bool known_to_the_cache(const pool::Profile& profile) {
    static constexpr std::string_view kKnown[] = {"client_encoding",
                                                  "client_min_messages",
                                                  "datestyle",
                                                  "extra_float_digits",
                                                  "bytea_output",
                                                  "idle_in_transaction_session_timeout",
                                                  "intervalstyle",
                                                  "lc_messages",
                                                  "lc_monetary",
                                                  "lc_numeric",
                                                  "lc_time",
                                                  "lock_timeout",
                                                  "search_path",
                                                  "statement_timeout",
                                                  "timezone",
                                                  "work_mem",
                                                  "jit",
                                                  "standard_conforming_strings",
                                                  "array_nulls",
                                                  "quote_all_identifiers",
                                                  "xmlbinary",
                                                  "xmloption",
                                                  "default_text_search_config",
                                                  "enable_seqscan",
                                                  "enable_indexscan",
                                                  "random_page_cost",
                                                  "geqo",
                                                  "tcp_keepalives_idle",
                                                  "tcp_keepalives_interval",
                                                  "tcp_keepalives_count",
                                                  "tcp_user_timeout"};
    for (const auto& [name, value] : profile.settings)
        if (std::find(std::begin(kKnown), std::end(kKnown), name) == std::end(kKnown)) return false;
    return true;
}

}  // namespace

namespace {
/// By the client's settings, else by what the server has given its latest login.
query::NotCached why_text_is_hidden(const pool::Profile& profile,
                                    const std::optional<pool::Parameters>& given) {
    const auto hides = [&](std::string_view name) {
        if (const auto own = profile.find(name); own.data() != nullptr)
            return pool::hides_text(name, own);
        return given && std::any_of(given->begin(), given->end(), [&](const auto& p) {
                   return p.first == name && pool::hides_text(name, p.second);
               });
    };
    if (hides("client_encoding")) return query::NotCached::client_encoding;
    return hides("standard_conforming_strings") ? query::NotCached::unknown_setting
                                                : query::NotCached::none;
}

/// By the client's settings, else by what the server has given its latest login; so it is where
/// that is not known.
bool has_other_encoding(const pool::Profile& profile,
                        const std::optional<pool::Parameters>& given) {
    if (!given) return true;
    return std::any_of(given->begin(), given->end(), [&](const auto& p) {
        const auto own = profile.find(p.first);
        return pool::other_encoding(p.first, own.data() != nullptr ? own : p.second);
    });
}

bool plain_ascii(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return (c & 0x80) == 0; });
}

/// Of whoever asks, and of where names are looked for.
bool plain_names(const pool::Profile& profile, std::string_view user,
                 const std::optional<std::vector<std::string>>& path) {
    if (!plain_ascii(user)) return false;
    for (const auto* name : {"session_authorization", "role"})
        if (!plain_ascii(profile.find(name))) return false;
    return !path || std::all_of(path->begin(), path->end(), plain_ascii);
}
}  // namespace

session::IdentityPtr Worker::identity(const std::string& database, const std::string& user,
                                      pool::Pool& pool, pool::ProfilePtr profile) {
    const auto mode = pool.config()->database.pool.mode;
    return identity(database, user, pool, std::move(profile), mode);
}

session::IdentityPtr Worker::identity(const std::string& database, const std::string& user,
                                      pool::Pool& pool, pool::ProfilePtr profile,
                                      config::PoolMode mode) {
    const auto& shared = pool.shared();
    const auto& pool_config = pool.config();
    const auto server = Directory::server_name(pool_config->database);
    cache::DatabaseState* state = supervisor_.database_state(*pool_config, *shared);
    shared->follow_logins(state->logins_changed());
    const auto given = shared->parameters(0);
    const bool other_encoding = has_other_encoding(*profile, given);
    auto known_path = search_path_of(*profile, shared->key.user, *state);
    if (other_encoding && !plain_names(*profile, shared->key.user, known_path)) known_path.reset();
    const auto path = known_path.value_or(std::vector<std::string>());
    std::string key = std::to_string(reinterpret_cast<std::uintptr_t>(shared.get())) + '\0' + user +
                      '\0' + std::to_string(profile->id) + '\0' +
                      std::to_string(pool_config->generation) + '\0' +
                      std::to_string(state->cache_id()) + std::to_string(static_cast<int>(mode));
    key += known_path ? 'k' : 'u';
    key += other_encoding ? 'o' : '8';
    const auto hidden = why_text_is_hidden(*profile, given);
    key += static_cast<char>(hidden);
    for (const auto& p : path) key += '\0' + p;
    auto& slot = identities_[key];
    if (auto found = slot.lock()) return found;
    auto made = std::make_shared<session::Identity>();
    made->database = database;
    made->user = shared->key.user;
    made->mode = mode;
    made->lazy_begin =
        made->mode == config::PoolMode::transaction && pool_config->database.pool.lazy_begin;
    made->profile = std::move(profile);
    made->shared_pool = shared;
    made->context = judge_context(*state, *made->profile, made->user, path, other_encoding);
    made->cache_owner = cache::owner_number(state->cache_id(), made->user, made->profile->id);
    made->path_known = known_path.has_value();
    made->server_address = server;
    if (!known_to_the_cache(*made->profile)) made->not_cached = query::NotCached::unknown_setting;
    if (hidden != query::NotCached::none) {
        made->not_cached = hidden;
        made->opaque_text = true;
    }
    slot = made;
    if (identities_.size() > 4096)
        std::erase_if(identities_, [](const auto& e) { return e.second.expired(); });
    return made;
}

session::IdentityPtr Worker::with_profile(const session::Identity& of, pool::ProfilePtr profile) {
    // What its client has prepared rests on the mode it has logged in to.
    return identity(of.database, of.user, pool(of.shared_pool), std::move(profile), of.mode);
}

namespace {
/// One that nobody has logged in to may be of a name made up.
base::Nanos kept_unused(pool::Pool& p) {
    const bool of_use =
        p.counters().login_count.get() > 0 || p.shared()->credentials().proven_at != 0;
    return (of_use ? 60 : 1) * base::kSecond;
}
}  // namespace

void Worker::tick() {
    queries.flush();
    const auto now = loop_.now();
    std::vector<session::ClientConnection*> all;
    all.reserve(by_id_.size());
    for (auto& [id, c] : by_id_)
        if (c->needs_tick()) all.push_back(c.get());
    for (auto* c : all) c->tick(now);
    for (auto it = pools_.begin(); it != pools_.end();) {
        auto& p = *it->second;
        p.tick(now);
        const bool unused = p.unused_since(now) > kept_unused(p);
        it = unused ? pools_.erase(it) : std::next(it);
    }
}

std::uint32_t Worker::cancel_pid(const session::ClientConnection& client) noexcept {
    return (number_ + 1) << kSlotBits | (client.slot & ((1u << kSlotBits) - 1));
}

bool Worker::look_up_user(const std::string& database, const std::string& user, UserAnswer answer) {
    auto target = supervisor_.lookup_target(*config_, database);
    if (!target) return false;
    // Always by post: an answer from memory must not come before this has returned.
    supervisor_.user_lookup().find(
        *target, user, [this, answer = std::move(answer)](base::Result<auth::UserStorePtr> found) {
            post([answer, found = std::move(found)](Worker&) { answer(found); });
        });
    return true;
}

void Worker::forget_user(const std::string& database, const std::string& user) {
    if (const auto target = supervisor_.lookup_target(*config_, database))
        supervisor_.user_lookup().forget(*target, user);
}

session::AddressLimits& Worker::address_limits() noexcept { return supervisor_.address_limits(); }

void Worker::route_cancel(session::ClientConnection& canceller, std::uint32_t pid, std::string key,
                          const io::Address& from) {
    counters_.cancel_requests.add(1);
    // The last part may be done on another worker's thread, or when this one is gone.
    pool::CancelToken settled(nullptr, [self = std::weak_ptr(self_), id = canceller.id()](void*) {
        if (const auto worker = self.lock())
            (*worker)->post([id](Worker& w) {
                if (auto* c = w.client_by_id(id)) w.forget(*c);
            });
    });
    const auto* address = reinterpret_cast<const sockaddr*>(&from.storage);
    if (!from.is_local() && address_limits().failures.exhausted(address, loop_.now())) return;
    if (session::is_server_pid(pid))
        return supervisor_.worker(0).post(
            [pid, key, from, settled = std::move(settled)](Worker& w) {
                w.cancel_by_server(pid, key, from, settled);
            });
    const auto worker = (pid >> kSlotBits) - 1;
    if (worker >= supervisor_.workers()) return;
    const auto slot = pid & ((1u << kSlotBits) - 1);
    if (worker == number_)
        cancel(slot, key, from, std::move(settled));
    else
        supervisor_.worker(worker).post([slot, key, from, settled = std::move(settled)](Worker& w) {
            w.cancel(slot, key, from, settled);
        });
}

void Worker::cancel(std::uint32_t slot, const std::string& key, const io::Address& from,
                    pool::CancelToken settled) {
    auto* client = slot < slots_.size() ? slots_[slot] : nullptr;
    if (client != nullptr && client->cancel_key_matches(key)) {
        client->on_cancel_request(std::move(settled));
        return;
    }
    note_wrong_key(from);
}

/// Sessions that keep their server connection are known by its process number. Looks here, then on
/// the next worker.
void Worker::cancel_by_server(std::uint32_t pid, const std::string& key, const io::Address& from,
                              pool::CancelToken settled) {
    for (auto& [id, client] : by_id_) {
        if (client->server_pid() != pid || !client->cancel_key_matches(key)) continue;
        client->on_cancel_request(std::move(settled));
        return;
    }
    if (number_ + 1 == supervisor_.workers()) return note_wrong_key(from);
    supervisor_.worker(number_ + 1).post([pid, key, from, settled = std::move(settled)](Worker& w) {
        w.cancel_by_server(pid, key, from, settled);
    });
}

void Worker::note_wrong_key(const io::Address& from) {
    if (!from.is_local())  // who guesses keys is turned away like who guesses passwords
        address_limits().failures.take(reinterpret_cast<const sockaddr*>(&from.storage),
                                       loop_.now());
}

session::ClientConnection* Worker::client_by_id(std::uint64_t id) noexcept {
    const auto it = by_id_.find(id);
    return it == by_id_.end() ? nullptr : it->second.get();
}

void Worker::post_to_session(std::uint64_t client, std::function<void(session::Session&)> task) {
    post([client, task = std::move(task)](Worker& w) {
        auto* c = w.client_by_id(client);
        if (c != nullptr && c->session() != nullptr) task(*c->session());
    });
}

void Worker::post_to_pool(unsigned worker, const std::shared_ptr<pool::SharedPool>& shared,
                          std::function<void(pool::Pool&)> task) {
    supervisor_.worker(worker).post(
        [shared, task = std::move(task)](Worker& w) { task(w.pool(shared)); });
}

void Worker::make_room(const std::shared_ptr<pool::SharedPool>& pool) {
    supervisor_.make_room(pool, number_);
}

metrics::SlowQuerySink* Worker::slow_log() noexcept { return supervisor_.slow_log(); }

void Worker::explain(const session::Identity& identity, const std::string& application,
                     std::uint64_t fingerprint, std::string_view text, std::string_view bind,
                     const std::vector<std::uint32_t>& types) {
    supervisor_.plans().explain(identity, application, fingerprint, text, bind, types);
}

cache::ResultCache* Worker::result_cache() noexcept {
    return config_->cache.enabled ? supervisor_.result_cache() : nullptr;
}

void Worker::catalog_may_have_changed(cache::DatabaseState& database) {
    supervisor_.reload_catalog(database);
}

void Worker::logins_may_have_changed() {
    for (auto* database : supervisor_.directory().registry().databases())
        database->note_logins_changed();
}

bool Worker::vacate_database(const session::Identity& identity, const std::string& dbname) {
    return supervisor_.vacate_database(identity.server_address, dbname);
}

void Worker::enter_database(const session::Identity& identity, const std::string& dbname) {
    supervisor_.enter_database(identity.server_address, dbname);
}

bool Worker::clear_snapshots(cache::DatabaseState& database, std::uint64_t session) {
    return supervisor_.clear_snapshots(database, [this, session] {
        post_to_session(session, [](session::Session& s) { s.on_way_clear(); });
    });
}

void Worker::vacate(const std::string& server, const std::string& dbname) {
    for (auto& [shared, p] : pools_) {
        const auto config = shared->config();
        if (config->dbname == dbname && Directory::server_name(config->database) == server)
            p->vacate();
    }
}

void Worker::await_watermark(cache::DatabaseState& database, base::Nanos needed,
                             std::uint64_t session) {
    database.stream().await(needed, [this, session] {
        post_to_session(session, [](session::Session& s) { s.on_watermark(); });
    });
}

void Worker::find_process(const session::Identity& asker, std::uint32_t number, bool lend,
                          std::uint64_t session, std::uint64_t question) {
    auto told = [this, self = std::weak_ptr(self_), session, question, number](
                    std::uint32_t process, const session::Loan& loan) {
        if (self.expired()) return;  // the last loans go when workers do
        post_to_session(
            session, [=](session::Session& s) { s.on_process(question, number, process, loan); });
    };
    const auto worker = (number >> kSlotBits) - 1;
    if (worker >= supervisor_.workers()) return told(0, nullptr);
    const auto slot = number & ((1u << kSlotBits) - 1);
    supervisor_.worker(worker).post(
        [slot, server = asker.server_address, lend, told = std::move(told)](Worker& w) {
            w.tell_process(slot, server, lend, told);
        });
}

void Worker::tell_process(std::uint32_t slot, const std::string& server, bool lend,
                          ProcessTold told) {
    auto* client = slot < slots_.size() ? slots_[slot] : nullptr;
    auto* session = client != nullptr ? client->session() : nullptr;
    if (session == nullptr || session->identity().server_address != server) return told(0, nullptr);
    session::Loan loan;
    if (lend)
        loan = session::Loan(nullptr, [self = std::weak_ptr(self_), id = client->id()](void*) {
            if (const auto worker = self.lock())
                (*worker)->post_to_session(id, [](session::Session& s) { s.loan_ended(); });
        });
    session->tell_process(lend, [told = std::move(told), loan](std::uint32_t process) {
        told(process, process != 0 ? loan : nullptr);
    });
}

void Worker::on_server_settings_changed(const pool::PoolConfig& place) {
    supervisor_.server_settings_changed(place);
}

void Worker::hold_until_gone(const session::Identity& identity, std::uint32_t server_pid,
                             std::unique_ptr<pool::Held> held) {
    supervisor_.hold_until_gone(*identity.context.database, server_pid, std::move(held));
}

void Worker::hold_until_gone(const pool::PoolConfig& place, std::uint32_t server_pid,
                             std::unique_ptr<pool::Held> held) {
    supervisor_.hold_until_gone(place, server_pid, std::move(held));
}

void Worker::apply_config(config::ConfigPtr config) {
    config_ = std::move(config);
    queries.use(config_->queries.enabled ? supervisor_.query_stats() : nullptr);
    doors_ = supervisor_.doors();
    identities_.clear();
    // First: what they are given from here on may be connections to another server.
    for (auto& [id, client] : by_id_)
        if (client->session() != nullptr) client->session()->renew_identity();
    for (auto& [shared, p] : pools_) p->apply_config(p->shared()->config());
    hubs.end_moved();
}

void Worker::begin_drain() {
    draining_ = true;
    listeners_.clear();
    for (auto& [shared, p] : pools_) p->close_idle("the proxy is shutting down");
    end_idle();
}

namespace {
const wire::Report kShutdown{.severity = "FATAL",
                             .sqlstate = wire::sqlstate::kAdminShutdown,
                             .message = "terminating connection due to administrator command"};
}

void Worker::end_idle() {
    std::vector<session::ClientConnection*> idle;
    for (auto& [id, c] : by_id_)
        if (c->session() == nullptr || !c->session()->busy()) idle.push_back(c.get());
    for (auto* c : idle) c->shut_down(kShutdown);
}

void Worker::end_all() {
    std::vector<session::ClientConnection*> all;
    for (auto& [id, c] : by_id_) all.push_back(c.get());
    for (auto* c : all) c->shut_down(kShutdown);
}

}  // namespace pgweir::server
