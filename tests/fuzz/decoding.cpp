// What a walsender sends, as replication messages and as lines of test_decoding, and the snapshots
// servers stamp fills with. Never a crash, bounded memory, and nothing that is not understood may
// pass for a transaction that changed little.
#include "decoding.hpp"

#include "pgweir/cache/stamp.hpp"
#include "target.hpp"

using namespace pgweir;
using fuzz::must;

FUZZ_TARGET(decoding) {
    const auto message = control::parse_replication(input);
    must(message.data.size() <= input.size(), "data lies in the message");
    if (const auto lsn = control::parse_lsn(input))
        must(input.find('/') != std::string_view::npos || *lsn == 0, "a position has two parts");
    if (const auto stamp = cache::Stamp::parse(input)) {
        must(!stamp->sees(stamp->xmax()), "the future is not seen");
        for (const auto xid : stamp->running()) must(!stamp->sees(xid), "nor is what runs");
        if (stamp->xmin() > 0) must(stamp->sees(stamp->xmin() - 1), "the past is");
    }
    static cache::RelationState relation;
    using Gatherer = control::TransactionGatherer;
    query::Relation known;
    known.identity = {{1, 1, query::KeyType::integer, "id"}, {2, 2, query::KeyType::text, "name"}};
    Gatherer gatherer([&](const Gatherer::Table& table, std::vector<cache::State*>& states) {
        if (table.schema.empty()) return Gatherer::Found::nothing;
        std::vector<std::vector<query::RowValue>> rows;
        if (control::identities(table.row, known, rows)) {
            must(rows.size() == 1 || rows.size() == 2, "a row is new, old, or both");
            for (const auto& values : rows) must(values.size() == 2, "all columns are told");
            must(!table.row.empty(), "nothing tells nothing");
        }
        states.push_back(&relation);
        return Gatherer::Found::relation;
    });
    using Result = control::TransactionGatherer::Result;
    bool inside = false;
    while (!input.empty()) {
        const auto end = std::min(input.find('\n'), input.size());
        const auto line = input.substr(0, end);
        input.remove_prefix(std::min(end + 1, input.size()));
        const auto result = gatherer.take(line);
        if (result == Result::malformed) {
            gatherer.reset();
        } else if (result == Result::transaction) {
            must(inside, "only a transaction that has begun ends");
            const auto change = gatherer.take_change();
            must(change.states.size() <= 1, "each relation is named once");
            must(!change.everything || change.states.empty(), "everything needs no list");
        }
        inside = gatherer.inside();
    }
}
