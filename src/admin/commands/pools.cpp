// SHOW POOLS.
#include "command.hpp"

namespace pgweir::admin {

const std::array<wire::Column, 17> kPoolsColumns{{
    {"database", kTextType},
    {"user", kTextType},
    {"cl_active", kInt4Type},
    {"cl_waiting", kInt4Type},
    {"cl_active_cancel_req", kInt4Type},
    {"cl_waiting_cancel_req", kInt4Type},
    {"sv_active", kInt4Type},
    {"sv_active_cancel", kInt4Type},
    {"sv_being_canceled", kInt4Type},
    {"sv_idle", kInt4Type},
    {"sv_used", kInt4Type},
    {"sv_tested", kInt4Type},
    {"sv_login", kInt4Type},
    {"maxwait", kInt4Type},
    {"maxwait_us", kInt4Type},
    {"pool_mode", kTextType},
    {"load_balance_hosts", kTextType},
}};

void show_pools(const CommandInput& input, RowWriter& row) {
    for (const auto& p : merged_pools(input.snapshot.pools)) {
        row.text(p.database).text(p.user);
        for (const auto n : {p.cl_active, p.cl_waiting, p.cl_active_cancel_req,
                             p.cl_waiting_cancel_req, p.sv_active, p.sv_active_cancel,
                             p.sv_being_canceled, p.sv_idle, p.sv_used, p.sv_tested, p.sv_login})
            row.int4(n);
        row.int4(p.maxwait_us / 1'000'000).int4(p.maxwait_us % 1'000'000);
        row.text(name(p.mode)).null().end();
    }
}

}  // namespace pgweir::admin
