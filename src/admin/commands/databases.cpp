// SHOW DATABASES and SHOW USERS.
#include "command.hpp"

#include <map>

namespace pgweir::admin {

const std::array<wire::Column, 17> kDatabasesColumns{{
    {"name", kTextType},
    {"host", kTextType},
    {"port", kInt4Type},
    {"database", kTextType},
    {"force_user", kTextType},
    {"pool_size", kInt4Type},
    {"min_pool_size", kInt4Type},
    {"reserve_pool_size", kInt4Type},
    {"server_lifetime", kInt4Type},
    {"pool_mode", kTextType},
    {"load_balance_hosts", kTextType},
    {"max_connections", kInt4Type},
    {"current_connections", kInt4Type},
    {"max_client_connections", kInt4Type},
    {"current_client_connections", kInt4Type},
    {"paused", kInt4Type},
    {"disabled", kInt4Type},
}};

void show_databases(const CommandInput& input, RowWriter& row) {
    for (const auto& d : input.snapshot.databases) {
        row.text(d.name).text(d.host).int4(d.port).text(d.database).text_or_null(d.force_user);
        row.int4(d.pool_size).int4(d.min_pool_size).int4(0).int4(d.server_lifetime / base::kSecond);
        row.text(name(d.mode)).null().int4(d.max_connections).int4(d.current_connections);
        row.int4(d.max_client_connections).int4(d.current_client_connections);
        row.int4(d.paused ? 1 : 0).int4(d.disabled ? 1 : 0).end();
    }
}

const std::array<wire::Column, 8> kUsersColumns{{
    {"name", kTextType},
    {"pool_size", kTextType},
    {"reserve_pool_size", kTextType},
    {"pool_mode", kTextType},
    {"max_user_connections", kInt4Type},
    {"current_connections", kInt4Type},
    {"max_user_client_connections", kInt4Type},
    {"current_client_connections", kInt4Type},
}};

void show_users(const CommandInput& input, RowWriter& row) {
    struct Counts {
        std::uint32_t clients = 0, servers = 0;
    };
    std::map<std::string_view, Counts> users;
    for (const auto& pool : input.snapshot.pools) {
        auto& counts = users[pool.user];
        counts.clients += pool.cl_active + pool.cl_waiting;
        counts.servers += server_count(pool);
    }
    for (const auto& [user, counts] : users) {  // a user has no settings of its own: NULL
        row.text(user).null().null().null().int4(0).int4(counts.servers).int4(0);
        row.int4(counts.clients).end();
    }
}

}  // namespace pgweir::admin
