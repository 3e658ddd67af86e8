// What a statement depends on beyond the relation it names: the relations that links of the catalog
// lead to. Invariant: a set that would grow past its bound, or that leads to something the snapshot
// does not hold, is no set at all. Thread: any, while the catalog lives.
#pragma once

#include <cstddef>
#include <vector>

#include "pgweir/query/catalog.hpp"

namespace pgweir::query {

enum class Link : std::uint8_t { reads, writes, truncates };

/// `from` and everything its links lead to, each once, `from` first. Empty when there are more than
/// `most`, or when a link leads to nothing known. Link::truncates follows those of writes, too.
std::vector<const Relation*> closure(const Catalog& catalog, const Relation& from, Link link,
                                     std::size_t most);

}  // namespace pgweir::query
