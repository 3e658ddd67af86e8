// The words, constants and symbols of a statement, for what looks at texts without parsing them.
// Thread: pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pgweir::query {

struct TextToken {
    enum class Kind : std::uint8_t { word, quoted, constant, parameter, symbol };
    Kind kind = Kind::symbol;
    std::string text;    // words in lower case, the others as they were written
    std::size_t at = 0;  // where in the statement it begins
    bool is(std::string_view word) const noexcept {
        return (kind == Kind::word || kind == Kind::symbol) && text == word;
    }
};

/// Whether `word`, given in lower case, stands anywhere in the text, whatever the case of its
/// letters: within other words and constants, too.
bool mentions(std::string_view text, std::string_view word) noexcept;

/// At most `max` of them; comments and space are none. What cannot be read ends the list.
std::vector<TextToken> text_tokens(std::string_view sql, std::size_t max = 2000);

}  // namespace pgweir::query
