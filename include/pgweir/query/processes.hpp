// Where a statement says numbers of server processes that its client can only have from a login:
// arguments of the functions that signal processes or tell who waits for whom, and constants that
// are compared with the column `pid` of the views of activity and locks. Thread: pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace pgweir::query {

/// A whole number without sign or fraction, `size` bytes from `at` on.
struct WrittenNumber {
    std::size_t at = 0, size = 0;
    std::uint32_t number = 0;
};

struct ProcessNumbers {
    std::vector<WrittenNumber> literals;  // in order, those in constants such as '{1,2}' too
    std::vector<unsigned> parameters;     // n of $n, from 1, each once
    /// The processes are to exist: it is asked for more than who waits for whom.
    bool at_work = false;
};

/// A quick look: false for almost every text.
bool may_name_processes(std::string_view text) noexcept;
ProcessNumbers process_numbers(std::string_view text);
/// Those in a parameter's text: a number, or an array of them.
std::vector<WrittenNumber> written_numbers(std::string_view text);
/// `text` with each of `numbers` as `replaced` has it.
std::string replace_numbers(std::string_view text, const std::vector<WrittenNumber>& numbers,
                            const std::function<std::uint32_t(std::uint32_t)>& replaced);

}  // namespace pgweir::query
