// See call_graph.hpp.
#include "call_graph.hpp"

#include <utility>

namespace pgweir::control {

CallGraph::CallGraph() {
    callers_.resize(4);
    for (auto& m : marked_) m.resize(4);
    call(any_write(), triggers());
    call(any_write(), domain_defaults());
}

Node CallGraph::node(Index& index, query::Oid oid) {
    const auto [it, added] = index.try_emplace(oid, static_cast<Node>(callers_.size()));
    if (added) {
        callers_.emplace_back();
        for (auto& m : marked_) m.push_back(false);
    }
    return it->second;
}

void CallGraph::call(Node caller, Node callee) {
    auto& callers = callers_[callee];
    // Bodies repeat names; the same caller's edges come one after another.
    if (caller != callee && (callers.empty() || callers.back() != caller))
        callers.push_back(caller);
}

void CallGraph::mark(Node node, Effect effect) {
    marked_[static_cast<std::size_t>(effect)][node] = true;
}

void CallGraph::mark_anything(Node node) {
    for (const auto effect : {Effect::writes, Effect::moves, Effect::may_ask}) mark(node, effect);
}

void CallGraph::mark_writer(Node node) {
    for (const auto effect : {Effect::writes, Effect::any_text}) mark(node, effect);
}

void CallGraph::mark_unknown(query::Oid relation) {
    for (const Node node : {reading(relation), writing(relation)}) {
        mark_writer(node);
        for (const auto effect : {Effect::defines, Effect::shared}) mark(node, effect);
    }
}

query::SequenceUse CallGraph::sequences(Node node) const noexcept {
    return {has(node, Effect::moves), has(node, Effect::may_ask), has(node, Effect::asks)};
}

query::SequenceUse CallGraph::ambient_sequences() const noexcept {
    auto use = sequences(ambient());
    use.asks = false;
    return use;
}

bool CallGraph::has(Node node, Effect effect) const noexcept {
    return marked_[static_cast<std::size_t>(effect)][node];
}

void CallGraph::settle() {
    for (std::size_t e = 0; e < marked_.size(); ++e) spread(static_cast<Effect>(e));
}

void CallGraph::spread(Effect effect) {
    auto& marked = marked_[static_cast<std::size_t>(effect)];
    std::vector<Node> open;
    for (Node n = 0; n < marked.size(); ++n)
        if (marked[n]) open.push_back(n);
    while (!open.empty()) {
        const Node n = open.back();
        open.pop_back();
        if ((effect == Effect::asks || effect == Effect::hides) && n <= ambient()) continue;
        for (const Node caller : callers_[n]) {
            if (marked[caller]) continue;
            marked[caller] = true;
            open.push_back(caller);
        }
    }
}

}  // namespace pgweir::control
