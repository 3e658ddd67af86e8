// Every kind of error as the whole line it is told in: the exact place, what, what was expected.
#include "support.hpp"

using namespace pgweir::config;
using namespace pgweir::config::testing;

namespace {

struct Case {
    const char* text;
    const char* errors;
};

void check_all(std::span<const Case> cases) {
    for (const auto& c : cases) CHECK(bad(c.text) == std::string(c.errors) + "\n");
}

}  // namespace

TEST_CASE("errors in the shape of the file are told at their place") {
    const Case cases[] = {
        {"# one\npool:\n  # two\n  mod: session\n",
         "c.yaml:4:3: unknown key \"pool.mod\"; expected one of idle_timeout, lazy_begin, "
         "lifetime, max_pinned, max_size, min_size, mode, reuse, validation_after, "
         "validation_query, wait_timeout; did you mean "
         "\"mode\"?"},
        {"listen:\n  tls:\n    certfile: x\n",
         "c.yaml:3:5: unknown key \"listen.tls.certfile\"; expected one of ca_file, cert_file, "
         "ciphers, crl_file, key_file, mode, suites; did you mean \"cert_file\"?"},
        {"log: {level: info}\nlogs: {}\n",
         "c.yaml:2:1: unknown key \"logs\"; expected one of admin, auth, cache, control, "
         "databases, "
         "http, limits, listen, log, pool, queries, slow_log, timeouts, workers; did you mean "
         "\"log\"?"},
        {"databases:\n  a:\n    pool:\n      size: 1\n    port: 1\n",
         "c.yaml:4:7: unknown key \"databases.a.pool.size\"; expected one of idle_timeout, "
         "lazy_begin, lifetime, "
         "max_pinned, max_size, min_size, mode, reuse, validation_after, validation_query, "
         "wait_timeout; did "
         "you mean "
         "\"max_size\"?"},
        {"databases: {a: {password: x}}\n",
         "c.yaml:1:17: unknown key \"databases.a.password\"; expected one of control, dbname, "
         "host, "
         "password_file, pool, port, tls, user; did you mean \"password_file\"?"},
        {"pool.mode: session\n",
         "c.yaml:1:1: unknown key \"pool.mode\"; expected maps inside each other instead of dots, "
         "such as \"pool: {mode: session}\""},
        {"databases:\n  a:\n    port: 1\n    port: 2\n",
         "c.yaml:4:5: duplicate key \"port\"; expected each name once (the first is in line 3)"},
        {"databases:\n  a: {<<: {port: 1}}\n",
         "c.yaml:2:7: merge keys are not supported; expected the settings themselves, or an alias "
         "as "
         "a whole value"},
        {"pool:\n  [a]: 1\n",
         "c.yaml:2:3: a name that is not plain text; expected a name, in quotes if it is null or "
         "~"},
        {"- a\n",
         "c.yaml:1:1: the file is not a map; expected names with values, such as pool: {max_size: "
         "20}"},
        {"log:\n  info\n", "c.yaml:2:3: log: one value; expected a map of options: file, level"},
        {"databases:\n- a\n",
         "c.yaml:2:1: databases: not a map with entries; expected names of databases with their "
         "settings, \"*\" for any other"},
        {"databases:\n  a: 10.0.0.1\n",
         "c.yaml:2:6: database \"a\": not a map; expected settings such as {host: 127.0.0.1}"},
        {"databases:\n  \"\": {}\n",
         "c.yaml:2:3: the name of a database is empty or has a control character; expected a name"},
        {"workers: !!int 3\n", "c.yaml:1:10: the tag \"tag:yaml.org,2002:int\"; expected none"},
        {"log: {}\n---\nlog: {}\n", "c.yaml:2:1: a second document begins; expected one"},
        {"databases: &d\n  a: *d\n",
         "c.yaml:2:6: an alias inside what it stands for; expected an end to it"},
        {"# \xff\n", "c.yaml:1:3: a byte that is not UTF-8; expected UTF-8"},
        {"log:\n  level: \x07\n", "c.yaml:2:10: a control character; expected text"},
    };
    check_all(cases);
}

TEST_CASE("errors in values are told at the value") {
    const Case cases[] = {
        {"listen:\n  port: many\n",
         "c.yaml:2:9: listen.port: \"many\" is not a whole number; expected a whole number from 1 "
         "to "
         "65535"},
        {"workers: 65\n",
         "c.yaml:1:10: workers: \"65\" is out of range; expected auto or a whole number from 1 to "
         "64"},
        {"cache:\n  enabled: yes\n",
         "c.yaml:2:12: cache.enabled: \"yes\" is not a switch; expected true or false"},
        {"pool:\n  mode: Session\n",
         "c.yaml:2:9: pool.mode: \"Session\" is not known; expected session, transaction or "
         "statement"},
        {"pool:\n  idle_timeout: 30\n",
         "c.yaml:2:17: pool.idle_timeout: \"30\" is not a duration; expected a whole number with a "
         "unit, such as 200ms, 30s, 5min, 1h, from 0 to 365d"},
        {"timeouts:\n  connect: 2h\n",
         "c.yaml:2:12: timeouts.connect: \"2h\" is out of range; expected a duration from 1ms to "
         "1h"},
        {"slow_log:\n  threshold: 1000\n",
         "c.yaml:2:14: slow_log.threshold: \"1000\" is not a duration; expected a whole number "
         "with a "
         "unit, such as off, 200ms, 30s, 5min, 1h, from 0 to 365d"},
        {"cache:\n  max_size: 256\n",
         "c.yaml:2:13: cache.max_size: \"256\" is not a size; expected a whole number with a unit, "
         "such as 64KiB, 256MiB, 1GiB, from 64KiB to 64TiB"},
        {"cache:\n  verify_ratio: 2\n",
         "c.yaml:2:17: cache.verify_ratio: \"2\" is not a share; expected a number from 0 to 1, "
         "such "
         "as 0.01"},
        {"admin:\n  users: ada\n",
         "c.yaml:2:10: admin.users: not a list; expected one such as [a, b]"},
        {"admin:\n  users:\n  - ada\n  - \"\"\n",
         "c.yaml:4:5: admin.users: \"\" is an empty name; expected a name"},
        {"log:\n  level: [info]\n",
         "c.yaml:2:10: log.level: not one value; expected no map and no list"},
        {"log:\n  level: ~\n",
         "c.yaml:2:10: log.level: no value; expected one, or \"\" where it may be empty"},
        {"databases:\n  a:\n    dbname: \"a\\tb\"\n",
         "c.yaml:3:13: databases.a.dbname: \"a\\x09b\" has a control character; expected text "
         "without "
         "any"},
        {"databases:\n  a:\n    user: u\n    password_file: /none\n",
         "c.yaml:4:20: databases.a.password_file: \"/none\" cannot be read: No such file or "
         "directory; "
         "expected a readable file"},
        {"databases:\n  a:\n    host: ${A b}\n",
         "c.yaml:3:11: databases.a.host: \"${A b}\" is no reference; expected ${NAME} or "
         "${NAME:-default}, or $${ for ${"},
        {"databases:\n  a:\n    host: ${A\n",
         "c.yaml:3:11: databases.a.host: ${ without }; expected ${NAME} or ${NAME:-default}, or "
         "$${ "
         "for ${"},
        {"databases:\n  a:\n    host: ${A}\n",
         "c.yaml:3:11: databases.a.host: the environment variable A is not set; expected a value, "
         "or "
         "${A:-default}"},
    };
    check_all(cases);
}

TEST_CASE("settings that contradict each other are told at the one to change") {
    const Case cases[] = {
        {"auth:\n  method: hba\n",
         "c.yaml:2:11: auth.method: has no rules to go by; expected auth.hba_file"},
        {"auth: {method: trust}\nlisten: {host: \"*\"}\n",
         "c.yaml:1:16: auth.method: trust would believe whoever reaches \"*\"; expected a loopback "
         "listen.host, or auth.allow_remote_trust: true"},
        {"auth: {method: md5}\n",
         "c.yaml:1:16: auth.method: has no users to check; expected auth.users_file"},
        {"pool: {max_size: 2}\ndatabases:\n  a:\n    pool: {min_size: 3}\n",
         "c.yaml:4:22: databases.a.pool.min_size 3 is more than pool.max_size 2; expected at most "
         "that"},
        {"databases:\n  pgweir: {}\n",
         "c.yaml:2:3: \"pgweir\" is the console's name; expected another"},
        {"databases:\n  a:\n    host: h:1\n",
         "c.yaml:3:11: databases.a.host: \"h:1\" is no server's name; expected no port in it; the "
         "port is an option of its own"},
        {"cache:\n  consistency: in_band\n",
         "c.yaml:2:16: cache.consistency: in_band holds only where nobody writes around the proxy; "
         "expected cache.exclusive_writer: true, or another consistency"},
        {"http:\n  listen: \"9930\"\n",
         "c.yaml:2:11: http.listen: \"9930\" is no address; expected host:port such as "
         "127.0.0.1:9930, [::1]:9930 or :9930, or \"\" for none"},
    };
    check_all(cases);
}

TEST_CASE("columns count bytes, whoever counts") {
    CHECK(has(bad("databases: {\"\u00e9\u00e9\": {hots: x}}\n"), "c.yaml:1:22: unknown key"));
    CHECK(has(bad("databases: {\"\u00e9\u00e9\": \x01}\n"), "c.yaml:1:21: a control character"));
    CHECK(has(bad("pool:\r\n  nope: 1\r\n"), "c.yaml:2:3: unknown key"));
}

TEST_CASE("all errors of a file are told in one run, in their order, variables last") {
    CHECK(
        bad("databases:\n  b: {hots: x, port: y}\n  b: {}\nlog: {level: loud}\n"
            "auth: {method: md5}\npool: {min_size: 9, max_size: 3}\n",
            {{"DB_QUERY_TIMEOUT", "soon"}}) ==
        "c.yaml:2:7: unknown key \"databases.b.hots\"; expected one of control, dbname, host, "
        "password_file, pool, port, tls, user; did you mean \"host\"?\n"
        "c.yaml:2:22: databases.b.port: \"y\" is not a whole number; expected a whole number from "
        "1 to 65535\n"
        "c.yaml:3:3: duplicate key \"b\"; expected each name once (the first is in line 2)\n"
        "c.yaml:4:14: log.level: \"loud\" is not known; expected debug, info, warning or error\n"
        "c.yaml:5:16: auth.method: has no users to check; expected auth.users_file\n"
        "c.yaml:6:18: pool.min_size 9 is more than pool.max_size 3; expected at most that\n"
        "environment variable DB_QUERY_TIMEOUT: \"soon\" is not a duration; expected a whole "
        "number with a unit, such as 200ms, 30s, 5min, 1h, from 0 to 365d\n");
}
