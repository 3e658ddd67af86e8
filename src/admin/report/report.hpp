// The two forms of a report. Thread: pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "log_reader.hpp"
#include "summary.hpp"

namespace pgweir::admin {

struct ReportFile {
    std::string path;
    ReadCounts counts;
    std::string error;  // empty: it was read
};

struct ReportInput {
    const Summary& summary;
    std::vector<ReportFile> files;
    std::size_t top = 20;
};

std::string report_text(const ReportInput& input);
std::string report_page(const ReportInput& input);
extern const std::string_view report_style;  // CSS

/// What a reason for not caching means; empty: not known to this version.
std::string_view reason_help(std::string_view reason);

}  // namespace pgweir::admin
