// The program: command line, configuration, supervisor. Exit codes: 0, 1 runtime, 2 usage, 78
// configuration (sysexits.h).
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>

#include "pgweir/base/log.hpp"
#include "pgweir/server/command_line.hpp"
#include "pgweir/server/environment.hpp"
#include "pgweir/server/supervisor.hpp"

namespace {
constexpr int kRuntimeError = 1;
constexpr int kConfigError = 78;
}  // namespace

namespace {
/// Passwords and keys are in memory. 1, not 0: the kernel hands cores to a program such as
/// systemd-coredump whatever the limit is, but for this one.
void forbid_cores() noexcept {
    const rlimit one{1, 1};
    setrlimit(RLIMIT_CORE, &one);
}

int report(pgweir::admin::ReportOptions options) {
    options.progress = isatty(STDERR_FILENO) == 1;
    const auto to = [](std::FILE* file, const char* end) {
        return [file, end](const std::string& text) {
            std::fputs((text + end).c_str(), file);
            std::fflush(file);
        };
    };
    const bool good =
        pgweir::admin::run_report(options, to(stdout, ""), to(stderr, "\n"), to(stderr, ""));
    return good && std::ferror(stdout) == 0 ? 0 : kRuntimeError;
}
}  // namespace

int main(int argc, char** argv) {
    using namespace pgweir;
    forbid_cores();
    const auto line = server::parse_command_line(argc, argv);
    if (line.exit_code) return *line.exit_code;
    if (line.make_report) return report(line.report);
    const auto loaded = config::load_config(line.config_file, server::process_environment());
    if (!loaded.config) {
        for (const auto& error : loaded.errors) std::fprintf(stderr, "%s\n", error.c_str());
        return kConfigError;
    }
    if (line.check_config) {
        const auto errors = server::Supervisor::check(*loaded.config);
        for (const auto& error : errors) std::fprintf(stderr, "%s\n", error.c_str());
        if (!errors.empty()) return kConfigError;
        std::printf("%s: configuration is good\n",
                    line.config_file.empty() ? "defaults" : line.config_file.c_str());
        return 0;
    }
    server::Supervisor::block_signals();  // before the first thread, which is the log's
    const auto level = static_cast<base::LogLevel>(static_cast<int>(loaded.config->log.level));
    if (!base::open_log(level, loaded.config->log.file)) {
        std::fprintf(stderr, "pgweir: cannot open the log file %s\n",
                     loaded.config->log.file.c_str());
        return kRuntimeError;
    }
    int code = kRuntimeError;
    {
        server::Supervisor supervisor(loaded.config);
        const auto error = supervisor.start();
        if (!error.empty()) {
            std::fprintf(stderr, "pgweir: %s\n", error.c_str());
            if (!loaded.config->log.file.empty()) base::log_error(error);
        } else {
            code = supervisor.run();
        }
    }
    base::close_log();
    return code;
}
