#include "pgweir/config/difference.hpp"

#include <chrono>

#include "support.hpp"

using namespace pgweir::config;
using namespace pgweir::config::testing;

namespace {

std::string told(const Config& old, const Config& now) {
    std::string lines;
    for (const auto& change : differences(old, now))
        lines += change.text + (change.needs_restart ? " (restart)\n" : "\n");
    return lines;
}

}  // namespace

TEST_CASE("nothing changed is nothing told") {
    CHECK(told(*good("pool: {max_size: 7}\n"), *good("{pool: {max_size: 7}}\n")).empty());
}

TEST_CASE("changes are told in the order of the table, with what needs a restart") {
    const auto old = good("{}");
    const auto now = good(
        "http: {listen: ''}\npool: {max_size: 30}\nlisten: {port: 7000}\n"
        "timeouts: {query: 30s}\ncache: {max_size: 1GiB}\nworkers: 2\n");
    CHECK(told(*old, *now) ==
          "listen.port: 6432 -> 7000 (restart)\n"
          "workers: auto -> 2 (restart)\n"
          "pool.max_size: 20 -> 30\n"
          "timeouts.query: 0 -> 30s\n"
          "cache.max_size: 256MiB -> 1GiB\n"
          "http.listen: 127.0.0.1:9930 -> \"\" (restart)\n");
}

TEST_CASE("databases come, go and change") {
    const auto old = good("databases: {a: {}, b: {port: 5433}, c: {}}\n");
    const auto now = good("databases: {d: {}, c: {pool: {mode: session}}, b: {port: 5434}}\n");
    CHECK(told(*old, *now) ==
          "databases.b.port: 5433 -> 5434\n"
          "databases.c.pool.mode: transaction -> session\n"
          "databases.d: added\n"
          "databases.a: removed\n");
}

TEST_CASE("what databases inherit is told once") {
    const auto old = good("databases: {a: {}, b: {}, c: {pool: {max_size: 7}}}\n");
    const auto now = good("pool: {max_size: 30}\ndatabases: {a: {}, b: {}, c: {}}\n");
    CHECK(told(*old, *now) == "pool.max_size: 20 -> 30\ndatabases.c.pool.max_size: 7 -> 30\n");
}

TEST_CASE("a secret is told as changed and never shown") {
    const Folder folder;
    const auto file = folder.write("p", "first");
    const auto yaml = "control: {user: c, password_file: " + file + "}\n" +
                      "databases: {a: {user: u, password_file: " + file +
                      "}, b: {control: {user: x, " +
                      "password_file: " + folder.write("q", "first") + "}}}\n";
    const auto old = good(yaml);
    folder.write("p", "second");
    CHECK(told(*old, *good(yaml)) ==
          "control.password_file: changed\ndatabases.a.password_file: changed\n");
    folder.write("p", "first");
    folder.write("q", "third");
    CHECK(told(*old, *good(yaml)) == "databases.b.control.password_file: changed\n");
}

TEST_CASE("values from a file cannot break the lines that tell of them") {
    const auto old = good("{}");
    const auto now = good("pool: {validation_query: \"SELECT 1\\n, 2\"}\n");
    CHECK(told(*old, *now) == "pool.validation_query: SELECT 1 -> SELECT 1\\x0a, 2\n");
}

TEST_CASE("ten thousand databases are compared in bounded time") {
    Config old, now;
    for (int i = 0; i < 10'000; ++i) {
        Database d;
        d.name = "database" + std::to_string(i);
        old.databases.push_back(d);
        d.port = i == 7 ? 1 : d.port;
        now.databases.push_back(d);
    }
    const auto start = std::chrono::steady_clock::now();
    CHECK(told(old, now) == "databases.database7.port: 5432 -> 1\n");
    CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(10));
}
