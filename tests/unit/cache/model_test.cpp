// A database, writers and readers in one thread, their steps interleaved at random with the real
// epochs, fences, fills and cache. Checked at every hit: the answer is what the database would give
// at that very moment, which is what linearizable means where a lookup is one step. The mutants are
// ways to use the cache wrongly; that each is caught shows that the model could see a fault.
#include <doctest/doctest.h>

#include <random>

#include "support.hpp"
#include "support/amount.hpp"

using namespace pgweir;
using namespace pgweir::cache;
using namespace pgweir::cache::testing;
using pgweir::testing::amount;

namespace {

enum class Mutant {
    none,
    no_raise,              // invalidates at the end only
    epoch_without_fence,   // invalidates before and after, but fills go on between
    settled_too_early,     // takes CommandComplete for the commit
    one_relation_missed,   // the write set is not complete
    unknown_write_narrow,  // a write of unknown extent fences a relation only
    captured_late,         // epochs are read when the answer is there
    captured_after_send,   // epochs are read after the snapshot was taken
    lost_commit_settled,   // a lost connection is taken for a rollback
    schema_not_fenced,     // DDL that swaps two tables leaves the catalog in force
};

constexpr int kRelations = 3;
constexpr int kWriters = 3;
constexpr int kReaders = 4;

class Model {
  public:
    Model(std::uint64_t seed, Mutant mutant)
        : random_(seed), mutant_(mutant), pause_(1U << (seed % 7)) {}

    Outcome run(int steps) {
        for (int i = 0; i < steps; ++i) {
            const auto actor = pick(kWriters + kReaders + 1);
            if (actor < kWriters)
                write(writers_[actor]);
            else if (actor < kWriters + kReaders)
                read(readers_[actor - kWriters]);
            else
                read_catalog();
        }
        return seen_;
    }

  private:
    enum class Kind { known, unknown, everything, schema };
    struct Writer {
        int step = 0;
        Kind kind = Kind::known;
        unsigned relations = 0;
        bool fails = false, lost = false, answered_early = false;
        WriteFence fence;
        std::optional<OrphanFence> orphan;
        std::vector<RelationState*> states;
    };
    struct Reader {
        int step = 0;
        unsigned names = 0;
        std::uint64_t catalog_version = 0;
        std::vector<query::Oid> oids;
        std::optional<Snapshot> snapshot;
        std::optional<Fill> fill;
        std::string value;
    };

    unsigned pick(unsigned n) { return static_cast<unsigned>(random_() % n); }

    /// What a query over the names gives now. A name stands for the relation that has it now.
    std::string database_value(unsigned names) const {
        std::string out;
        for (unsigned n = 0; n < kRelations; ++n)
            if (names & (1U << n)) out += std::to_string(values_[named_[n]]) + ",";
        return out;
    }

    void begin(Writer& w) {
        w.kind = pick(4) != 0 ? Kind::known : static_cast<Kind>(1 + pick(3));
        w.relations = 1 + pick((1U << kRelations) - 1);
        w.fails = pick(6) == 0;
        w.lost = pick(6) == 0;
        w.answered_early = pick(4) == 0;
        w.states.clear();
        if (w.kind == Kind::known) {
            auto fenced = w.relations;
            if (mutant_ == Mutant::one_relation_missed) fenced &= fenced - 1;
            for (unsigned r = 0; r < kRelations; ++r)
                if (fenced & (1U << r)) w.states.push_back(&world_.db.relation(r + 1));
        } else if (mutant_ == Mutant::unknown_write_narrow && w.kind == Kind::unknown) {
            w.states.push_back(&world_.db.relation(1));
        } else if (w.kind == Kind::everything) {
            w.states.push_back(&world_.registry.everything());
        } else {
            w.states.push_back(&world_.db.whole());
            if (w.kind == Kind::schema && mutant_ != Mutant::schema_not_fenced)
                w.states.push_back(&world_.db.schema());
        }
        for (auto* s : w.states) w.fence.add(*s);
    }

    void raise(Writer& w) {
        if (mutant_ == Mutant::no_raise) return;
        if (mutant_ == Mutant::epoch_without_fence) {
            for (auto* s : w.states) s->bump();
            return;
        }
        w.fence.raise();
    }

    void settle(Writer& w) {
        if (mutant_ == Mutant::epoch_without_fence) {
            for (auto* s : w.states) s->bump();
            w.fence.settle();  // not raised: forgets
            return;
        }
        w.fence.raise();
        w.fence.settle();
    }

    void commit(const Writer& w) {
        if (w.fails) return;
        if (w.kind == Kind::schema) std::swap(named_[0], named_[1 + pick(kRelations - 1)]);
        for (unsigned r = 0; r < kRelations; ++r)
            if (w.relations & (1U << r)) ++values_[r];
    }

    void write(Writer& w) {
        switch (w.step++) {
            case 0:
                if (pick(pause_) == 0) return begin(w);
                w.step = 0;
                return;
            case 1: return raise(w);
            case 2:
                if (mutant_ == Mutant::settled_too_early) settle(w);
                if (w.lost) {
                    if (mutant_ == Mutant::lost_commit_settled) settle(w);
                    if (mutant_ == Mutant::none) w.orphan.emplace(w.fence.release_unsettled());
                }
                return;
            case 3: return commit(w);
            case 4:
                if (w.answered_early) return;  // the fence stays a while after the answer
                w.step = 6;
                return finish(w);
            case 5: w.step = 6; return finish(w);
            default: w.step = 0;
        }
    }

    void finish(Writer& w) {
        if (w.orphan) {
            w.orphan->settle();
            w.orphan.reset();
        } else if (!w.fence.empty()) {
            settle(w);
        }
    }

    void read(Reader& r) {
        switch (r.step++) {
            case 0:
                r.names = 1 + pick((1U << kRelations) - 1);
                if (seen_.look_up(cache_, world_.db, key(r.names), database_value(r.names)))
                    r.step = 0;
                return;
            case 1: return judge(r);
            case 2:
                if (mutant_ != Mutant::captured_after_send && mutant_ != Mutant::captured_late)
                    capture(r);
                return;
            case 3: r.value = database_value(r.names); return;
            case 4:
                if (mutant_ == Mutant::captured_after_send) capture(r);
                return;
            case 5:
                if (mutant_ == Mutant::captured_late) capture(r);
                if (r.fill) r.fill->append(answer(r.value));
                return;
            default:
                if (r.fill) r.fill->publish(0);
                r.fill.reset();
                r.step = 0;
        }
    }

    /// The verdict: which relations the names mean, by the catalog in force.
    void judge(Reader& r) {
        r.catalog_version = world_.db.catalog_version();
        r.oids.clear();
        for (unsigned n = 0; n < kRelations; ++n)
            if (r.names & (1U << n)) r.oids.push_back(catalog_named_[n] + 1);
    }

    void capture(Reader& r) {
        auto snapshot =
            Snapshot::capture(world_.db, std::span<const query::Oid>(r.oids), r.catalog_version);
        if (!snapshot) return;
        r.fill.emplace(begin_fill(cache_, world_.db, key(r.names), std::move(*snapshot)));
    }

    void read_catalog() {
        if (!catalog_read_) {
            if (world_.db.catalog_version() != 0) return;
            catalog_read_ = world_.db.begin_catalog_read();
            return;
        }
        if (!catalog_seen_) {
            catalog_seen_ = named_;
            return;
        }
        if (world_.db.set_catalog(catalog(++catalog_version_), *catalog_read_))
            catalog_named_ = *catalog_seen_;
        catalog_read_.reset();
        catalog_seen_.reset();
    }

    static std::string key(unsigned names) { return "names " + std::to_string(names); }

    std::mt19937_64 random_;
    Mutant mutant_;
    unsigned pause_;  // how rarely writers start
    World world_;
    ResultCache cache_{1 << 20, 1 << 16};
    std::array<std::uint64_t, kRelations> values_{};
    std::array<unsigned, kRelations> named_{0, 1, 2};
    std::array<unsigned, kRelations> catalog_named_{0, 1, 2};
    std::optional<Snapshot> catalog_read_;
    std::optional<std::array<unsigned, kRelations>> catalog_seen_;
    std::uint64_t catalog_version_ = 1;
    std::array<Writer, kWriters> writers_;
    std::array<Reader, kReaders> readers_;
    Outcome seen_;
};

}  // namespace

TEST_CASE("in any interleaving a hit is what the database holds at that moment") {
    const auto all = run_all<Model>(Mutant::none, amount(2000));
    CHECK(all.wrong == 0);
    CHECK(all.hits > amount(100'000));
}

TEST_CASE("the model catches every wrong use of the cache") {
    for (const auto mutant :
         {Mutant::no_raise, Mutant::epoch_without_fence, Mutant::settled_too_early,
          Mutant::one_relation_missed, Mutant::unknown_write_narrow, Mutant::captured_late,
          Mutant::captured_after_send, Mutant::lost_commit_settled, Mutant::schema_not_fenced}) {
        CAPTURE(static_cast<int>(mutant));
        const auto all = run_all<Model>(mutant, 70);
        CHECK(all.wrong > 0);
    }
}
