// Who may call whom in a database, to find what may write or leave session state however
// indirectly. Nodes are functions, and for each relation what reading and what writing it calls.
// Invariant: after settle() an effect that any callee has, every caller has; adding an edge or mark
// never removes one. Thread: one.
#pragma once

#include <array>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "pgweir/query/catalog.hpp"

namespace pgweir::control {

/// Leaves session state, writes rows, changes the catalog, may call nextval or setval, may call
/// currval or lastval. `asks`: the last by names alone, not because it may write to any table.
/// `shared`: changes what all databases share. `any_text`: runs SQL that is not seen here, which
/// may do either. `hides`: may keep state in the server process of which nothing can be asked.
enum class Effect : std::uint8_t {
    state,
    writes,
    defines,
    shared,
    any_text,
    moves,
    may_ask,
    asks,
    hides,
    count_
};
using Node = std::uint32_t;

class CallGraph {
  public:
    CallGraph();

    /// The users' triggers and event triggers, and conditions of triggers.
    Node triggers() const noexcept { return 0; }
    /// All that any write to any table may call.
    Node any_write() const noexcept { return 1; }
    /// What defaults of domains call: any write of a column of one, and DDL that adds one.
    Node domain_defaults() const noexcept { return 2; }
    /// What operators, casts and types of users call: any expression may use them.
    Node ambient() const noexcept { return 3; }

    Node function(query::Oid oid) { return node(functions_, oid); }
    Node reading(query::Oid relation) { return node(readings_, relation); }
    Node writing(query::Oid relation) { return node(writings_, relation); }
    bool knows_function(query::Oid oid) const { return functions_.contains(oid); }
    /// Relations that reading or writing() was asked for.
    bool knows_relation(query::Oid oid) const {
        return readings_.contains(oid) || writings_.contains(oid);
    }

    void call(Node caller, Node callee);
    void mark(Node node, Effect effect);
    /// It may write and define anything.
    void mark_writer(Node node);
    /// It has words of DDL, which may compute defaults of domains.
    void mark_definer(Node node) {
        mark(node, Effect::defines);
        call(node, domain_defaults());
    }
    /// Nothing is known of what reading or writing the relation does.
    void mark_unknown(query::Oid relation);
    /// What it does to rows and sequences may be whatever SQL can do.
    void mark_anything(Node node);
    /// Spreads all marks to the callers. Linear in nodes and edges.
    void settle();
    bool has(Node node, Effect effect) const noexcept;
    bool may_define(Node node) const noexcept {
        return has(node, Effect::defines) || has(node, Effect::any_text);
    }
    bool may_define_shared(Node node) const noexcept {
        return has(node, Effect::shared) || has(node, Effect::any_text);
    }
    query::SequenceUse sequences(Node node) const noexcept;
    /// Any use of a type may call it, but most do not.
    query::SequenceUse ambient_sequences() const noexcept;

  private:
    using Index = std::unordered_map<query::Oid, Node>;
    Node node(Index& index, query::Oid oid);
    void spread(Effect effect);

    Index functions_, readings_, writings_;
    std::vector<std::vector<Node>> callers_;
    std::array<std::vector<bool>, static_cast<std::size_t>(Effect::count_)> marked_;
};

}  // namespace pgweir::control
