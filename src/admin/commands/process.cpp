// SHOW VERSION, STATE and MEM.
#include "command.hpp"

#include <unistd.h>

#include <fstream>

namespace pgweir::admin {

const std::array<wire::Column, 1> kVersionColumns{{{"version", kTextType}}};

void show_version(const CommandInput&, RowWriter& row) { row.text("pgweir " PGWEIR_VERSION).end(); }

const std::array<wire::Column, 2> kStateColumns{{{"key", kTextType}, {"value", kTextType}}};

void show_state(const CommandInput& input, RowWriter& row) {
    const auto yes = [](bool b) { return b ? "yes" : "no"; };
    const auto& s = input.snapshot;
    row.text("active").text(yes(!s.draining)).end();
    row.text("paused").text("no").end();
    row.text("suspended").text("no").end();
    row.text("draining").text(yes(s.draining)).end();
    row.text("ready").text(yes(s.ready && !s.draining)).end();
    row.text("not_ready_reason").text(s.not_ready_reason).end();
}

const std::array<wire::Column, 5> kMemColumns{{
    {"name", kTextType},
    {"size", kInt4Type},
    {"used", kInt4Type},
    {"free", kInt4Type},
    {"memtotal", kInt4Type},
}};

void show_mem(const CommandInput& input, RowWriter& row) {
    std::int64_t pages = 0, resident = 0;
    std::ifstream("/proc/self/statm") >> pages >> resident;
    const std::int64_t page = sysconf(_SC_PAGESIZE);
    row.text("process").int4(page).int4(resident).int4(0).int4(resident * page).end();
    std::uint64_t entries = 0, bytes = 0;
    for (const auto& cache : input.snapshot.caches) {
        entries += cache.entries;
        bytes += cache.bytes;
    }
    row.text("cache").int4(static_cast<std::int64_t>(entries > 0 ? bytes / entries : 0));
    row.int4(static_cast<std::int64_t>(entries))
        .int4(0)
        .int4(static_cast<std::int64_t>(bytes))
        .end();
}

}  // namespace pgweir::admin
