// What bad files are told. Each case: a file, and a part of the line it has to get.
#include "support.hpp"

using namespace pgweir::config;
using namespace pgweir::config::testing;

namespace {

struct Case {
    const char* text;
    const char* error;
};

void check_all(std::span<const Case> cases) {
    for (const auto& c : cases) {
        const auto errors = bad(c.text);
        CHECK_MESSAGE(has(errors, c.error), "for: ", std::string(c.text), "\nsaid: ", errors);
        CHECK_MESSAGE(has(errors, "; expected "), errors);
    }
}

}  // namespace

TEST_CASE("unknown names get the nearest known one") {
    const Case cases[] = {
        {"listen: {prot: 1}\n",
         "c.yaml:1:10: unknown key \"listen.prot\"; expected one of host, port, proxy_protocol, "
         "tls, unix_socket_dir; did you mean \"port\"?"},
        {"\npol: {}\n", "c.yaml:2:1: unknown key \"pol\""},
        {"\npol: {}\n", "did you mean \"pool\"?"},
        {"pool: {maxSize: 1}\n", "did you mean \"max_size\"?"},
        {"pool: {max-size: 1}\n", "did you mean \"max_size\"?"},
        {"pool: {MAX_SIZE: 1}\n", "did you mean \"max_size\"?"},
        {"max_size: 1\n", "did you mean \"pool.max_size\" or \"cache.max_size\"?"},
        {"databse: {}\n", "did you mean \"databases\"?"},
        {"databases: {a: {hots: x}}\n", "c.yaml:1:17: unknown key \"databases.a.hots\""},
        {"databases: {a: {hots: x}}\n", "did you mean \"host\"?"},
        {"databases: {a: {pool: {mod: x}}}\n", "unknown key \"databases.a.pool.mod\""},
        {"databases: {a: {cache: {enabled: true}}}\n", "unknown key \"databases.a.cache\""},
        {"databases: {a: {tls: {certificate: x}}}\n",
         "expected one of ca_file, cert_file, channel_binding, crl_file, key_file, mode, "
         "negotiation"},
        {"qqqqqqqqqq: 1\n", "expected one of admin, auth, cache"},
        {"pool.mode: session\n", "expected maps inside each other"},
        {"pool: {mode: session, tls.mode: x}\n", "expected maps inside each other"},
        {"\"\": 1\n", "c.yaml:1:1: unknown key \"\""},
        {"\"a\\tb\\e\": 1\n", "unknown key \"a\\x09b\\x1b\""},
    };
    check_all(cases);
    CHECK(!has(bad("zzzzz: 1\n"), "did you mean"));
}

TEST_CASE("a name that is given twice is an error, wherever") {
    const Case cases[] = {
        {"pool: {}\nlog: {}\npool: {}\n",
         "c.yaml:3:1: duplicate key \"pool\"; expected each name once (the first is in line 1)"},
        {"pool: {max_size: 1, max_size: 2}\n", "c.yaml:1:21: duplicate key \"max_size\""},
        {"databases:\n  a: {}\n  \"a\": {}\n", "c.yaml:3:3: duplicate key \"a\""},
        {"databases: {a: {}}\ndatabases: {b: {}}\n", "c.yaml:2:1: duplicate key \"databases\""},
        {"databases: {a: {pool: {mode: session, mode: session}}}\n", "duplicate key \"mode\""},
    };
    check_all(cases);
}

TEST_CASE("wrong types are told with what was expected") {
    const Case cases[] = {
        {"[]\n", "c.yaml:1:1: the file is not a map"},
        {"text\n", "c.yaml:1:1: the file is not a map"},
        {"- pool\n", "the file is not a map"},
        {"pool: 5\n", "c.yaml:1:7: pool: one value; expected a map of options: idle_timeout"},
        {"pool: [a]\n", "c.yaml:1:7: pool: one value"},
        {"listen: {tls: require}\n", "c.yaml:1:15: listen.tls: one value; expected a map"},
        {"listen: {port: [1]}\n", "c.yaml:1:16: listen.port: not one value"},
        {"listen: {port: {a: 1}}\n", "listen.port: not one value"},
        {"listen: {port: }\n", "listen.port: no value"},
        {"listen: {host: ~}\n", "c.yaml:1:16: listen.host: no value"},
        {"listen: {host: null}\n", "listen.host: no value"},
        {"admin: {users: postgres}\n", "admin.users: not a list; expected one such as [a, b]"},
        {"admin: {users: [[a]]}\n", "c.yaml:1:17: admin.users: not one value"},
        {"admin: {users: [a, ~]}\n", "admin.users: not one value"},
        {"admin: {users: [\"\"]}\n", "admin.users: \"\" is an empty name"},
        {"databases: []\n", "c.yaml:1:12: databases: not a map"},
        {"databases: x\n", "databases: not a map"},
        {"databases: {}\n", "databases: not a map with entries"},
        {"databases: {a: x}\n", "c.yaml:1:16: database \"a\": not a map"},
        {"databases: {a: [x]}\n", "database \"a\": not a map"},
        {"databases: {~: {}}\n", "a name that is not plain text"},
        {"databases: {\"\": {}}\n", "the name of a database is empty"},
        {"databases: {\"a\\nb\": {}}\n", "control character"},
        {"? [a]\n: 1\n", "a name that is not plain text"},
        {"? {a: b}\n: 1\n", "a name that is not plain text"},
    };
    check_all(cases);
}

TEST_CASE("numbers, switches and words are read strictly") {
    const Case cases[] = {
        {"listen: {port: 0}\n", "\"0\" is out of range; expected a whole number from 1 to 65535"},
        {"listen: {port: 65536}\n", "out of range"},
        {"listen: {port: 010}\n", "\"010\" is not a whole number"},
        {"listen: {port: 0x10}\n", "not a whole number"},
        {"listen: {port: 6_432}\n", "not a whole number"},
        {"listen: {port: 6432.0}\n", "not a whole number"},
        {"listen: {port: +6432}\n", "not a whole number"},
        {"listen: {port: -1}\n", "not a whole number"},
        {"listen: {port: \" 6432\"}\n", "not a whole number"},
        {"listen: {port: \"\"}\n", "not a whole number"},
        {"listen: {port: 99999999999999999999}\n", "not a whole number"},
        {"workers: 0\n", "expected auto or a whole number from 1 to 64"},
        {"workers: 65\n", "out of range"},
        {"workers: Auto\n", "expected auto or"},
        {"limits: {max_server_connections: 0}\n", "expected auto or a whole number from 1"},
        {"limits: {max_clients: 0}\n", "out of range"},
        {"pool: {max_size: 0}\n", "\"0\" is out of range; expected a whole number from 1"},
        {"pool: {max_size: auto}\n", "not a whole number"},
        {"cache: {enabled: on}\n", "\"on\" is not a switch; expected true or false"},
        {"cache: {enabled: True}\n", "not a switch"},
        {"cache: {enabled: 1}\n", "not a switch"},
        {"cache: {enabled: \"\"}\n", "not a switch"},
        {"cache: {consistency: exact}\n",
         "\"exact\" is not known; expected auto, strict, bounded, in_band, ttl or off"},
        {"cache: {consistency: Auto}\n", "not known"},
        {"cache: {consistency: \"\"}\n", "not known"},
        {"cache: {consistency: auto|strict}\n", "not known"},
        {"pool: {mode: transactions}\n", "expected session, transaction or statement"},
        {"auth: {method: peer}\n", "expected forward, trust, scram-sha-256, md5 or hba"},
        {"slow_log: {format: text}\n", "\"text\" is not known; expected json"},
        {"databases: {a: {tls: {mode: verify_full}}}\n", "verify-ca or verify-full"},
        {"cache: {verify_ratio: 1.1}\n", "expected a number from 0 to 1"},
        {"cache: {verify_ratio: -0.1}\n", "not a share"},
        {"cache: {verify_ratio: nan}\n", "not a share"},
        {"cache: {verify_ratio: 1e-3}\n", "not a share"},
        {"cache: {verify_ratio: 0.1.1}\n", "not a share"},
        {"cache: {verify_ratio: .}\n", "not a share"},
        {"cache: {verify_ratio: \"\"}\n", "not a share"},
    };
    check_all(cases);
}

TEST_CASE("durations and sizes need units and have ranges") {
    const Case cases[] = {
        {"pool: {idle_timeout: 30}\n",
         "c.yaml:1:22: pool.idle_timeout: \"30\" is not a duration; expected a whole number with a "
         "unit"},
        {"pool: {idle_timeout: -1s}\n", "not a duration"},
        {"pool: {idle_timeout: off}\n", "not a duration"},
        {"pool: {idle_timeout: 366d}\n", "out of range; expected a duration from 0 to 365d"},
        {"pool: {idle_timeout: 99999999999999d}\n", "not a duration"},
        {"timeouts: {connect: 0}\n", "expected a duration from 1ms to 1h"},
        {"timeouts: {connect: 2h}\n", "out of range"},
        {"cache: {catalog_poll: 0}\n", "out of range"},
        {"slow_log: {threshold: -2}\n", "such as off, 200ms"},
        {"slow_log: {threshold: 1000}\n", "not a duration"},
        {"slow_log: {threshold: never}\n", "not a duration"},
        {"cache: {max_size: 256}\n", "\"256\" is not a size; expected a whole number with a unit"},
        {"cache: {max_size: 0}\n", "out of range; expected a size from 64KiB"},
        {"cache: {max_size: 1.5GiB}\n", "not a size"},
        {"cache: {max_size: 256mb}\n", "not a size"},
        {"limits: {max_message: 1GiB}\n", "out of range"},
        {"limits: {statement_buffer: 1B}\n", "out of range"},
    };
    check_all(cases);
}

TEST_CASE("settings that do not fit each other are told where they are") {
    const Case cases[] = {
        {"pool: {min_size: 9, max_size: 3}\n",
         "c.yaml:1:18: pool.min_size 9 is more than pool.max_size 3"},
        {"pool: {min_size: 30}\n", "pool.min_size 30 is more than pool.max_size 20"},
        {"databases: {a: {pool: {min_size: 30}}}\n",
         "c.yaml:1:34: databases.a.pool.min_size 30 is more than pool.max_size 20"},
        {"databases: {a: {pool: {min_size: 3, max_size: 2}}}\n", "databases.a.pool.min_size 3"},
        {"listen: {tls: {mode: require}}\n", "c.yaml:1:22: listen.tls.mode: needs a certificate"},
        {"listen: {tls: {mode: allow, cert_file: /etc/passwd}}\n", "needs a certificate"},
        {"listen: {tls: {mode: verify-ca, cert_file: /etc/passwd, key_file: /etc/passwd}}\n",
         "expected listen.tls.ca_file"},
        {"listen: {tls: {mode: require, cert_file: /etc/passwd, key_file: /etc/passwd, crl_file: "
         "/etc/passwd}}\n",
         "listen.tls.crl_file: revokes certificates nobody is asked for"},
        {"databases: {a: {tls: {mode: require, crl_file: /etc/passwd}}}\n",
         "databases.a.tls.crl_file: is of no use where nothing is verified"},
        {"listen: {host: db.example.org}\n", "\"db.example.org\" is no address"},
        {"listen: {host: 1.2.3}\n", "is no address"},
        {"auth: {method: scram-sha-256}\n", "expected auth.users_file"},
        {"auth: {method: md5}\n", "expected auth.users_file"},
        {"auth: {method: hba}\n", "expected auth.hba_file"},
        {"control: {password_file: /etc/passwd}\n", "a password of nobody; expected control.user"},
        {"databases: {a: {password_file: /etc/passwd}}\n",
         "databases.a.password_file: a password of nobody; expected user"},
        {"databases: {a: {control: {password_file: /etc/passwd}}}\n", "expected control.user"},
        {"cache: {max_size: 1MiB, max_entry: 2MiB}\n", "c.yaml:1:36: cache.max_entry: larger"},
        {"cache: {consistency: in_band}\n", "expected cache.exclusive_writer: true"},
        {"admin: {database: \"\"}\n", "is no name"},
        {"databases: {pgweir: {}}\n", "c.yaml:1:13: \"pgweir\" is the console's name"},
        {"databases: {pgbouncer: {}}\n", "is the console's name"},
        {"admin: {database: con}\ndatabases: {con: {}}\n", "c.yaml:2:13: \"con\" is the console's"},
        {"http: {listen: 9930}\n", "expected host:port"},
        {"http: {listen: \"127.0.0.1:0\"}\n", "expected host:port"},
        {"http: {listen: \"127.0.0.1:99999\"}\n", "expected host:port"},
        {"http: {listen: \"::1:9930\"}\n", "expected host:port"},
        {"http: {listen: \"[::1:9930\"}\n", "expected host:port"},
        {"http: {listen: \"[x]:9930\"}\n", "expected host:port"},
        {"http: {listen: \"http://a:80\"}\n", "expected host:port"},
        {"http: {listen: \"127.0.0.1:6432\"}\n", "expected another port"},
        {"http: {listen: \":6432\"}\n", "expected another port"},
        {"http: {listen: \":9930\"}\n", "http.token_file, or http.allow_remote_open: true"},
        {"http: {listen: \"10.0.0.1:9930\"}\n", "would tell everybody who reaches it"},
        {"listen: {proxy_protocol: [10.0.0.0/33]}\n", "expected one such as 10.0.0.5"},
        {"listen: {proxy_protocol: [balancer]}\n", "expected one such as 10.0.0.5"},
        {"auth: {method: trust}\nlisten: {proxy_protocol: [127.0.0.1]}\n",
         "auth.allow_remote_trust: true"},
        {"databases: {a: {tls: {negotiation: direct}}}\n", "expected tls.mode require or above"},
        {"databases: {a: {tls: {channel_binding: require}}}\n",
         "expected tls.mode require or above"},
        {"databases: {a: {tls: {cert_file: /dev/null}}}\n", "expected both or none"},
    };
    check_all(cases);
}

TEST_CASE("a server that is no server, or pgweir itself, is told") {
    const Case cases[] = {
        {"databases: {a: {host: \"\"}}\n",
         "c.yaml:1:23: databases.a.host: \"\" is no server's name"},
        {"databases: {a: {host: \"10.0.0.1:5432\"}}\n", "expected no port in it"},
        {"databases: {a: {host: \"a,b\"}}\n", "expected one name, not a list"},
        {"databases: {a: {host: \"a b\"}}\n", "is no server's name"},
        {"databases: {a: {host: \"u@h\"}}\n", "databases.a.host: a user or a scheme in it"},
        {"databases: {a: {host: \"*\"}}\n", "is no server's name"},
        {"databases: {a: {host: \"a\\nb\"}}\n", "has a control character"},
        {"databases: {a: {user: \"a\\0b\"}}\n", "has a control character"},
        {"databases: {a: {port: 6432}}\n", "databases.a.host: pgweir would connect to itself"},
        {"databases: {a: {host: localhost, port: 6432}}\n", "would connect to itself"},
        {"listen: {host: \"*\", port: 5432}\ndatabases: {a: {}}\n", "would connect to itself"},
        {"listen: {port: 5432}\n", "c.yaml:1:16: databases.*.host: pgweir would connect to itself"},
        {"listen: {unix_socket_dir: /s}\ndatabases: {a: {host: /s, port: 6432}}\n", "to itself"},
    };
    check_all(cases);
    good("databases: {a: {host: 10.0.0.1, port: 6432}}\n");
    good("listen: {unix_socket_dir: /s}\ndatabases: {a: {host: /s}}\n");
    good("listen: {host: 127.0.0.2, port: 5432}\nauth: {method: forward}\n");
    CHECK(has(bad("databases: {a: {host: /" + std::string(92, 'x') + "}}\n"), "at most 92 bytes"));
    CHECK(has(bad("databases: {a: {host: " + std::string(256, 'x') + "}}\n"), "at most 255 bytes"));
    CHECK(has(bad("listen: {unix_socket_dir: /" + std::string(92, 'x') + "}\n"), "92 bytes"));
    good("databases: {a: {host: /" + std::string(91, 'x') + "}}\n");
    good("listen: {unix_socket_dir: /" + std::string(91, 'x') + "}\n");
    CHECK(has(bad("databases: {" + std::string(256, 'x') + ": {}}\n"),
              "name of a database is too long"));
}

TEST_CASE("a file that is named has to be readable, and a secret has to be one") {
    const Folder folder;
    const auto with = [&](const std::string& path) {
        return bad("control: {user: u, password_file: " + path + "}\n");
    };
    CHECK(has(with("none"),
              "c.yaml:1:35: control.password_file: \"none\" cannot be read: No such file"));
    CHECK(has(with(folder.path()), "not a regular file"));
    CHECK(has(with("/dev/zero"), "not a regular file"));
    CHECK(has(with(folder.write("empty", "")), "is empty"));
    CHECK(has(with(folder.write("newline", "\n")), "is empty"));
    CHECK(has(with(folder.write("zero", std::string("a\0b", 3))), "zero byte"));
    CHECK(has(with(folder.write("big", std::string(65537, 'x'))), "more than 64 KiB"));
    const auto errors = bad(
        "listen: {tls: {cert_file: a, key_file: b, ca_file: c, crl_file: g}}\n"
        "auth: {users_file: d, hba_file: e}\ndatabases: {x: {tls: {ca_file: f, crl_file: h}}}\n");
    for (const auto* name :
         {"\"a\"", "\"b\"", "\"c\"", "\"d\"", "\"e\"", "\"f\"", "\"g\"", "\"h\""})
        CHECK(has(errors, std::string(name) + " cannot be read: "));
}

TEST_CASE("a file that cannot be read is an error of its own, beside those of the environment") {
    const Folder folder;
    const auto none = load_config(folder.path() + "/none.yaml", environment());
    CHECK(none.config == nullptr);
    REQUIRE(none.errors.size() == 1);
    CHECK(none.errors[0] == folder.path() +
                                "/none.yaml: cannot be read: No such file or directory; "
                                "expected a YAML file");
    const auto both = load_config(folder.path() + "/x", environment({{"DB_POOL_MIN", "few"}}));
    REQUIRE(both.errors.size() == 2);
    CHECK(has(both.errors[0], "/x: cannot be read"));
    CHECK(has(both.errors[1], "environment variable DB_POOL_MIN: \"few\""));
    const auto directory = load_config(folder.path(), environment());
    REQUIRE(directory.errors.size() == 1);
    CHECK(has(directory.errors[0], "cannot be read: Is a directory"));
}

TEST_CASE("all errors are told in one run, in the order of the file") {
    const auto errors =
        bad("log: {level: loud}\npool: {max_size: lots, nope: 1}\n"
            "databases:\n  a: {port: x}\n  b: {host: \"\"}\nauth: {method: md5}\n",
            {{"DB_POOL_MIN", "x"}});
    int last = 0, lines = 0;
    for (std::size_t at = 0; at < errors.size(); at = errors.find('\n', at) + 1, ++lines) {
        if (errors.compare(at, 7, "c.yaml:") != 0) continue;
        const int line = std::stoi(errors.substr(at + 7));
        CHECK(line >= last);
        last = line;
    }
    CHECK(lines == 7);
    CHECK(last == 6);
    CHECK(has(errors, "DB_POOL_MIN"));
}

TEST_CASE("nobody is told of a thousand errors") {
    std::string text = "databases:\n";
    for (int i = 0; i < 1000; ++i) text += "  d" + std::to_string(i) + ": {nope: 1}\n";
    const auto result = parse(text);
    CHECK(result.config == nullptr);
    CHECK(result.errors.size() == 101);
    CHECK(has(result.errors.back(), "more errors follow"));
}
