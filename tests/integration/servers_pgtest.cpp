// Logging in to servers: TLS as libpq means its modes, certificates, channel binding, handed-on
// keys, refused passwords, and servers that are not what they seem. Numbers: security cases.
#include <doctest/doctest.h>

#include "support/certificates.hpp"
#include "support/mock_server.hpp"
#include "support/proxy.hpp"
#include "support/raw_client.hpp"
#include "support/run.hpp"

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
    MockServer liar([](MockConnection& c) {
        c.send("E");
        const std::string flood(1 << 20, 'x');
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
    CHECK(!contains(error, "xxxx"));
    CHECK(p.resident_kib() - before < 16 * 1024);
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
    "auth_query: secrets from the server, VALID UNTIL heeded, strangers like wrong passwords") {
    auto db = cluster().connect();
    db.run("CREATE ROLE asker LOGIN SUPERUSER PASSWORD 'asking'");
    db.run("CREATE ROLE found LOGIN PASSWORD 'secret'");
    db.run("CREATE ROLE expired LOGIN PASSWORD 'secret' VALID UNTIL '2001-01-01'");
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
    db.run("ALTER ROLE asker SET search_path = evil");
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
    for (const char* user : {"found", "expired", "nologin", "nothing", "ghost", "\\' OR 1=1--"}) {
        INFO(std::string(user));
        CHECK(contains(login(user, "wrong"), "password authentication failed for user"));
    }
    for (const char* user : {"expired", "nologin", "nothing", "ghost"})
        CHECK(contains(login(user, "secret"), "password authentication failed for user"));
    CHECK(contains(login("nothing", "secret", "options='-c search_path=evil'"),
                   "password authentication failed"));
    // A password changed meanwhile: the remembered one is asked for again once it did not fit.
    db.run("ALTER ROLE found PASSWORD 'changed'");
    CHECK(eventually([&] { return login("found", "changed").empty(); }));
    CHECK(!login("found", "secret").empty());
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
