// SHOW ADVICE: what the rules find in the statistics per query, the dearest first.
#include "../slow_line.hpp"
#include "command.hpp"
#include "pgweir/admin/advisor.hpp"

namespace pgweir::admin {

const std::array<wire::Column, 6> kAdviceColumns{{{"rule", kTextType},
                                                  {"fingerprint", kTextType},
                                                  {"evidence", kTextType},
                                                  {"advice", kTextType},
                                                  {"total_time", kInt8Type},
                                                  {"query", kTextType}}};

void show_advice(const CommandInput& input, RowWriter& row) {
    if (!input.snapshot.queries) return;
    QueryFilter filter;
    filter.limit = 10'000;
    for (const auto& a : advise(input.snapshot.queries->rows(filter, input.now)))
        row.text(a.rule)
            .text(fingerprint_text(a.fingerprint))
            .text(a.evidence)
            .text(a.advice)
            .number(a.time_us)
            .text(a.query)
            .end();
}

}  // namespace pgweir::admin
