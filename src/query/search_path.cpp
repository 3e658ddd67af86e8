// The value of search_path as PostgreSQL's SplitIdentifierString reads it.
#include "lex.hpp"
#include "pgweir/query/verdict.hpp"

namespace pgweir::query {

namespace {

constexpr std::size_t kLongestName = 63;  // NAMEDATALEN - 1

bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

void skip_space(std::string_view& rest) {
    while (!rest.empty() && is_space(rest.front())) rest.remove_prefix(1);
}

/// Takes `"..."` off the rest; false if it does not end or is empty.
bool take_quoted(std::string_view& rest, std::string& name) {
    for (std::size_t i = 1; i < rest.size(); ++i) {
        if (rest[i] == '"') {
            if (i + 1 == rest.size() || rest[i + 1] != '"') {
                rest.remove_prefix(i + 1);
                return !name.empty();
            }
            ++i;
        }
        name.push_back(rest[i]);
    }
    return false;
}

bool take_plain(std::string_view& rest, std::string& name) {
    std::size_t size = 0;
    while (size < rest.size() && rest[size] != ',' && !is_space(rest[size])) {
        name.push_back(lex::fold(lex::byte(&rest[size])));
        ++size;
    }
    rest.remove_prefix(size);
    return size > 0;
}

/// As the server shortens a name: to 63 bytes, not inside a UTF-8 sequence.
void shorten(std::string& name) {
    if (name.size() <= kLongestName) return;
    std::size_t size = kLongestName;
    while (size > 0 && (static_cast<unsigned char>(name[size]) & 0xC0) == 0x80) --size;
    name.resize(size);
}

}  // namespace

std::vector<std::string> split_search_path(std::string_view value) {
    std::vector<std::string> names;
    skip_space(value);
    if (value.empty()) return names;
    for (;;) {
        std::string name;
        const bool taken =
            value.starts_with('"') ? take_quoted(value, name) : take_plain(value, name);
        if (!taken) return {};
        shorten(name);
        names.push_back(std::move(name));
        skip_space(value);
        if (value.empty()) return names;
        if (value.front() != ',') return {};
        value.remove_prefix(1);
        skip_space(value);
    }
}

}  // namespace pgweir::query
