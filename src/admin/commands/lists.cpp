// SHOW LISTS.
#include "command.hpp"

#include <set>

namespace pgweir::admin {

const std::array<wire::Column, 2> kListsColumns{{{"list", kTextType}, {"items", kInt4Type}}};

std::uint32_t server_count(const PoolRow& pool) noexcept {
    return pool.sv_active + pool.sv_active_cancel + pool.sv_being_canceled + pool.sv_idle +
           pool.sv_used + pool.sv_tested + pool.sv_login;
}

ListCounts list_counts(const Snapshot& snapshot) {
    ListCounts counts;
    std::set<std::string_view> users;
    std::set<std::pair<std::string_view, std::string_view>> pools;
    for (const auto& pool : snapshot.pools) {
        users.insert(pool.user);
        pools.emplace(pool.database, pool.user);
        counts.free_servers += pool.sv_idle + pool.sv_used;
        counts.used_servers += server_count(pool) - pool.sv_idle - pool.sv_used;
    }
    counts.users = users.size();
    counts.pools = pools.size();
    counts.databases = snapshot.databases.size();
    counts.used_clients = snapshot.clients.size();
    counts.login_clients = snapshot.lists.login_clients;
    counts.dns_names = snapshot.lists.dns_names;
    counts.dns_queries = snapshot.lists.dns_queries;
    return counts;
}

void show_lists(const CommandInput& input, RowWriter& row) {
    const auto counts = list_counts(input.snapshot);
    const std::pair<std::string_view, std::size_t> lists[] = {
        {"databases", counts.databases},
        {"users", counts.users},
        {"peers", 0},
        {"pools", counts.pools},
        {"peer_pools", 0},
        {"free_clients", 0},
        {"used_clients", counts.used_clients},
        {"login_clients", counts.login_clients},
        {"free_servers", counts.free_servers},
        {"used_servers", counts.used_servers},
        {"dns_names", counts.dns_names},
        {"dns_zones", 0},
        {"dns_queries", counts.dns_queries},
        {"dns_pending", 0},
    };
    for (const auto& [list, items] : lists)
        row.text(list).int4(static_cast<std::int64_t>(items)).end();
}

}  // namespace pgweir::admin
