// The command line, by CLI11, whose header is seen in command_line.cpp only.
#pragma once

#include <optional>
#include <string>

#include "pgweir/admin/report.hpp"

namespace pgweir::server {

struct CommandLine {
    std::string config_file;
    bool check_config = false;
    bool make_report = false;  // the subcommand: no server runs
    admin::ReportOptions report;
    std::optional<int> exit_code;  // set: nothing is left to do (help, version, wrong usage)
};

CommandLine parse_command_line(int argc, char** argv);

}  // namespace pgweir::server
