// Remembers what judge() said, so that a text is parsed once per shape and not once per execution.
// An entry holds the relations' states ready for use. Bounded: when it is full it starts afresh,
// which costs some parses and nothing else. Thread: the worker's. Entries are dropped when the
// catalog they were judged by is replaced.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "pgweir/base/hash.hpp"
#include "pgweir/cache/epochs.hpp"
#include "pgweir/cache/ledger.hpp"
#include "pgweir/query/verdict.hpp"

namespace pgweir::session {

/// Who asks, as far as it decides how names resolve. One per (database, role, search_path,
/// UTF-8 or not).
struct JudgeContext {
    std::uint64_t id = 0;  // never reused
    cache::DatabaseState* database = nullptr;
    std::string user;
    std::vector<std::string> search_path;
    bool other_encoding = false;  // see query::ResolveContext
};

struct MemoEntry {
    query::VerdictPtr verdict;
    std::uint64_t catalog_version = 0;  // DatabaseState's, when it was judged; 0: without a catalog
    std::uint64_t catalogs = 0;         // the same: the last catalog says what it may define
    /// Without the database's own state; the last is the query's.
    std::vector<cache::RelationState*> reads;
    std::vector<cache::State*> depends;         // of all that is read: those, and any row of them
    std::vector<cache::RelationState*> writes;  // Writes::relations
    bool may_name_statement = true;             // it may be EXECUTE or DEALLOCATE
    bool may_notify = false;                    // it says NOTIFY or pg_notify
    bool may_name_processes = false;            // by numbers that the proxy may have given
    std::uint64_t fingerprint = 0;
    /// The statistics' generation that was told the text; the worker's own, like the memo.
    mutable std::uint32_t introduced = 0;
    /// What caching it costs and saves, once asked for; of that generation of the ledger.
    mutable cache::LedgerRowPtr ledger;
    mutable std::uint32_t ledger_generation = 0;
};
using MemoPtr = std::shared_ptr<const MemoEntry>;

class JudgeMemo {
  public:
    explicit JudgeMemo(std::size_t max_entries = 16384) : max_entries_(max_entries) {}

    /// Beyond NameScope::path the context's search_path is not believed.
    MemoPtr judge(const JudgeContext& context, std::string_view text, const query::TextScan& scan,
                  query::NameScope scope = query::NameScope::path);
    /// What judge() has said of a text of this shape, whatever its literals; null: it has to be
    /// asked. Valid until it is.
    const MemoEntry* known(const JudgeContext& context, const base::Hash128& shape,
                           query::NameScope scope) {
        const auto hash = in_context(shape, number_of(context, scope));
        auto& near = near_[hash.low % kNear];
        if (near.memo == nullptr || near.hash != hash) {
            const auto it = by_hash_.find(hash);
            if (it == by_hash_.end()) return nullptr;
            near.hash = hash;
            near.memo = &it->second;
        }
        const auto& found = **near.memo;
        const bool fits = fits_now(found, context.database->catalog_version(), *context.database) &&
                          !found.verdict->literal_dependent;
        return fits ? &found : nullptr;
    }
    std::size_t size() const noexcept { return by_hash_.size(); }
    std::uint64_t parses() const noexcept { return parses_; }

  private:
    static std::uint64_t number_of(const JudgeContext& context, query::NameScope scope) noexcept {
        // Numbers of contexts count up from 1.
        return context.id | static_cast<std::uint64_t>(scope) << 62;
    }
    /// Multiplying by an odd constant keeps different contexts apart.
    static base::Hash128 in_context(base::Hash128 h, std::uint64_t number) noexcept {
        h.low ^= number * 0x9E3779B97F4A7C15ull;
        h.high += number * 0xC2B2AE3D27D4EB4Full;
        return h;
    }
    static bool fits_now(const MemoEntry& found, std::uint64_t version,
                         const cache::DatabaseState& database) noexcept {
        return found.catalog_version == version &&
               (version != 0 || found.catalogs == database.catalogs());
    }
    MemoPtr find(const base::Hash128& hash, std::uint64_t version,
                 const cache::DatabaseState& database) const;
    void store(const base::Hash128& hash, MemoPtr entry);

    std::size_t max_entries_;
    std::uint64_t parses_ = 0;
    std::unordered_map<base::Hash128, MemoPtr, base::Hash128Hash> by_hash_;
    struct Near {
        base::Hash128 hash;
        const MemoPtr* memo = nullptr;  // in by_hash_
    };
    static constexpr std::size_t kNear = 256;
    std::array<Near, kNear> near_;  // what was asked for lately
};

}  // namespace pgweir::session
