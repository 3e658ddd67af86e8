// What good files mean.
#include "pgweir/config/loader.hpp"

#include <ctime>

#include "pgweir/config/options.hpp"
#include "support.hpp"
#include "support/amount.hpp"

using namespace pgweir::config;
using namespace pgweir::config::testing;
using pgweir::base::kMillisecond;
using pgweir::base::kSecond;
using pgweir::testing::amount;

TEST_CASE("without a file there are defaults, every database, and the slow log on standard error") {
    const auto result = load_config("", environment());
    REQUIRE(result.config != nullptr);
    CHECK(result.errors.empty());
    const auto& c = *result.config;
    CHECK(c.file.empty());
    CHECK(c.listen.host == "127.0.0.1");
    CHECK(c.listen.port == 6432);
    CHECK(c.slow_log.file.empty());
    REQUIRE(c.databases.size() == 1);
    CHECK(c.databases[0].name == "*");
    CHECK(c.databases[0].host == "127.0.0.1");
    CHECK(c.databases[0].port == 5432);
    CHECK(c.find_database("anything") == &c.databases[0]);
}

TEST_CASE("the whole contract is read, in flow and in block") {
    const Folder folder;
    folder.write("secret", "app's\n");
    folder.write("c", "control's");
    const auto text = R"(
listen: {host: 127.0.0.1, port: 6433, unix_socket_dir: "",
         tls: {mode: disable, cert_file: "", key_file: "", ca_file: ""}}
workers: auto
databases:
  app: {host: 10.0.0.5, port: 5432, dbname: app_production, user: app, password_file: secret,
        tls: {mode: verify-full, ca_file: ""}, pool: {mode: session},
        control: {user: pgweir, password_file: c}}
  "*": {host: 127.0.0.1, port: 5432}
control: {user: "", password_file: ""}
auth: {method: forward, users_file: "", hba_file: ""}
pool: {mode: statement, min_size: 3, max_size: 21, idle_timeout: 31s, wait_timeout: 6s,
       lifetime: 2h, validation_query: SELECT 1, validation_after: 30s}
timeouts:
  query: 0
  connect: 5s
  shutdown: 30s
limits: {max_clients: 10000, max_server_connections: auto}
cache: {enabled: true, max_size: 256MiB, max_entry: 1MiB, default_ttl: 1h, consistency: auto,
        exclusive_writer: false, max_staleness: 200ms, catalog_poll: 5s, verify_ratio: 0.5}
slow_log: {threshold: 1s, file: slow.log, format: json}
log: {level: warning, file: ""}
admin: {database: pgweir, users: [postgres, 'ada lovelace']}
http: {listen: "127.0.0.1:9930"}
)";
    const auto result = load_config(folder.write("c.yaml", text), environment());
    for (const auto& error : result.errors) MESSAGE(error);
    REQUIRE(result.config != nullptr);
    const auto& c = *result.config;
    CHECK(c.listen.port == 6433);
    CHECK(c.workers == 0);
    CHECK(c.pool.mode == PoolMode::statement);
    CHECK(c.pool.lifetime == 7200 * kSecond);
    CHECK(c.cache.verify_ratio == 0.5);
    CHECK(c.log.level == LogLevelOption::warning);
    CHECK(c.slow_log.file == folder.path() + "/slow.log");
    CHECK(c.log.file.empty());
    CHECK(c.admin.users == std::vector<std::string>{"postgres", "ada lovelace"});
    REQUIRE(c.databases.size() == 2);
    const auto& app = c.databases[0];
    CHECK(app.name == "app");
    CHECK(app.host == "10.0.0.5");
    CHECK(app.dbname == "app_production");
    CHECK(app.login.user == "app");
    CHECK(app.login.password == "app's");
    CHECK(app.login.password_file == folder.path() + "/secret");
    CHECK(app.tls.mode == TlsMode::verify_full);
    CHECK(app.control.password == "control's");
    CHECK(app.pool.mode == PoolMode::session);
    CHECK(app.pool.max_size == 21);
    CHECK(c.databases[1].pool.mode == PoolMode::statement);
    CHECK(c.databases[1].tls.mode == TlsMode::prefer);
}

TEST_CASE("a database's own pool and control lie over the global ones, whatever comes first") {
    const Folder folder;
    const auto file = folder.write("p", "x");
    const auto c = good(
        "databases:\n  a: {pool: {max_size: 9, min_size: 1}}\n  b: {control: {user: bo}}\n"
        "  c:\n"
        "control: {user: all, password_file: " +
        file +
        "}\n"
        "pool: {max_size: 30, mode: session}\n");
    const auto& a = *c->find_database("a");
    CHECK(a.pool.max_size == 9);
    CHECK(a.pool.mode == PoolMode::session);
    CHECK(a.control.user == "all");
    CHECK(a.control.password == "x");
    const auto& b = *c->find_database("b");
    CHECK(b.control.user == "bo");
    CHECK(b.control.password.empty());  // not that of another user
    CHECK(b.control.password_file.empty());
    CHECK(c->find_database("c")->pool.max_size == 30);
    CHECK(c->find_database("d") == nullptr);
}

TEST_CASE("a smaller max_size that is more specific takes min_size with it") {
    CHECK(good("pool: {max_size: 3}\n")->pool.min_size == 3);
    const auto c = good("pool: {min_size: 8}\ndatabases: {a: {pool: {max_size: 2}}, b: {}}\n");
    CHECK(c->find_database("a")->pool.min_size == 2);
    CHECK(c->find_database("b")->pool.min_size == 8);
    CHECK(good("pool: {min_size: 5, max_size: 9}\n", {{"DB_POOL_MAX", "2"}})->pool.min_size == 2);
}

TEST_CASE("relative paths start at the folder of the file, absolute ones do not") {
    const Folder folder;
    folder.write("users.txt", "\"a\" \"b\"\n");
    const auto file = folder.write("c.yaml",
                                   "auth: {method: md5, users_file: users.txt}\n"
                                   "listen: {unix_socket_dir: sockets}\nlog: {file: /var/log/p}\n"
                                   "slow_log: {file: stderr}\n");
    const auto result = load_config(file, environment());
    REQUIRE(result.config != nullptr);
    CHECK(result.config->file == file);
    CHECK(result.config->auth.users_file == folder.path() + "/users.txt");
    CHECK(result.config->listen.unix_socket_dir == folder.path() + "/sockets");
    CHECK(result.config->log.file == "/var/log/p");
    CHECK(result.config->slow_log.file.empty());
}

TEST_CASE("a secret loses the newline at its end and nothing else") {
    const Folder folder;
    const std::pair<std::string, std::string> cases[] = {
        {"a", "a"},          {"a\n", "a"},   {"a\r\n", "a"},     {"a\n\n", "a\n"},
        {" a ", " a "},      {"a\r", "a\r"}, {"\xff\n", "\xff"}, {"${HOME}\n", "${HOME}"},
        {"a b\nc", "a b\nc"}};
    for (const auto& [content, secret] : cases) {
        const auto file = folder.write("p", content);
        CHECK(good("control: {user: u, password_file: " + file + "}\n")->control.password ==
              secret);
    }
}

TEST_CASE("the slow log's threshold may be off, everything, or a duration") {
    CHECK(good("slow_log: {threshold: off}\n")->slow_log.threshold == -1);
    CHECK(good("slow_log: {threshold: -1}\n")->slow_log.threshold == -1);
    CHECK(good("slow_log: {threshold: 0}\n")->slow_log.threshold == 0);
    CHECK(good("slow_log: {threshold: 250ms}\n")->slow_log.threshold == 250 * kMillisecond);
}

TEST_CASE("words of YAML 1.1 are text like any other") {
    const auto c = good(
        "databases:\n  no: {user: yes, dbname: 0x10}\n  1e3: {dbname: 010}\n"
        "  'null': {user: \"~\"}\ncache: {consistency: off}\n");
    CHECK(c->find_database("no")->login.user == "yes");
    CHECK(c->find_database("no")->dbname == "0x10");
    CHECK(c->find_database("1e3")->dbname == "010");
    CHECK(c->find_database("null")->login.user == "~");
    CHECK(c->cache.consistency == Consistency::off);
}

TEST_CASE("all words of choices are taken") {
    for (const auto* word : {"auto", "strict", "bounded", "ttl", "off"})
        good(std::string("cache: {consistency: ") + word + "}\n");
    CHECK(good("cache: {consistency: in_band, exclusive_writer: true}\n")->cache.consistency ==
          Consistency::in_band);
    for (const auto* word : {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"})
        good(std::string("databases: {a: {tls: {mode: ") + word + "}}}\n");
}

TEST_CASE("addresses of all kinds are taken") {
    for (const auto* host : {"\"\"", "\"*\"", "0.0.0.0", "'::'", "::1", "localhost", "10.1.2.3"})
        good(std::string("listen: {host: ") + host + "}\n");
    for (const auto* at : {"", "127.0.0.1:9930", "[::1]:9930", "localhost:1"})
        CHECK(good(std::string("http: {listen: '") + at + "'}\n")->http.listen == at);
    for (const auto* at : {":9930", "*:9930", "10.0.0.1:9930"})
        CHECK(good(std::string("http: {allow_remote_open: true, listen: '") + at + "'}\n")
                  ->http.listen == at);
    for (const auto* host :
         {"db", "db.internal.", "10.0.0.1", "'fe80::1'", "/run/postgresql", "my_host"})
        good(std::string("databases: {a: {host: ") + host + "}}\n");
}

TEST_CASE("an empty file, an empty section and comments are the defaults") {
    for (const auto* text : {"", "\n", "# nothing\n", "---\n", "--- {}\n...\n",
                             "\xEF\xBB\xBFpool:\n", "pool:\nlisten: {tls: }\ndatabases:\n"}) {
        const auto c = good(text);
        CHECK(c->databases.size() == 1);
        CHECK(c->pool.max_size == 20);
    }
}

TEST_CASE("an alias stands for a whole value") {
    const auto c = good(
        "databases:\n  a: &a {host: h1, pool: &p {max_size: 7, min_size: 0}}\n  b: *a\n"
        "  c: {host: &h h2, pool: *p}\n  d: {host: *h}\n");
    CHECK(c->find_database("b")->host == "h1");
    CHECK(c->find_database("b")->pool.max_size == 7);
    CHECK(c->find_database("c")->pool.max_size == 7);
    CHECK(c->find_database("d")->host == "h2");
}

TEST_CASE("trust beyond loopback needs to be asked for by name") {
    good("auth: {method: trust}\n");
    good("auth: {method: trust}\nlisten: {host: 127.8.9.1}\n");
    good("auth: {method: trust}\nlisten: {host: '::1'}\n");
    good("auth: {method: trust, allow_remote_trust: true}\nlisten: {host: \"*\"}\n");
    for (const auto* host : {"\"*\"", "\"\"", "0.0.0.0", "10.0.0.1", "'::'", "128.0.0.1"})
        CHECK(has(bad(std::string("auth: {method: trust}\nlisten: {host: ") + host + "}\n"),
                  "c.yaml:1:16: auth.method: trust would believe"));
}

TEST_CASE("a database is found by its own name first, sorted or not") {
    Config c;
    for (const auto* name : {"m", "*", "a", "z"}) c.databases.emplace_back().name = name;
    CHECK(c.find_database("a")->name == "a");
    CHECK(c.find_database("z")->name == "z");
    CHECK(c.find_database("b")->name == "*");
    const auto loaded = good("databases: {m: {}, '*': {}, a: {}, z: {}}\n");
    CHECK(loaded->databases[0].name == "m");  // the file's order stays
    for (const auto* name : {"m", "a", "z", "*"}) CHECK(loaded->find_database(name)->name == name);
    for (const auto* name : {"", "aa", "zz", "0", "~"})
        CHECK(loaded->find_database(name)->name == "*");
    CHECK(good("databases: {a: {}}\n")->find_database("*") == nullptr);
}

namespace {
std::string databases(int n, const std::string& rest) {
    std::string text = "databases:\n";
    for (int i = 0; i < n; ++i)
        text += "  database" + std::to_string(i) +
                ": {host: 10.0.0.1, port: " + std::to_string(1 + i % 5000) + rest + "}\n";
    return text;
}

struct Timed {
    ConfigPtr config;
    double ticks;  // processor time, at least one
};
Timed timed(const std::string& text) {
    const auto start = std::clock();
    auto config = good(text);
    return {std::move(config), static_cast<double>(std::clock() - start) + 1};
}
}  // namespace

TEST_CASE("ten thousand databases load in a time that grows no faster than they do") {
    const std::string rest =
        ", dbname: d, user: u, tls: {mode: require}, "
        "pool: {mode: session, min_size: 1, max_size: 9}, control: {user: c}";
    // Ten times as many: a hundred times as long if each is looked for among all.
    constexpr int kMany = amount(10'000);
    const auto [c, ticks] = timed(databases(kMany, rest));
    CHECK(ticks < 40 * timed(databases(kMany / 10, rest)).ticks);
    CHECK(c->databases.size() == kMany);
    CHECK(c->find_database("database" + std::to_string(kMany - 1))->pool.max_size == 9);
}

TEST_CASE("a hundred thousand databases load in a time that grows no faster, and are found") {
    constexpr int kMany = amount(100'000);
    const auto [c, ticks] = timed(databases(kMany, ""));
    CHECK(ticks < 40 * timed(databases(kMany / 10, "")).ticks);
    REQUIRE(c->databases.size() == kMany);
    for (int i = 0; i < kMany; ++i)
        if (const auto* d = c->find_database("database" + std::to_string(i));
            d == nullptr || d->port != 1 + i % 5000)
            FAIL("database" << i);
    CHECK(c->find_database("database" + std::to_string(kMany)) == nullptr);
}
