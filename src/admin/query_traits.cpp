// See query_traits.hpp.
#include "pgweir/admin/query_traits.hpp"

#include <algorithm>

#include "pgweir/query/tokens.hpp"

namespace pgweir::admin {

std::size_t longest_list(std::string_view sql) {
    using Kind = query::TextToken::Kind;
    const auto t = query::text_tokens(sql);
    std::size_t longest = 0;
    for (std::size_t i = 0; i + 1 < t.size(); ++i) {
        if (!t[i].is("in") || !t[i + 1].is("(")) continue;
        std::size_t length = 0;
        for (i += 2; i < t.size(); ++i) {
            if (t[i].is("-")) continue;
            if (t[i].kind != Kind::constant && t[i].kind != Kind::parameter) break;
            ++length;
            if (i + 1 >= t.size() || !t[i + 1].is(",")) {
                ++i;
                break;
            }
            ++i;
        }
        if (i < t.size() && t[i].is(")")) longest = std::max(longest, length);
    }
    return longest;
}

void QueryTraits::note_text(std::string_view sql) {
    if (const auto length = longest_list(sql); length > 0)
        list_lengths |= std::uint64_t{1} << std::min<std::size_t>(length, 63);
}

void QueryTraits::note_reason(std::uint8_t why) {
    if (not_cached++ == 0)
        reason = why;
    else if (reason != why)
        several_reasons = true;
}

void QueryTraits::note_idle(std::uint64_t milliseconds) {
    ++idles;
    idle_ms += milliseconds;
    longest_idle_ms = std::max(longest_idle_ms, milliseconds);
}

void SessionWatch::end_run(const Place& s, QueryTraits& t) {
    if (s.parent != 0 && s.parent != s.fingerprint && s.parent_rows == s.run) {
        ++t.fanouts;
        t.fanout_calls += s.run;
        t.fanout_parent = s.parent;
    }
    if (s.run >= kLongRun && s.autocommit) {
        ++t.loops;
        t.loop_calls += s.run;
    }
}

}  // namespace pgweir::admin
