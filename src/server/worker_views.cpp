// Worker: what SHOW and the metrics see of it, its consoles, and who its verdicts are for.
#include <mutex>

#include "pgweir/io/tls.hpp"
#include "pgweir/server/supervisor.hpp"
#include "pgweir/server/worker.hpp"
#include "pgweir/session/console_session.hpp"

namespace pgweir::server {

namespace {

using pool::ServerState;
using session::ClientConnection;

std::string_view server_state(const pool::ServerConnection& s) noexcept {
    if (s.cancels_in_flight > 0) return "being_canceled";
    switch (s.state()) {
        case ServerState::connecting:
        case ServerState::tls_answer:
        case ServerState::tls_handshake:
        case ServerState::login: return "new";
        case ServerState::idle: return "idle";
        case ServerState::leased: return "active";
        default: return "tested";
    }
}

std::string tls_of(io::Socket& socket) {
    return socket.encrypted() ? socket.tls()->description() : std::string();
}

void fill_socket(admin::ConnectionRow& row, io::Socket& socket) {
    if (!socket.is_open()) return;
    const auto peer = io::peer_address(socket.fd());
    const auto local = io::local_address(socket.fd());
    row.addr = peer.host();
    row.port = peer.port();
    row.local_addr = local.host();
    row.local_port = local.port();
    row.tls = tls_of(socket);
}

admin::ServerRow server_row(pool::ServerConnection& s, base::Nanos now) {
    admin::ServerRow row;
    row.user = s.pool().shared()->key.user;
    row.database = s.pool().shared()->key.database;
    row.state = server_state(s);
    fill_socket(row, s.socket());
    row.connect_time_us = base::wall_now_us() - (now - s.opened) / base::kMicrosecond;
    row.request_time_us = base::wall_now_us() - (now - s.since()) / base::kMicrosecond;
    row.close_needed = s.retire_at != 0 && now >= s.retire_at;
    row.ptr = row.id = s.id();
    row.remote_pid = s.process_id();
    row.application_name = s.application_name;
    row.prepared_statements = static_cast<std::uint32_t>(s.prepared.size());
    return row;
}

admin::ClientRow client_row(ClientConnection& c, base::Nanos now) {
    admin::ClientRow row;
    row.user = c.user();
    row.database = c.database();
    row.state = "idle";
    fill_socket(row, c.socket());
    row.connect_time_us = row.request_time_us = c.connected_wall_us();
    row.ptr = row.id = c.id();
    row.application_name = c.application_name();
    auto* s = c.session();
    if (s == nullptr) {
        if (c.console() || c.relay() != nullptr) row.state = "active";
        if (auto* relay = c.relay(); relay != nullptr) {
            row.replication = session::name(relay->kind());
            row.pin = query::name(query::PinReason::replication);
            if (relay->server() != nullptr) row.link = relay->server()->id();
        }
        return row;
    }
    if (s->waiting()) {
        row.state = "waiting";
        row.wait_us = (now - s->waiting_since) / base::kMicrosecond;
    } else if (s->server() != nullptr) {
        row.state = "active";
        row.link = static_cast<pool::ServerConnection*>(s->server())->id();
    }
    if (const auto at = s->request_time(); at != 0)
        row.request_time_us = base::wall_now_us() - (now - at) / base::kMicrosecond;
    row.prepared_statements = static_cast<std::uint32_t>(s->prepared_statements());
    if (s->pin() != query::PinReason::none) row.pin = query::name(s->pin());
    return row;
}

}  // namespace

void Worker::collect(admin::Snapshot& into) {
    const auto now = loop_.now();
    queries.flush();
    into.workers.add(counters_);
    for (auto& [shared, p] : pools_) {
        const auto counts = p->counts();
        admin::PoolRow row;
        row.database = shared->key.database;
        row.user = shared->key.user;
        row.mode = shared->config()->database.pool.mode;
        row.cl_waiting = static_cast<std::uint32_t>(counts.waiting);
        row.cl_active = p->local_clients - std::min(p->local_clients, row.cl_waiting);
        row.sv_active = static_cast<std::uint32_t>(counts.active);
        row.sv_idle = static_cast<std::uint32_t>(counts.idle);
        row.sv_tested = static_cast<std::uint32_t>(counts.cleaning);
        row.sv_login = static_cast<std::uint32_t>(counts.starting);
        if (const auto oldest = p->oldest_wait(); oldest != 0)
            row.maxwait_us = (now - oldest) / base::kMicrosecond;
        p->for_each_server([&](pool::ServerConnection& s) {
            if (s.cancels_in_flight > 0) {
                ++row.cl_active_cancel_req;
                ++row.sv_being_canceled;
            }
            into.servers.push_back(server_row(s, now));
        });
        row.totals.add(p->counters());
        into.pools.push_back(std::move(row));
    }
    for (auto& [id, c] : by_id_) {
        if (c->phase() == ClientConnection::Phase::serving)
            into.clients.push_back(client_row(*c, now));
        else
            ++into.lists.login_clients;
    }
}

/// Runs a console's commands; answers come back to this worker and to nobody when the client is
/// gone.
class Worker::Commands final : public session::ConsoleCommands {
  public:
    Commands(Worker& worker, std::uint64_t client) : worker_(worker), client_(client) {}

    void execute(std::string_view sql, bool admin, bool extended,
                 std::function<void(std::string)> reply) override {
        auto& worker = worker_;
        const auto client = client_;
        worker_.supervisor().console().execute(
            sql, {.admin = admin, .extended = extended},
            [&worker, client, reply = std::move(reply)](std::string answer) {
                worker.post([client, reply, answer = std::move(answer)](Worker& w) {
                    const auto* c = w.client_by_id(client);
                    if (c != nullptr && c->console() &&
                        c->phase() == ClientConnection::Phase::serving)
                        reply(answer);
                });
            });
    }
    std::string describe(std::string_view sql) override {
        return worker_.supervisor().console().describe(sql);
    }
    std::string check(std::string_view sql) override {
        return worker_.supervisor().console().check(sql);
    }

  private:
    Worker& worker_;
    const std::uint64_t client_;
};

namespace {

/// A console session together with its commands.
struct OwnedConsole final : session::ConsolePort {
    OwnedConsole(ClientConnection& client, std::unique_ptr<session::ConsoleCommands> c, bool admin)
        : commands(std::move(c)), session(client, *commands, admin) {}
    void on_client_bytes(std::string_view bytes) override { session.on_client_bytes(bytes); }
    void on_client_drained() override { session.on_client_drained(); }
    std::unique_ptr<session::ConsoleCommands> commands;
    session::ConsoleSession session;
};

}  // namespace

std::unique_ptr<session::ConsolePort> Worker::open_console(ClientConnection& client,
                                                           const std::string& user) {
    const auto is_in = [&user](const std::vector<std::string>& users) {
        return std::find(users.begin(), users.end(), user) != users.end();
    };
    const bool admin = is_in(config_->admin.users);
    if (!admin && !is_in(config_->admin.stats_users)) return nullptr;
    std::string greeting;
    for (const auto& p : admin::console_parameters())
        wire::write_parameter_status(greeting, p.name, p.value);
    wire::write_backend_key(greeting, cancel_pid(client), "none");
    wire::write_ready(greeting, wire::TxStatus::idle);
    client.send_now(greeting);
    return std::make_unique<OwnedConsole>(client, std::make_unique<Commands>(*this, client.id()),
                                          admin);
}

namespace {
/// Equal contexts have one number on all workers: what one worker's servers have parsed for the
/// like of a session, another's can.
std::uint64_t shared_context_id(const std::string& key, Supervisor& supervisor) {
    constexpr std::size_t kMost = 16384;
    static std::mutex mutex;
    static std::unordered_map<std::string, std::uint64_t> ids;
    const std::scoped_lock lock(mutex);
    if (ids.size() > kMost) ids.clear();
    auto& id = ids[key];
    if (id == 0) id = supervisor.next_context_id();
    return id;
}
}  // namespace

/// Verdicts depend on who asks and where names are looked for, and on no other setting: sessions
/// that are alike in this share them.
session::JudgeContext Worker::judge_context(cache::DatabaseState& state,
                                            const pool::Profile& profile, const std::string& login,
                                            const std::vector<std::string>& path,
                                            bool other_encoding) {
    std::string user = login;
    for (const auto* name : {"session_authorization", "role"})
        if (const auto other = profile.find(name); !other.empty() && other != "none") user = other;
    std::string key = std::to_string(state.cache_id()) + (other_encoding ? "o" : "") + '\0' + user;
    for (const auto& p : path) key += '\0' + p;
    if (contexts_.size() > 4096) contexts_.clear();
    auto& id = contexts_[key];
    if (id == 0) id = shared_context_id(key, supervisor_);
    return {id, &state, user, path, other_encoding};
}

}  // namespace pgweir::server
