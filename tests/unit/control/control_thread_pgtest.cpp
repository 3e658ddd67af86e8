// The control thread against real servers that change, restart, refuse, hang and go away.
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <mutex>

#include "control_fixture.hpp"
#include "pgweir/control/control_thread.hpp"
#include "support/loopback.hpp"

using namespace pgweir;
using namespace pgweir::testing;
using control::CatalogEvent;
using control::ControlThread;

namespace {

/// Collects what the thread says.
class Events {
  public:
    ControlThread::OnCatalog receiver() {
        return [this](const CatalogEvent& e) {
            const std::scoped_lock lock(mutex_);
            events_.push_back(e);
        };
    }
    std::size_t count() const {
        const std::scoped_lock lock(mutex_);
        return events_.size();
    }
    CatalogEvent last(control::TargetId id) const {
        const std::scoped_lock lock(mutex_);
        for (auto it = events_.rbegin(); it != events_.rend(); ++it)
            if (it->target == id) return *it;
        return {};
    }
    bool until(control::TargetId id, const std::function<bool(const CatalogEvent&)>& is,
               Seconds limit = Seconds(10)) const {
        return eventually([&] { return is(last(id)); }, limit);
    }

  private:
    mutable std::mutex mutex_;
    std::vector<CatalogEvent> events_;
};

bool loaded(const CatalogEvent& e) { return e.catalog != nullptr; }

control::ControlOptions quick() {
    control::ControlOptions o;
    o.catalog_poll = 50 * base::kMillisecond;
    o.first_retry = 20 * base::kMillisecond;
    o.last_retry = 100 * base::kMillisecond;
    return o;
}

bool has_table(const CatalogEvent& e, const std::string& name) {
    if (!e.catalog) return false;
    const auto in = e.catalog->relations.find(e.catalog->schemas.find("public")->second);
    return in != e.catalog->relations.end() && in->second.contains(name);
}

std::string control_pid(const std::string& db) {
    return Cluster::shared().value(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'pgweir control' AND datname = "
        "'" +
        db + "'");
}

}  // namespace

TEST_CASE("a target's catalog and facts arrive, and arrive anew when something changes it") {
    create_database("ct_poll");
    Events events;
    ControlThread thread(quick(), events.receiver());
    const auto id = thread.add_target(target_of(Cluster::shared(), "ct_poll"));
    thread.start();
    REQUIRE(events.until(id, loaded));
    const auto first = events.last(id);
    CHECK(first.facts.server_version_num >= 150000);
    CHECK(first.facts.server_version.starts_with(
        std::to_string(first.facts.server_version_num / 10000)));
    CHECK(first.facts.max_connections == 200);
    CHECK(first.facts.reserved_connections == 3);
    CHECK(first.facts.wal_level_logical);
    CHECK(!first.facts.in_recovery);
    auto db = Cluster::shared().connect("postgres", "ct_poll");
    db.run("CREATE TABLE polled(a int)");
    CHECK(events.until(id, [](const auto& e) { return has_table(e, "polled"); }));
    CHECK(events.last(id).catalog->version > first.catalog->version);
    const auto n = events.count();
    db.run("INSERT INTO polled VALUES (1)");
    sleep_for(Seconds(0.3));
    CHECK(events.count() == n);
}

TEST_CASE("a request is covered soon by a catalog that has what was done before it") {
    create_database("ct_request");
    Events events;
    auto options = quick();
    options.catalog_poll = 3600 * base::kSecond;
    ControlThread thread(options, events.receiver());
    const auto id = thread.add_target(target_of(Cluster::shared(), "ct_request"));
    thread.start();
    REQUIRE(events.until(id, loaded));
    auto db = Cluster::shared().connect("postgres", "ct_request");
    for (int i = 0; i < 5; ++i) {
        const auto name = "t" + std::to_string(i);
        db.run("CREATE TABLE " + name + "(a int)");
        const auto number = thread.request_reload(id);
        REQUIRE(events.until(id, [&](const auto& e) { return e.covers >= number; }));
        CHECK(has_table(events.last(id), name));
    }
    // Nothing changed: answered, with the catalog that is there.
    const auto before = events.last(id);
    auto number = thread.request_reload(id);
    REQUIRE(events.until(id, [&](const auto& e) { return e.covers >= number; }));
    CHECK(events.last(id).catalog == before.catalog);
    const auto n = events.count();
    for (int i = 0; i < 1000; ++i) number = thread.request_reload(id);
    REQUIRE(events.until(id, [&](const auto& e) { return e.covers >= number; }));
    CHECK(events.count() - n < 100);
    CHECK(thread.request_reload(999) == 0);
}

TEST_CASE("a shorter interval of polls holds at once, not after the longer one") {
    create_database("ct_interval");
    Events events;
    auto options = quick();
    options.catalog_poll = 3600 * base::kSecond;
    ControlThread thread(options, events.receiver());
    const auto id = thread.add_target(target_of(Cluster::shared(), "ct_interval"));
    thread.start();
    REQUIRE(events.until(id, loaded));
    Cluster::shared().connect("postgres", "ct_interval").run("CREATE TABLE polled(a int)");
    thread.set_catalog_poll(50 * base::kMillisecond);
    CHECK(events.until(id, [](const auto& e) { return has_table(e, "polled"); }));
}

TEST_CASE("what a server says of itself is polled, and told once where only that has changed") {
    create_database("ct_facts");
    auto db = Cluster::shared().connect("postgres", "ct_facts");
    db.run("CREATE ROLE ct_facts LOGIN");
    Events events;
    ControlThread thread(quick(), events.receiver());
    const auto id = thread.add_target(target_of(Cluster::shared(), "ct_facts", "ct_facts"));
    thread.start();
    REQUIRE(events.until(id, loaded));
    const auto before = events.last(id);
    CHECK(!before.facts.may_replicate);
    db.run("ALTER ROLE ct_facts REPLICATION");
    REQUIRE(events.until(id, [](const auto& e) { return e.facts.may_replicate; }));
    CHECK(events.last(id).catalog == before.catalog);
    CHECK(events.last(id).covers == before.covers);
    const auto n = events.count();
    sleep_for(Seconds(0.3));
    CHECK(events.count() == n);
}

TEST_CASE("a lost connection takes the catalog away until there is a new one") {
    Cluster cluster;
    Events events;
    ControlThread thread(quick(), events.receiver());
    thread.start();
    const auto id = thread.add_target(target_of(cluster));
    REQUIRE(events.until(id, loaded));
    const auto version = events.last(id).catalog->version;
    cluster.stop();
    CHECK(events.until(id, [](const auto& e) { return !e.catalog && !e.reason.empty(); }));
    cluster.start();
    REQUIRE(events.until(id, loaded));
    CHECK(events.last(id).catalog->version > version);
    const auto n = events.count();
    cluster.value(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pgweir "
        "control'");
    CHECK(eventually([&] { return events.count() >= n + 2; }));
    CHECK(events.until(id, loaded));
}

TEST_CASE("a database that cannot be read says why, and only once") {
    Events events;
    ControlThread thread(quick(), events.receiver());
    thread.start();
    const auto missing = thread.add_target(target_of(Cluster::shared(), "no_such_database"));
    const auto stranger = thread.add_target(target_of(Cluster::shared(), "app", "nobody_here"));
    auto nowhere_target = target_of(Cluster::shared());
    nowhere_target.host = "127.0.0.1";
    nowhere_target.port = free_port();
    const auto nowhere = thread.add_target(nowhere_target);
    const auto has_reason = [](const auto& e) { return !e.reason.empty(); };
    for (const auto id : {missing, stranger, nowhere}) {
        REQUIRE(events.until(id, has_reason));
        CHECK(events.last(id).catalog == nullptr);
        CHECK(events.last(id).reason.find('\n') == std::string::npos);
    }
    CHECK(events.last(missing).reason.find("no_such_database") != std::string::npos);
    CHECK(events.last(stranger).reason.find("nobody_here") != std::string::npos);
    sleep_for(Seconds(0.5));
    CHECK(events.count() == 3);
}

TEST_CASE("a server process is reported gone when it is gone, and not before") {
    create_database("ct_pid");
    Events events;
    ControlThread thread(quick(), events.receiver());
    thread.start();
    const auto id = thread.add_target(target_of(Cluster::shared(), "ct_pid"));
    std::atomic<int> gone = 0;
    auto victim = std::make_unique<Db>(Cluster::shared().dsn("app", "ct_pid"));
    thread.watch_pid(id, std::stoi(victim->value("SELECT pg_backend_pid()")), [&] { ++gone; });
    REQUIRE(events.until(id, loaded));
    sleep_for(Seconds(0.3));
    CHECK(gone == 0);
    victim.reset();
    CHECK(eventually([&] { return gone == 1; }));
    thread.watch_pid(id, 999'999'999, [&] { ++gone; });
    CHECK(eventually([&] { return gone == 2; }));
    sleep_for(Seconds(0.3));
    CHECK(gone == 2);
}

TEST_CASE("another login to a target reads it anew, and what is watched stays watched") {
    create_database("ct_login");
    auto db = Cluster::shared().connect("postgres", "ct_login");
    db.run("CREATE ROLE ct_login LOGIN");
    Events events;
    ControlThread thread(quick(), events.receiver());
    thread.start();
    const auto id = thread.add_target(target_of(Cluster::shared(), "ct_login", "nobody_here"));
    REQUIRE(events.until(id, [](const auto& e) { return !e.reason.empty(); }));
    thread.set_target(id, target_of(Cluster::shared(), "ct_login"));
    REQUIRE(events.until(id, loaded));
    const auto first = control_pid("ct_login");
    std::atomic<int> gone = 0;
    auto victim = std::make_unique<Db>(Cluster::shared().dsn("app", "ct_login"));
    thread.watch_pid(id, std::stoi(victim->value("SELECT pg_backend_pid()")), [&] { ++gone; });
    const auto version = events.last(id).catalog->version;
    thread.set_target(id, target_of(Cluster::shared(), "ct_login", "ct_login"));
    REQUIRE(
        events.until(id, [&](const auto& e) { return loaded(e) && e.catalog->version > version; }));
    CHECK(eventually([&] {
        return db.value("SELECT count(*) FROM pg_stat_activity WHERE pid = " + first) == "0";
    }));
    CHECK(db.value("SELECT usename FROM pg_stat_activity WHERE pid = " + control_pid("ct_login")) ==
          "ct_login");
    const auto number = thread.request_reload(id);
    CHECK(events.until(id, [&](const auto& e) { return e.covers >= number; }));
    CHECK(gone == 0);
    victim.reset();
    CHECK(eventually([&] { return gone == 1; }));
}

TEST_CASE("a removed target's connection closes and nothing more is heard of it") {
    create_database("ct_remove");
    Events events;
    ControlThread thread(quick(), events.receiver());
    thread.start();
    const auto id = thread.add_target(target_of(Cluster::shared(), "ct_remove"));
    REQUIRE(events.until(id, loaded));
    REQUIRE(!control_pid("ct_remove").empty());
    thread.remove_target(id);
    CHECK(eventually([&] { return control_pid("ct_remove").empty(); }));
    CHECK(thread.request_reload(id) == 0);
    // DROP DATABASE fails while anyone is connected.
    Cluster::shared().connect("postgres", "postgres").run("DROP DATABASE ct_remove");
}

TEST_CASE("a server that accepts and says nothing neither delays the others nor the stop") {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    REQUIRE(bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(listen(fd, 8) == 0);
    REQUIRE(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    auto silent = target_of(Cluster::shared());
    silent.host = "127.0.0.1";
    silent.port = ntohs(address.sin_port);
    Events events;
    auto options = quick();
    options.connect_timeout = 3 * base::kSecond;
    ControlThread thread(options, events.receiver());
    const auto mute = thread.add_target(silent);
    const auto good = thread.add_target(target_of(Cluster::shared()));
    thread.start();
    const auto given_up = [](const auto& e) { return e.reason.find("no answer") != e.reason.npos; };
    CHECK(events.until(good, loaded));
    CHECK_FALSE(events.until(mute, given_up, Seconds(0)));  // the good one did not wait for it
    CHECK(events.until(mute, given_up));
    const auto began = base::monotonic_now();
    thread.stop();
    CHECK(base::monotonic_now() - began < options.connect_timeout / 2);
    close(fd);
}

TEST_CASE("a stop does not wait for a statement that hangs") {
    create_database("ct_hang");
    Events events;
    ControlThread thread(quick(), events.receiver());
    thread.start();
    const auto id = thread.add_target(target_of(Cluster::shared(), "ct_hang"));
    REQUIRE(events.until(id, loaded));
    auto db = Cluster::shared().connect("postgres", "ct_hang");
    db.run("BEGIN");
    db.run("LOCK TABLE pg_catalog.pg_policy IN ACCESS EXCLUSIVE MODE");
    sleep_for(Seconds(0.3));
    const auto n = events.count();
    const auto began = base::monotonic_now();
    thread.stop();
    CHECK(base::monotonic_now() - began < 300 * base::kMillisecond);
    CHECK(events.count() == n);
}
