// Who may come in, by rules: HBA files, certificates, peer, PROXY protocol, limits for strangers,
// rights in the console and over HTTP. Numbers in names: the list of security cases.
#include <doctest/doctest.h>

#include <set>

#include "pgweir/base/bytes.hpp"
#include "support/certificates.hpp"
#include "support/proxy.hpp"
#include "support/raw_client.hpp"
#include "support/run.hpp"

using namespace pgweir::testing;

namespace {

ProxyOptions options(std::map<std::string, std::string> sections,
                     std::map<std::string, std::string> files = {}) {
    return {std::move(sections), std::move(files), {}, 0};
}

Certificates& certificates() {
    static Certificates c;
    return c;
}

constexpr const char* kUsers = "\"app\" \"simple\"\n\"postgres\" \"root\"\n\"viewer\" \"look\"\n";

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

/// The first error of a connection that begins with `first`.
ServerError refusal(const Proxy& p, const std::string& first) {
    RawClient c(p.port());
    c.send(first);
    return error_of(c.read_to_end());
}

std::string startup(const std::string& user, const std::string& db = "app") {
    return msg::startup({{"user", user}, {"database", db}});
}

}  // namespace

TEST_CASE("the first rule that fits decides, in PostgreSQL's words, and SHOW HBA tells which") {
    auto& cert = certificates();
    Proxy p(Cluster::shared(),
            options({{"auth", "{method: hba, hba_file: hba.conf, users_file: users.txt}"},
                     {"listen", cert.listen("allow")}},
                    {{"users.txt", kUsers},
                     {"hba.conf",
                      "host    all    rejected 127.0.0.1/32  reject\n"
                      "hostssl tlsdb  all      127.0.0.1/32  trust\n"
                      "host    app    app      127.0.0.1/32  scram-sha-256\n"
                      "host    all    postgres 127.0.0.1/32  trust\n"
                      "host    all    fwd      127.0.0.1/32  forward\n"}}));
    CHECK(p.connect("app", "app", "password=simple").value("SELECT current_user") == "app");
    CHECK(contains(connect_error(p.dsn("app", "app", "password=wrong")),
                   "password authentication failed for user \"app\""));
    CHECK(p.connect("postgres", "app").value("SELECT 1") == "1");
    const auto rejected = refusal(p, startup("rejected"));
    CHECK(rejected.sqlstate == "28000");
    CHECK(rejected.message ==
          "pg_hba.conf rejects connection for host \"127.0.0.1\", user \"rejected\", database "
          "\"app\", no encryption");
    const auto none = refusal(p, startup("app", "tlsdb"));
    CHECK(none.sqlstate == "28000");
    CHECK(none.message ==
          "no pg_hba.conf entry for host \"127.0.0.1\", user \"app\", database \"tlsdb\", no "
          "encryption");
    CHECK(contains(connect_error(p.dsn("nobody", "nodb", "sslmode=require")), "SSL encryption"));
    const auto all = p.console("SHOW HBA");
    REQUIRE(all.rows.size() == 5);
    CHECK(all.at(2, "auth_method") == "scram-sha-256");
    CHECK(all.at(2, "line_number") == "3");
    CHECK(p.console("SHOW HBA '127.0.0.1' tlsdb app ssl").at(0, "line_number") == "2");
    CHECK(p.console("SHOW HBA '127.0.0.1' app app").at(0, "line_number") == "3");
    CHECK(p.console("SHOW HBA '10.0.0.1' app app").rows.empty());
}

TEST_CASE("a file of rules with an error is refused whole: at start, and at reload (S43)") {
    const auto config =
        options({{"auth", "{method: hba, hba_file: hba.conf, users_file: users.txt}"}},
                {{"users.txt", kUsers},
                 {"hba.conf", "host all all 127.0.0.1/32 scram-sha-256\nlocal x\n"}});
    try {
        const Proxy p(Cluster::shared(), config);
        FAIL("it started");
    } catch (const std::runtime_error& e) {
        CHECK(contains(e.what(), "hba.conf:2: the line ends before the user"));
    }
    auto good = config;
    good.files["hba.conf"] = "host all all 127.0.0.1/32 scram-sha-256\n";
    Proxy p(Cluster::shared(), good);
    CHECK(connect_error(p.dsn("app", "app", "password=simple")).empty());
    write_file(p.directory() + "/hba.conf", "host all all 127.0.0.1/32 trust\nhots\n");
    write_file(p.directory() + "/users.txt", "\"app\" \"changed\"\n");
    p.reload({});
    CHECK(p.logs("hba.conf:2: \"hots\" is no type"));
    // Neither the rules nor the users of the failed reload count.
    CHECK(!connect_error(p.dsn("app", "app", "password=changed")).empty());
    CHECK(connect_error(p.dsn("app", "app", "password=simple")).empty());
    write_file(p.directory() + "/hba.conf", "host all all 127.0.0.1/32 scram-sha-256\n");
    p.reload({{"log", "{file: /dev/null/log}"}});
    CHECK(p.logs("log.file: cannot open"));
    CHECK(!connect_error(p.dsn("app", "app", "password=changed")).empty());
    CHECK(connect_error(p.dsn("app", "app", "password=simple")).empty());
    p.reload({{"log", "{level: info}"}});
    CHECK(p.logs("reload: done"));
    CHECK(connect_error(p.dsn("app", "app", "password=changed")).empty());
    CHECK(!connect_error(p.dsn("app", "app", "password=simple")).empty());
}

TEST_CASE("--check-config reads the rules, users and certificates, too (S43)") {
    const TempDir dir("pgweir-check");
    const auto check = [&](const std::string& hba) {
        write_file(dir.path() + "/hba.conf", hba);
        write_file(dir.path() + "/c.yaml",
                   "auth: {method: hba, hba_file: hba.conf}\nlisten: {port: 6999}\n");
        return run({Proxy::binary(), "--check-config", "--config", dir.path() + "/c.yaml"});
    };
    CHECK(check("local all all peer\n").status == 0);
    const auto bad = check("local all all peer\nlocal all all pear\nhost all all all md5\n");
    CHECK(bad.status == 78);
    CHECK(contains(bad.err, "hba.conf:2: \"pear\" is no method"));
    CHECK(contains(check("host all all all md5\n").err, "hba.conf:1: method md5 has no users"));
}

TEST_CASE("names of any length and content are an error or a login, and harm nobody (S12, S35)") {
    Proxy p(Cluster::shared(), options({{"auth", "{method: trust}"}}));
    const auto before = p.pid();
    for (const std::size_t size : {1u, 63u, 64u, 127u, 128u, 1000u, 9000u, 64000u})
        for (const std::string& name :
             {std::string(size, 'x'), std::string(size, '\n'), std::string(size, '\xff')}) {
            for (const auto& start :
                 {startup(name), startup("app", name),
                  msg::startup({{"user", "app"}, {"database", "app"}, {"options", name}}),
                  msg::startup(
                      {{"user", "app"}, {"database", "app"}, {"application_name", name}})}) {
                RawClient c(p.port());
                c.send(start + msg::terminate());
                (void)c.read_rest();
            }
        }
    CHECK(p.connect().value("SELECT 1") == "1");
    CHECK(p.pid() == before);
    const auto log = p.log();
    for (std::size_t at = 0; at < log.size();) {  // each line is one of ours
        CHECK(log.compare(at, 2, "20") == 0);
        const auto end = log.find('\n', at);
        at = end == std::string::npos ? log.size() : end + 1;
    }
}

TEST_CASE("rules that need what is not configured, or trust the world, are refused at start") {
    const auto refused = [](const std::string& rule, const std::string& listen,
                            const std::string& why) {
        INFO(rule);
        auto o = options({{"auth", "{method: hba, hba_file: hba.conf}"}, {"listen", listen}},
                         {{"hba.conf", rule + "\n"}});
        try {
            const Proxy p(Cluster::shared(), o);
            FAIL_CHECK("it started");
        } catch (const std::runtime_error& e) {
            CHECK_MESSAGE(contains(e.what(), "hba.conf:1: " + why), e.what());
        }
    };
    const std::string loopback = "{host: 127.0.0.1, port: {port}}";
    refused("host all all all md5", loopback, "method md5 has no users to check");
    refused("hostssl all all all cert", loopback, "client certificates cannot be checked");
    refused("local all all peer map=m", loopback, "map m is not there");
    refused("host all all all trust", "{host: \"*\", port: {port}}", "trust would believe");
}

TEST_CASE("certificates: the name, its map, and clientcert beside another method") {
    auto& cert = certificates();
    Proxy p(Cluster::shared(),
            options({{"auth",
                      "{method: hba, hba_file: hba.conf, ident_file: ident.conf, users_file: "
                      "users.txt}"},
                     {"listen", cert.listen("allow")}},
                    {{"users.txt", kUsers},
                     {"ident.conf", "m other postgres\n"},
                     {"hba.conf",
                      "hostssl app app all cert\n"
                      "hostssl app postgres all cert map=m\n"
                      "hostssl postgres app all scram-sha-256 clientcert=verify-ca\n"
                      "hostssl template1 app all scram-sha-256 clientcert=verify-full\n"}}));
    CHECK(p.connect("app", "app", cert.as("app")).value("SELECT current_user") == "app");
    CHECK(contains(connect_error(p.dsn("app", "app", cert.as("other"))),
                   "certificate authentication failed for user \"app\""));
    CHECK(contains(connect_error(p.dsn("app", "app", cert.nobody())),
                   "connection requires a valid client certificate"));
    CHECK(!connect_error(p.dsn("app", "app", cert.as("fake"))).empty());
    CHECK(connect_error(p.dsn("postgres", "app", cert.as("other"))).empty());
    CHECK(!connect_error(p.dsn("postgres", "app", cert.as("app"))).empty());
    const auto to = [&](const char* db, const std::string& name, const char* password) {
        return connect_error(p.dsn("app", db, cert.as(name) + "password=" + std::string(password)));
    };
    CHECK(to("postgres", "other", "simple").empty());
    CHECK(!to("postgres", "other", "wrong").empty());
    CHECK(contains(connect_error(p.dsn("app", "postgres", cert.nobody() + "password=simple")),
                   "requires a valid client certificate"));
    CHECK(to("template1", "app", "simple").empty());
    CHECK(!to("template1", "other", "simple").empty());
}

TEST_CASE("SCRAM is bound to the certificate, and who demands that is not let down") {
    auto& cert = certificates();
    Proxy p(Cluster::shared(), options({{"auth", "{method: scram-sha-256, users_file: users.txt}"},
                                        {"listen", cert.listen("prefer")}},
                                       {{"users.txt", kUsers}}));
    const auto with = [&](const std::string& more) {
        return connect_error(p.dsn("app", "app", "password=simple " + more));
    };
    CHECK(with("sslmode=require channel_binding=require").empty());
    CHECK(with("sslmode=require channel_binding=disable").empty());
    CHECK(with("sslmode=disable channel_binding=prefer").empty());
    CHECK(contains(with("sslmode=disable channel_binding=require"), "channel binding"));
    const auto verify = "host=localhost hostaddr=127.0.0.1 sslrootcert=" + cert.d + "ca.pem ";
    for (const char* mode : {"verify-ca", "verify-full"})
        CHECK(with(verify + "sslmode=" + std::string(mode) + " channel_binding=require").empty());
    CHECK(!with("host=localhost hostaddr=127.0.0.1 sslmode=verify-full sslrootcert=" + cert.d +
                "foreign.pem")
               .empty());
}

TEST_CASE("peer: a Unix socket's user, by name or by map") {
    const TempDir sockets("pgweir-sock");
    const auto me = run({"id", "-un"}).out;
    const auto name = me.substr(0, me.find('\n'));
    Proxy p(Cluster::shared(),
            options({{"auth", "{method: hba, hba_file: hba.conf, ident_file: ident.conf}"},
                     {"listen",
                      "{host: 127.0.0.1, port: {port}, unix_socket_dir: " + sockets.path() + "}"}},
                    {{"ident.conf", "m " + name + " app\n"},
                     {"hba.conf", "local app app peer map=m\nlocal all all peer\n"}}));
    const auto dsn = [&](const std::string& user) {
        return "host=" + sockets.path() + " port=" + std::to_string(p.port()) +
               " dbname=app user=" + user;
    };
    CHECK(Db(dsn("app")).value("SELECT current_user") == "app");
    CHECK(contains(connect_error(dsn("postgres2")), "Peer authentication failed"));
    CHECK(contains(connect_error(p.dsn("app")), "no pg_hba.conf entry"));
}

TEST_CASE("PROXY protocol: rules and limits see the client behind the balancer (S46)") {
    Proxy p(Cluster::shared(),
            options({{"auth", "{method: hba, hba_file: hba.conf, users_file: users.txt}"},
                     {"listen", "{host: 127.0.0.1, port: {port}, proxy_protocol: [127.0.0.0/8]}"},
                     {"limits", "{failed_logins_per_address: 3}"}},
                    {{"users.txt", kUsers},
                     {"hba.conf",
                      "host app app 203.0.113.7/32 reject\n"
                      "host app app 203.0.113.0/24 scram-sha-256\n"
                      "host app app 2001:db8::/32 scram-sha-256\n"}}));
    const auto from = [&](const std::string& address, const std::string& more) {
        const bool v6 = contains(address, ":");
        return refusal(p, "PROXY TCP" + std::string(v6 ? "6 " : "4 ") + address +
                              (v6 ? " ::1" : " 10.0.0.1") + " 5000 6432\r\n" + more);
    };
    CHECK(contains(from("203.0.113.7", startup("app")).message,
                   "rejects connection for host \"203.0.113.7\""));
    CHECK(contains(from("198.51.100.1", startup("app")).message,
                   "no pg_hba.conf entry for host \"198.51.100.1\""));
    const auto wrong = startup("app") + msg::password("no SASL");
    for (int i = 0; i < 3; ++i) CHECK(from("203.0.113.9", wrong).sqlstate == "08P01");
    const auto banned = from("203.0.113.9", wrong);
    CHECK(banned.sqlstate == "53300");
    CHECK(contains(banned.message, "too many failed logins from this address"));
    CHECK(from("203.0.113.10", wrong).sqlstate == "08P01");
    CHECK(from("2001:db8::1", wrong).sqlstate == "08P01");
    RawClient none(p.port());  // without a header: closed without a word
    none.send(startup("app"));
    CHECK(none.read_rest().empty());
    CHECK(p.logs("no PROXY protocol header"));
}

TEST_CASE(
    "the silent make room: strangers beyond the cap push out the one that waits longest (S46)") {
    Proxy p(Cluster::shared(), options({{"workers", "1"}, {"limits", "{max_logins: 20}"}}));
    std::vector<RawClient> silent;
    for (int i = 0; i < 60; ++i) silent.emplace_back(p.port());
    CHECK(p.connect().value("SELECT 1") == "1");
    CHECK(silent.front().closed_within(Seconds(2)));
    CHECK(!silent.back().closed_within(Seconds(0.1)));
}

TEST_CASE("direct TLS needs the ALPN name; without TLS configured it is no start-up packet") {
    auto& cert = certificates();
    Proxy p(Cluster::shared(), options({{"listen", cert.listen("require")}}));
    // A scripted peer: openssl speaks TLS, the start-up packet is sent through it.
    write_file(p.directory() + "/startup", startup("app") + msg::query("SELECT 4200 + 42"));
    const auto speak = [&](const std::string& alpn) {
        return run({"sh", "-c",
                    "(cat " + p.directory() +
                        "/startup; sleep 1) | timeout 3 openssl s_client -quiet " + alpn +
                        " -connect 127.0.0.1:" + std::to_string(p.port()) + " 2>&1"})
            .out;
    };
    CHECK(contains(speak("-alpn postgresql"), "4242"));
    CHECK(!contains(speak(""), "4242"));
    CHECK(!contains(speak("-alpn http/1.1"), "4242"));
    CHECK(p.connect("app", "app", "sslmode=require").value("SELECT 1") == "1");
}

TEST_CASE("certificates are read again at reload; a broken one changes nothing") {
    auto& cert = certificates();
    Certificates own;
    Proxy p(Cluster::shared(), options({{"listen", own.listen("require")}}));
    const auto verified = [&](const std::string& ca) {
        return connect_error(p.dsn("app", "app",
                                   "host=localhost hostaddr=127.0.0.1 sslmode=verify-full "
                                   "sslrootcert=" +
                                       ca))
            .empty();
    };
    CHECK(verified(own.d + "ca.pem"));
    auto held = p.connect("app", "app", "sslmode=require");
    write_file(own.d + "server.pem", "rubbish\n");
    p.reload({});
    CHECK(p.logs("listen.tls: certificate file"));
    CHECK(verified(own.d + "ca.pem"));
    for (const char* file : {"server.pem", "server.key"})
        REQUIRE(run({"cp", cert.d + file, own.d + file}).status == 0);
    p.reload({});
    CHECK(p.logs("reload: done"));
    CHECK(eventually([&] { return verified(cert.d + "ca.pem"); }));
    CHECK(!verified(own.d + "ca.pem"));
    CHECK(held.value("SELECT 1") == "1");
}

TEST_CASE("a client's certificate that is revoked lets nobody in, from the reload on (S45)") {
    Certificates cert;
    cert.revoke();
    auto listen = cert.listen("require");
    listen.insert(listen.size() - 2, ", crl_file: " + cert.d + "crl.pem");
    Proxy p(Cluster::shared(),
            options({{"auth", "{method: hba, hba_file: hba.conf}"}, {"listen", listen}},
                    {{"hba.conf", "hostssl all all all cert\n"}}));
    CHECK(connect_error(p.dsn("app", "app", cert.as("app"))).empty());
    cert.revoke("other");
    p.reload({});
    CHECK(p.logs("reload: done"));
    CHECK(connect_error(p.dsn("app", "app", cert.as("app"))).empty());
    cert.revoke("app");
    p.reload({});
    CHECK(eventually([&] { return !connect_error(p.dsn("app", "app", cert.as("app"))).empty(); }));
    CHECK(p.logs("certificate revoked"));
}

TEST_CASE("a login that a reload overtakes goes by the new configuration") {
    const auto databases = [](const std::string& names) {
        std::string all;
        for (const char name : names) {
            all += all.empty() ? "{" : ", ";
            all += name;
            all += ": {host: 127.0.0.1, port: " + std::to_string(Cluster::shared().port());
            all += ", dbname: app, pool: {min_size: 0}}";
        }
        return all + "}";
    };
    Proxy p(Cluster::shared(), options({{"auth", "{method: scram-sha-256, users_file: users.txt}"},
                                        {"workers", "1"},
                                        {"databases", databases("xy")}},
                                       {{"users.txt", kUsers}}));
    const auto log_in = [&](const std::string& database, const std::string& later) {
        auto* c = PQconnectStart(p.dsn("app", database, "password=simple").c_str());
        // Up to the start-up packet, which the proxy answers with a challenge; then it waits.
        while (PQstatus(c) != CONNECTION_AWAITING_RESPONSE) REQUIRE(PQconnectPoll(c) != 0);
        p.reload({{"databases", databases(later)}});
        CHECK(eventually([&] { return contains(p.log(), "reload: done"); }));
        auto step = PGRES_POLLING_READING;
        while (step == PGRES_POLLING_READING || step == PGRES_POLLING_WRITING)
            step = PQconnectPoll(c);
        const std::string error = step == PGRES_POLLING_OK ? "" : PQerrorMessage(c);
        PQfinish(c);
        return error;
    };
    CHECK(contains(log_in("x", "y"), "database \"x\" does not exist"));
    CHECK(log_in("x", "x").empty());
}

TEST_CASE("names that strangers make up leave no pool and no figure behind (S33)") {
    Proxy p(Cluster::shared(), options({{"auth", "{method: scram-sha-256, users_file: users.txt}"}},
                                       {{"users.txt", kUsers}}));
    CHECK(connect_error(p.dsn("app", "app", "password=simple")).empty());
    const auto size = [&] { return p.http("/metrics").size(); };
    const auto before = size();
    for (int i = 0; i < 300; ++i) {
        RawClient c(p.port());
        c.send(startup("made up " + std::to_string(i), "base " + std::to_string(i)));
        CHECK(c.read().type == 'R');
    }
    CHECK(!contains(p.http("/metrics"), "made up"));
    CHECK(!contains(p.http("/metrics"), "base 1"));
    CHECK(size() < before + 500);
    auto console = p.connect("postgres", "pgweir", "password=root");
    const auto pools = console.exec("SHOW POOLS");
    REQUIRE(pools.ok);
    for (const auto& row : pools.rows) CHECK(!contains(row.at(0), "base"));
}

TEST_CASE("a database that is not configured is a wrong password to strangers (S34)") {
    Cluster own({{}, "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"});
    own.connect().run("ALTER ROLE app PASSWORD 'simple'");
    Proxy p(own, options({{"auth", "{method: forward}"},
                          {"databases",
                           "{app: {host: 127.0.0.1, port: " + std::to_string(own.port()) + "}}"}}));
    const auto seen = [&](const std::string& db) {
        RawClient c(p.port());
        c.send(startup("app", db));
        const auto request = c.read();
        c.send(msg::password("wrong"));
        const auto rest = c.read_to_end();
        const auto e = error_of(rest);
        return std::string(1, request.type) + request.body + types(rest) + e.severity + e.sqlstate +
               e.message + e.detail;
    };
    CHECK(seen("app") == seen("nowhere"));
    CHECK(p.logs("there is no database \"nowhere\" in the configuration"));
    CHECK(connect_error(p.dsn("app", "app", "password=simple")).empty());
}

TEST_CASE("cancel keys cannot be guessed: none near the right one, and few tries (S27)") {
    Proxy p(Cluster::shared(),
            options({{"listen", "{host: 127.0.0.1, port: {port}, proxy_protocol: [127.0.0.1]}"},
                     {"limits", "{failed_logins_per_address: 50}"},
                     {"auth", "{method: trust, allow_remote_trust: true}"}}));
    const auto from = [](const std::string& address) {
        return "PROXY TCP4 " + address + " 10.0.0.1 5000 6432\r\n";
    };
    const auto log_in = [&](std::uint32_t version) {
        RawClient c(p.port());
        c.send(from("203.0.113.1") + msg::startup({{"user", "app"}, {"database", "app"}}, version));
        const auto greeting = c.read_until('Z');
        return std::pair(std::move(c), bodies(greeting, 'K').at(0));
    };
    std::set<std::string> keys;
    for (int i = 0; i < 100; ++i)
        for (const std::uint32_t version : {196608u, 196610u}) {
            const auto key = log_in(version).second.substr(4);
            CHECK(key.size() == (version == 196608u ? 4 : 32));
            keys.insert(key);
        }
    CHECK(keys.size() >= 199);  // 32 bits may meet once
    auto [victim, data] = log_in(196608u);
    victim.send(msg::query("SELECT pg_sleep(30)"));
    const auto pid = pgweir::base::load_u32(data.data());
    const auto cancel = [&](const std::string& address, const std::string& key) {
        RawClient c(p.port());
        c.send(from(address) + msg::cancel_request(pid, key));
        CHECK(c.read_to_end().empty());
    };
    for (unsigned bit = 0; bit < 32; ++bit) {
        auto near = data.substr(4);
        near[bit / 8] = static_cast<char>(near[bit / 8] ^ (1 << bit % 8));
        cancel("203.0.113.2", near);
    }
    for (int i = 0; i < 60; ++i) cancel("203.0.113.3", std::string(4, static_cast<char>(i)));
    cancel("203.0.113.3", data.substr(4));  // who has guessed so often is not heard any more
    CHECK(!victim.poll(Seconds(0.3)));
    cancel("203.0.113.4", data.substr(4));
    CHECK(error_of(victim.read_until('Z')).sqlstate == "57014");
}

TEST_CASE("files with secrets that all may read are told of at start (S44)") {
    const auto warned = [](const char* mode) {
        const TempDir dir("pgweir-modes");
        const auto users = dir.path() + "/users.txt";
        write_file(users, kUsers);
        REQUIRE(run({"chmod", mode, users}).status == 0);
        const Proxy p(Cluster::shared(),
                      options({{"auth", "{method: scram-sha-256, users_file: " + users + "}"}}));
        return p.logs("users.txt can be read by every user", Seconds(0.2));
    };
    CHECK(warned("644"));
    CHECK(warned("604"));
    CHECK(!warned("640"));
    CHECK(!warned("600"));
}

TEST_CASE("the console: admins change, stats users look, others stay out (S07, S33)") {
    Proxy p(Cluster::shared(), options({{"auth", "{method: scram-sha-256, users_file: users.txt}"},
                                        {"admin", "{users: [postgres], stats_users: [viewer]}"}},
                                       {{"users.txt", kUsers}}));
    const auto at = [&](const char* user, const char* password) {
        return p.connect(user, "pgweir", std::string("password=") + password);
    };
    auto admin = at("postgres", "root");
    auto viewer = at("viewer", "look");
    for (const char* command : {"SHOW POOLS", "SHOW STATS", "SHOW CLIENTS", "SHOW CONFIG"}) {
        CHECK(admin.exec(command).ok);
        CHECK(viewer.exec(command).ok);
        CHECK(viewer.exec_params(command, {}).ok);
    }
    for (const char* command : {"RELOAD", "SHOW HBA"}) {
        INFO(std::string(command));
        CHECK(admin.exec(command).ok);
        CHECK(viewer.exec(command).sqlstate == "42501");
        CHECK(viewer.exec_params(command, {}).sqlstate == "42501");
        CHECK(viewer.exec("SHOW STATE; " + std::string(command)).sqlstate == "42501");
    }
    CHECK(viewer.alive());
    CHECK(contains(connect_error(p.dsn("app", "pgweir", "password=simple")),
                   "is not in admin.users or admin.stats_users"));
}

TEST_CASE("HTTP: what tells figures needs the token where there is one, and a reload changes it") {
    Proxy p(Cluster::shared(),
            options({{"http", "{listen: \"127.0.0.1:{http_port}\", token_file: token}"}},
                    {{"token", "canary-token\n"}}));
    const auto get = [&](const std::string& path, const std::string& header) {
        RawClient c(p.http_port());
        c.send("GET " + path + " HTTP/1.1\r\nHost: x\r\n" + header + "Connection: close\r\n\r\n");
        const auto answer = c.read_rest();
        return answer.substr(0, answer.find("\r\n"));
    };
    const std::string bearer = "Authorization: Bearer canary-token\r\n";
    for (const char* path : {"/metrics", "/healthz"}) {
        CHECK(contains(get(path, ""), "401"));
        CHECK(contains(get(path, "Authorization: Bearer wrong\r\n"), "401"));
        CHECK(contains(get(path, bearer), "200"));
    }
    for (const char* path : {"/livez", "/readyz"}) CHECK(contains(get(path, ""), "200"));
    CHECK(contains(get("/nothing", bearer), "404"));
    write_file(p.directory() + "/token", "second\n");
    p.reload({});
    CHECK(p.logs("reload: done"));
    CHECK(contains(get("/metrics", bearer), "401"));
    CHECK(contains(get("/metrics", "Authorization: Bearer second\r\n"), "200"));
    std::string shown = p.log();
    for (const auto& row : p.console("SHOW CONFIG").rows)
        for (const auto& value : row) shown += value + "\n";
    CHECK(!contains(shown, "canary-token"));
}
