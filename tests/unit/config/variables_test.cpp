// The environment: variables that beat the file, and references inside values.
#include "../../../src/config/scalar.hpp"
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
    for (const auto& [text, expected] : cases) {
        std::string value = text;
        CHECK_MESSAGE(!interpolate(value, environment(variables)), text);
        CHECK_MESSAGE(value == expected, text);
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
