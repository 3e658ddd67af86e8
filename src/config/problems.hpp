// What is wrong with a configuration, collected so that one run tells all of it. Each is "what;
// what was expected" with the place it was found at. At most kMaxProblems are kept: a file that is
// not a configuration at all would otherwise fill the screen. Thread: the one that loads.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace pgweir::config {

/// Both from 1, columns in bytes; line 0: nowhere in the file.
struct Position {
    int line = 0;
    int column = 0;
};

struct Problem {
    Position at;
    std::string text;
};

class Problems {
  public:
    static constexpr std::size_t kMaxProblems = 100;

    /// `file` names the file in the lines; empty: there is none.
    explicit Problems(std::string file) : file_(std::move(file)) {}

    void add(Position at, std::string text);
    void add_variable(std::string_view variable, std::string_view text);
    bool any() const noexcept { return !found_.empty(); }
    bool full() const noexcept { return found_.size() > kMaxProblems; }
    /// "file:line:column: what; what was expected", in the order of the file, variables last.
    std::vector<std::string> take();

  private:
    std::string file_;
    std::vector<Problem> found_;
};

/// Text of a stranger in quotes, short and printable.
std::string quoted(std::string_view text);

}  // namespace pgweir::config
