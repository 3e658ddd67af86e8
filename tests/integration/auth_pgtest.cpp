// Logins: the server's word by forwarding, the proxy's own users, wrong passwords, TLS.
// Numbers in names: the list of protocol traps and of security cases.
#include <doctest/doctest.h>

#include <future>

#include "pgweir/base/bytes.hpp"
#include "support/proxy.hpp"
#include "support/raw_client.hpp"
#include "support/run.hpp"

using namespace pgweir::testing;

namespace {

constexpr const char* kPassword = "correct horse ' \\ \" battery";

/// A server that demands passwords: users scram_user and md5_user by their method.
Cluster& cluster() {
    static Cluster c = [] {
        return Cluster({{},
                        "local all all trust\n"
                        "host all scram_user,locked 127.0.0.1/32 scram-sha-256\n"
                        "host all md5_user 127.0.0.1/32 md5\n"
                        "host all plain_user 127.0.0.1/32 password\n"
                        "host all rejected 127.0.0.1/32 reject\n"
                        "host all all 127.0.0.1/32 trust\n"});
    }();
    static const bool prepared = [] {
        auto db = c.connect();
        const std::string quoted = "E'correct horse \\' \\\\ \" battery'";
        db.run("SET password_encryption = 'scram-sha-256'; CREATE ROLE scram_user LOGIN PASSWORD " +
               quoted);
        db.run("CREATE ROLE plain_user LOGIN PASSWORD " + quoted);
        db.run("CREATE ROLE locked LOGIN; CREATE ROLE rejected LOGIN");
        db.run("SET password_encryption = 'md5'; CREATE ROLE md5_user LOGIN PASSWORD " + quoted);
        return true;
    }();
    static_cast<void>(prepared);
    return c;
}

ProxyOptions options(std::map<std::string, std::string> sections,
                     std::map<std::string, std::string> files = {}) {
    return {std::move(sections), std::move(files), {}, 0};
}

Proxy& forwarding() {
    static Proxy p(cluster(), options({{"auth", "{method: forward}"}}));
    return p;
}

/// A password as a value of a connection string.
std::string quoted(const std::string& password) {
    std::string q = "password='";
    for (const char c : password) {
        if (c == '\'' || c == '\\') q += '\\';
        q += c;
    }
    return q + "'";
}

std::string error_for(const Proxy& p, const std::string& user, const std::string& password) {
    return connect_error(p.dsn(user, "app", quoted(password)));
}

bool works(const Proxy& p, const std::string& user, const std::string& password) {
    try {
        return p.connect(user, "app", quoted(password)).value("SELECT current_user") == user;
    } catch (const std::runtime_error& e) {
        MESSAGE(std::string(e.what()));
        return false;
    }
}

}  // namespace

TEST_CASE("forward: a change of the DSN is all, whatever the server asks for") {
    for (const char* user : {"scram_user", "md5_user", "plain_user"}) {
        INFO(std::string(user));
        CHECK(works(forwarding(), user, kPassword));
        CHECK(works(forwarding(), user, kPassword));
    }
    CHECK(works(forwarding(), "app", "any"));
}

TEST_CASE("forward: a wrong password is refused, always, also after a right one was seen (15)") {
    for (const char* user : {"scram_user", "md5_user", "plain_user"}) {
        INFO(std::string(user));
        for (int i = 0; i < 2; ++i) {
            const auto error = error_for(forwarding(), user, "wrong");
            CHECK(error.find("password authentication failed for user \"" + std::string(user) +
                             "\"") != std::string::npos);
            CHECK(!error_for(forwarding(), user, "").empty());
            CHECK(works(forwarding(), user, kPassword));
        }
        CHECK(!error_for(forwarding(), user, std::string(kPassword) + "x").empty());
    }
    CHECK(!error_for(forwarding(), "locked", "anything").empty());
    CHECK(!error_for(forwarding(), "no_such_user", "anything").empty());
}

TEST_CASE("forward: who leaves before the server's word on his password changes nothing") {
    Proxy p(cluster(), options({{"auth", "{method: forward}"},
                                {"workers", "1"},
                                {"pool", "{min_size: 0, max_size: 3, wait_timeout: 3s}"}}));
    auto holder = p.connect("scram_user", "app", quoted(kPassword));
    auto other = p.connect("scram_user", "app", quoted(kPassword));
    holder.run("BEGIN");
    holder.run("SELECT 1");
    for (int i = 0; i < 3; ++i) {
        RawClient stranger(p.port());
        stranger.send(msg::startup({{"user", "scram_user"}, {"database", "app"}}));
        stranger.read_until('R');
        stranger.send(msg::password("wrong"));
        stranger.close();
    }
    sleep_for(Seconds(0.3));
    CHECK(other.value("SELECT current_user") == "scram_user");
    CHECK(works(p, "scram_user", kPassword));
}

TEST_CASE("forward: a password is proven also where the pool is full of idle connections") {
    Proxy p(cluster(), options({{"auth", "{method: forward}"},
                                {"workers", "1"},
                                {"pool", "{min_size: 0, max_size: 1}"}}));
    CHECK(works(p, "scram_user", kPassword));
    const auto error = error_for(p, "scram_user", "wrong");
    CHECK(error.find("password authentication failed for user \"scram_user\"") !=
          std::string::npos);
    CHECK(works(p, "scram_user", kPassword));
}

TEST_CASE("forward: a changed password holds for the next login (17)") {
    cluster().connect().run(
        "SET password_encryption = 'scram-sha-256'; CREATE ROLE rotating LOGIN "
        "PASSWORD 'first'");
    cluster().set_hba(
        "local all all trust\nhost all rotating,scram_user,plain_user 127.0.0.1/32 "
        "scram-sha-256\nhost all md5_user 127.0.0.1/32 md5\nhost all rejected 127.0.0.1/32 "
        "reject\nhost all locked 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n");
    CHECK(works(forwarding(), "rotating", "first"));
    cluster().connect().run("ALTER ROLE rotating PASSWORD 'second'");
    CHECK(works(forwarding(), "rotating", "second"));
    CHECK(!error_for(forwarding(), "rotating", "first").empty());
    // Server connections opened afterwards work with the new one.
    cluster().terminate_backends("rotating");
    CHECK(works(forwarding(), "rotating", "second"));
}

TEST_CASE("forward: the server's refusal reaches the client with its SQLSTATE") {
    const auto refusal = [](const std::string& user, const std::string& db,
                            const std::string& password) {
        RawClient c(forwarding().port());
        c.send(msg::startup({{"user", user}, {"database", db}}));
        Messages all;
        try {
            while (true) {
                all.push_back(c.read());
                const bool asks =
                    all.back().type == 'R' && all.back().body == std::string("\0\0\0\3", 4);
                if (asks) c.send(msg::password(password));
                if (all.back().type == 'Z') break;
            }
        } catch (const Closed&) {
        }
        return error_of(all);
    };
    CHECK(refusal("scram_user", "app", "wrong").sqlstate == "28P01");
    CHECK(refusal("scram_user", "app", "wrong").severity == "FATAL");
    CHECK(refusal("scram_user", "nowhere", kPassword).sqlstate == "3D000");
    CHECK(refusal("rejected", "app", "x").sqlstate == "28000");
}

TEST_CASE(
    "a password message of 64 KiB, in pieces, is read; a huge or broken one is refused (2, 21)") {
    cluster().connect().run(
        "SET password_encryption = 'scram-sha-256'; CREATE ROLE longpass LOGIN "
        "PASSWORD '" +
        std::string(900, 'L') + "'");
    const auto outcome = [](const std::string& password_message, std::size_t piece) {
        RawClient c(forwarding().port());
        c.send(msg::startup({{"user", "scram_user"}, {"database", "app"}}));
        if (c.read().type != 'R') return std::string("no request");
        try {
            if (piece > 0)
                c.send_pieces(password_message, piece);
            else
                c.send(password_message);
            return error_of(c.read_until('E')).sqlstate;
        } catch (const Closed&) {
            return std::string("closed");
        }
    };
    CHECK(outcome(msg::password(std::string(65536, 'p')), 4000) == "28P01");
    const auto huge = outcome(msg::password(std::string(5'000'000, 'p')), 0);
    CHECK((huge == "08P01" || huge == "closed"));
    CHECK(outcome(msg::frame('p', "no end"), 1) == "08P01");
    CHECK(outcome(msg::frame('p', ""), 0) == "08P01");
    CHECK(outcome(msg::query("SELECT 1"), 0) == "08P01");
    CHECK(outcome(msg::terminate(), 0) == "closed");
    CHECK(works(forwarding(), "scram_user", kPassword));
}

TEST_CASE("secrets are in no log and no console answer (S14)") {
    CHECK(works(forwarding(), "scram_user", kPassword));
    CHECK(!error_for(forwarding(), "scram_user", "canary-in-wrong-password").empty());
    std::string all = forwarding().log();
    for (const char* command :
         {"SHOW CONFIG", "SHOW CLIENTS", "SHOW SERVERS", "SHOW POOLS", "SHOW DATABASES"}) {
        const auto a = forwarding().console(command);
        for (const auto& row : a.rows)
            for (const auto& value : row) all += value + "\n";
    }
    all += forwarding().http("/metrics");
    CHECK(all.find("correct horse") == std::string::npos);
    CHECK(all.find("canary-in-wrong-password") == std::string::npos);
}

TEST_CASE("planted secrets are found nowhere: no log, figure, error, argument or core (S14, S36)") {
    cluster().connect().run(
        "CREATE ROLE canary_asker LOGIN SUPERUSER PASSWORD 'canary-asking'; CREATE ROLE found "
        "LOGIN "
        "PASSWORD 'canary-found'; CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER far FOREIGN "
        "DATA WRAPPER nothing");
    Proxy p(cluster(),
            options({{"auth",
                      "{method: md5, users_file: users.txt, query_user: canary_asker, "
                      "query_password_file: asking}"},
                     {"http", "{listen: \"127.0.0.1:{http_port}\", token_file: token}"},
                     {"log", "{level: debug}"},
                     {"slow_log", "{threshold: 0, errors: true}"},
                     {"databases",
                      "{named: {host: 127.0.0.1, port: " + std::to_string(cluster().port()) +
                          ", dbname: app, user: plain_user, password_file: named}, "
                          "\"*\": {host: 127.0.0.1, port: " +
                          std::to_string(cluster().port()) + "}}"}},
                    {{"users.txt", "\"postgres\" \"canary-root\"\n"},
                     {"asking", "canary-asking\n"},
                     {"token", "canary-token\n"},
                     {"named", "canary-named\n"}}));
    std::string all;
    const auto fails = [&](const std::string& user, const std::string& db,
                           const std::string& password) {
        all += connect_error(p.dsn(user, db, "password=" + password)) + "\n";
    };
    fails("postgres", "app", "canary-wrong");
    fails("found", "app", "canary-guess");
    fails("found", "named", "canary-found");  // the server refuses the configured password
    CHECK(connect_error(p.dsn("found", "app", "password=canary-found")).empty());
    auto db = p.connect("postgres", "app", "password=canary-root");
    for (const char* sql :
         {"CREATE ROLE made PASSWORD 'canary-made'", "ALTER ROLE made PASSWORD 'canary-altered'",
          "ALTER ROLE made PASSWORD 'canary-broken' NONSENSE",
          "CREATE USER MAPPING FOR made SERVER far OPTIONS (password 'canary-mapping')",
          "ALTER ROLE made /* PassWord */ PASSWORD\n$x$canary-quoted$x$"})
        all += db.exec(sql).message + "\n";
    CHECK(db.exec_params("SELECT length($1::text)", {"canary-bound"}).ok);
    CHECK(eventually([&] { return p.slow_log().find("length($1::text)") != std::string::npos; }));
    auto console = p.connect("postgres", "pgweir", "password=canary-root");
    for (const char* topic : {"CONFIG", "CLIENTS", "SERVERS", "POOLS", "DATABASES", "USERS",
                              "QUERIES", "ADVICE", "CACHE QUERIES", "LISTS", "STATS"}) {
        const auto a = console.exec(std::string("SHOW ") + topic);
        CHECK_MESSAGE(a.ok, topic);
        for (const auto& row : a.rows)
            for (const auto& value : row) all += value + "\n";
    }
    RawClient http(p.http_port());
    http.send(
        "GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer canary-token\r\nConnection: "
        "close\r\n\r\n");
    const auto metrics = http.read_rest();
    CHECK(metrics.find("pgweir_") != std::string::npos);
    all += metrics + p.log() + p.slow_log();
    for (const char* file : {"/cmdline", "/environ"})
        all += read_file("/proc/" + std::to_string(p.pid()) + file);
    const auto at = all.find("canary-");
    CHECK_MESSAGE(at == std::string::npos, all.substr(at < 80 ? 0 : at - 80, 160));
}

TEST_CASE("the proxy's own users: SCRAM and MD5 from a users file, to any server method (18)") {
    const std::map<std::string, std::string> users{
        {"users.txt",
         "\"scram_user\" \"correct horse ' \\ \"\" battery\"\n"
         "\"md5_user\" \"correct horse ' \\ \"\" battery\"\n"
         "\"plain_user\" \"correct horse ' \\ \"\" battery\"\n"
         "\"app\" \"simple\"\n"}};
    for (const char* method : {"scram-sha-256", "md5"}) {
        INFO(std::string(method));
        Proxy p(cluster(),
                options({{"auth", std::string("{method: ") + method + ", users_file: users.txt}"}},
                        users));
        for (const char* user : {"scram_user", "md5_user", "plain_user"}) {
            INFO(std::string(user));
            CHECK(works(p, user, kPassword));
            CHECK(!error_for(p, user, "wrong").empty());
            CHECK(!error_for(p, user, "").empty());
        }
        CHECK(works(p, "app", "simple"));
        const auto wrong = error_for(p, "app", "wrong");
        const auto unknown = error_for(p, "unknown_user", "wrong");
        CHECK(wrong.find("password authentication failed for user \"app\"") != std::string::npos);
        CHECK(unknown.find("password authentication failed for user \"unknown_user\"") !=
              std::string::npos);
    }
}

TEST_CASE("the exchange of an unknown user looks like that of a wrong password (11, S34)") {
    Proxy p(cluster(), options({{"auth", "{method: scram-sha-256, users_file: users.txt}"}},
                               {{"users.txt", "\"app\" \"simple\"\n"}}));
    const auto asks = [&](const std::string& user) {
        RawClient c(p.port());
        c.send(msg::startup({{"user", user}, {"database", "app"}}));
        const auto request = c.read();
        std::string body;
        pgweir::base::append_cstring(body, "SCRAM-SHA-256");
        const std::string first = "n,,n=,r=abcdefghijklmnopqrstuvwx";
        pgweir::base::append_u32(body, static_cast<std::uint32_t>(first.size()));
        c.send(msg::frame('p', body + first));
        const auto challenge = c.read();
        CHECK(challenge.type == 'R');
        CHECK(challenge.body.find(",i=4096") != std::string::npos);
        c.send(msg::frame('p', "c=biws,r=abcdefghijklmnopqrstuvwx,p=AAAA"));
        const auto end = c.read_to_end();
        return request.body + "|" + error_of(end).sqlstate + "|" + std::to_string(end.size()) +
               "|" + std::to_string(challenge.body.size());
    };
    CHECK(asks("app") == asks("nob"));
}

TEST_CASE("broken SCRAM messages are refused and harm nobody (14, 15, S04)") {
    Proxy p(cluster(), options({{"auth", "{method: scram-sha-256, users_file: users.txt}"}},
                               {{"users.txt", "\"app\" \"simple\"\n"}}));
    const auto outcome = [&](const std::string& body) {
        RawClient c(p.port());
        c.send(msg::startup({{"user", "app"}, {"database", "app"}}));
        c.read();
        try {
            c.send(msg::frame('p', body));
            return error_of(c.read_until('E')).sqlstate;
        } catch (const Closed&) {
            return std::string("closed");
        }
    };
    const std::string mechanism("SCRAM-SHA-256\0", 14);
    for (const auto length : {0u, 1u, 0xffffffffu, 0xfffffffeu, 0x7fffffffu, 0x80000000u}) {
        std::string body = mechanism;
        pgweir::base::append_u32(body, length);
        const auto state = outcome(body + "n,,n=,r=abc");
        CHECK((state == "08P01" || state == "28P01" || state == "closed"));
    }
    for (const std::string& first :
         {std::string("p=tls-unique,,n=,r=abc"), std::string("x,,n=,r=abc"), std::string(",,,,"),
          std::string("n,,r=abc"), std::string()}) {
        std::string body = mechanism;
        pgweir::base::append_u32(body, static_cast<std::uint32_t>(first.size()));
        const auto state = outcome(body + first);
        CHECK((state == "08P01" || state == "28P01" || state == "28000" || state == "0A000"));
    }
    CHECK(works(p, "app", "simple"));
}

TEST_CASE("a password that was proven before a reload moved the database is proven again") {
    const std::string hba = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
    Cluster first({{}, hba}), second({{}, hba});
    const auto set = [](const Cluster& c, const std::string& password) {
        c.connect().run("ALTER ROLE app PASSWORD '" + password + "'");
    };
    set(first, "one");
    set(second, "two");
    const auto at = [](const Cluster& c) {
        return "{\"*\": {host: 127.0.0.1, port: " + std::to_string(c.port()) + "}}";
    };
    Proxy p(first, options({{"auth", "{method: forward}"}, {"control", ""}}));
    const auto error = [&](const std::string& password) {
        return connect_error(p.dsn("app", "app", "password=" + password));
    };
    CHECK(error("one").empty());
    CHECK(error("one").empty());
    p.reload({{"databases", at(second)}});
    CHECK(p.logs("reload: done"));
    CHECK(error("one").find("password authentication failed") != std::string::npos);
    CHECK(error("two").empty());
}

TEST_CASE("a password whose proof a reload overtakes is proven where the database is now") {
    const std::string hba =
        "local all all trust\nhost all other 127.0.0.1/32 trust\n"
        "host all all 127.0.0.1/32 scram-sha-256\n";
    Cluster first({{}, hba}), second({{}, hba});
    first.connect().run("ALTER ROLE app PASSWORD 'one'");
    second.connect().run("ALTER ROLE app PASSWORD 'two'; CREATE ROLE other LOGIN");
    const auto at = [](const Cluster& c, const std::string& more) {
        return "{\"*\": {host: 127.0.0.1, port: " + std::to_string(c.port()) + more + "}}";
    };
    std::string more, size = "5";
    SUBCASE("") {}
    SUBCASE("with places for one") { size = "1"; }
    SUBCASE("and others log in there") { more = ", user: other"; }
    first.connect().run("ALTER SYSTEM SET post_auth_delay = 2");
    first.reload();
    Proxy p(first, options({{"auth", "{method: forward}"},
                            {"control", ""},
                            {"pool", "{min_size: 0, max_size: " + size + "}"},
                            {"databases", at(first, "")}}));
    const auto log_in = [&](const std::string& password) {
        return connect_error(p.dsn("app", "app", "password=" + password));
    };
    const auto refused = [](const std::string& error) {
        return error.find("password authentication failed") != std::string::npos;
    };
    auto early = std::async(std::launch::async, [&] { return log_in("one"); });
    sleep_for(Seconds(1));
    p.reload({{"databases", at(second, more)}});
    CHECK(p.logs("reload: done"));
    if (size != "1") CHECK(log_in("two").empty());
    CHECK(refused(early.get()));
    CHECK(refused(log_in("one")));
    CHECK(log_in("two").empty());
}

TEST_CASE("a connection that nobody uses keeps no password from being proven") {
    Cluster own({{}, "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"});
    Proxy p(own, options({{"auth", "{method: forward}"},
                          {"control", ""},
                          {"workers", "4"},
                          {"pool", "{min_size: 0, max_size: 1}"},
                          {"databases", "{\"*\": {host: 127.0.0.1, port: " +
                                            std::to_string(own.port()) + "}}"}}));
    for (int i = 0; i < 12; ++i) {
        const auto password = "another" + std::to_string(i);
        own.connect().run("ALTER ROLE app PASSWORD '" + password + "'");
        CHECK(connect_error(p.dsn("app", "app", "password=" + password)) == "");
    }
}

TEST_CASE("TLS: refused politely where not configured, spoken where it is") {
    CHECK(connect_error(forwarding().dsn("app", "app", "sslmode=prefer")).empty());
    CHECK(connect_error(forwarding().dsn("app", "app", "sslmode=require")).find("SSL") !=
          std::string::npos);
    const TempDir dir("pgweir-tls");
    const auto made =
        run({"openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
             "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout",
             dir.path() + "/key.pem", "-out", dir.path() + "/cert.pem"});
    REQUIRE(made.status == 0);
    const auto listen = [&](const std::string& mode) {
        return options({{"auth", "{method: forward}"},
                        {"listen", "{host: 127.0.0.1, port: {port}, tls: {mode: " + mode +
                                       ", cert_file: " + dir.path() +
                                       "/cert.pem, key_file: " + dir.path() + "/key.pem}}"}});
    };
    Proxy p(cluster(), listen("prefer"));
    const auto verify =
        "sslmode=verify-full host=localhost hostaddr=127.0.0.1 sslrootcert=" + dir.path() +
        "/cert.pem ";
    {
        Db db(p.dsn("scram_user", "app", verify + quoted(kPassword)));
        CHECK(PQsslInUse(db.raw()) == 1);
        CHECK(db.value("SELECT repeat('t', 3000000)").size() == 3'000'000);
        CHECK(db.exec_params("SELECT length($1)", {std::string(3'000'000, 'u')}).value() ==
              "3000000");
        PGcancel* handle = PQgetCancel(db.raw());
        char error[256];
        PQsendQuery(db.raw(), "SELECT pg_sleep(20)");
        sleep_for(Seconds(0.3));
        CHECK(PQcancel(handle, error, sizeof error) == 1);
        PQfreeCancel(handle);
        CHECK(take_answer(PQgetResult(db.raw())).sqlstate == "57014");
    }
    CHECK(connect_error(p.dsn("app", "app", "sslmode=disable")).empty());
    // Bytes in clear behind the request are never taken for decrypted ones (3, S01).
    RawClient c(p.port());
    c.send(msg::ssl_request() + msg::startup({{"user", "app"}, {"database", "app"}}));
    CHECK(c.read_bytes(1) == "S");
    const auto rest = c.read_rest();
    CHECK(rest.find("AuthenticationOk") == std::string::npos);
    CHECK(rest.find("server_version") == std::string::npos);
    Proxy strict(cluster(), listen("require"));
    CHECK(connect_error(strict.dsn("app", "app", "sslmode=require")).empty());
    CHECK(!connect_error(strict.dsn("app", "app", "sslmode=disable")).empty());
}

TEST_CASE("TLS verify-ca and verify-full demand a client certificate of the authority (26)") {
    const TempDir dir("pgweir-ca");
    const auto d = dir.path() + "/";
    const auto openssl = [&](const std::string& arguments) {
        const auto r = run({"sh", "-c", "openssl " + arguments});
        REQUIRE_MESSAGE(r.status == 0, r.err);
    };
    for (const char* ca : {"ca", "other"})
        openssl("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=" + std::string(ca) +
                " -keyout " + d + ca + ".key -out " + d + ca + ".pem");
    for (const auto& [name, ca] : {std::pair("server", "ca"), {"app", "ca"}, {"fake", "other"}}) {
        const auto n = d + name;
        openssl("req -newkey rsa:2048 -nodes -subj /CN=" + std::string(name) + " -keyout " + n +
                ".key -out " + n + ".csr");
        openssl("x509 -req -days 2 -in " + n + ".csr -CA " + d + ca + ".pem -CAkey " + d + ca +
                ".key -CAcreateserial -out " + n + ".pem");
    }
    run({"sh", "-c", "chmod 600 " + d + "*.key"});
    Proxy p(
        cluster(),
        options({{"listen",
                  "{host: 127.0.0.1, port: {port}, tls: {mode: verify-ca, cert_file: " + d +
                      "server.pem, key_file: " + d + "server.key, ca_file: " + d + "ca.pem}}"}}));
    const auto with = [&](const std::string& name) {
        return p.dsn("app", "app",
                     "sslmode=require sslcert=" + d + name + ".pem sslkey=" + d + name + ".key");
    };
    CHECK(connect_error(with("app")).empty());
    CHECK(!connect_error(with("fake")).empty());
    CHECK(!connect_error(
               p.dsn("app", "app", "sslmode=require sslcert=" + d + "none sslkey=" + d + "none"))
               .empty());
    CHECK(!connect_error(p.dsn("app", "app", "sslmode=disable")).empty());
}
