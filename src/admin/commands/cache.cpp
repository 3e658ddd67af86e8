// SHOW CACHE.
#include "command.hpp"

namespace pgweir::admin {

const std::array<wire::Column, 12> kCacheColumns{{
    {"database", kTextType},
    {"enabled", kTextType},
    {"guarantee", kTextType},
    {"entries", kInt8Type},
    {"bytes", kInt8Type},
    {"hits", kInt8Type},
    {"misses", kInt8Type},
    {"fills", kInt8Type},
    {"invalidations", kInt8Type},
    {"evictions", kInt8Type},
    {"verified", kInt8Type},
    {"mismatches", kInt8Type},
}};

void show_cache(const CommandInput& input, RowWriter& row) {
    for (const auto& c : input.snapshot.caches) {
        row.text(c.database).text(c.enabled ? "yes" : "no").text(c.guarantee);
        for (const auto n : {c.entries, c.bytes, c.hits, c.misses, c.fills, c.invalidations,
                             c.evictions, c.verified, c.mismatches})
            row.number(n);
        row.end();
    }
}

}  // namespace pgweir::admin
