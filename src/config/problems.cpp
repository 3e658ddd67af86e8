// See problems.hpp.
#include "problems.hpp"

#include <algorithm>
#include <limits>

#include "pgweir/base/log.hpp"

namespace pgweir::config {

namespace {
constexpr std::size_t kMaxQuoted = 80;
constexpr int kAfterTheFile = std::numeric_limits<int>::max();
}  // namespace

void Problems::add(Position at, std::string text) {
    if (full()) return;
    if (found_.size() == kMaxProblems) {
        found_.push_back({{kAfterTheFile, 0}, "more errors follow; expected fewer than 100"});
        return;
    }
    auto where = file_.empty() ? std::string("default configuration") : file_;
    if (at.line > 0) where += ":" + std::to_string(at.line) + ":" + std::to_string(at.column);
    found_.push_back({at, where + ": " + std::move(text)});
}

void Problems::add_variable(std::string_view variable, std::string_view text) {
    if (found_.size() >= kMaxProblems) return;
    found_.push_back({{kAfterTheFile, 0},
                      "environment variable " + std::string(variable) + ": " + std::string(text)});
}

std::vector<std::string> Problems::take() {
    std::stable_sort(found_.begin(), found_.end(), [](const Problem& a, const Problem& b) {
        return a.at.line != b.at.line ? a.at.line < b.at.line : a.at.column < b.at.column;
    });
    std::vector<std::string> lines;
    for (auto& problem : found_) lines.push_back(std::move(problem.text));
    found_.clear();
    return lines;
}

std::string quoted(std::string_view text) {
    return "\"" + base::printable(text, kMaxQuoted) + "\"";
}

}  // namespace pgweir::config
