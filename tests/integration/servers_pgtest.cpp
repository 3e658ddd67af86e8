// Logging in to servers: TLS as libpq means its modes, certificates, channel binding, handed-on
// keys, refused passwords, and servers that are not what they seem. Numbers: security cases.
#include <doctest/doctest.h>

#include <algorithm>
#include <mutex>
#include <random>
#include <set>
#include <thread>

#include "support/certificates.hpp"
#include "support/mock_server.hpp"
#include "support/proxy.hpp"
#include "support/raw_client.hpp"
#include "support/run.hpp"
#include "support/tap.hpp"

using namespace pgweir::testing;

namespace {

Certificates& certificates() {
    static Certificates c;
    return c;
}

/// A server with TLS, and users who may come in one way only.
Cluster& cluster() {
    static Cluster c = [] {
        auto& cert = certificates();
        cert.give_key_to_postgres("server");
        const auto d = cert.d;
        return Cluster({{"ssl = on", "ssl_cert_file = '" + d + "server.pem'",
                         "ssl_key_file = '" + d + "server.key'", "ssl_ca_file = '" + d + "ca.pem'"},
                        "local all all trust\n"
                        "hostssl all tls_only 127.0.0.1/32 scram-sha-256\n"
                        "hostnossl all clear_only 127.0.0.1/32 scram-sha-256\n"
                        "hostssl all cert_user 127.0.0.1/32 cert map=any\n"
                        "hostssl all md5_user 127.0.0.1/32 md5\n"
                        "host all scram_user 127.0.0.1/32 scram-sha-256\n"
                        "host all postgres 127.0.0.1/32 trust\n"});
    }();
    static const bool prepared = [] {
        auto db = c.connect();
        for (const char* user : {"tls_only", "clear_only", "cert_user", "scram_user"})
            db.run("CREATE ROLE " + std::string(user) + " LOGIN PASSWORD 'secret'");
        db.run("SET password_encryption = 'md5'; CREATE ROLE md5_user LOGIN PASSWORD 'secret'");
        return true;
    }();
    static_cast<void>(prepared);
    return c;
}

ProxyOptions options(const std::string& database, std::map<std::string, std::string> files = {}) {
    files.emplace("password", "secret\n");
    return {{{"databases", "{app: {host: 127.0.0.1, port: " + std::to_string(cluster().port()) +
                               ", password_file: password, " + database + "}}"},
             {"control", ""}},
            std::move(files),
            {},
            0};
}

/// "t" or "f": with or without TLS; else the error.
std::string outcome(const Proxy& p) {
    try {
        return p.connect("anybody", "app")
            .value("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()");
    } catch (const std::runtime_error& e) {
        return e.what();
    }
}

std::string by(const std::string& user, const std::string& tls) {
    return outcome(Proxy(cluster(), options("user: " + user + ", tls: {" + tls + "}")));
}

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("the modes of TLS towards servers mean what they mean to libpq (S25, S45)") {
    CHECK(by("tls_only", "mode: prefer") == "t");
    CHECK(by("tls_only", "mode: allow") == "t");
    CHECK(contains(by("tls_only", "mode: disable"), "pg_hba.conf"));
    CHECK(by("clear_only", "mode: prefer") == "f");
    CHECK(by("clear_only", "mode: allow") == "f");
    CHECK(contains(by("clear_only", "mode: require"), "pg_hba.conf"));
    CHECK(by("scram_user", "mode: allow") == "f");
    const auto ca = ", ca_file: " + certificates().d + "ca.pem";
    const auto foreign = ", ca_file: " + certificates().d + "foreign.pem";
    CHECK(by("scram_user", "mode: require") == "t");
    for (const char* mode : {"require", "verify-ca", "verify-full"}) {
        INFO(std::string(mode));
        CHECK(by("scram_user", "mode: " + std::string(mode) + ca) == "t");
        CHECK(contains(by("scram_user", "mode: " + std::string(mode) + foreign),
                       "could not connect to the server"));
    }
    CHECK(by("scram_user", "mode: prefer" + foreign) == "f");
}

TEST_CASE("a certificate is shown to a server that asks for one") {
    auto& cert = certificates();
    cluster().set_ident("any app cert_user\n");
    CHECK(by("cert_user", "mode: require, cert_file: " + cert.d + "app.pem, key_file: " + cert.d +
                              "app.key") == "t");
    CHECK(contains(by("cert_user", "mode: require"), "certificate"));
    CHECK(contains(by("cert_user", "mode: require, cert_file: " + cert.d +
                                       "other.pem, key_file: " + cert.d + "other.key"),
                   "certificate authentication failed"));
}

TEST_CASE("a cancel goes over TLS where its connection does, and never in clear (S25)") {
    const std::string ssl_request = msg::ssl_request();
    for (const char* mode : {"require", "verify-full", "prefer"}) {
        INFO(std::string(mode));
        Tap tap(cluster().port());
        Proxy p(
            cluster(),
            {{{"databases", "{app: {host: localhost, port: " + std::to_string(tap.port()) +
                                ", user: tls_only, password_file: password, tls: {mode: " +
                                std::string(mode) + ", ca_file: " + certificates().d + "ca.pem}}}"},
              {"pool", "{min_size: 0, max_size: 1}"},
              {"control", ""}},
             {{"password", "secret\n"}},
             {},
             0});
        auto c = RawClient::login(p.port());
        for (int i = 0; i < 2; ++i) {
            c.send(msg::query("SELECT pg_sleep(30)"));
            CHECK(eventually([] {
                return cluster().value(
                           "SELECT count(*) FROM pg_stat_activity WHERE usename = 'tls_only' AND "
                           "state = 'active'") == "1";
            }));
            RawClient canceller(p.port());
            canceller.send(msg::cancel_request(c.backend_pid(), c.backend_key()));
            CHECK(error_of(c.read_until('Z')).sqlstate == "57014");
        }
        const auto heard = tap.heard();
        CHECK(heard.size() >= 3);
        for (const auto& bytes : heard) {
            CHECK(bytes.starts_with(ssl_request));
            CHECK(!contains(bytes, std::string("\x04\xd2\x16\x2e", 4)));
        }
    }
}

TEST_CASE("a server whose certificate is revoked is not believed, once the list says so (S45)") {
    auto& cert = certificates();
    cert.revoke();
    Proxy p(cluster(),
            options("user: scram_user, pool: {min_size: 0, lifetime: 0}, tls: {mode: verify-full, "
                    "ca_file: " +
                    cert.d + "ca.pem, crl_file: " + cert.d + "crl.pem}"));
    CHECK(outcome(p) == "t");
    cert.revoke("server");  // seen without being told
    CHECK(p.logs("reload: done", Seconds(15)));
    CHECK(eventually(
        [&] {
            cluster().terminate_backends("scram_user");
            return contains(outcome(p), "could not connect to the server");
        },
        Seconds(15)));
    cert.make("server", "ca");  // for those who come after
    cert.give_key_to_postgres("server");
    cluster().reload();
}

TEST_CASE("channel binding: require is met by SCRAM over TLS, and by nothing else (S21)") {
    CHECK(by("scram_user", "mode: require, channel_binding: require") == "t");
    CHECK(by("scram_user", "mode: require, channel_binding: disable") == "t");
    CHECK(contains(by("md5_user", "mode: require, channel_binding: require"),
                   "channel binding is required"));
    CHECK(contains(by("postgres", "mode: require, channel_binding: require"),
                   "channel binding is required"));
}

TEST_CASE("keys a client's proof has shown log in to the server: no plain password anywhere") {
    const auto secret = cluster().value(
        "SELECT rolpassword FROM pg_authid WHERE rolname = 'scram_user'", "postgres");
    REQUIRE(secret.starts_with("SCRAM-SHA-256$"));
    Proxy p(cluster(), {{{"auth", "{method: scram-sha-256, users_file: users.txt}"}},
                        {{"users.txt", "\"scram_user\" \"" + secret + "\"\n"}},
                        {},
                        0});
    CHECK(!connect_error(p.dsn("scram_user", "app", "password=wrong")).empty());
    for (int i = 0; i < 2; ++i) {
        CHECK(p.connect("scram_user", "app", "password=secret").value("SELECT current_user") ==
              "scram_user");
        cluster().terminate_backends("scram_user");
    }
}

TEST_CASE("a password the server refuses is not tried again and again, and hurts nobody else") {
    const auto port = std::to_string(cluster().port());
    Proxy p(cluster(),
            {{{"databases", "{bad: {host: 127.0.0.1, port: " + port +
                                ", dbname: app, user: scram_user, password_file: wrong}, good: "
                                "{host: 127.0.0.1, port: " +
                                port + ", dbname: app, user: scram_user, password_file: right}}"},
              {"workers", "1"},
              {"control", ""}},
             {{"wrong", "wrong\n"}, {"right", "secret\n"}},
             {},
             0});
    const auto tries = [] {
        const auto log = cluster().log();
        int n = 0;
        for (auto at = log.find("password authentication failed for user \"scram_user\"");
             at != std::string::npos;
             at = log.find("password authentication failed for user \"scram_user\"", at + 1))
            ++n;
        return n;
    };
    const auto before = tries();
    for (int i = 0; i < 30; ++i)
        CHECK(contains(connect_error(p.dsn("x", "bad")), "password authentication failed"));
    CHECK(tries() - before <= 15);
    CHECK(p.connect("x", "good").value("SELECT 1") == "1");
    write_file(p.directory() + "/wrong", "secret\n");  // seen without being told
    CHECK(eventually([&] { return connect_error(p.dsn("x", "bad")).empty(); }, Seconds(10)));
    CHECK(!contains(p.log(), "secret"));
}

TEST_CASE("bytes in clear behind a server's yes to TLS are never its words (S02)") {
    MockServer forger([](MockConnection& c) {
        std::string ok("R\0\0\0\10\0\0\0\0", 9);
        c.send("S" + ok + reply::parameter("server_version", "15.1") + reply::ready() +
               reply::one_row("forged", "forged"));
        while (c.read()) {
        }
    });
    Proxy p({{{"databases", "{app: {host: 127.0.0.1, port: " + std::to_string(forger.port()) +
                                ", tls: {mode: require}}}"},
              {"control", ""},
              {"timeouts", "{connect: 2s}"}},
             {},
             {},
             0});
    const auto error = connect_error(p.dsn());
    CHECK(contains(error, "could not connect to the server"));
    CHECK(!contains(error, "forged"));
}

TEST_CASE("an endless answer to the request for TLS is neither kept nor passed on (S03)") {
    // An error of a good form is no word of the server's either: whoever is in between wrote it.
    const auto forged = reply::error("FATAL", "28000", "forged words");
    const std::string flood(1 << 20, 'x');
    for (const auto& first : {forged, std::string("E")}) {
        MockServer liar([&](MockConnection& c) {
            if (!c.send(first)) return;
            for (int i = 0; i < 64 && c.send(flood); ++i) {
            }
        });
        Proxy p({{{"databases", "{app: {host: 127.0.0.1, port: " + std::to_string(liar.port()) +
                                    ", tls: {mode: require}}}"},
                  {"control", ""}},
                 {},
                 {},
                 0});
        const auto before = p.resident_kib();
        const auto error = connect_error(p.dsn());
        CHECK(contains(error, "could not connect to the server"));
        CHECK(!contains(error, "forged"));
        CHECK(!contains(error, "xxxx"));
        CHECK(p.resident_kib() - before < 16 * 1024);
    }
}

TEST_CASE("no core of the process is ever written: its memory holds secrets (S14)") {
    Proxy p(cluster());
    const auto limits = read_file("/proc/" + std::to_string(p.pid()) + "/limits");
    const auto at = limits.find("Max core file size");
    REQUIRE(at != std::string::npos);
    std::istringstream line(limits.substr(at + 18));
    std::string soft, hard;
    line >> soft >> hard;
    CHECK(soft == "1");
    CHECK(hard == "1");
    CHECK(!contains(read_file("/proc/" + std::to_string(p.pid()) + "/cmdline"), "secret"));
}

TEST_CASE(
    "auth_query: secrets from the server, VALID UNTIL heeded, strangers like wrong passwords (S08, "
    "S09, S10)") {
    auto db = cluster().connect();
    db.run("CREATE ROLE asker LOGIN SUPERUSER PASSWORD 'asking'");
    db.run("CREATE ROLE found LOGIN PASSWORD 'secret'");
    db.run("CREATE ROLE expired LOGIN PASSWORD 'secret' VALID UNTIL '2001-01-01'");
    db.run("CREATE ROLE ancient LOGIN PASSWORD 'secret' VALID UNTIL '-infinity'");
    db.run("CREATE ROLE endless LOGIN PASSWORD 'secret' VALID UNTIL 'infinity'");
    db.run("CREATE ROLE nologin PASSWORD 'secret'");
    db.run("CREATE ROLE nothing LOGIN");
    db.run("CREATE ROLE \"it's \\ \"\"x\" LOGIN PASSWORD 'secret'");
    // Twins of what the query uses, where a client's search_path would lead (S08).
    db.run(
        "CREATE SCHEMA evil; CREATE TABLE evil.pg_authid (rolname name, rolpassword text, "
        "rolvaliduntil timestamptz, rolcanlogin bool); CREATE TABLE evil.seen (x int)");
    db.run(
        "INSERT INTO evil.pg_authid VALUES ('nothing', 'md5' || md5('secretnothing'), NULL, "
        "true); GRANT USAGE ON SCHEMA evil TO public; GRANT SELECT ON evil.pg_authid TO public");
    for (const char* twin :
         {"clock_timestamp() RETURNS timestamptz", "isfinite(timestamptz) RETURNS boolean",
          "date_part(text, interval) RETURNS float8", "same(name, name) RETURNS boolean",
          "less(timestamptz, timestamptz) RETURNS interval"}) {
        const std::string head(twin);
        const auto type = head.substr(head.rfind(' ') + 1);
        db.run("CREATE FUNCTION evil." + head +
               " LANGUAGE plpgsql AS $$BEGIN INSERT INTO evil.seen VALUES (1); RETURN NULL::" +
               type + "; END$$");
    }
    db.run("CREATE OPERATOR evil.= (LEFTARG = name, RIGHTARG = name, FUNCTION = evil.same)");
    db.run(
        "CREATE OPERATOR evil.- (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = "
        "evil.less)");
    db.run("ALTER ROLE asker SET search_path = evil, pg_catalog");
    cluster().set_hba(
        "local all all trust\nhost all asker 127.0.0.1/32 scram-sha-256\n"
        "host all all 127.0.0.1/32 trust\n");
    Proxy p(cluster(), {{{"auth",
                          "{method: scram-sha-256, query_user: asker, query_password_file: asking, "
                          "query_ttl: 1h}"}},
                        {{"asking", "asking\n"}},
                        {},
                        0});
    const auto login = [&](const std::string& user, const std::string& password,
                           const std::string& more = "") {
        return connect_error("host=127.0.0.1 port=" + std::to_string(p.port()) +
                             " dbname=app password=" + password + " user='" + user + "' " + more);
    };
    for (int i = 0; i < 2; ++i) {
        CHECK(login("found", "secret").empty());
        CHECK(login("endless", "secret").empty());
        CHECK(login("it\\'s \\\\ \"x", "secret").empty());
    }
    for (const char* user :
         {"found", "expired", "ancient", "nologin", "nothing", "ghost", "\\' OR 1=1--"}) {
        INFO(std::string(user));
        CHECK(contains(login(user, "wrong"), "password authentication failed for user"));
    }
    for (const char* user : {"expired", "ancient", "nologin", "nothing", "ghost"})
        CHECK(contains(login(user, "secret"), "password authentication failed for user"));
    CHECK(contains(login("nothing", "secret", "options='-c search_path=evil'"),
                   "password authentication failed"));
    CHECK(db.value("SELECT count(*) FROM evil.seen") == "0");
    // A password changed meanwhile: the remembered one is asked for again once it did not fit.
    db.run("ALTER ROLE found PASSWORD 'changed'");
    CHECK(eventually([&] { return login("found", "changed").empty(); }));
    CHECK(!login("found", "secret").empty());
}

TEST_CASE("a password that was valid and is remembered ends when the server says so (S09)") {
    auto db = cluster().connect();
    cluster().set_hba("local all all trust\nhost all all 127.0.0.1/32 trust\n");
    Proxy p(cluster(),
            {{{"auth",
               "{method: scram-sha-256, query_user: postgres, query_password_file: none, "
               "query_ttl: 1h}"}},
             {{"none", "none\n"}},
             {},
             0});
    const auto error = [&] { return connect_error(p.dsn("soon", "app", "password=secret")); };
    db.run(
        "DO $$BEGIN EXECUTE format('CREATE ROLE soon LOGIN PASSWORD %L VALID UNTIL %L', 'secret', "
        "now() + '2s'); END$$");
    CHECK(error().empty());  // its keys are in the pool from here on
    CHECK(eventually([&] { return !error().empty(); }));
    CHECK(db.value("SELECT clock_timestamp() >= rolvaliduntil FROM pg_authid WHERE rolname = "
                   "'soon'") == "t");
    for (int i = 0; i < 3; ++i) CHECK(contains(error(), "password authentication failed"));
}

TEST_CASE("many users who log in at the same time are never taken for one another (S26)") {
    constexpr int kUsers = 12;
    auto db = cluster().connect();
    db.run("CREATE ROLE matrix_asker LOGIN SUPERUSER");
    for (int i = 0; i < kUsers; ++i)
        db.run("CREATE ROLE matrix" + std::to_string(i) + " LOGIN PASSWORD 'secret" +
               std::to_string(i) + "'");
    cluster().set_hba("local all all trust\nhost all all 127.0.0.1/32 trust\n");
    Proxy p(cluster(), {{{"auth",
                          "{method: scram-sha-256, query_user: matrix_asker, query_password_file: "
                          "none, query_ttl: 50ms}"}},
                        {{"none", "none\n"}},
                        {},
                        0});
    std::mutex mutex;
    std::set<std::string> wrong;
    std::vector<std::thread> threads;
    for (int t = 0; t < 6; ++t)
        threads.emplace_back([&, t] {
            std::mt19937 random(static_cast<unsigned>(t));
            for (int n = 0; n < 50; ++n) {
                const auto user = random() % kUsers;
                const auto secret = n % 2 == 0 ? user : random() % kUsers;
                const auto error = connect_error(p.dsn("matrix" + std::to_string(user), "app",
                                                       "password=secret" + std::to_string(secret)));
                const bool as_it_should =
                    user == secret
                        ? error.empty()
                        : contains(error, "password authentication failed for user \"matrix" +
                                              std::to_string(user) + "\"");
                const std::scoped_lock lock(mutex);
                if (!as_it_should) wrong.insert(error);
            }
        });
    for (auto& t : threads) t.join();
    CHECK_MESSAGE(wrong.empty(), (wrong.empty() ? "" : *wrong.begin()));
}

TEST_CASE("whatever a user is called, the server is asked by parameter only (S31)") {
    std::mutex mutex;
    std::set<std::string> texts, names;
    MockServer asked([&](MockConnection& c) {
        if (!c.login()) return;
        while (const auto m = c.read()) {
            std::string out;
            const std::scoped_lock lock(mutex);
            switch (m->type) {
                case 'Q': out = reply::complete("SET") + reply::ready(); break;
                case 'P':
                    texts.insert(m->body);
                    out = msg::frame('1');
                    break;
                case 'B':
                    names.insert(m->body);
                    out = msg::frame('2');
                    break;
                case 'D': out = msg::frame('n'); break;
                case 'E': out = reply::complete("SELECT 0"); break;
                case 'S': out = reply::ready(); break;
                default: break;
            }
            c.send(out);
        }
    });
    Proxy p({{{"auth", "{method: scram-sha-256, query_user: asker, query_password_file: pw}"},
              {"control", ""},
              {"databases", "{app: {host: 127.0.0.1, port: " + std::to_string(asked.port()) +
                                ", tls: {mode: disable}}}"}},
             {{"pw", "pw\n"}},
             {},
             0});
    std::vector<std::string> users{"' OR 1=1--", "\";", "\\", "$1", "a'); DROP TABLE pg_authid;--"};
    std::mt19937 random(7);
    while (users.size() < 200) {
        std::string name;
        while (name.size() < 12) name += static_cast<char>(1 + random() % 255);
        users.push_back(name);
    }
    for (const auto& user : users) {
        RawClient c(p.port());
        c.send(msg::startup({{"user", user}, {"database", "app"}}));
        CHECK(c.read().type == 'R');  // asked for a password as anybody is
    }
    const std::scoped_lock lock(mutex);
    CHECK(texts.size() == 1);
    for (const auto& user : users) {
        CHECK(std::any_of(names.begin(), names.end(),
                          [&](const auto& bound) { return contains(bound, user); }));
        CHECK(std::none_of(texts.begin(), texts.end(), [&](const auto& text) {
            return user != "$1" && user.size() > 2 && contains(text, user);
        }));
    }
}

TEST_CASE("direct TLS is spoken to a server that understands it, and to no other") {
    auto& cert = certificates();
    Certificates own;  // PostgreSQL's user has the other's key
    Proxy server(cluster(), {{{"listen", own.listen("require")}}, {}, {}, 0});
    const auto through = [&](std::uint16_t port, const std::string& ca) {
        Proxy p(cluster(), {{{"databases", "{app: {host: 127.0.0.1, port: " + std::to_string(port) +
                                               ", tls: {mode: verify-full, negotiation: direct, "
                                               "ca_file: " +
                                               ca + "ca.pem}}}"},
                             {"control", ""},
                             {"timeouts", "{connect: 2s}"}},
                            {},
                            {},
                            0});
        return connect_error(p.dsn("postgres"));
    };
    CHECK(through(server.port(), own.d).empty());
    CHECK(contains(through(server.port(), cert.d), "could not connect to the server"));
    CHECK(contains(through(cluster().port(), cert.d), "could not connect to the server"));
}
