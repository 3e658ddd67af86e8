// A session's surroundings without sockets: a client link that keeps what it is sent, a server that
// a test answers for, a pool of one or more such servers, and a clock moved by hand.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "pgweir/session/session.hpp"
#include "pgweir/wire/writer.hpp"

namespace pgweir::session::testing {

inline void append(std::string& out, std::span<const iovec> parts) {
    for (const auto& p : parts) out.append(static_cast<const char*>(p.iov_base), p.iov_len);
}

struct FakeClient final : ClientLink {
    void gather_send(std::span<const iovec> parts) override {
        append(sent, parts);
        ++sends;
    }
    std::size_t queued() const noexcept override { return queue; }
    void set_reading(bool on) noexcept override { reading = on; }
    void finish() noexcept override { finished = true; }
    std::string sent;
    std::size_t queue = 0;
    unsigned sends = 0;
    bool reading = true;
    bool finished = false;
};

struct FakeServer final : pool::ServerLink {
    void send(std::span<const iovec> parts) override {
        append(received, parts);
        ++sends;
    }
    std::size_t queued() const noexcept override { return 0; }
    void set_reading(bool on) noexcept override { reading = on; }
    std::uint32_t process_id() const noexcept override { return 4711; }
    std::string received;
    unsigned sends = 0;
    bool reading = true;
    bool leased = false;
    pool::ServerUser* user = nullptr;  // to whom it was handed over
};

struct FakePool final : pool::Leaser {
    pool::ServerLink* acquire(pool::Waiter& waiter) override {
        for (auto& s : servers)
            if (!s->leased) {
                s->leased = true;
                if (!calls_back) return s.get();
                waiter.on_lease(*s);
                return nullptr;
            }
        queue.push_back(&waiter);
        return nullptr;
    }
    void cancel_wait(pool::Waiter& waiter) override { std::erase(queue, &waiter); }
    void release(pool::ServerLink& server, pool::Release how) override {
        releases.push_back(how);
        auto& s = static_cast<FakeServer&>(server);
        ends.push_back({&s, s.received.size()});
        s.leased = false;
        s.held.reset();
    }
    void hand_over(pool::ServerLink& server, pool::ServerUser& to) noexcept override {
        static_cast<FakeServer&>(server).user = &to;
    }
    void cancel(pool::ServerLink&, pool::CancelToken) override { ++cancels; }
    metrics::PoolCounters& counters() noexcept override { return pool_counters; }
    void parameter_changed(pool::ServerLink&, std::string_view, std::string_view) override {
        ++reconfigured;
    }
    unsigned reconfigured = 0;

    std::vector<std::unique_ptr<FakeServer>> servers;
    std::deque<pool::Waiter*> queue;
    bool calls_back = false;  // acquire() gives what is free by on_lease(), as pools may
    std::vector<pool::Release> releases;
    /// Of each of them: whose it was, and how much that had been sent by then.
    std::vector<std::pair<FakeServer*, std::size_t>> ends;
    unsigned cancels = 0;
    metrics::PoolCounters pool_counters;
};

struct FakeEnvironment final : Environment {
    FakeEnvironment() : Environment(&time) { statements = std::make_shared<StatementTable>(); }
    const config::Config& config() const noexcept override { return settings; }
    metrics::WorkerCounters& counters() noexcept override { return worker_counters; }
    metrics::SlowQuerySink* slow_log() noexcept override { return nullptr; }
    void explain(const Identity&, const std::string&, std::uint64_t, std::string_view text,
                 std::string_view, const std::vector<std::uint32_t>&) override {
        explained.emplace_back(text);
    }
    std::vector<std::string> explained;
    cache::ResultCache* result_cache() noexcept override { return cache.get(); }
    void catalog_may_have_changed(cache::DatabaseState&) override { ++catalog_notices; }
    void logins_may_have_changed() override {}
    IdentityPtr with_profile(const Identity& of, pool::ProfilePtr profile) override {
        auto identity = std::make_shared<Identity>(of);
        identity->profile = std::move(profile);
        return identity;
    }
    bool vacate_database(const Identity&, const std::string& dbname) override {
        vacated.push_back(dbname);
        return true;
    }
    std::vector<std::string> vacated;
    bool clear_snapshots(cache::DatabaseState&, std::uint64_t) override { return false; }
    void hold_until_gone(const Identity&, std::uint32_t, std::unique_ptr<pool::Held> h) override {
        held.push_back(std::move(h));
    }
    void post_task(std::function<void()> task) override { tasks.push_back(std::move(task)); }
    std::vector<std::function<void()>> tasks;
    void await_watermark(cache::DatabaseState&, base::Nanos needed, std::uint64_t) override {
        awaited.push_back(needed);
    }
    std::vector<base::Nanos> awaited;
    void find_process(const Identity&, std::uint32_t number, bool, std::uint64_t,
                      std::uint64_t) override {
        processes_asked.push_back(number);
    }
    std::vector<std::uint32_t> processes_asked;
    base::Nanos time = base::kSecond;
    config::Config settings;
    metrics::WorkerCounters worker_counters;
    std::unique_ptr<cache::ResultCache> cache;
    unsigned catalog_notices = 0;
    std::vector<std::unique_ptr<pool::Held>> held;
};

/// One session and all it needs.
struct Stage {
    explicit Stage(unsigned servers = 1, config::PoolMode mode = config::PoolMode::transaction) {
        for (unsigned i = 0; i < servers; ++i)
            pool.servers.push_back(std::make_unique<FakeServer>());
        identity.database = "app";
        identity.user = "joe";
        identity.mode = mode;
        identity.profile = pool::empty_profile();
        identity.context = {1, &registry.database("test:5432", "app"), "joe", {"public"}};
        identity.path_known = true;
    }
    Session& start() {
        if (!session)
            session = std::make_unique<Session>(env, client, pool,
                                                std::make_shared<Identity>(identity), "");
        return *session;
    }
    FakeServer& server(unsigned i = 0) { return *pool.servers[i]; }
    /// What the client was sent since the last call.
    std::string client_got() { return std::exchange(client.sent, {}); }
    std::string server_got(unsigned i = 0) { return std::exchange(server(i).received, {}); }
    void reply(std::string_view bytes) { session->on_server_bytes(bytes); }

    cache::Registry registry;
    FakeEnvironment env;
    FakeClient client;
    FakePool pool;
    Identity identity;
    std::unique_ptr<Session> session;
};

// Messages.
inline std::string ask(std::string_view sql) {
    std::string m;
    wire::write_query(m, sql);
    return m;
}
inline std::string parse(std::string_view name, std::string_view sql) {
    std::string m;
    wire::write_parse(m, name, sql, {});
    return m;
}
inline std::string bind(std::string_view portal, std::string_view statement) {
    std::string body;
    base::append_cstring(body, portal);
    base::append_cstring(body, statement);
    base::append_u16(body, 0);
    base::append_u16(body, 0);
    base::append_u16(body, 0);
    std::string m;
    wire::write_message(m, 'B', body);
    return m;
}
inline std::string describe(char kind, std::string_view name) {
    std::string body(1, kind);
    base::append_cstring(body, name);
    std::string m;
    wire::write_message(m, 'D', body);
    return m;
}
inline std::string close(char kind, std::string_view name) {
    std::string m;
    wire::write_close(m, kind, name);
    return m;
}
inline std::string execute(std::string_view portal = "") {
    std::string body;
    base::append_cstring(body, portal);
    base::append_u32(body, 0);
    std::string m;
    wire::write_message(m, 'E', body);
    return m;
}
inline std::string message(char type, std::string_view body = {}) {
    std::string m;
    wire::write_message(m, type, body);
    return m;
}
inline std::string end_batch() { return message('S'); }
inline std::string ready(char status = 'I') { return message('Z', std::string_view(&status, 1)); }
inline std::string complete(std::string_view tag) {
    std::string m;
    wire::write_command_complete(m, tag);
    return m;
}
inline std::string error(std::string_view sqlstate, std::string_view text) {
    std::string m;
    wire::write_error(m, {.sqlstate = sqlstate, .message = text});
    return m;
}
inline std::string rows() {
    const wire::Column columns[] = {{"a", wire::kOidInt4}};
    const std::string_view values[] = {"42"};
    std::string m;
    wire::write_row_description(m, columns);
    wire::write_data_row(m, values);
    return m + complete("SELECT 1");
}
/// A server's answer to the question what joe's session has left: `states` are the five answers
/// about temporary objects, locks, statements, cursors and channels.
inline std::string looked(
    std::string_view states = "fffff",
    std::initializer_list<std::pair<std::string_view, std::string_view>> settings = {},
    std::string_view role = "none", std::initializer_list<std::string_view> channels = {}) {
    std::string m;
    const std::string_view state[] = {"joe",
                                      role,
                                      "joe",
                                      states.substr(0, 1),
                                      states.substr(1, 1),
                                      states.substr(2, 1),
                                      states.substr(3, 1),
                                      states.substr(4, 1)};
    wire::write_data_row(m, state);
    m += complete("SELECT 1");
    for (const auto& [name, value] : settings) {
        const std::string_view row[] = {name, value};
        wire::write_data_row(m, row);
    }
    m += complete("SELECT 0");
    for (const auto name : channels) wire::write_data_row(m, std::span(&name, 1));
    return m + complete("SELECT 0") + ready();
}
/// The types of the messages in `bytes`, one letter each.
inline std::string types(std::string_view bytes) {
    std::string t;
    while (!bytes.empty()) {
        const auto f = wire::scan_frame(bytes);
        t += f.type;
        if (f.status != wire::FrameStatus::complete) return t + "!";
        bytes.remove_prefix(f.size);
    }
    return t;
}

}  // namespace pgweir::session::testing
