// Which relations the code behind a write may write: from a trigger or default to the functions it
// calls, and from their bodies to the relations that these name. Sound because a statement in a
// body must name what it writes; where it need not (EXECUTE, other languages) nothing is known.
// Invariant: a name counts for every relation and function of that name, in whatever schema.
// Thread: one.
#pragma once

#include <optional>
#include <unordered_map>
#include <vector>

#include "pgweir/query/catalog.hpp"

namespace pgweir::control {

class WriteSets {
  public:
    using Oid = query::Oid;
    /// More relations, or more functions visited, than these are taken for unknown.
    static constexpr std::size_t kMostRelations = 64;
    static constexpr std::size_t kMostFunctions = 512;

    /// What the function does is not known.
    void unknown(Oid function) { functions_[function].unknown = true; }
    /// It has words that write rows.
    void writes(Oid function) { functions_[function].writes = true; }
    void calls(Oid function, Oid callee) { add(functions_[function].callees, callee); }
    void mentions(Oid function, Oid relation) { add(functions_[function].mentions, relation); }
    /// A write of the relation may call the function.
    void behind(Oid relation, Oid function) { add(behind_[relation], function); }

    /// The relations that code behind a write of `relation` names and may write. `reading_writes`
    /// says of a relation that only reading it may write: then nothing is known either.
    template <class ReadingWrites>
    std::optional<std::vector<Oid>> of(Oid relation, ReadingWrites&& reading_writes) const {
        const auto code = behind_.find(relation);
        if (code == behind_.end()) return std::vector<Oid>{};
        std::vector<Oid> set;
        const auto functions = reached(code->second);
        if (!functions) return std::nullopt;
        for (const Function* f : *functions) {
            for (const Oid r : f->mentions) {
                if (reading_writes(r)) return std::nullopt;
                if (f->writes) add_unique(set, r);
            }
            if (set.size() > kMostRelations) return std::nullopt;
        }
        return set;
    }

  private:
    struct Function {
        bool unknown = false;
        bool writes = false;
        std::vector<Oid> callees;
        std::vector<Oid> mentions;
    };
    /// Bodies repeat names; repetitions of a name mostly come one after another.
    static void add(std::vector<Oid>& list, Oid oid) {
        if (list.empty() || list.back() != oid) list.push_back(oid);
    }
    static void add_unique(std::vector<Oid>& list, Oid oid);
    std::optional<std::vector<const Function*>> reached(const std::vector<Oid>& from) const;

    std::unordered_map<Oid, Function> functions_;
    std::unordered_map<Oid, std::vector<Oid>> behind_;
};

}  // namespace pgweir::control
