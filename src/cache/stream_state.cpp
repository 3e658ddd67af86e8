// Deliveries, the watermark, and who waits for it.
#include "pgweir/cache/stream_state.hpp"

#include <algorithm>
#include <utility>

#include "pgweir/base/plants.hpp"
#include "pgweir/cache/epochs.hpp"

namespace pgweir::cache {

namespace {
bool concerns(const Change& change, std::span<const Dependency> dependencies,
              std::uint64_t catalog_version) {
    if (change.everything) return true;
    if (change.catalog_version != 0 && change.catalog_version != catalog_version) return true;
    return std::any_of(change.states.begin(), change.states.end(), [&](const auto* s) {
        return std::any_of(dependencies.begin(), dependencies.end(),
                           [&](const Dependency& d) { return d.state == s; });
    });
}
}  // namespace

Unseen StreamState::unproven(std::span<const Dependency> dependencies,
                             std::uint64_t catalog_version) const {
    Unseen unseen;
    if (base::planted(base::Plant::no_stamp)) return unseen;
    // What is remembered after this load raises its epochs after it, too: the fill will not stand.
    if (recent_count_.load(std::memory_order_seq_cst) == 0) return unseen;
    const std::lock_guard lock(mutex_);
    for (const auto& change : recent_)
        if (concerns(change, dependencies, catalog_version)) unseen.each.push_back(change.xid);
    unseen.all_from = all_from_;
    unseen.all_up_to = all_up_to_;
    return unseen;
}

void StreamState::want(base::Nanos now) {
    const auto last = wanted_.load(std::memory_order_relaxed);
    if (last != 0 && now - last < base::kSecond) return;
    wanted_.store(now, std::memory_order_relaxed);
    signal();
}

void StreamState::await(base::Nanos needed, std::function<void()> wake) {
    waits_.fetch_add(1, std::memory_order_relaxed);
    {
        const std::lock_guard lock(mutex_);
        const auto mark = watermark();
        if (mark != 0 && mark < needed && waiting_.size() < kMaxWaiting) {
            waiting_.push_back({needed, std::move(wake)});
            if (signal_) signal_();
            return;
        }
    }
    wake();
}

void StreamState::refine(State& fenced, base::Nanos since) {
    {
        const std::lock_guard lock(mutex_);
        if (watermark() != 0 && fenced_.size() < kMaxWaiting &&
            !base::planted(base::Plant::refined_too_early)) {
            fenced_.push_back({since, &fenced});
            if (signal_) signal_();
            return;
        }
    }
    if (base::planted(base::Plant::refined_too_early)) return fenced.lower();
    fenced.settle();
}

void StreamState::begin(const Stamp& at, RelationState& whole, bool defines, bool by_publication) {
    by_publication_.store(by_publication, std::memory_order_seq_cst);
    on_.store(true, std::memory_order_seq_cst);
    for (const auto xid : at.running()) remember({xid, {}, 0, true, defines});
    // Whoever has not seen on_ has an older epoch.
    if (!base::planted(base::Plant::gap_keeps_entries)) whole.bump();
}

void StreamState::begin_by_notice(RelationState& whole) {
    by_notice_.store(true, std::memory_order_seq_cst);
    whole.bump();
}

void StreamState::remember(Change change) {
    const std::lock_guard lock(mutex_);
    // Of those that were running when the stream began there is a wider record already.
    for (auto& known : recent_) {
        if (known.xid != change.xid || !known.everything) continue;
        known.defines = known.defines || change.defines;
        return;
    }
    if (recent_.size() < kMaxRecent) {
        recent_.push_back(std::move(change));
    } else {
        all_from_ = all_up_to_ == 0 ? change.xid : std::min(all_from_, change.xid);
        all_up_to_ = std::max(all_up_to_, change.xid);
        beyond_defines_ = beyond_defines_ || change.defines;
    }
    recent_count_.store(recent_.size(), std::memory_order_seq_cst);
}

void StreamState::deliver(Change change, RelationState& whole) {
    transactions_.fetch_add(1, std::memory_order_relaxed);
    if (change.states.empty() && !change.everything) return;
    const auto states = change.states;
    const bool everything = change.everything;
    if (!by_notice()) remember(std::move(change));
    if (everything) whole.bump();
    for (auto* state : states) state->bump();
}

bool StreamState::proven(const Stamp& stamp) {
    const std::lock_guard lock(mutex_);
    bool defined = false;
    // A transaction that was open before them holds none of them back.
    if (all_up_to_ != 0 && stamp.sees_range(all_from_, all_up_to_)) {
        all_from_ = all_up_to_ = 0;
        defined = std::exchange(beyond_defines_, false);
    }
    std::erase_if(recent_, [&](const Change& c) {
        const bool seen = stamp.sees(c.xid);
        defined = defined || (seen && c.defines);
        return seen;
    });
    recent_count_.store(recent_.size() + (all_up_to_ != 0 ? 1 : 0), std::memory_order_seq_cst);
    return defined;
}

void StreamState::advance(base::Nanos sent) {
    std::vector<Waiter> done;
    {
        const std::lock_guard lock(mutex_);
        watermark_.store(sent, std::memory_order_seq_cst);
        const auto first = std::partition(waiting_.begin(), waiting_.end(),
                                          [&](const Waiter& w) { return w.needed > sent; });
        std::move(first, waiting_.end(), std::back_inserter(done));
        waiting_.erase(first, waiting_.end());
        std::erase_if(fenced_, [&](const Fenced& f) {
            const bool delivered = f.since < sent;
            if (delivered) f.state->lower();
            return delivered;
        });
    }
    for (auto& w : done) w.wake();
}

void StreamState::give_up(base::Nanos limit) {
    const std::lock_guard lock(mutex_);
    std::erase_if(fenced_, [&](const Fenced& f) {
        const bool late = f.since < limit;
        if (late) f.state->settle();
        return late;
    });
}

void StreamState::end(RelationState& whole) {
    std::vector<Waiter> all;
    {
        const std::lock_guard lock(mutex_);
        watermark_.store(0, std::memory_order_seq_cst);
        all.swap(waiting_);
        recent_.clear();
        all_from_ = all_up_to_ = 0;
        beyond_defines_ = false;
        recent_count_.store(0, std::memory_order_seq_cst);
        for (const auto& f : fenced_) f.state->settle();
        fenced_.clear();
    }
    if (!base::planted(base::Plant::gap_keeps_entries)) whole.bump();
    const bool stamped = on_.exchange(false, std::memory_order_seq_cst);
    by_publication_.store(false, std::memory_order_seq_cst);
    if (by_notice_.exchange(false, std::memory_order_seq_cst) || stamped)
        gaps_.fetch_add(1, std::memory_order_relaxed);
    for (auto& w : all) w.wake();
}

void StreamState::on_demand(std::function<void()> signal) {
    const std::lock_guard lock(mutex_);
    signal_ = std::move(signal);
}

void StreamState::signal() const {
    const std::lock_guard lock(mutex_);
    if (signal_) signal_();
}

base::Nanos StreamState::needed() const {
    const std::lock_guard lock(mutex_);
    base::Nanos latest = 0;
    for (const auto& w : waiting_) latest = std::max(latest, w.needed);
    for (const auto& f : fenced_) latest = std::max(latest, f.since);
    return latest;
}

base::Nanos StreamState::oldest_fence() const {
    const std::lock_guard lock(mutex_);
    base::Nanos oldest = 0;
    for (const auto& f : fenced_)
        if (oldest == 0 || f.since < oldest) oldest = f.since;
    return oldest;
}

}  // namespace pgweir::cache
