// Capturing epochs, fencing write sets, and where the states live.
#include "pgweir/cache/epochs.hpp"

#include <algorithm>
#include <tuple>

#include "pgweir/base/plants.hpp"

namespace pgweir::cache {

std::string_view name(Rung rung) noexcept {
    switch (rung) {
        case Rung::off: return "off";
        case Rung::ttl: return "ttl";
        case Rung::in_band: return "in_band";
        case Rung::bounded: return "bounded";
        case Rung::strict: return "strict";
    }
    return "off";
}

std::optional<Snapshot> Snapshot::of(std::vector<Dependency> states) {
    for (auto& d : states) d.epoch = d.state->epoch();
    // Only after all epochs: see the proof.
    for (const auto& d : states)
        if (d.state->fenced()) return std::nullopt;
    Snapshot s;
    s.dependencies_ = std::move(states);
    return s;
}

std::optional<Snapshot> Snapshot::capture(DatabaseState& database,
                                          std::span<RelationState* const> relations,
                                          std::uint64_t catalog_version) {
    std::vector<Dependency> states;
    states.reserve(relations.size() + 2);
    states.push_back({&database.everything()});
    states.push_back({&database.whole()});
    for (auto* relation : relations)
        if (relation != &database.whole()) states.push_back({relation});
    auto s = of(std::move(states));
    // After the epochs: see stream_state.hpp.
    if (s && database.stream().on()) {
        s->needs_stamp_ = true;
        s->unseen_ = database.stream().unproven(s->dependencies_);
    }
    // After the epochs: a schema change before this shows here, one after it in whole()'s epoch.
    if (catalog_version == 0 || database.catalog_version() != catalog_version) return std::nullopt;
    return s;
}

std::optional<Snapshot> Snapshot::capture(DatabaseState& database,
                                          std::span<const query::Oid> relations,
                                          std::uint64_t catalog_version) {
    std::vector<RelationState*> states;
    states.reserve(relations.size());
    for (const auto oid : relations) states.push_back(&database.relation(oid));
    return capture(database, std::span<RelationState* const>(states), catalog_version);
}

RelationState& EpochDomain::relation(query::Oid oid) {
    auto& shard = shards_[oid % shards_.size()];
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.relations.find(oid);
    if (found != shard.relations.end()) return found->second;
    // The order of these two keeps the bound exact while other shards grow.
    if (count_.fetch_add(1, std::memory_order_relaxed) >= kMaxRelations) {
        count_.fetch_sub(1, std::memory_order_relaxed);
        return whole_;
    }
    return shard.relations
        .emplace(std::piecewise_construct, std::forward_as_tuple(oid),
                 std::forward_as_tuple(whole_))
        .first->second;
}

std::vector<std::pair<query::Oid, const RelationState*>> EpochDomain::known() {
    std::vector<std::pair<query::Oid, const RelationState*>> all;
    for (auto& shard : shards_) {
        const std::lock_guard lock(shard.mutex);
        for (const auto& [oid, state] : shard.relations) all.emplace_back(oid, &state);
    }
    return all;
}

DatabaseState::DatabaseState(std::uint64_t id, std::string server, std::string dbname,
                             EpochDomain& domain, RelationState& everything, bool never_cached)
    : id_(id),
      server_(std::move(server)),
      dbname_(std::move(dbname)),
      domain_(domain),
      everything_(everything),
      never_cached_(never_cached),
      rung_reason_(never_cached ? "too many databases" : "the catalog has not been read yet") {}

std::optional<Snapshot> DatabaseState::begin_catalog_read() {
    return Snapshot::of({{&everything_}, {&domain_.schema()}});
}

bool DatabaseState::set_catalog(query::CatalogPtr catalog, const Snapshot& read) {
    const std::lock_guard lock(mutex_);
    if (catalog == nullptr) {
        version_.store(0);  // catalog_ stays, to know it again when it comes back unchanged
        return true;
    }
    if (read.dependencies().size() != 2 || read.dependencies()[1].state != &domain_.schema())
        return false;
    // The same catalog again is one that was read again and found unchanged.
    const bool same = catalog_ != nullptr && catalog_ == catalog;
    if ((catalog->version <= last_catalog_version_ && !same) || !read.still_valid()) return false;
    // While version_ is 0 nobody captures. The bump comes before the new version: what is captured
    // under that version has the epoch after the bump, what was captured before is invalid.
    version_.store(0);
    whole().bump();
    everything_epoch_.store(read.dependencies()[0].epoch);
    schema_epoch_.store(read.dependencies()[1].epoch);
    last_catalog_version_ = catalog->version;
    catalog_ = std::move(catalog);
    version_.store(++last_version_);
    return true;
}

bool DatabaseState::set_catalog(query::CatalogPtr catalog) {
    const auto read = begin_catalog_read();
    return set_catalog(std::move(catalog), read ? *read : Snapshot());
}

query::CatalogPtr DatabaseState::catalog() const {
    const std::lock_guard lock(mutex_);
    return catalog_version() != 0 ? catalog_ : nullptr;
}

std::uint64_t DatabaseState::catalog_version() const noexcept {
    const auto version = version_.load();
    if (version == 0) return 0;
    const bool same = everything_epoch_.load() == everything_.epoch() &&
                      schema_epoch_.load() == domain_.schema().epoch();
    // Versions never come back, so an unchanged one means that both epochs were its own.
    return same && version_.load() == version ? version : 0;
}

void DatabaseState::set_rung(Rung rung, std::string_view reason) {
    if (never_cached_) return;
    const std::lock_guard lock(mutex_);
    rung_reason_ = reason;
    rung_.store(rung, std::memory_order_release);
}

std::string DatabaseState::rung_reason() const {
    const std::lock_guard lock(mutex_);
    return rung_reason_;
}

Registry::Registry() : overflow_(0, "", "", overflow_domain_, everything_, true) {}

DatabaseState& Registry::database(std::string_view server, std::string_view dbname) {
    std::string name = std::to_string(server.size());
    name.append(":").append(server).append(dbname);
    const std::lock_guard lock(mutex_);
    const auto found = by_name_.find(name);
    if (found != by_name_.end()) return *found->second;
    // The bound is on names, which strangers choose; addresses come from the configuration. So a
    // name that is served in earnest never shares its writes with nobody.
    auto domain = domains_.find(std::string(dbname));
    if (domain == domains_.end()) {
        if (domains_.size() >= kMaxDatabases) return overflow_;
        domain = domains_.emplace(dbname, std::make_unique<EpochDomain>()).first;
    }
    databases_.push_back(std::make_unique<DatabaseState>(databases_.size() + 1, std::string(server),
                                                         std::string(dbname), *domain->second,
                                                         everything_, false));
    by_name_.emplace(std::move(name), databases_.back().get());
    return *databases_.back();
}

std::vector<DatabaseState*> Registry::databases() const {
    const std::lock_guard lock(mutex_);
    std::vector<DatabaseState*> all;
    all.reserve(databases_.size());
    for (const auto& d : databases_) all.push_back(d.get());
    return all;
}

void OrphanFence::settle() noexcept {
    for (auto* state : states_) state->settle();
    states_.clear();
}

WriteFence::WriteFence(WriteFence&& other) noexcept
    : states_(std::move(other.states_)), raised_(std::exchange(other.raised_, false)) {
    other.states_.clear();
}

WriteFence& WriteFence::operator=(WriteFence&& other) noexcept {
    if (this == &other) return *this;
    settle();
    states_ = std::move(other.states_);
    other.states_.clear();
    raised_ = std::exchange(other.raised_, false);
    return *this;
}

void WriteFence::add(RelationState& state) {
    if (std::find(states_.begin(), states_.end(), &state) != states_.end()) return;
    if (states_.size() >= kMaxStates && &state.wider() != &state) return add(state.wider());
    states_.push_back(&state);
    const bool raising = !base::planted(base::Plant::no_invalidation) &&
                         !base::planted(base::Plant::invalidate_at_answer);
    if (raised_ && raising) state.raise();
}

void WriteFence::add_schema(DatabaseState& database) {
    add(database.schema());
    add(database.whole());
}

void WriteFence::raise() noexcept {
    if (raised_) return;
    raised_ = true;
    if (base::planted(base::Plant::no_invalidation)) return;
    if (base::planted(base::Plant::invalidate_at_answer)) return;
    for (auto* state : states_) state->raise();
    base::hold(base::Hold::after_fence);
}

void WriteFence::settle() noexcept {
    if (base::planted(base::Plant::no_invalidation)) raised_ = false;
    if (raised_) base::hold(base::Hold::before_settle);
    if (raised_ && base::planted(base::Plant::invalidate_at_answer)) {
        for (auto* state : states_) state->bump();
        raised_ = false;
    }
    if (raised_)
        for (auto* state : states_) state->settle();
    raised_ = false;
    states_.clear();
}

OrphanFence WriteFence::release_unsettled() noexcept {
    OrphanFence orphan;
    if (raised_) orphan.states_ = std::move(states_);
    states_.clear();
    raised_ = false;
    return orphan;
}

}  // namespace pgweir::cache
