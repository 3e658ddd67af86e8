// Snapshots: waiting for one, and adding up the workers' halves of pools.
#include "pgweir/admin/snapshot.hpp"

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>

namespace pgweir::admin {

std::optional<Snapshot> collect_blocking(SnapshotSource& source, base::Nanos limit) {
    struct Box {
        std::mutex mutex;
        std::condition_variable arrived;
        std::optional<Snapshot> snapshot;
    };
    const auto box = std::make_shared<Box>();  // shared: the answer may come after we gave up
    source.collect([box](Snapshot snapshot) {
        const std::lock_guard lock(box->mutex);
        box->snapshot = std::move(snapshot);
        box->arrived.notify_one();
    });
    std::unique_lock lock(box->mutex);
    box->arrived.wait_for(lock, std::chrono::nanoseconds(limit),
                          [&] { return box->snapshot.has_value(); });
    return std::move(box->snapshot);
}

std::vector<PoolRow> merged_pools(const std::vector<PoolRow>& rows) {
    std::map<std::pair<std::string_view, std::string_view>, PoolRow> merged;
    for (const auto& row : rows) {
        const auto [at, added] = merged.try_emplace({row.database, row.user}, row);
        if (added) continue;
        auto& sum = at->second;
        sum.cl_active += row.cl_active;
        sum.cl_waiting += row.cl_waiting;
        sum.cl_active_cancel_req += row.cl_active_cancel_req;
        sum.cl_waiting_cancel_req += row.cl_waiting_cancel_req;
        sum.sv_active += row.sv_active;
        sum.sv_active_cancel += row.sv_active_cancel;
        sum.sv_being_canceled += row.sv_being_canceled;
        sum.sv_idle += row.sv_idle;
        sum.sv_used += row.sv_used;
        sum.sv_tested += row.sv_tested;
        sum.sv_login += row.sv_login;
        sum.maxwait_us = std::max(sum.maxwait_us, row.maxwait_us);
        sum.totals += row.totals;
    }
    std::vector<PoolRow> result;
    result.reserve(merged.size());
    for (auto& [key, row] : merged) result.push_back(std::move(row));
    return result;
}

std::string_view name(config::PoolMode mode) noexcept {
    switch (mode) {
        case config::PoolMode::session: return "session";
        case config::PoolMode::transaction: return "transaction";
        case config::PoolMode::statement: return "statement";
    }
    return "";
}

}  // namespace pgweir::admin
