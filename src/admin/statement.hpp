// The console's own small grammar: statements split at semicolons into words, strings and symbols.
// Invariant: linear in the text; what is longer, deeper or more than the bounds is an error.
// Thread: pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace pgweir::admin {

inline constexpr std::size_t kMaxConsoleText = std::size_t{64} * 1024;  // bytes of one Query
inline constexpr std::size_t kMaxConsoleStatements = 32;

struct Token {
    enum class Kind { word, string, symbol };
    Kind kind = Kind::symbol;
    std::string text;  // words in lower case, unless they were quoted; strings without their quotes
};

/// Never empty: a semicolon after nothing makes no statement.
using Statement = std::vector<Token>;

struct Script {
    std::vector<Statement> statements;
    std::string error;  // why it cannot be read; then there are no statements
};

Script parse_script(std::string_view sql);

}  // namespace pgweir::admin
