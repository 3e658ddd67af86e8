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

std::optional<Snapshot> Snapshot::capture(DatabaseState& database, std::span<State* const> states,
                                          std::uint64_t catalog_version) {
    std::vector<Dependency> all;
    all.reserve(states.size() + 2);
    for (auto* state : states) all.push_back({state});
    return capture(database, std::move(all), catalog_version);
}

std::optional<Snapshot> Snapshot::capture(DatabaseState& database, std::vector<Dependency> all,
                                          std::uint64_t catalog_version) {
    std::erase_if(all, [&](const auto& d) { return d.state == &database.whole(); });
    all.push_back({&database.everything()});
    all.push_back({&database.whole()});
    auto s = of(std::move(all));
    // After the epochs: see stream_state.hpp.
    if (s && database.stream().on()) {
        s->needs_stamp_ = true;
        s->unseen_ = database.stream().unproven(s->dependencies_, catalog_version);
    }
    // After the epochs: a schema change before this shows here, one after it in whole()'s epoch.
    if (catalog_version == 0 || database.catalog_version() != catalog_version) return std::nullopt;
    return s;
}

std::optional<Snapshot> Snapshot::capture(DatabaseState& database,
                                          std::span<const query::Oid> relations,
                                          std::uint64_t catalog_version) {
    std::vector<State*> states;
    states.reserve(2 * relations.size());
    for (const auto oid : relations) {
        auto& relation = database.relation(oid);
        states.push_back(&relation);
        states.push_back(&relation.any_row());
    }
    return capture(database, std::span<State* const>(states), catalog_version);
}

namespace {
std::atomic<std::size_t> relations_with_rows{0};
}  // namespace

std::size_t RelationState::with_rows() noexcept { return relations_with_rows.load(); }

RelationState::~RelationState() {
    auto* rows = rows_.load();
    if (rows == nullptr) return;
    delete rows;
    relations_with_rows.fetch_sub(1);
}

State* RelationState::row_to_read(std::uint64_t number, Charge paid) {
    if (auto* known = row(number)) return known;
    if (relations_with_rows.fetch_add(1) >= kMostWithRows) {
        relations_with_rows.fetch_sub(1);
        return nullptr;
    }
    auto fresh = std::make_unique<Rows>();
    fresh->paid = std::move(paid);
    Rows* none = nullptr;
    if (rows_.compare_exchange_strong(none, fresh.get()))
        static_cast<void>(fresh.release());
    else
        relations_with_rows.fetch_sub(1);
    return row(number);
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
      rung_reason_(never_cached ? "too many databases" : "the catalog has not been read yet") {
    domain_.join();
}

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
    if (catalog->version <= last_catalog_version_ && !same) return false;
    const bool valid = read.still_valid();
    if (!same) {
        version_.store(0);
        last_catalog_version_ = catalog->version;
        note_login_settings(*catalog);
        catalog_ = std::move(catalog);
        catalogs_.fetch_add(1);
    }
    // What ran meanwhile did so by what is found again, or may have made what this does not show.
    const bool doubtful = doubtful_.exchange(false);
    if (!valid || (doubtful && !same)) return false;
    // While version_ is 0 nobody captures. The bump comes before the new version: what is captured
    // under that version has the epoch after the bump, what was captured before is invalid.
    version_.store(0);
    whole().bump();
    everything_epoch_.store(read.dependencies()[0].epoch);
    schema_epoch_.store(read.dependencies()[1].epoch);
    version_.store(++last_version_);
    return true;
}

bool DatabaseState::judged_in_doubt(std::uint64_t catalogs) noexcept {
    // In this order: set_catalog() counts first, and then looks whether there is doubt. Where no
    // catalog is ever read all workers come here all the time.
    if (!doubtful_.load()) doubtful_.store(true);
    if (catalogs_.load() == catalogs) return false;
    schema().bump();
    whole().bump();
    return true;
}

bool DatabaseState::set_catalog(query::CatalogPtr catalog) {
    const auto read = begin_catalog_read();
    return set_catalog(std::move(catalog), read ? *read : Snapshot());
}

/// Under the mutex, and before the version: whoever finds that one has the time, too.
void DatabaseState::note_login_settings(const query::Catalog& catalog) {
    read_committed_.store(catalog.read_committed, std::memory_order_relaxed);
    // Before the first look nothing was known: only statements that passed here tell of a change.
    if (catalog_ == nullptr && everything_.epoch() == 0)
        logins_changed_.store(1);
    else if (catalog_ == nullptr || catalog_->login_settings != catalog.login_settings)
        logins_changed_.store(base::monotonic_now());
}

void DatabaseState::note_logins_changed() {
    const std::lock_guard lock(mutex_);
    logins_changed_.store(base::monotonic_now());
}

query::CatalogPtr DatabaseState::last_catalog() const {
    const std::lock_guard lock(mutex_);
    return catalog_;
}

query::CatalogPtr DatabaseState::catalog() const {
    const std::lock_guard lock(mutex_);
    return catalog_version() != 0 ? catalog_ : nullptr;
}

void DatabaseState::set_rung(Rung rung, std::string_view reason) {
    if (never_cached_) return;
    const std::lock_guard lock(mutex_);
    rung_reason_ = reason;
    // What was written around the proxy under another promise was perhaps told by nobody.
    const bool another = rung != rung_.load(std::memory_order_relaxed);
    if (another && !base::planted(base::Plant::gap_keeps_entries)) whole().bump();
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
    if (judged_by_.outdated()) judged_by_.database->whole().bump();
    for (auto* state : states_) state->settle();
    states_.clear();
}

WriteFence::WriteFence(WriteFence&& other) noexcept
    : items_(std::move(other.items_)),
      judged_by_(std::exchange(other.judged_by_, {})),
      raised_(std::exchange(other.raised_, false)) {
    other.items_.clear();
}

WriteFence& WriteFence::operator=(WriteFence&& other) noexcept {
    if (this == &other) return *this;
    settle();
    items_ = std::move(other.items_);
    other.items_.clear();
    judged_by_ = std::exchange(other.judged_by_, {});
    raised_ = std::exchange(other.raised_, false);
    return *this;
}

bool WriteFence::holds(const State& state) const noexcept {
    return std::any_of(items_.begin(), items_.end(),
                       [&](const Item& item) { return item.state == &state; });
}

void WriteFence::raise(Item& item) noexcept {
    // Without a watermark the stream may tell nothing of what is committed from here on.
    if (item.stream != nullptr && item.stream->watermark() != 0) return item.state->raise_fence();
    item.stream = nullptr;
    item.state->raise();
}

void WriteFence::push(Item item) {
    const bool raising = !base::planted(base::Plant::no_invalidation) &&
                         !base::planted(base::Plant::invalidate_at_answer);
    if (raised_ && raising) raise(item);
    items_.push_back(item);
}

void WriteFence::add(RelationState& state) {
    for (auto& item : items_) {
        if (item.state != &state) continue;
        if (item.stream != nullptr && raised_) state.bump();
        item.stream = nullptr;
        return;
    }
    if (items_.size() >= kMaxStates && &state.wider() != &state) return add(state.wider());
    push({&state, &state});
}

void WriteFence::add_unknown(DatabaseState& database) {
    if (!holds(database.whole()))
        push({&database.whole(), &database.whole(), database.telling_stream()});
}

void WriteFence::judged(DatabaseState& database, std::uint64_t catalog_version) {
    if (judged_by_.database == nullptr) judged_by_ = {&database, catalog_version};
    if (judged_by_.version != catalog_version) add(database.whole());
}

void WriteFence::add_rows(RelationState& relation, std::span<State* const> rows) {
    if (holds(relation)) return;
    if (items_.size() + rows.size() + 1 > kMaxWithRows) return add(relation);
    if (!holds(relation.any_row())) push({&relation.any_row(), &relation});
    if (base::planted(base::Plant::row_not_bumped)) return;
    for (auto* row : rows)
        if (!holds(*row)) push({row, nullptr});
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
    for (auto& item : items_) raise(item);
    if (judged_by_.outdated()) add(judged_by_.database->whole());
    base::hold(base::Hold::after_fence);
}

void WriteFence::end() noexcept {
    if (base::planted(base::Plant::no_invalidation)) raised_ = false;
    if (raised_) base::hold(base::Hold::before_settle);
    if (raised_ && base::planted(base::Plant::invalidate_at_answer)) {
        for (const auto& item : items_) item.state->bump();
        raised_ = false;
    }
    // The catalog was replaced while the commit was in flight.
    if (raised_ && judged_by_.outdated()) judged_by_.database->whole().bump();
    if (raised_) {
        for (const auto& item : items_) {
            if (item.stream != nullptr)
                item.stream->refine(*item.state, base::monotonic_now());
            else
                item.state->settle();
        }
    }
    raised_ = false;
    items_.clear();
    judged_by_ = {};
}

OrphanFence WriteFence::release_unsettled() noexcept {
    OrphanFence orphan;
    if (raised_) {
        for (const auto& item : items_) orphan.states_.push_back(item.state);
        orphan.judged_by_ = judged_by_;
    }
    items_.clear();
    judged_by_ = {};
    raised_ = false;
    return orphan;
}

}  // namespace pgweir::cache
