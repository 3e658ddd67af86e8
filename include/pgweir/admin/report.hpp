// `pgweir report`: what slow logs say, as text and as one page that opens offline.
// Invariant: nothing a log holds can act on a terminal or in a browser (the page has no script and
// forbids any), and reading any file takes bounded memory. Thread: one; no server runs.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace pgweir::admin {

struct ReportOptions {
    std::vector<std::string> files;  // slow logs of any of our forms; "-": standard input
    std::string html;                // file of the page; empty: none
    std::size_t top = 20;            // queries shown
    bool progress = false;           // a bar, written over and over
};

/// Errors are told by `err`, a line each, and what is drawn while reading by `bar`. False: a file
/// could not be read or written; what could be is reported all the same.
bool run_report(const ReportOptions& options, const std::function<void(const std::string&)>& out,
                const std::function<void(const std::string&)>& err,
                const std::function<void(const std::string&)>& bar);

}  // namespace pgweir::admin
