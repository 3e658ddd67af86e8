// Which rows of a relation a statement names, by the facts of its text and the relation's identity.
// Invariant: nothing is said where the text leaves it open. Thread: one object, one thread.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "names.hpp"
#include "pg_facts.h"
#include "pgweir/query/row_keys.hpp"

namespace pgweir::query {

class RowsOf {
  public:
    /// `text` is what was parsed; empty: nothing is ever known.
    RowsOf(std::string_view text, const pgw_key* keys, const unsigned char* uses)
        : text_(text), keys_(keys), uses_(uses) {}

    std::optional<RowKey> read(const Relation& relation, const pgw_fact& fact, const Names& names);
    /// One for each row of VALUES, else one; empty: not known, or not all columns by which the
    /// relation's rows may be read.
    std::vector<RowKey> written(const Relation& relation, const pgw_fact& fact, const Names& names);

  private:
    struct Keys {
        const pgw_key* first = nullptr;
        const pgw_key* last = nullptr;
    };
    Keys keys_of(const pgw_fact& fact) const noexcept {
        return {keys_ + fact.first_key, keys_ + fact.first_key + fact.keys};
    }
    std::optional<RowKey> key(const Relation& relation, Keys keys, unsigned row,
                              const Names& names);
    std::vector<KeySource> values(const IdentityColumn& column, unsigned group, Keys keys,
                                  const Names& names);
    std::optional<KeySource> source(const pgw_key& key, KeyType type, const Names& names);
    std::optional<std::uint16_t> literal_at(int place);

    std::string_view text_;
    const pgw_key* keys_;
    const unsigned char* uses_;
    std::vector<int> literals_;  // where each begins
    bool looked_ = false;
};

}  // namespace pgweir::query
