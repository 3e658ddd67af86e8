// What the output plugin pgoutput says, taken apart (Logical Replication Message Formats, protocol
// version 1): messages of a publication's tables, gathered into transactions. Pure: bytes in,
// values out. Invariant: whatever the bytes, memory is bounded and time is linear; a relation is
// known by its OID, and its rows only by columns that the server says are part of its replica
// identity. Thread: its owner's.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "gatherer.hpp"
#include "pgweir/query/catalog.hpp"

namespace pgweir::control {

/// A column of a relation's replica identity, as the stream describes it.
struct ToldColumn {
    std::uint16_t position = 0;  // in the relation's tuples, from 0
    query::Oid type = 0;
    std::string name;
};

/// A change of one row of a relation, or of any of its rows.
struct ToldChange {
    query::Oid relation = 0;
    char operation = 'T';     // I, U, D, T
    std::string_view tuples;  // behind the relation; empty: any row may be concerned
    const std::vector<ToldColumn>* columns = nullptr;  // null: the stream did not describe it
};

/// The rows a change of a relation with an identity concerns, old and new, as sets of the values of
/// the identity's columns; false: not known.
bool identities(const ToldChange& change, const query::Relation& relation,
                std::vector<std::vector<query::RowValue>>& out);

/// Gathers messages into transactions.
class PublicationGatherer final : public Gatherer {
  public:
    /// Columns that are remembered, of all relations; of one whose columns are not, any row may be
    /// concerned.
    static constexpr std::size_t kMaxColumns = 100'000;
    static constexpr std::size_t kMaxColumnsEach = 64;
    using Resolve =
        std::function<Found(const ToldChange& change, std::vector<cache::State*>& states)>;

    explicit PublicationGatherer(Resolve resolve) : resolve_(std::move(resolve)) {}
    Result take(std::string_view message) override;

  private:
    bool describe(std::string_view body);
    bool change(char operation, std::string_view body);
    bool truncate(std::string_view body);
    void add(const ToldChange& change);
    Result message(std::string_view body);
    void forget() override { last_ = 0; }

    Resolve resolve_;
    std::unordered_map<query::Oid, std::vector<ToldColumn>> columns_;
    std::size_t column_count_ = 0;
    query::Oid last_ = 0;  // the relation that was added last, whole: mostly the same again
};

}  // namespace pgweir::control
