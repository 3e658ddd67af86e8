#include "pgweir/auth/hba.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>

#include <cstring>
#include <map>

#include "pgweir/auth/ident_map.hpp"

using namespace pgweir;
using auth::HbaMethod;
using auth::HbaRules;

namespace {

auth::HbaLoad load(const std::string& text, std::map<std::string, std::string> files = {}) {
    return HbaRules::parse(text, "/etc/hba.conf",
                           [files](const std::string& path) -> base::Result<std::string> {
                               const auto it = files.find(path);
                               if (it == files.end()) return base::Error{"no such file"};
                               return it->second;
                           });
}

auth::HbaRulesPtr good(const std::string& text, std::map<std::string, std::string> files = {}) {
    auto loaded = load(text, std::move(files));
    REQUIRE_MESSAGE(loaded.errors.empty(), loaded.errors.front());
    REQUIRE(loaded.rules);
    return loaded.rules;
}

/// The line of the rule met, 0: none. An empty address is a Unix socket.
std::size_t met(const auth::HbaRulesPtr& rules, const std::string& address, const std::string& db,
                const std::string& user, bool ssl = false) {
    sockaddr_in v4{};
    sockaddr_in6 v6{};
    auth::HbaQuery q;
    if (inet_pton(AF_INET, address.c_str(), &v4.sin_addr) == 1) {
        v4.sin_family = AF_INET;
        q.address = reinterpret_cast<const sockaddr*>(&v4);
    } else if (inet_pton(AF_INET6, address.c_str(), &v6.sin6_addr) == 1) {
        v6.sin6_family = AF_INET6;
        q.address = reinterpret_cast<const sockaddr*>(&v6);
    }
    q.encrypted = ssl;
    q.database = db;
    q.user = user;
    const auto* rule = rules->find(q);
    return rule == nullptr ? 0 : rule->line;
}

}  // namespace

TEST_CASE("the first rule that fits type, address, database and user decides") {
    const auto rules = good(
        "# comment\n"
        "local   all         postgres                  peer\n"
        "host    app,other   \"all\"     10.0.0.0/8    md5\n"
        "hostssl all         bob         ::1/128       scram-sha-256\n"
        "hostnossl all       bob         ::1/128       reject\n"
        "host    sameuser    all         192.168.1.0 255.255.255.128 scram-sha-256\n"
        "host    all         eve         all           reject\n"
        "host    replication all         all           trust\n");
    CHECK(met(rules, "", "x", "postgres") == 2);
    CHECK(met(rules, "", "x", "bob") == 0);
    CHECK(met(rules, "10.255.0.1", "app", "all") == 3);
    CHECK(met(rules, "10.255.0.1", "app", "bob") == 0);  // "all" in quotes is a name
    CHECK(met(rules, "11.0.0.1", "app", "all") == 0);
    CHECK(met(rules, "::1", "x", "bob", true) == 4);
    CHECK(met(rules, "::1", "x", "bob", false) == 5);
    CHECK(met(rules, "192.168.1.127", "eve2", "eve2") == 6);
    CHECK(met(rules, "192.168.1.128", "eve2", "eve2") == 0);
    CHECK(met(rules, "192.168.1.5", "a", "b") == 0);
    CHECK(met(rules, "8.8.8.8", "a", "eve") == 7);
    CHECK(met(rules, "::ffff:10.1.2.3", "other", "all") == 3);
    CHECK(met(rules, "8.8.8.8", "replication", "x") == 0);
}

TEST_CASE("a physical replication connection meets the word replication only, others never") {
    const auto rules = good(
        "host all         all all reject\n"
        "host replication bob all trust\n"
        "host app         all all trust\n");
    pgweir::auth::HbaQuery q{
        .encrypted = false, .database = "replication", .user = "bob", .replication = true};
    sockaddr_in peer{};
    peer.sin_family = AF_INET;
    q.address = reinterpret_cast<const sockaddr*>(&peer);
    const auto* rule = rules->find(q);
    REQUIRE(rule != nullptr);
    CHECK(rule->line == 2);
    q.user = "eve";
    CHECK(rules->find(q) == nullptr);
    q.replication = false;
    REQUIRE(rules->find(q) != nullptr);
    CHECK(rules->find(q)->line == 1);
}

TEST_CASE("PostgreSQL's own standard file is taken as it is") {
    const auto rules = good(
        "local   all             all                                     peer\n"
        "host    all             all             127.0.0.1/32            scram-sha-256\n"
        "host    all             all             ::1/128                 scram-sha-256\n"
        "local   replication     all                                     peer\n"
        "host    replication     all             127.0.0.1/32            scram-sha-256\n"
        "host    replication     all             ::1/128                 scram-sha-256\n");
    CHECK(rules->rules().size() == 6);
    CHECK(met(rules, "127.0.0.1", "a", "b") == 2);
}

TEST_CASE("quotes, commas, continued lines and named files read as PostgreSQL reads them") {
    const auto rules = good(
        "host \"my db\", other  @users.txt \\\n  127.0.0.1/32  reject # why\r\n"
        "host all \"a\"\"b\",@/abs 127.0.0.1/32 reject\n",
        {{"/etc/users.txt", "bob, \"carol d\"\n# x\ndave\n"}, {"/abs", "erin"}});
    CHECK(rules->rules().size() == 2);
    for (const char* user : {"bob", "carol d", "dave"}) {
        CHECK(met(rules, "127.0.0.1", "my db", user) == 1);
        CHECK(met(rules, "127.0.0.1", "other", user) == 1);
    }
    CHECK(met(rules, "127.0.0.1", "x", "a\"b") == 3);
    CHECK(met(rules, "127.0.0.1", "x", "erin") == 3);
}

TEST_CASE("any error means no rules at all, told with file and line (S43)") {
    struct Case {
        std::string line, error;
    };
    const Case cases[] = {
        {"hots all all 127.0.0.1/32 trust", "is no type; expected local, host"},
        {"host all all 127.0.0.1/33 trust", "the prefix is no number up to 32"},
        {"host all all 127.0.0.1/ trust", "the prefix is no number"},
        {"host all all 127.0.0.1/8x trust", "the prefix is no number"},
        {"host all all db.example.com trust", "names are not looked up"},
        {"host all all 10.0.0.0 255.0.255.0 trust", "is no mask"},
        {"host all all 10.0.0.0 trust", "is no mask"},
        {"host all +admins all trust", "only the server knows"},
        {"host samerole all all trust", "only the server knows"},
        {"host /^a all all trust", "regular expression"},
        {"host all all all ldap", "is no method that can be had here"},
        {"host all all all password", "is no method that can be had here"},
        {"host all all all cert", "expected a line of type hostssl"},
        {"host all all all peer", "expected a line of type local"},
        {"local all all peer map", "expected name=value"},
        {"local all all peer include=x", "is no option here"},
        {"hostssl all all all md5 map=x", "map is for methods cert and peer"},
        {"hostssl all all all md5 clientcert=1", "expected verify-ca or verify-full"},
        {"host all all all md5 clientcert=verify-ca", "for lines of type hostssl"},
        {"host all all", "the line ends before the address"},
        {"host all all all", "the line ends before the method"},
        {"host", "the line ends before the database"},
        {"host all all a,b trust", "expected one the address"},
        {"host all \"bob all trust", "no closing quote"},
        {"host all @missing all trust", "cannot read \"/etc/missing\": no such file"},
    };
    for (const auto& c : cases) {
        CAPTURE(c.line);
        const auto loaded = load("local all all trust\n" + c.line + "\nlocal all all reject\n");
        CHECK(loaded.rules == nullptr);
        REQUIRE(loaded.errors.size() == 1);
        CHECK_MESSAGE(loaded.errors[0].starts_with("/etc/hba.conf:2: "), loaded.errors[0]);
        CHECK_MESSAGE(loaded.errors[0].find(c.error) != std::string::npos, loaded.errors[0]);
    }
    CHECK(load("").errors.size() == 1);
    CHECK(load(std::string("local all a\0b trust\n", 20)).errors.size() == 1);
}

TEST_CASE("all errors of a file are told in one run, up to a bound") {
    CHECK(load("x\ny\nz\n").errors.size() == 3);
    std::string many;
    for (int i = 0; i < 5000; ++i) many += "bad line \"\n";
    const auto loaded = load(many);
    CHECK(loaded.rules == nullptr);
    CHECK(loaded.errors.size() <= 100);
}

TEST_CASE("files that name each other end in an error, not in a loop") {
    const auto loaded = load("host all @a all trust\n", {{"/etc/a", "@b"}, {"/etc/b", "@a @a @a"}});
    CHECK(loaded.rules == nullptr);
    CHECK(loaded.errors.size() > 0);
}

TEST_CASE("which rules let strangers in is known") {
    const auto rules = good(
        "local all all trust\nhost all all 127.0.0.0/8 trust\nhost all all ::1/128 trust\n"
        "host all all 127.0.0.1/7 trust\nhost all all all trust\nhost all all 10.0.0.1/32 trust\n");
    const bool expected[] = {false, false, false, true, true, true};
    for (std::size_t i = 0; i < 6; ++i)
        CHECK(rules->rules()[i].reaches_beyond_loopback() == expected[i]);
}

TEST_CASE("name maps: names, expressions with a group, all; the whole user has to be equal") {
    const auto loaded = auth::IdentMap::parse(
        "# map system user\n"
        "m  alice  app\n"
        "m  /^(.*)@example\\.com$  \\1\n"
        "m  root  all\n"
        "n  \"Some One\"  bob\n",
        "ident.conf");
    REQUIRE(loaded.map);
    const auto allows = [&](const char* map, const char* system, const char* user) {
        return auth::ident_allows(loaded.map.get(), map, system, user);
    };
    CHECK(allows("m", "alice", "app"));
    CHECK_FALSE(allows("m", "alice", "alice"));
    CHECK_FALSE(allows("m", "alicex", "app"));
    CHECK(allows("m", "carol@example.com", "carol"));
    CHECK_FALSE(allows("m", "carol@example.com", "carol2"));
    CHECK_FALSE(allows("m", "carol@example.com.evil", "carol"));
    CHECK(allows("m", "root", "whoever"));
    CHECK_FALSE(allows("n", "root", "whoever"));
    CHECK(allows("n", "Some One", "bob"));
    CHECK_FALSE(allows("x", "alice", "app"));
    CHECK_FALSE(auth::ident_allows(nullptr, "m", "alice", "app"));
    CHECK(auth::ident_allows(nullptr, "", "alice", "alice"));
    CHECK_FALSE(auth::ident_allows(nullptr, "", "", ""));
    CHECK_FALSE(allows("m", (std::string(300, 'a') + "@example.com").c_str(), "a"));
}

TEST_CASE("name maps with an error are none") {
    for (const char* line : {"m a", "m a b c", "m /( x", "m /abc \\1", "m \"a b"}) {
        CAPTURE(line);
        const auto loaded = auth::IdentMap::parse(std::string("m a b\n") + line + "\n", "i.conf");
        CHECK(loaded.map == nullptr);
        REQUIRE(loaded.errors.size() == 1);
        CHECK(loaded.errors[0].starts_with("i.conf:2: "));
    }
}

TEST_CASE("expressions of name maps that could take long are refused, before they are compiled") {
    const auto taken = [](const std::string& expression) {
        const auto loaded = auth::IdentMap::parse("m \"/" + expression + "\" all\n", "i.conf");
        if (loaded.map) (void)loaded.map->allows("m", std::string(256, 'a'), "app");
        return loaded.map != nullptr;
    };
    for (const char* plain :
         {"^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$", "^(a|b)*(c+)?$", "a{0,255}", "[]1]{3}\\.1",
          "[[:alpha:]]{1,63}", "\\\\{2}", "(a*)*b", "(a{10}){10}"})
        CHECK_MESSAGE(taken(plain), plain);
    for (const char* costly :
         {"(a*)*\\1b", "^(.)(.*)\\2$", "(a{1,99}){1,99}b", "a{1001}", "a{5,}{300}",
          "(((a{9}){9}){9}){9}", "(a[]{]{100}){11}", "(((((((((((a+)+)+)+)+)+)+)+)+)+)+)",
          "a++++++++++++", "a+?", "a{2}{3}", "(a))((b)", "(()){30000}"})
        CHECK_MESSAGE(!taken(costly), costly);
}
