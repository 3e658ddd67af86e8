// The environment: variables that beat the file, and references inside values.
#include "../../../src/config/scalar.hpp"
#include "pgweir/config/options.hpp"
#include "support.hpp"

using namespace pgweir::config;
using namespace pgweir::config::testing;
using pgweir::base::kMillisecond;
using pgweir::base::kSecond;

TEST_CASE("environment variables beat the file, in milliseconds and for the TTL in seconds") {
    const auto c =
        good("pool: {min_size: 1, max_size: 2, idle_timeout: 1s}\ncache: {default_ttl: 1s}\n",
             {{"DB_POOL_MIN", "7"},
              {"DB_POOL_MAX", "70"},
              {"DB_POOL_IDLE_TIMEOUT", "1500"},
              {"DB_POOL_CONN_TIMEOUT", "2500"},
              {"DB_POOL_VALIDATION_QUERY", "SELECT 2"},
              {"DB_QUERY_TIMEOUT", "30000"},
              {"SLOW_QUERY_THRESHOLD", "250"},
              {"CACHE_DEFAULT_TTL", "60"}});
    CHECK(c->pool.min_size == 7);
    CHECK(c->pool.max_size == 70);
    CHECK(c->pool.idle_timeout == 1500 * kMillisecond);
    CHECK(c->pool.wait_timeout == 2500 * kMillisecond);
    CHECK(c->pool.validation_query == "SELECT 2");
    CHECK(c->timeouts.query == 30 * kSecond);
    CHECK(c->slow_log.threshold == 250 * kMillisecond);
    CHECK(c->cache.default_ttl == 60 * kSecond);
}

TEST_CASE("a unit in a variable is honoured") {
    const auto c = good("{}", {{"DB_QUERY_TIMEOUT", "1min"},
                               {"CACHE_DEFAULT_TTL", "15min"},
                               {"SLOW_QUERY_THRESHOLD", "off"},
                               {"DB_POOL_IDLE_TIMEOUT", "0"}});
    CHECK(c->timeouts.query == 60 * kSecond);
    CHECK(c->cache.default_ttl == 900 * kSecond);
    CHECK(c->slow_log.threshold == -1);
    CHECK(c->pool.idle_timeout == 0);
}

TEST_CASE("DB_POOL_SIZE is the maximum, and DB_POOL_MAX wins over it") {
    CHECK(good("{}", {{"DB_POOL_SIZE", "33"}})->pool.max_size == 33);
    CHECK(good("{}", {{"DB_POOL_SIZE", "33"}, {"DB_POOL_MAX", "44"}})->pool.max_size == 44);
    CHECK(good("{}", {{"DB_POOL_SIZE", "33"}, {"DB_POOL_MAX", ""}})->pool.max_size == 33);
}

TEST_CASE("variables beat what databases say of their pools, and apply without a file") {
    const auto c = good("databases: {a: {pool: {max_size: 3, mode: session}}, b: {}}\n",
                        {{"DB_POOL_MAX", "8"}});
    CHECK(c->find_database("a")->pool.max_size == 8);
    CHECK(c->find_database("a")->pool.mode == PoolMode::session);
    CHECK(c->find_database("b")->pool.max_size == 8);
    const auto none = load_config("", environment({{"DB_POOL_MAX", "8"}}));
    REQUIRE(none.config != nullptr);
    CHECK(none.config->databases[0].pool.max_size == 8);
}

TEST_CASE("a bad variable is an error that names it, once, beside the errors of the file") {
    const std::pair<const char*, const char*> cases[] = {
        {"DB_POOL_MIN", "few"},
        {"DB_POOL_MIN", "-1"},
        {"DB_POOL_MAX", "0"},
        {"DB_POOL_SIZE", "010"},
        {"DB_POOL_MAX", "1e3"},
        {"DB_POOL_IDLE_TIMEOUT", "1.5"},
        {"DB_POOL_CONN_TIMEOUT", "x"},
        {"DB_QUERY_TIMEOUT", "99999999999999999999"},
        {"SLOW_QUERY_THRESHOLD", "-2"},
        {"CACHE_DEFAULT_TTL", "1 hour"},
        {"DB_POOL_VALIDATION_QUERY", "SELECT\x01"}};
    for (const auto& [name, value] : cases) {
        const auto errors = bad("databases: {a: {}, b: {}}\nnope: 1\n", {{name, value}});
        const auto line = "environment variable " + std::string(name) + ": ";
        CHECK_MESSAGE(has(errors, line), errors);
        CHECK(errors.find(line) == errors.rfind(line));
        CHECK(has(errors, "; expected "));
        CHECK(has(errors, "c.yaml:2:1: unknown key"));
    }
}

TEST_CASE("variables that contradict each other are an error also without a file") {
    const auto result = load_config("", environment({{"DB_POOL_MIN", "9"}, {"DB_POOL_MAX", "3"}}));
    CHECK(result.config == nullptr);
    REQUIRE(result.errors.size() == 1);
    CHECK(result.errors[0] ==
          "environment variable DB_POOL_MIN: pool.min_size 9 is more than pool.max_size 3; "
          "expected at most that");
    CHECK(has(bad("pool: {max_size: 4}\n", {{"DB_POOL_MIN", "9"}}), "DB_POOL_MIN"));
}

TEST_CASE("references in values are replaced") {
    const Variables variables{{"HOST", "db"}, {"EMPTY", ""}, {"ODD", "${HOST}$"}, {"_x1", "y"}};
    const std::pair<const char*, const char*> cases[] = {{"", ""},
                                                         {"plain", "plain"},
                                                         {"${HOST}", "db"},
                                                         {"a${HOST}b${HOST}c", "adbbdbc"},
                                                         {"${NONE:-other}", "other"},
                                                         {"${NONE:-}", ""},
                                                         {"${EMPTY}", ""},
                                                         {"${EMPTY:-other}", "other"},
                                                         {"${HOST:-other}", "db"},
                                                         {"${NONE:-a:-b}", "a:-b"},
                                                         {"${NONE:-$5}", "$5"},
                                                         {"$${HOST}", "${HOST}"},
                                                         {"$$${HOST}", "$${HOST}"},
                                                         {"$HOST $ $$ {}", "$HOST $ $$ {}"},
                                                         {"${ODD}${HOST}", "${HOST}$db"},
                                                         {"${ODD}{HOST}", "${HOST}${HOST}"},
                                                         {"${_x1}", "y"}};
    for (const auto& c : cases) {
        std::string value = c.first;
        CHECK_MESSAGE(!interpolate(value, environment(variables)), c.first);
        CHECK_MESSAGE(value == c.second, c.first);
    }
}

TEST_CASE("references that cannot be replaced are errors") {
    for (const auto* text : {"${NONE}", "${", "${HOST", "${}", "${:-x}", "${1A}", "${A-B}",
                             "${A B}", "${A:=b}", "${NONE:-${HOST}}", "a ${\xff}"}) {
        std::string value = text;
        const auto problem = interpolate(value, environment({{"HOST", "db"}}));
        REQUIRE_MESSAGE(problem, text);
        CHECK_MESSAGE(has(*problem, "; expected "), *problem);
    }
    CHECK(has(bad("databases:\n  a: {host: \"${NONE}\"}\n"),
              "c.yaml:2:13: databases.a.host: the environment variable NONE is not set"));
}

TEST_CASE("what is put in place of a reference is text, never YAML, and has a bound") {
    const Variables variables{
        {"SQL", "{a: b}\n- x: &y *z"}, {"BIG", std::string(40'000, 'x')}, {"NAMES", "a, b"}};
    CHECK(good("pool: {validation_query: \"${SQL}\"}\n", variables)->pool.validation_query ==
          variables.at("SQL"));
    CHECK(good("admin: {users: [\"${NAMES}\"]}\n", variables)->admin.users.size() == 1);
    CHECK(has(bad("databases: {a: {dbname: \"${BIG}${BIG}\"}}\n", variables), "too long"));
    CHECK(has(bad("databases: {a: {dbname: \"${SQL}\"}}\n", variables), "control character"));
}

TEST_CASE("what the environment puts into a value is in no error, since it may be a secret") {
    const Variables variables{
        {"S", "hunter2"}, {"URL", "postgres://u:hunter2@h/db"}, {"E", "a\tb"}};
    const std::pair<const char*, const char*> cases[] = {
        {"control: {user: u, password_file: ${S}}\n",
         "c.yaml:1:35: control.password_file: \"${S}\" cannot be read: No such file or directory; "
         "expected a readable file\n"},
        {"databases: {a: {user: u, password_file: '/none/${S}'}}\n",
         "c.yaml:1:41: databases.a.password_file: \"/none/${S}\" cannot be read: No such file or "
         "directory; expected a readable file\n"},
        {"control: {user: u, password_file: \"${S}\\t\"}\n",
         "c.yaml:1:35: control.password_file: \"${S}\\x09\" has a control character; expected text "
         "without any\n"},
        {"listen: {port: ${S}}\n",
         "c.yaml:1:16: listen.port: \"${S}\" is not a whole number; expected a whole number from 1 "
         "to "
         "65535\n"},
    };
    for (const auto& [text, error] : cases) CHECK(bad(text, variables) == error);
    for (const auto* text :
         {"databases: {a: {host: ${URL}}}\n", "databases: {a: {host: 'x ${S}'}}\n",
          "databases: {a: {host: '${S}:5432'}}\n", "databases: {a: {tls: {mode: ${S}}}}\n",
          "databases: {a: {tls: {ca_file: ${S}}}}\n", "databases: {a: {dbname: '${S}${E}'}}\n",
          "listen: {host: ${S}}\n", "listen: {host: '${S}'}\nauth: {method: trust}\n",
          "http: {listen: ${S}}\n", "timeouts: {query: ${S}}\n", "cache: {max_size: ${S}}\n",
          "cache: {enabled: ${S}}\n", "cache: {verify_ratio: ${S}}\n", "workers: ${S}\n",
          "admin: {users: ['${S}${E}']}\n", "slow_log: {threshold: ${S}, file: '${S}${E}'}\n",
          "pool: {mode: ${S}, validation_query: \"${S}\\x01\"}\n"}) {
        const auto errors = bad(text, variables);
        CHECK_MESSAGE(!has(errors, "hunter2"), errors);
        CHECK(has(errors, "; expected "));
    }
    // Nor does a URL that somebody wrote into the file itself.
    const auto url = bad("databases: {a: {host: 'postgres://u:hunter2@h/db'}}\n");
    CHECK(has(url, "c.yaml:1:23: databases.a.host: a user or a scheme in it"));
    CHECK(!has(url, "hunter2"));
}

TEST_CASE("a reference needs no quotes, also between braces and brackets") {
    const Variables variables{{"H", "h"}, {"P", "5433"}, {"_u1", "ada"}};
    const auto c = good(
        "databases: {a: {host: ${H}, port: ${P}, dbname: x${H}y, user: ${NONE:-a:b c}}}\n"
        "admin: {users: [${_u1}, ${NONE:-bob}, '${H}', \"${H}\"]}\nlog: {file: ${NONE:-}/x}\n"
        "pool: {validation_query: '${A:- {}$${ }'} # ${\n",
        {{"H", "h"}, {"P", "5433"}, {"_u1", "ada"}, {"A", "q"}});
    const auto& a = *c->find_database("a");
    CHECK(a.host == "h");
    CHECK(a.port == 5433);
    CHECK(a.dbname == "xhy");
    CHECK(a.login.user == "a:b c");
    CHECK(c->admin.users == std::vector<std::string>{"ada", "bob", "h", "h"});
    CHECK(c->log.file == "/x");
    CHECK(c->pool.validation_query == "q${ }");
    CHECK(good("databases: {a: {dbname: $${H}}}\n")->find_database("a")->dbname == "${H}");
    CHECK(has(bad("{listen: {host: ${H}, prot: 1}}\n", variables), "c.yaml:1:23: unknown key"));
    CHECK(has(bad("databases: {a: {host: ${H}, ${H}: 1}}\n", variables),
              "c.yaml:1:29: unknown key \"databases.a.${H}\""));
    // Escapes that spell the characters used inside are errors like all control characters.
    for (const auto* escape : {"\\x01", "\\x02", "\\u0001", "\\U00000002"})
        CHECK(has(bad("databases: {a: {dbname: \"" + std::string(escape) + "\"}}\n# ${H}\n"),
                  "has a control character"));
    for (const auto* text : {"a: {b: ${\n", "a: {b: ${H\n", "a: {b: ${H:-\n}}\n", "a: {b: ${}}\n"})
        CHECK(has(bad(text, variables), "c.yaml:"));
}

TEST_CASE("references work for every type of value") {
    const auto c = good(
        "listen: {port: \"${P}\"}\nworkers: ${W:-3}\ncache: {enabled: '${E}', "
        "max_size: '${S}'}\ntimeouts: {query: '${T}'}\n",
        {{"P", "7001"}, {"E", "false"}, {"S", "1MiB"}, {"T", "5s"}});
    CHECK(c->listen.port == 7001);
    CHECK(c->workers == 3);
    CHECK(!c->cache.enabled);
    CHECK(c->timeouts.query == 5 * kSecond);
}

TEST_CASE("a secret may stand in an environment variable, named in the place of its file") {
    const std::string file =
        "control: {user: c, password_file: \"env:CONTROL\"}\n"
        "databases: {a: {user: u, password_file: \"env:${WHICH}\"}}\n";
    const auto c = good(file, {{"CONTROL", "hidden"}, {"WHICH", "APP"}, {"APP", "as well"}});
    CHECK(c->control.password == "hidden");
    CHECK(c->control.password_file == "env:CONTROL");
    CHECK(c->databases.at(0).login.password == "as well");
    for (const auto& option : shown_options(*c)) {
        CHECK_FALSE(has(option.value, "hidden"));
        CHECK_FALSE(has(option.value, "as well"));
    }
    for (const Variables& missing : {Variables{{"CONTROL", ""}}, Variables{{"OTHER", "x"}}})
        CHECK(has(bad("control: {user: c, password_file: \"env:CONTROL\"}\n", missing),
                  "control.password_file: environment variable \"CONTROL\" is not set"));
}
