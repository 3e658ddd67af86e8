// Prepared statements as clients know them. Equal statements of all sessions are one object with
// one number, so a server connection that has prepared it for one session has it for all. Thread:
// shared statements are immutable; the table is shared by the workers behind a mutex, which is
// taken when a client names a statement, not when it runs one. Numbers come from one counter.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "pgweir/base/hash.hpp"
#include "pgweir/query/verdict.hpp"

namespace pgweir::session {

struct MemoEntry;

struct Statement {
    std::uint64_t id = 0;
    std::string text;
    std::vector<std::uint32_t> types;  // as declared by the client; 0: left to the server
    static constexpr std::uint64_t kNotAsked = ~std::uint64_t{0};
    std::uint64_t definitions = kNotAsked;  // DatabaseState's, when it was made
    std::uint64_t profile = kNotAsked;      // of the settings it was made under
    std::uint64_t owner = 0;  // cache::owner_number() of whom it is shared by, if it is interned
    /// Its text was too long to be kept, so nothing is known of it: only the server that has parsed
    /// it last as the unnamed one has it.
    bool unseen = false;
    bool interned = false;  // others may come to share it at any time

    /// What query::scan_text() says of the text, asked when it is needed. Who has it from elsewhere
    /// may say so before. Shared statements were asked when they were made.
    const query::TextScan& scan() const noexcept {
        if (!scanned_) note_scan(query::scan_text(text));
        return scan_;
    }
    bool scanned() const noexcept { return scanned_; }
    void note_scan(const query::TextScan& scan) const noexcept {
        scan_ = scan;
        scanned_ = true;
    }
    /// base::hash128() of the text; asked, like the scan, when it is needed.
    const base::Hash128& hash() const noexcept {
        if (!hashed_) {
            hash_ = base::hash128(text);
            hashed_ = true;
        }
        return hash_;
    }
    /// Where another text has come into its memory.
    void forget_text() noexcept {
        scanned_ = hashed_ = false;
        changed_.store(false, std::memory_order_relaxed);
        described_.types.store(0, std::memory_order_relaxed);
        described_.result.store(0, std::memory_order_relaxed);
    }

    /// What clients were told that it takes and gives, see hash_of_types() and hash_of_result(); 0:
    /// nobody was told. What is told first stays.
    struct Described {
        std::atomic<std::uint64_t> types = 0, result = 0;
    };
    Described& described() const noexcept { return described_; }
    /// Whether a client that was told what this one is may be given what `now` is.
    bool described_like(const Statement& now) const noexcept;
    /// All that was told of this one is known of `now`.
    bool comparable(const Statement& now) const noexcept;
    /// A server has said that its result is another one now.
    bool changed() const noexcept { return changed_.load(std::memory_order_relaxed); }
    void note_changed() const noexcept { changed_.store(true, std::memory_order_relaxed); }

    /// As a Parse declares them, four bytes each, without their count.
    std::string raw_types() const;
    bool has_types(std::string_view raw) const noexcept;
    /// Whether a server has parsed it for this context (JudgeContext), in its latest few.
    bool known_to(std::uint64_t context) const noexcept {
        return known_[context % kKnown].load(std::memory_order_relaxed) == context;
    }
    void note_known(std::uint64_t context) const noexcept {
        known_[context % kKnown].store(context, std::memory_order_relaxed);
    }

  private:
    static constexpr std::size_t kKnown = 8;
    mutable query::TextScan scan_;
    mutable base::Hash128 hash_;
    mutable bool scanned_ = false, hashed_ = false;
    mutable std::array<std::atomic<std::uint64_t>, kKnown> known_{};
    mutable Described described_;
    mutable std::atomic<bool> changed_ = false;
};

/// Of a whole RowDescription or NoData: what PostgreSQL compares before it says that a cached plan
/// must not change result type: names, types and type modifiers. Of a ParameterDescription. Never
/// 0.
std::uint64_t hash_of_result(std::string_view description) noexcept;
std::uint64_t hash_of_types(std::string_view description) noexcept;

using StatementPtr = std::shared_ptr<const Statement>;

class StatementTable {
  public:
    /// The statement of this text, types, profile of settings, definitions
    /// (DatabaseState::definitions()) and owner, as what is told of it differs by user and
    /// database; made when there is none. Views are copied only then.
    StatementPtr intern(std::string_view text, std::string_view raw_types, std::uint64_t profile_id,
                        std::uint64_t definitions, std::uint64_t owner = 0);
    /// Later equal texts get a statement of their own: this one's plans are of no use any more.
    void forget(std::uint64_t id);
    /// One that is not shared: for the unnamed slot, whose texts are mostly used once. In the
    /// memory of `spare`, which nobody else holds, where there is one.
    static StatementPtr make(std::string_view text, std::string_view raw_types,
                             std::uint64_t definitions = Statement::kNotAsked,
                             std::uint64_t profile_id = Statement::kNotAsked,
                             std::shared_ptr<Statement> spare = nullptr);
    /// The same, and with its number, for one client alone: what that is told is for nobody else.
    static std::shared_ptr<Statement> own(const Statement& shared);
    /// Statement::unseen.
    static StatementPtr make_unseen();
    /// The statement to be made anew in its place, if it is nobody else's and not long; else null.
    static std::shared_ptr<Statement> spare(StatementPtr&& over) noexcept;

  private:
    void sweep();
    void keep(StatementPtr statement);
    std::mutex mutex_;
    std::unordered_map<base::Hash128, std::weak_ptr<const Statement>, base::Hash128Hash> by_hash_;
    std::size_t sweep_at_ = 4096;
    std::string key_;
    /// The latest ones stay known when no session has them any more: they soon come back.
    static constexpr std::size_t kKept = 1024, kLongestKept = 8192;
    std::vector<StatementPtr> kept_;
    std::size_t next_kept_ = 0;
};

/// The statements a session has named. Empty sessions cost one pointer.
class NamedStatements {
  public:
    const StatementPtr* find(std::string_view name) const noexcept;
    void set(std::string_view name, StatementPtr statement);
    bool erase(std::string_view name);
    /// Looks through all. One of the names of that statement, empty where it has none.
    std::string_view name_of(std::uint64_t statement) const noexcept;
    void clear() noexcept { held_.reset(); }
    std::size_t size() const noexcept { return held_ ? held_->map.size() : 0; }
    /// Of names, texts and types. A text counts for everybody who has it.
    std::size_t bytes() const noexcept { return held_ ? held_->bytes : 0; }

  private:
    using Map = std::unordered_map<std::string, StatementPtr, base::StringHash, std::equal_to<>>;
    struct Held {
        Map map;
        std::size_t bytes = 0;
        const Map::value_type* found = nullptr;  // last: mostly it is asked for again
    };
    std::unique_ptr<Held> held_;
};

}  // namespace pgweir::session
