// See command_line.hpp.
#include "pgweir/server/command_line.hpp"

#include <CLI/CLI.hpp>

#include "pgweir/server/environment.hpp"

namespace pgweir::server {

namespace {
constexpr int kUsageError = 2;

void add_report(CLI::App& app, CommandLine& line) {
    auto* report = app.add_subcommand("report", "say what slow logs say, as text or as one page");
    report->footer("Logs may be of any slow_log.format, also mixed, and cut; - is standard input.");
    report->add_option("logs", line.report.files, "slow logs")->required()->type_name("FILE");
    report->add_option("--html", line.report.html, "also write a page that opens offline")
        ->type_name("FILE");
    report->add_option("--top", line.report.top, "queries shown (20)")
        ->check(CLI::Range(1, 10'000))
        ->type_name("N");
    report->callback([&line] { line.make_report = true; });
}
}  // namespace

CommandLine parse_command_line(int argc, char** argv) {
    CommandLine line;
    CLI::App app{
        "pgweir: a proxy between applications and PostgreSQL that pools connections, answers "
        "repeated\n"
        "reads from a cache that stays correct, and logs what was slow.",
        "pgweir"};
    app.footer(
        "Without a configuration file it listens on 127.0.0.1:6432, takes every database from\n"
        "127.0.0.1:5432, and writes the slow log to standard error.\n"
        "Console: psql -p 6432 -d pgweir -c 'SHOW POOLS'. Metrics: http://127.0.0.1:9930/metrics.\n"
        "Signals: SIGHUP reads the configuration again; SIGTERM and SIGINT let transactions finish "
        "and\n"
        "stop, a second one stops at once.\n"
        "Exit status: 0 success, 1 runtime error, 2 wrong usage, 78 bad configuration.");
    app.add_option("-c,--config", line.config_file, "configuration file (YAML)")->type_name("FILE");
    app.add_flag("-t,--check-config", line.check_config, "check the configuration and exit");
    add_report(app, line);
    app.set_version_flag("-V,--version", "pgweir " PGWEIR_VERSION, "print the version and exit");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        line.exit_code = app.exit(e) == 0 ? 0 : kUsageError;
    }
    return line;
}

config::Environment process_environment() {
    return [](const std::string& name) -> std::optional<std::string> {
        const char* value = std::getenv(name.c_str());
        if (value == nullptr) return std::nullopt;
        return std::string(value);
    };
}

}  // namespace pgweir::server
