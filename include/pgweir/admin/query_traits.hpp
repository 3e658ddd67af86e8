// How a query is used, beside what it costs: what advice needs and no figure tells. Per
// fingerprint, over all who ask. Invariant: everything here was seen, nothing is guessed; what
// could not be seen (a session that others displaced) is not counted. Thread: one, or behind a
// lock.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "pgweir/base/clock.hpp"
#include "pgweir/metrics/query_record.hpp"

namespace pgweir::admin {

struct QueryTraits {
    // A query's n rows were followed, in its session, by exactly n executions of this one.
    std::uint32_t fanouts = 0;
    std::uint64_t fanout_calls = 0;
    std::uint64_t fanout_parent = 0;  // fingerprint of that query, the latest
    // Many executions in a row, none in a transaction.
    std::uint32_t loops = 0;
    std::uint64_t loop_calls = 0;
    // Silences of a second and more behind it, inside a transaction; milliseconds.
    std::uint32_t idles = 0;
    std::uint64_t idle_ms = 0, longest_idle_ms = 0;
    // IN lists of constants or parameters: which lengths were seen, those of 63 and more as one.
    std::uint64_t list_lengths = 0;
    // Why the cache had no part.
    std::uint64_t not_cached = 0;
    std::uint8_t reason = 0;       // a query::NotCached, the first
    bool several_reasons = false;  // not always that one

    void note_text(std::string_view sql);
    void note_reason(std::uint8_t why);
    void note_idle(std::uint64_t milliseconds);
};

/// Length of the longest IN list of constants or parameters; 0: none is whole.
std::size_t longest_list(std::string_view sql);

/// Follows what sessions do one after the other. Fixed memory: of sessions that share a place the
/// latest is followed.
class SessionWatch {
  public:
    static constexpr std::uint64_t kFewFollowers = 5;
    static constexpr std::uint64_t kLongRun = 100;
    static constexpr base::Nanos kPause = base::kSecond / 2;  // ends a run

    /// `at`: monotonic, when its batch was handed over. `traits` gives those of a fingerprint, or
    /// null.
    template <class Traits>
    void observe(const metrics::QueryRecord& r, base::Nanos at, Traits&& traits) {
        auto& s = places_[r.session * 0x9E3779B97F4A7C15ull >> 52];
        if (s.session != r.session) s = {.session = r.session};
        const bool near = s.run > 0 && at - s.at <= kPause;
        if (r.idle_cs >= 100 && s.run > 0)
            if (auto* t = traits(s.fingerprint)) t->note_idle(r.idle_cs * std::uint64_t{10});
        if (!near || s.fingerprint != r.fingerprint) {
            if (s.run >= kFewFollowers)
                if (auto* t = traits(s.fingerprint)) end_run(s, *t);
            s.parent = near ? s.fingerprint : 0;
            s.parent_rows = s.rows;
            s.fingerprint = r.fingerprint;
            s.run = 0;
            s.autocommit = true;
        }
        ++s.run;
        s.autocommit = s.autocommit && (r.flags & metrics::QueryRecord::in_transaction) == 0;
        s.rows = r.rows;
        s.at = at;
    }

  private:
    struct Place {
        std::uint64_t session = 0;
        std::uint64_t fingerprint = 0;  // what it executes
        std::uint64_t run = 0;          // how often in a row
        std::uint64_t rows = 0;         // of the latest
        std::uint64_t parent = 0;       // executed before the run; 0: long before
        std::uint64_t parent_rows = 0;
        base::Nanos at = 0;
        bool autocommit = true;
    };
    static void end_run(const Place& place, QueryTraits& traits);
    std::array<Place, 4096> places_{};
};

}  // namespace pgweir::admin
