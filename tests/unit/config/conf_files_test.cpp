// The files in conf/ and docs/: generated ones are what the table says, written ones load.
#include <sstream>

#include "config/source_root.hpp"
#include "pgweir/config/difference.hpp"
#include "pgweir/config/options.hpp"
#include "support.hpp"

using namespace pgweir::config;
using namespace pgweir::config::testing;

namespace {

const std::string kConf = SOURCE_ROOT "/conf/";

std::string content(const std::string& file) {
    std::ostringstream text;
    text << std::ifstream(file).rdbuf();
    return text.str();
}

/// With PGWEIR_WRITE_DOCS set the test writes the file instead: how it is generated.
void check_generated(const std::string& file, const std::string& text) {
    if (getenv("PGWEIR_WRITE_DOCS") != nullptr) std::ofstream(file) << text;
    CHECK_MESSAGE(content(file) == text, file,
                  " is not what the table says; run unit_config with PGWEIR_WRITE_DOCS=1");
}

ConfigPtr load(const std::string& name, const Variables& variables = {}) {
    auto result = load_config(kConf + name, environment(variables));
    for (const auto& error : result.errors) MESSAGE(error);
    REQUIRE(result.config != nullptr);
    return result.config;
}

}  // namespace

TEST_CASE("conf/pgweir.yaml is what the table says") {
    check_generated(kConf + "pgweir.yaml", reference_yaml());
}

TEST_CASE("docs/options.md is what the table says") {
    check_generated(SOURCE_ROOT "/docs/options.md", reference_markdown());
    for (const auto& option : options())
        CHECK_MESSAGE(has(reference_markdown(), std::string(option.help.substr(0, 20))),
                      option.name);
}

TEST_CASE("the reference states every option, and states the defaults") {
    const auto reference = load("pgweir.yaml");
    auto defaults = *load_config("", environment()).config;
    defaults.slow_log.file = kConf + "slow.log";
    for (const auto& change : differences(defaults, *reference)) FAIL_CHECK(change.text);
    const auto text = reference_yaml();
    for (const auto& option : options()) {
        const auto name = option.name.substr(option.name.rfind('.') + 1);
        CHECK_MESSAGE(has(text, std::string(name) + ": "), option.name);
    }
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) CHECK_MESSAGE(line.size() <= 100, line);
}

TEST_CASE("conf/minimal.yaml loads and is the default of databases") {
    const auto config = load("minimal.yaml");
    REQUIRE(config->databases.size() == 1);
    CHECK(config->databases[0].name == "*");
    CHECK(config->databases[0].host == "127.0.0.1");
    CHECK(config->slow_log.file == kConf + "slow.log");
}

TEST_CASE("conf/development.yaml loads with and without the variables it takes") {
    const auto config = load("development.yaml");
    CHECK(config->slow_log.file.empty());
    CHECK(config->slow_log.threshold == 100 * pgweir::base::kMillisecond);
    CHECK(config->cache.exclusive_writer);
    CHECK(config->databases[0].port == 5432);
    CHECK(config->timeouts.query == 0);
    const auto other = load("development.yaml",
                            {{"PGPORT", "5433"}, {"PGHOST", "/run/postgresql"}, {"USER", "ada"}});
    CHECK(other->databases[0].port == 5433);
    CHECK(other->databases[0].host == "/run/postgresql");
    CHECK(other->admin.users == std::vector<std::string>{"postgres", "ada"});
}

TEST_CASE("conf/production.yaml loads with its secrets, and tells each one that is missing") {
    const Folder folder;
    for (const char* name : {"server.crt", "server.key", "server_ca.crt", "users.txt"})
        folder.write(name, "-\n");
    folder.write("app_password", "of the application\n");
    folder.write("control_password", "of pgweir\n");
    const auto config = load("production.yaml", {{"PGWEIR_SECRETS", folder.path()}});
    CHECK(config->timeouts.query == 30 * pgweir::base::kSecond);
    CHECK(config->listen.tls.mode == TlsMode::require);
    CHECK(config->auth.method == AuthMethod::scram_sha_256);
    REQUIRE(config->databases.size() == 1);
    CHECK(config->databases[0].login.password == "of the application");
    CHECK(config->databases[0].control.password == "of pgweir");
    CHECK(config->slow_log.file == "/var/log/pgweir/slow.log");

    const auto none =
        load_config(kConf + "production.yaml", environment({{"PGWEIR_SECRETS", "/nonexistent"}}));
    CHECK(none.config == nullptr);
    CHECK(none.errors.size() == 6);
    for (const auto& error : none.errors) {
        CHECK(has(error, "\"${PGWEIR_SECRETS:-/run/secrets}/"));
        CHECK(has(error, "cannot be read: No such file"));
    }
}

TEST_CASE("the files in conf/ have lines of at most a hundred columns, and no tab") {
    for (const auto* name :
         {"pgweir.yaml", "minimal.yaml", "development.yaml", "production.yaml"}) {
        std::istringstream lines(content(kConf + name));
        int count = 0;
        for (std::string line; std::getline(lines, line); ++count) {
            CHECK_MESSAGE(line.size() <= 100, name, ": ", line);
            CHECK_MESSAGE(!has(line, "\t"), name, ": ", line);
        }
        CHECK_MESSAGE(count >= 3, name);
    }
}
