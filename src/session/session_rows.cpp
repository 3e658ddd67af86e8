// Session: which rows one execution reads or writes, where the verdict says that its constants
// tell. What is not known here counts for the whole relation.
#include "pgweir/query/row_keys.hpp"
#include "pgweir/session/session.hpp"
#include "turn.hpp"

namespace pgweir::session {

namespace {

/// Adds the states of all rows of `relation` that are read; false, and nothing is added: not known.
bool add_rows_read(cache::ResultCache& cache, const query::Verdict& verdict, query::Oid oid,
                   cache::RelationState& relation, const query::KeyValues& values,
                   std::vector<std::uint64_t>& numbers, std::vector<cache::Dependency>& states) {
    numbers.clear();
    for (const auto& key : verdict.read_rows)
        if (key.relation == oid && !query::rows_read(key, values, numbers)) return false;
    if (numbers.empty()) return false;
    const auto before = states.size();
    for (const auto number : numbers) {
        auto* state = cache.row_to_read(relation, number);
        if (state == nullptr) return states.resize(before), false;
        states.push_back({state});
    }
    return true;
}

}  // namespace

/// What the answer will depend on; empty: on the statement's relations as they are.
std::vector<cache::Dependency> Session::rows_read(const MemoEntry& memo,
                                                  const query::KeyValues& values) const {
    constexpr std::size_t kMore = 6;  // a few rows, and what every snapshot holds
    const auto& verdict = *memo.verdict;
    std::vector<cache::Dependency> states;
    auto* cache = env_.result_cache();
    if (cache == nullptr || verdict.read_rows.empty() || !env_.config().cache.row_level)
        return states;
    const auto* whole = &identity_->context.database->whole();
    states.reserve(2 * verdict.reads.size() + kMore);
    for (std::size_t i = 0; i < verdict.reads.size(); ++i) {
        auto& relation = *memo.reads[i];
        states.push_back({&relation});
        const bool known =
            &relation != whole && add_rows_read(*cache, verdict, verdict.reads[i], relation, values,
                                                env_.row_numbers, states);
        if (!known) states.push_back({&relation.any_row()});
    }
    states.push_back({memo.reads.back()});  // the query's own
    return states;
}

/// False: it counts for the whole relation.
bool Session::write_rows(const MemoEntry& memo, const query::KeyValues& values) {
    const auto& verdict = *memo.verdict;
    auto& database = *identity_->context.database;
    if (!env_.config().cache.row_level || memo.writes.size() != 1) return false;
    auto& relation = *memo.writes[0];
    // Nobody reads it by rows yet, or all that is known shares the database's state.
    if (relation.row(0) == nullptr || &relation == &database.whole()) return false;
    std::vector<std::uint64_t> numbers;
    if (!query::rows_written(verdict.written_rows, values, numbers)) return false;
    std::vector<cache::State*> states;
    states.reserve(numbers.size());
    for (const auto number : numbers) states.push_back(relation.row(number));
    exchange_->writes().add_rows(relation, states);
    return true;
}

}  // namespace pgweir::session
