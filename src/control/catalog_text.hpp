// Small things the catalog reader needs to put its statements together and to read their answers.
// Thread: pure functions.
#pragma once

#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>
#include <vector>

#include "builtins.hpp"
#include "pgweir/query/catalog.hpp"
#include "sql.hpp"

namespace pgweir::control {

inline query::Volatility volatility_of(char c) noexcept {
    switch (c) {
        case 'i': return query::Volatility::immutable_;
        case 's': return query::Volatility::stable;
        default: return query::Volatility::volatile_;
    }
}

inline std::string replaced(std::string_view text, std::string_view what, std::string_view by) {
    std::string out;
    for (auto at = text.find(what); at != text.npos; at = text.find(what)) {
        out.append(text.substr(0, at)).append(by);
        text.remove_prefix(at + what.size());
    }
    return out.append(text);
}

/// With plain_types.sql in the place of $1, and the extensions that were looked at in that of $2.
inline std::string with_plain_types(std::string_view text) {
    return replaced(replaced(text, "$1", sql::plain_types), "$2", constant_extensions());
}

/// `take` gets each OID of a text with commas between them, 0 where one cannot be read.
template <class Take>
void each_oid(std::string_view text, Take take) {
    while (!text.empty()) {
        const auto comma = std::min(text.find(','), text.size());
        query::Oid oid = 0;
        std::from_chars(text.data(), text.data() + comma, oid);
        take(oid);
        text.remove_prefix(std::min(comma + 1, text.size()));
    }
}

/// A quoted regular expression that finds a call of one of the functions in a stored parse tree.
inline std::string call_pattern(const std::vector<query::Oid>& functions) {
    std::string p = "':(funcid|opfuncid|aggfnoid|winfnoid) (0";
    for (const query::Oid f : functions) p += "|" + std::to_string(f);
    return p + ") '";
}

inline void add_unique(std::vector<query::Oid>& to, const std::vector<query::Oid>& from) {
    for (const query::Oid oid : from)
        if (std::find(to.begin(), to.end(), oid) == to.end()) to.push_back(oid);
}

}  // namespace pgweir::control
