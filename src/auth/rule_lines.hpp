// Splits files in the form of pg_hba.conf and pg_ident.conf (manual, "The pg_hba.conf File"): lines
// into fields, fields at commas into tokens, quotes, comments, lines continued by a backslash, and
// @file, which stands for the tokens of another file.
// Invariant: linear in the text and in the files it names, which are bounded in size, number and
// depth. Thread: any that may read files. Errors: file:line: what; what was expected.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "pgweir/base/result.hpp"

namespace pgweir::auth {

struct RuleToken {
    std::string text;
    bool quoted = false;  // then it is no keyword
};
using RuleField = std::vector<RuleToken>;

struct RuleLine {
    std::size_t number = 0;  // of its first line, from 1
    std::vector<RuleField> fields;
};

/// Gives the content of a file; tests give their own.
using RuleReader = std::function<base::Result<std::string>(const std::string& path)>;
base::Result<std::string> read_rule_file(const std::string& path);

struct RuleLines {
    std::vector<RuleLine> lines;
    std::vector<std::string> errors;
};

/// `file` names the text in errors; @names without a leading slash are relative to its folder.
RuleLines split_rule_lines(std::string_view text, const std::string& file, const RuleReader& read);

}  // namespace pgweir::auth
