// What decides whether a stored result is still right: a change counter (epoch) and a count of
// commits in flight (fence) per relation, per database and for the whole process.
// Thread: any; everything here is atomic or behind its own mutex, nothing waits for traffic.
//
// The rule, with seq_cst everywhere, so that all loads and stores below stand in one total order:
//   writer  W1 fence+1 · W2 epoch+1 · send what may commit · [the commit becomes visible at v]
//           · reply read · W3 epoch+1 · W4 fence-1 · answer the client
//   fill    C1 load epochs · C2 load fences, all zero or no fill · send · [snapshot taken at f]
//   hit     H1 load fences, all zero or no hit · H2 load epochs, all equal to C1's or no hit
// Claim: a hit returns what the server would have returned at the moment H1 began.
// Proof: suppose a commit on a dependency with f < v <= start of H1, so that the entry misses it.
//   If C1 < W2: W2 < v <= H1 < H2, so H2 reads a larger epoch than C1 did: no hit.
//   If W2 < C1: then W1 < W2 < C1 < C2. C2 read a fence of zero, so W4 < C2 (a fence is a count:
//   other writers cannot take this one's part away). But v < W4 < C2 < send < f, against f < v.
// So no commit on any dependency became visible between f and the start of H1; f is one snapshot
// for all dependencies, hence the result is the one of that moment. This rests on C1 before C2 and
// on W1 before W2: with C2 first, C2 < W1 < W2 < C1 could take a new epoch for a commit in flight.
// W3 and H1 are not used by the proof; they keep it true where an epoch is read late, and W3 is
// what a writer with a fence it did not raise (orphan) gives. The same argument makes it safe to
// answer the writer before W3: the fence then simply stays longer.
//
// Refinement. Where a change stream tells what a write of unknown extent has changed, W2 and W3 may
// be left out:
//   writer  R1 fence+1 · send · [visible at v] · reply read · answer the client
//   stream  R2 epochs of what was changed +1 · the watermark passes the reply · R3 fence-1
// Claim and supposition as above, with v before H1. H1 read a fence of zero, and R1 < v < H1, so
// R3 < H1, hence R2 < R3 < H1 < H2. C2 read a fence of zero, too, and v < R3 but C2 < f < v, so
// C2 < R1, hence C1 < C2 < R1 < R2. So the epoch changed between C1 and H2: no hit. This rests on
// C1 before C2 and on H1 before H2. If the stream has a gap before R3, the end of the gap raises
// whole()'s epoch, or W3 and W4 follow, which is enough in the same way. While the fence is up
// nothing hits, but entries stay.
//
// Rows. A relation has beside its own state one for any row, and an array of them for rows by
// number (query/row_keys.hpp). Who reads all of a relation depends on the relation and on any row;
// who reads rows by key on the relation and on those rows. Who writes rows by key raises any row
// and those rows; whoever else writes, the relation. So each reader meets each writer it has to in
// some state, and the proof above is that of this state. Two rows of one number only invalidate too
// much.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "pgweir/base/clock.hpp"
#include "pgweir/cache/memory.hpp"
#include "pgweir/cache/stats.hpp"
#include "pgweir/cache/stream_state.hpp"
#include "pgweir/query/catalog.hpp"

namespace pgweir::cache {

/// An epoch and a fence. Lives as long as the process.
class State {
  public:
    State() = default;
    State(const State&) = delete;
    State& operator=(const State&) = delete;

    std::uint64_t epoch() const noexcept { return epoch_.load(std::memory_order_seq_cst); }
    bool fenced() const noexcept { return fence_.load(std::memory_order_seq_cst) != 0; }
    std::uint32_t fence() const noexcept { return fence_.load(std::memory_order_seq_cst); }
    /// Every entry that depends on this is invalid from now on. For changes that are already
    /// visible.
    void bump() noexcept { epoch_.fetch_add(1, std::memory_order_seq_cst); }

  private:
    friend class WriteFence;
    friend class OrphanFence;
    friend class StreamState;
    void raise() noexcept {
        raise_fence();
        epoch_.fetch_add(1, std::memory_order_seq_cst);
    }
    /// Of a write that the change stream will tell of: see the proof of refinement above.
    void raise_fence() noexcept { fence_.fetch_add(1, std::memory_order_seq_cst); }
    void lower() noexcept { fence_.fetch_sub(1, std::memory_order_seq_cst); }
    void settle() noexcept {
        epoch_.fetch_add(1, std::memory_order_seq_cst);
        fence_.fetch_sub(1, std::memory_order_seq_cst);
    }

    std::atomic<std::uint64_t> epoch_{0};
    std::atomic<std::uint32_t> fence_{0};
};

/// Of one relation, of a database, or of everything.
class RelationState : public State {
  public:
    /// Rows whose numbers agree in their last bits share a state.
    static constexpr std::size_t kRowStates = 65536;
    /// Relations of the process whose rows have states; those of others have none.
    static constexpr std::size_t kMostWithRows = 64;

    RelationState() = default;
    /// `wider` is fenced instead of this one by a write set that has grown too large.
    explicit RelationState(RelationState& wider) noexcept : wider_(&wider) {}
    ~RelationState();
    RelationState(const RelationState&) = delete;
    RelationState& operator=(const RelationState&) = delete;

    /// Raised by whoever writes rows by key.
    State& any_row() noexcept { return any_row_; }
    const State& any_row() const noexcept { return any_row_; }
    /// Null: rows have no states. Once they have, they have for good.
    State* row(std::uint64_t number) noexcept {
        auto* rows = rows_.load(std::memory_order_seq_cst);
        return rows == nullptr ? nullptr : &rows->each[number % kRowStates];
    }
    /// The same for who reads: makes them, while there is room, and keeps what was paid for them.
    State* row_to_read(std::uint64_t number, Charge paid = {});
    /// What the states of one relation's rows cost, in bytes.
    static std::uint64_t row_bytes() noexcept { return allocation_bytes(sizeof(Rows)); }
    /// Relations of the process that have them.
    static std::size_t with_rows() noexcept;

    /// The same by hand.
    void invalidate(base::Nanos now) noexcept {
        bump();
        note(0, now);
    }
    RelationState& wider() noexcept { return wider_ != nullptr ? *wider_ : *this; }
    /// For people: which session's write invalidated it last, and when; 0: none has. Not exact
    /// where two write at once.
    std::uint64_t changed_by() const noexcept { return by_.load(std::memory_order_relaxed); }
    base::Nanos changed_at() const noexcept { return at_.load(std::memory_order_relaxed); }

  private:
    friend class WriteFence;
    struct Rows {
        std::array<State, kRowStates> each;
        Charge paid;
    };
    void note(std::uint64_t by, base::Nanos at) noexcept {
        by_.store(by, std::memory_order_relaxed);
        at_.store(at, std::memory_order_relaxed);
    }

    State any_row_;
    std::atomic<Rows*> rows_{nullptr};
    std::atomic<std::uint64_t> by_{0};
    std::atomic<base::Nanos> at_{0};
    RelationState* wider_ = nullptr;
};

struct Dependency {
    State* state = nullptr;
    std::uint64_t epoch = 0;
};

/// No fence is up. To be asked before fits().
inline bool settled(std::span<const Dependency> dependencies) noexcept {
    for (const auto& d : dependencies)
        if (d.state->fenced()) return false;
    return true;
}
/// Every epoch is as captured; once false, false for good.
inline bool fits(std::span<const Dependency> dependencies) noexcept {
    for (const auto& d : dependencies)
        if (d.state->epoch() != d.epoch) return false;
    return true;
}
/// True iff every epoch is as captured and no fence is up.
inline bool unchanged(std::span<const Dependency> dependencies) noexcept {
    return settled(dependencies) && fits(dependencies);
}

class DatabaseState;

/// The epochs a fill rests on, taken before the message is sent that takes the server's snapshot.
class Snapshot {
  public:
    /// Of `states`, the database and everything. Nothing when a fence is up, or when the catalog
    /// in force is not the one of `catalog_version`, by which the relations were found.
    static std::optional<Snapshot> capture(DatabaseState& database, std::span<State* const> states,
                                           std::uint64_t catalog_version);
    /// The same where the caller has a list of their own to give, without epochs.
    static std::optional<Snapshot> capture(DatabaseState& database, std::vector<Dependency> states,
                                           std::uint64_t catalog_version);
    /// The same of whole relations by OIDs: locks a shard of the database's map for each.
    static std::optional<Snapshot> capture(DatabaseState& database,
                                           std::span<const query::Oid> relations,
                                           std::uint64_t catalog_version);
    /// Never true of a default-constructed one, which has seen nothing.
    bool still_valid() const noexcept { return !dependencies_.empty() && unchanged(dependencies_); }
    std::span<const Dependency> dependencies() const noexcept { return dependencies_; }
    /// There is a change stream: an answer read under this is an entry only if a stamp of the
    /// server, taken before the answer's snapshot, sees what the stream had delivered.
    bool needs_stamp() const noexcept { return needs_stamp_; }
    bool proven_by(const Stamp& stamp) const noexcept { return unseen_.seen_by(stamp); }
    /// A bug for test builds: see base/plants.hpp.
    void plant_refresh() noexcept {
        for (auto& d : dependencies_) d.epoch = d.state->epoch();
    }

  private:
    friend class DatabaseState;
    static std::optional<Snapshot> of(std::vector<Dependency> states);
    std::vector<Dependency> dependencies_;
    Unseen unseen_;
    bool needs_stamp_ = false;
};

/// What is promised, weakest first.
enum class Rung : std::uint8_t { off, ttl, in_band, bounded, strict };
std::string_view name(Rung rung) noexcept;

/// Epochs of all databases of one name. A server may be known under several addresses; a write
/// through one must reach results read through another before anybody knows that they are the same.
/// So the name alone decides what shares epochs: for two servers that only share a database's name
/// this invalidates more than needed, never less.
class EpochDomain {
  public:
    static constexpr std::size_t kMaxRelations = 100'000;
    EpochDomain() = default;
    RelationState& whole() noexcept { return whole_; }
    RelationState& schema() noexcept { return schema_; }
    RelationState& relation(query::Oid oid);
    /// What every answer to a query depends on, shared by many queries, so that they can be
    /// invalidated by hand.
    RelationState& query(std::uint64_t fingerprint) noexcept {
        return queries_[fingerprint % queries_.size()];
    }
    /// Called by each database that shares it.
    void join() noexcept { databases_.fetch_add(1, std::memory_order_seq_cst); }
    bool shared() const noexcept { return databases_.load(std::memory_order_seq_cst) > 1; }
    /// All that anybody has asked for; they stay where they are.
    std::vector<std::pair<query::Oid, const RelationState*>> known();

  private:
    struct Shard {
        std::mutex mutex;
        std::unordered_map<query::Oid, RelationState> relations;  // nodes never move, never go
    };
    RelationState whole_;
    RelationState schema_;
    std::array<RelationState, 64> queries_;
    std::atomic<unsigned> databases_{0};
    std::atomic<std::size_t> count_{0};
    std::array<Shard, 16> shards_;
};

/// A database of a server, as sessions see it. Made by the Registry, lives as long as the process.
class DatabaseState {
  public:
    DatabaseState(std::uint64_t id, std::string server, std::string dbname, EpochDomain& domain,
                  RelationState& everything, bool never_cached);

    /// A small number, unique in the process, for keys.
    std::uint64_t cache_id() const noexcept { return id_; }
    const std::string& server() const noexcept { return server_; }
    const std::string& dbname() const noexcept { return dbname_; }

    /// For writes of which is not known what they touch. Every Snapshot holds it.
    RelationState& whole() noexcept { return domain_.whole(); }
    /// For writes that may change the catalog, together with whole(): see WriteFence::add_schema.
    RelationState& schema() noexcept { return domain_.schema(); }
    /// For role-level statements: one for all databases of the process. Every Snapshot holds it.
    RelationState& everything() noexcept { return everything_; }
    /// Stable address; locks a mutex, so remember it. Beyond kMaxRelations of a name: whole().
    RelationState& relation(query::Oid oid) { return domain_.relation(oid); }
    RelationState& query(std::uint64_t fingerprint) noexcept { return domain_.query(fingerprint); }
    std::vector<std::pair<query::Oid, const RelationState*>> known() { return domain_.known(); }

    /// To be called before the catalog is read; nothing while a commit that may change it is in
    /// flight.
    std::optional<Snapshot> begin_catalog_read();
    /// Puts a catalog in force that was read after `read`; invalidates all entries of the database.
    /// False when the schema changed since, or when what has run meanwhile may have run code that
    /// this catalog is the first to tell of: it is the last one then, but not in force (read
    /// again). False, too, and nothing is changed, when its version is not higher than the last
    /// one's and it is not the last one itself, read again and found unchanged. Null takes the
    /// catalog away: nothing can be filled then.
    bool set_catalog(query::CatalogPtr catalog, const Snapshot& read);
    /// The same for a catalog read just now.
    bool set_catalog(query::CatalogPtr catalog);
    /// Null when there is none, or when the schema may have changed since it was read.
    query::CatalogPtr catalog() const;
    /// Counts how often a catalog was put in force, so it is not Catalog::version; 0 exactly when
    /// catalog() is null. A few loads.
    std::uint64_t catalog_version() const noexcept {
        const auto version = version_.load();
        if (version == 0) return 0;
        const bool same = everything_epoch_.load() == everything_.epoch() &&
                          schema_epoch_.load() == domain_.schema().epoch();
        // Versions never come back, so an unchanged one means that both epochs were its own.
        return same && version_.load() == version ? version : 0;
    }

    /// Another number whenever what names and types mean may have become something else, for
    /// everybody; only grows.
    std::uint64_t definitions() const noexcept {
        return domain_.schema().epoch() + catalogs_.load();
    }

    /// The last catalog there was, in force or not; null: none yet.
    query::CatalogPtr last_catalog() const;
    /// How often the last catalog became another. To be read in front of last_catalog().
    std::uint64_t catalogs() const noexcept { return catalogs_.load(); }
    /// What was judged while that many had been read is over, and no catalog by which it was judged
    /// is in force. It may have run code that had become another meanwhile, and DDL in it. True:
    /// the catalog has been taken away for that, and is to be read again. Else the next one that
    /// says anything new will not come into force before it has been read once more.
    bool judged_in_doubt(std::uint64_t catalogs) noexcept;
    /// Since when what sessions log in with is as the last catalog says, at the latest, or as
    /// a statement said that passed here since; 0: there is no catalog yet. Server connections
    /// opened before may have been given other settings. Stays where it is for as long as the
    /// process lives.
    const std::atomic<base::Nanos>& logins_changed() const noexcept { return logins_changed_; }
    /// They are other than before, as of now, though no catalog says so yet.
    void note_logins_changed();

    /// Of the catalog in force: see query::Catalog.
    bool read_committed() const noexcept { return read_committed_.load(std::memory_order_relaxed); }

    Rung rung() const noexcept { return rung_.load(std::memory_order_acquire); }
    void set_rung(Rung rung, std::string_view reason);
    std::string rung_reason() const;

    /// Of the change stream of this database, which may not be there.
    StreamState& stream() noexcept { return stream_; }
    /// The one that tells everybody who shares these epochs what was written; null where others
    /// have streams of their own, which may be behind it.
    StreamState* telling_stream() noexcept { return domain_.shared() ? nullptr : &stream_; }

    Stats& stats() noexcept { return stats_; }
    const Stats& stats() const noexcept { return stats_; }

  private:
    void note_login_settings(const query::Catalog& catalog);

    const std::uint64_t id_;
    const std::string server_;
    const std::string dbname_;
    EpochDomain& domain_;
    RelationState& everything_;
    const bool never_cached_;
    mutable std::mutex mutex_;  // catalog_, last_*, rung_reason_
    query::CatalogPtr catalog_;
    std::uint64_t last_version_ = 0;
    std::uint64_t last_catalog_version_ = 0;
    std::string rung_reason_;
    std::atomic<std::uint64_t> version_{0};
    std::atomic<std::uint64_t> catalogs_{0};  // that have become the last one in place of another
    std::atomic<bool> doubtful_{false};       // see judged_in_doubt()
    std::atomic<std::uint64_t> schema_epoch_{0};
    std::atomic<std::uint64_t> everything_epoch_{0};
    std::atomic<Rung> rung_{Rung::off};
    std::atomic<bool> read_committed_{false};
    std::atomic<base::Nanos> logins_changed_{0};
    StreamState stream_;
    Stats stats_;
};

/// All databases ever served. One per process (tests make their own).
class Registry {
  public:
    /// Clients choose names, so their number is bounded; the rest shares one that is never cached.
    static constexpr std::size_t kMaxDatabases = 4096;
    Registry();
    /// Get or create. `server` is any text that names the server's address.
    DatabaseState& database(std::string_view server, std::string_view dbname);
    RelationState& everything() noexcept { return everything_; }
    /// In order of creation; references stay good.
    std::vector<DatabaseState*> databases() const;

  private:
    mutable std::mutex mutex_;
    RelationState everything_;
    std::unordered_map<std::string, std::unique_ptr<EpochDomain>> domains_;
    std::unordered_map<std::string, DatabaseState*> by_name_;
    std::vector<std::unique_ptr<DatabaseState>> databases_;
    EpochDomain overflow_domain_;
    DatabaseState overflow_;
};

/// The catalog in force when a write set was found by it. By another one names may mean other
/// relations, and readers may tell rows apart by other columns, so a write under an old one counts
/// for the whole database.
struct JudgedBy {
    DatabaseState* database = nullptr;  // null: nothing that rests on a catalog
    std::uint64_t version = 0;
    bool outdated() const noexcept {
        return database != nullptr && database->catalog_version() != version;
    }
};

/// Fences of a commit whose outcome is unknown, because the connection was lost. Whoever holds it
/// settles it once the server process is gone. Dropped without that, the fences stay up for good:
/// no hits on these relations, rather than a wrong one.
class [[nodiscard]] OrphanFence {
  public:
    OrphanFence() = default;
    OrphanFence(OrphanFence&&) noexcept = default;
    OrphanFence& operator=(OrphanFence&&) = delete;
    bool empty() const noexcept { return states_.empty(); }
    void settle() noexcept;

  private:
    friend class WriteFence;
    std::vector<State*> states_;
    JudgedBy judged_by_;
};

/// What a transaction or an autocommit statement may write. Collects first; raise() before the
/// first byte is sent that may commit, settle() when ReadyForQuery has been read and before the
/// client is told. Owned by one session; not thread-safe itself.
class WriteFence {
  public:
    /// More distinct relations than this widen the set to their database.
    static constexpr std::size_t kMaxStates = 64;
    /// More, those of rows counted, and rows widen to their relation.
    static constexpr std::size_t kMaxWithRows = 48;
    WriteFence() = default;
    WriteFence(WriteFence&& other) noexcept;
    WriteFence& operator=(WriteFence&& other) noexcept;
    /// Settles if raised: right only when the outcome is known. See release_unsettled().
    ~WriteFence() { settle(); }

    /// Once each; when already raised, the new one is raised at once.
    void add(RelationState& state);
    /// For rows of any table of the database. Where there is a change stream, which will tell which
    /// they were, entries are kept from use only until it has.
    void add_unknown(DatabaseState& database);
    /// Relations or rows that are added were found by the catalog of that version.
    void judged(DatabaseState& database, std::uint64_t catalog_version);
    /// These rows of the relation and no others.
    void add_rows(RelationState& relation, std::span<State* const> rows);
    /// For DDL and all that may be DDL: the database, and its catalog must be read again.
    void add_schema(DatabaseState& database);
    void raise() noexcept;
    /// For people: whose write it is. To be called before raise().
    void note(std::uint64_t session, base::Nanos now) noexcept {
        for (const auto& item : items_)
            if (item.of != nullptr) item.of->note(session, now);
    }
    /// Epochs up, fences down, set empty. Without raise(): only forgets the set (a rollback).
    void settle() noexcept {
        if (!untouched()) end();
    }
    /// The connection was lost with the commit in flight. Afterwards this is empty and not raised;
    /// a set that was not raised gives an empty orphan.
    OrphanFence release_unsettled() noexcept;
    bool raised() const noexcept { return raised_; }
    bool empty() const noexcept { return items_.empty(); }

  private:
    void end() noexcept;
    bool untouched() const noexcept {
        return items_.empty() && !raised_ && judged_by_.database == nullptr;
    }
    struct Item {
        State* state = nullptr;
        RelationState* of = nullptr;    // where people look who wrote; null for single rows
        StreamState* stream = nullptr;  // which tells what was written; null: nobody does
    };
    bool holds(const State& state) const noexcept;
    void push(Item item);
    static void raise(Item& item) noexcept;

    std::vector<Item> items_;
    JudgedBy judged_by_;
    bool raised_ = false;
};

}  // namespace pgweir::cache
