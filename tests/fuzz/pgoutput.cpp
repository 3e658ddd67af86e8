// What a walsender sends of a publication: messages of pgoutput, each with its length in front.
// Never a crash, bounded memory, and nothing that is not understood may pass for a transaction that
// changed little.
#include "pgoutput.hpp"

#include "target.hpp"

using namespace pgweir;
using fuzz::must;

FUZZ_TARGET(pgoutput) {
    static cache::RelationState relation;
    using Gatherer = control::Gatherer;
    query::Relation known;
    known.identity = {{1, 1, query::KeyType::integer, "id"}, {2, 2, query::KeyType::text, "name"}};
    control::PublicationGatherer gatherer([&](const control::ToldChange& change, auto& states) {
        must(change.relation != 0, "a change is of a relation");
        std::vector<std::vector<query::RowValue>> rows;
        if (control::identities(change, known, rows)) {
            must(rows.size() == 1 || (rows.size() == 2 && change.operation == 'U'),
                 "a row is new, old, or both");
            for (const auto& values : rows) must(values.size() == 2, "all columns are told");
            must(change.columns != nullptr && !change.tuples.empty(), "nothing tells nothing");
        }
        if (change.relation > 0xffff) return Gatherer::Found::nothing;
        states.push_back(&relation);
        return Gatherer::Found::relation;
    });
    bool inside = false;
    for (fuzz::Pieces pieces(input); !pieces.done();) {
        const auto message = pieces.piece();
        const auto result = gatherer.take(message);
        if (result == Gatherer::Result::malformed) {
            gatherer.reset();
        } else if (result == Gatherer::Result::transaction) {
            must(inside, "only a transaction that has begun ends");
            const auto change = gatherer.take_change();
            must(change.states.size() <= 1, "each relation is named once");
            must(!change.everything || change.states.empty(), "everything needs no list");
        } else if (result == Gatherer::Result::definition) {
            must(!inside && gatherer.take_change().defines, "it stands for itself");
        }
        inside = gatherer.inside();
    }
}
