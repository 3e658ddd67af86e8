// See history.hpp.
#include "checker/history.hpp"

#include <algorithm>
#include <unordered_map>

namespace pgweir::checker {

namespace {

class Breaches {
  public:
    Breaches(std::string name, std::size_t most) : name_(std::move(name)), most_(most) {}
    void add(const std::string& rule, const std::string& what) {
        if (++count_ <= most_) lines_.push_back(rule + " " + name_ + ": " + what);
    }
    std::vector<std::string> take() {
        if (count_ > most_) lines_.push_back(name_ + ": " + std::to_string(count_) + " in all");
        return std::move(lines_);
    }

  private:
    std::string name_;
    std::size_t most_;
    std::size_t count_ = 0;
    std::vector<std::string> lines_;
};

std::string at(std::int64_t version, Time from, Time to) {
    return std::to_string(version) + " [" + std::to_string(from / 1000) + ", " +
           std::to_string(to / 1000) + "] us";
}

/// Versions that were acknowledged, by time: the newest one acknowledged before a moment.
class Acknowledged {
  public:
    explicit Acknowledged(const std::vector<Write>& writes) {
        for (const auto& w : writes)
            if (w.outcome == Outcome::committed) points_.emplace_back(w.acknowledged, w.version);
        std::sort(points_.begin(), points_.end());
        for (std::size_t i = 1; i < points_.size(); ++i)
            points_[i].second = std::max(points_[i].second, points_[i - 1].second);
    }
    std::int64_t before(Time moment) const {
        const auto it = std::lower_bound(points_.begin(), points_.end(),
                                         std::pair<Time, std::int64_t>(moment, INT64_MIN));
        return it == points_.begin() ? 0 : std::prev(it)->second;
    }

  private:
    std::vector<std::pair<Time, std::int64_t>> points_;
};

void check_monotonic(const History& h, Breaches& breaches) {
    std::vector<const Read*> by_return, by_invoke;
    for (const auto& r : h.reads) {
        by_return.push_back(&r);
        by_invoke.push_back(&r);
    }
    std::sort(by_return.begin(), by_return.end(),
              [](const Read* a, const Read* b) { return a->returned < b->returned; });
    std::sort(by_invoke.begin(), by_invoke.end(),
              [](const Read* a, const Read* b) { return a->invoked < b->invoked; });
    std::size_t ended = 0;
    const Read* newest = nullptr;
    for (const auto* r : by_invoke) {
        for (; ended < by_return.size() && by_return[ended]->returned < r->invoked; ++ended)
            if (newest == nullptr || by_return[ended]->version > newest->version)
                newest = by_return[ended];
        if (newest != nullptr && r->version < newest->version)
            breaches.add("NONMONO", at(r->version, r->invoked, r->returned) + " after " +
                                        at(newest->version, newest->invoked, newest->returned));
    }
}

/// A session asks one thing after the other.
void check_sessions(const History& h, Breaches& breaches) {
    std::vector<const Read*> reads;
    for (const auto& r : h.reads) reads.push_back(&r);
    std::sort(reads.begin(), reads.end(),
              [](const Read* a, const Read* b) { return a->invoked < b->invoked; });
    std::unordered_map<std::uint64_t, const Read*> last;
    for (const auto* r : reads) {
        const auto*& before = last[r->session];
        if (before != nullptr && r->version < before->version)
            breaches.add("NONMONO", at(r->version, r->invoked, r->returned) +
                                        " in the session that saw " +
                                        at(before->version, before->invoked, before->returned));
        before = r;
    }
}

}  // namespace

std::vector<std::string> check(const History& h, std::size_t most) {
    Breaches breaches(h.name, most);
    std::unordered_map<std::int64_t, const Write*> by_version;
    for (const auto& w : h.writes) by_version[w.version] = &w;
    const Acknowledged acknowledged(h.writes);
    for (const auto& r : h.reads) {
        const auto write = by_version.find(r.version);
        if (r.version != 0 &&
            (write == by_version.end() || write->second->outcome == Outcome::aborted)) {
            breaches.add("DIRTY", at(r.version, r.invoked, r.returned));
            continue;
        }
        if (r.version != 0 && write->second->invoked > r.returned)
            breaches.add("FUTURE", at(r.version, r.invoked, r.returned));
        const auto least = acknowledged.before(r.invoked - h.staleness);
        if (r.version < least)
            breaches.add("STALE", at(r.version, r.invoked, r.returned) + " though " +
                                      std::to_string(least) + " was acknowledged");
    }
    if (h.staleness == 0)
        check_monotonic(h, breaches);
    else if (h.sessions)
        check_sessions(h, breaches);
    return breaches.take();
}

std::vector<std::string> check_list(const std::vector<Write>& appends,
                                    const std::vector<ListRead>& reads, std::size_t most) {
    Breaches breaches("list", most);
    std::vector<std::int64_t> longest;
    for (const auto& r : reads)
        if (r.elements.size() > longest.size()) longest = r.elements;
    std::unordered_map<std::int64_t, std::size_t> position;
    for (std::size_t i = 0; i < longest.size(); ++i)
        if (!position.emplace(longest[i], i + 1).second)
            breaches.add("TWICE", std::to_string(longest[i]));
    for (const auto& [element, place] : position) {
        const bool known = std::any_of(appends.begin(), appends.end(), [&, e = element](auto& w) {
            return w.version == e && w.outcome != Outcome::aborted;
        });
        if (!known) breaches.add("DIRTY", std::to_string(element));
    }
    for (const auto& r : reads) {
        if (!std::equal(r.elements.begin(), r.elements.end(), longest.begin()))
            breaches.add("CYCLE", "a list of " + std::to_string(r.elements.size()) +
                                      " elements is no beginning of the longest");
        for (const auto& w : appends)
            if (w.outcome == Outcome::committed && w.acknowledged < r.invoked &&
                (!position.contains(w.version) || position[w.version] > r.elements.size()))
                breaches.add("STALE", "without " + std::to_string(w.version));
    }
    return breaches.take();
}

}  // namespace pgweir::checker
