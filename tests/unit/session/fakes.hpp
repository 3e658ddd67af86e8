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

struct FakeClient final : ClientLink {
    void gather_send(std::span<const iovec> parts) override;
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
    void send(std::span<const iovec> parts) override;
    std::size_t queued() const noexcept override { return queue; }
    void set_reading(bool on) noexcept override { reading = on; }
    std::uint32_t process_id() const noexcept override { return 4711; }
    std::string received;
    std::size_t queue = 0;
    unsigned sends = 0;
    bool reading = true;
    bool leased = false;
    pool::ServerUser* user = nullptr;  // to whom it was handed over
};

struct FakePool final : pool::Leaser {
    FakePool();
    ~FakePool();
    pool::ServerLink* acquire(pool::Waiter& waiter) override;
    void cancel_wait(pool::Waiter& waiter) override;
    void release(pool::ServerLink& server, pool::Release how) override;
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
    FakeEnvironment();
    ~FakeEnvironment();
    const config::Config& config() const noexcept override { return settings; }
    metrics::WorkerCounters& counters() noexcept override { return worker_counters; }
    metrics::SlowQuerySink* slow_log() noexcept override { return nullptr; }
    void explain(const Identity&, const std::string&, std::uint64_t, std::string_view text,
                 std::string_view, const std::vector<std::uint32_t>&) override;
    std::vector<std::string> explained;
    cache::ResultCache* result_cache() noexcept override { return cache.get(); }
    void catalog_may_have_changed(cache::DatabaseState&) override { ++catalog_notices; }
    void logins_may_have_changed() override {}
    IdentityPtr with_profile(const Identity& of, pool::ProfilePtr profile) override;
    bool vacate_database(const Identity&, const std::string& dbname) override;
    void enter_database(const Identity&, const std::string& dbname) override;
    std::vector<std::string> vacated;
    bool clear_snapshots(cache::DatabaseState&, std::uint64_t) override { return false; }
    void hold_until_gone(const Identity&, std::uint32_t, std::unique_ptr<pool::Held> h) override;
    void post_task(std::function<void()> task) override;
    std::vector<std::function<void()>> tasks;
    void await_watermark(cache::DatabaseState&, base::Nanos needed, std::uint64_t) override;
    std::vector<base::Nanos> awaited;
    void find_process(const Identity&, std::uint32_t number, bool, std::uint64_t,
                      std::uint64_t) override;
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
    explicit Stage(unsigned servers = 1, config::PoolMode mode = config::PoolMode::transaction);
    ~Stage();
    /// Answers are cached, under a change stream whose watermark is now.
    void give_cache();
    Session& start();
    FakeServer& server(unsigned i = 0) { return *pool.servers[i]; }
    /// What the client was sent since the last call.
    std::string client_got();
    std::string server_got(unsigned i = 0);
    void reply(std::string_view bytes) { session->on_server_bytes(bytes); }

    cache::Registry registry;
    FakeEnvironment env;
    FakeClient client;
    FakePool pool;
    Identity identity;
    std::unique_ptr<Session> session;
};

// Messages.
std::string ask(std::string_view sql);
std::string parse(std::string_view name, std::string_view sql);
std::string bind(std::string_view portal, std::string_view statement);
std::string describe(char kind, std::string_view name);
std::string close(char kind, std::string_view name);
std::string execute(std::string_view portal = "");
std::string message(char type, std::string_view body = {});
std::string end_batch();
std::string ready(char status = 'I');
std::string complete(std::string_view tag);
std::string error(std::string_view sqlstate, std::string_view text);
std::string rows();
/// A server's answer to the question what joe's session has left: `states` are the five answers
/// about temporary objects, locks, statements, cursors and channels.
std::string looked(
    std::string_view states = "fffff",
    std::initializer_list<std::pair<std::string_view, std::string_view>> settings = {},
    std::string_view role = "none", std::initializer_list<std::string_view> channels = {});
/// The types of the messages in `bytes`, one letter each.
std::string types(std::string_view bytes);

}  // namespace pgweir::session::testing
