// Rows kept apart: which readers a writer reaches, by the states alone and in any interleaving.
#include <doctest/doctest.h>

#include <random>

#include "support.hpp"
#include "support/amount.hpp"

using namespace pgweir;
using namespace pgweir::cache;
using namespace pgweir::cache::testing;
using pgweir::testing::amount;

namespace {

constexpr query::Oid kTable = 1;

struct Rows : World {
    RelationState& table = db.relation(kTable);

    std::optional<Snapshot> capture_rows(std::initializer_list<std::uint64_t> numbers,
                                         std::uint64_t version = 1) {
        std::vector<State*> states{&table};
        for (const auto n : numbers) states.push_back(table.row_to_read(n));
        return Snapshot::capture(db, std::span<State* const>(states), version);
    }
    void fence(WriteFence& w, std::initializer_list<std::uint64_t> numbers,
               std::uint64_t version = 1) {
        std::vector<State*> states;
        for (const auto n : numbers) states.push_back(table.row_to_read(n));
        w.judged(db, version);
        w.add_rows(table, states);
    }
};

}  // namespace

TEST_CASE("a write of rows reaches who reads those rows or all, and nobody else") {
    Rows w;
    const auto one = w.capture_rows({1});
    const auto both = w.capture_rows({1, 2});
    const auto other = w.capture_rows({2});
    const auto all = w.capture({kTable});
    const auto elsewhere = w.capture({2});
    WriteFence fence;
    w.fence(fence, {1});
    fence.raise();
    CHECK_FALSE(one->still_valid());
    CHECK_FALSE(both->still_valid());
    CHECK_FALSE(all->still_valid());
    CHECK(other->still_valid());
    CHECK(elsewhere->still_valid());
    // While it may commit nobody stores what it may change.
    CHECK_FALSE(w.capture_rows({1}));
    CHECK_FALSE(w.capture({kTable}));
    CHECK(w.capture_rows({2}));
    fence.settle();
    CHECK(w.capture_rows({1}));
    CHECK(w.capture({kTable}));
    CHECK(other->still_valid());
}

TEST_CASE("any other write of the relation reaches all who read rows of it") {
    Rows w;
    const auto one = w.capture_rows({1});
    WriteFence fence;
    fence.add(w.table);
    fence.raise();
    CHECK_FALSE(one->still_valid());
    CHECK_FALSE(w.capture_rows({2}));
    fence.settle();
    CHECK(w.capture_rows({2}));
}

TEST_CASE("rows too many for a write set become their relation") {
    Rows w;
    const auto untouched = w.capture_rows({60'000});
    WriteFence fence;
    for (std::uint64_t n = 0; n < 200; ++n) w.fence(fence, {n});
    fence.raise();
    CHECK_FALSE(untouched->still_valid());
    CHECK_FALSE(w.capture_rows({60'000}));
    fence.settle();
    CHECK(w.capture_rows({199}));
}

TEST_CASE("rows told apart by a catalog that is not in force any more are the database") {
    Rows w;
    WriteFence before;
    w.fence(before, {1});
    REQUIRE(w.db.set_catalog(catalog(2)));
    const auto version = w.db.catalog_version();
    const auto by_new = w.capture_rows({7}, version);
    before.raise();
    CHECK_FALSE(by_new->still_valid());
    CHECK_FALSE(w.capture_rows({7}, version));
    before.settle();
    // And where it is replaced while the commit is in flight.
    WriteFence during;
    w.fence(during, {1}, version);
    during.raise();
    REQUIRE(w.db.set_catalog(catalog(3)));
    const auto late = w.capture_rows({7}, w.db.catalog_version());
    REQUIRE(late);
    during.settle();
    CHECK_FALSE(late->still_valid());
    WriteFence lost;
    w.fence(lost, {1}, w.db.catalog_version());
    lost.raise();
    auto orphan = lost.release_unsettled();
    CHECK_FALSE(w.capture_rows({1}, w.db.catalog_version()));
    REQUIRE(w.db.set_catalog(catalog(4)));
    const auto later = w.capture_rows({7}, w.db.catalog_version());
    orphan.settle();
    CHECK_FALSE(later->still_valid());
    CHECK(w.capture_rows({1}, w.db.catalog_version()));
}

TEST_CASE("only so many relations have states for rows, and those of others are told apart never") {
    Registry registry;
    auto& db = registry.database("h", "d");
    std::size_t with = 0;
    for (query::Oid oid = 1; oid <= RelationState::kMostWithRows + 10; ++oid)
        with += db.relation(oid).row_to_read(5) != nullptr ? 1 : 0;
    CHECK(with <= RelationState::kMostWithRows);
    CHECK(with > 0);
    auto& last = db.relation(RelationState::kMostWithRows + 10);
    CHECK(last.row(5) == nullptr);
    CHECK(last.row_to_read(5) == nullptr);
    CHECK(db.relation(1).row(5) == db.relation(1).row(5 + RelationState::kRowStates));
}

TEST_CASE("states of rows are in the cache's account, as a quarter of it at most") {
    ResultCache cache(9 * RelationState::row_bytes(), 1 << 16);
    const auto before = cache.used();
    {
        Registry registry;
        auto& db = registry.database("h", "d");
        CHECK(cache.row_to_read(db.relation(1), 5) != nullptr);
        CHECK(cache.used() - before == RelationState::row_bytes());
        CHECK(cache.row_to_read(db.relation(1), 6) != nullptr);
        CHECK(cache.used() - before == RelationState::row_bytes());
        CHECK(cache.row_to_read(db.relation(2), 5) != nullptr);
        CHECK(cache.row_to_read(db.relation(3), 5) == nullptr);
        CHECK(cache.used() - before == 2 * RelationState::row_bytes());
    }
    CHECK(cache.used() == before);
    // Where there is no room for what was evicted, there are none.
    RelationState relation;
    cache.set_limits(RelationState::row_bytes() * 4, 1 << 16);
    auto held = cache.charge();
    REQUIRE(cache.grow(held, RelationState::row_bytes() * 3 + 1));
    CHECK(cache.row_to_read(relation, 5) == nullptr);
    held.reset();
    CHECK(cache.row_to_read(relation, 5) != nullptr);
}

TEST_CASE("a fill's stamp must see what changed its rows, by whatever catalog they were found") {
    Rows w;
    w.db.stream().begin(*Stamp::parse("10:10:"), w.db.whole());
    auto& rows = w.table;
    w.db.stream().deliver({20, {&rows.any_row(), rows.row_to_read(1)}, 1, false}, w.db.whole());
    const auto unseeing = *Stamp::parse("20:21:20");
    CHECK_FALSE(w.capture_rows({1})->proven_by(unseeing));
    CHECK_FALSE(w.capture({kTable})->proven_by(unseeing));
    CHECK(w.capture_rows({2})->proven_by(unseeing));
    REQUIRE(w.db.set_catalog(catalog(2)));
    CHECK_FALSE(w.capture_rows({2}, w.db.catalog_version())->proven_by(unseeing));
    w.db.stream().end(w.db.whole());
}

namespace {

enum class Mutant {
    none,
    row_not_raised,     // only what stands for any row
    any_not_raised,     // only the row
    old_key_only,       // a row that moves leaves its old key, and is not expected at the new one
    new_key_only,       // ... the other way round
    keyed_skips_table,  // who reads rows does not look at the relation
    fence_of_rows_left_out,
};

constexpr unsigned kKeys = 3;

/// One table whose rows have a key and a value; writers change a value by key, move a row to
/// another key, or change everything; readers ask by key or for all.
class Model {
  public:
    Model(std::uint64_t seed, Mutant mutant)
        : random_(seed), mutant_(mutant), pause_(1U << (seed % 6)) {}
    Outcome run(int steps) {
        for (int i = 0; i < steps; ++i) {
            const auto actor = pick(7);
            if (actor < 3)
                write(writers_[actor]);
            else
                read(readers_[actor - 3]);
        }
        return seen_;
    }

  private:
    enum class Kind { value, move, all };
    struct Writer {
        int step = 0;
        Kind kind = Kind::value;
        unsigned from = 0, to = 0;
        WriteFence fence;
    };
    struct Reader {
        int step = 0;
        unsigned key = 0;  // kKeys: all rows
        std::optional<Fill> fill;
        std::string value;
    };

    unsigned pick(unsigned n) { return static_cast<unsigned>(random_() % n); }
    RelationState& table() { return world_.db.relation(kTable); }

    std::string database_value(unsigned key) const {
        std::string out;
        for (unsigned k = 0; k < kKeys; ++k)
            if (key == k || key == kKeys)
                out += std::to_string(counts_[k]) + ":" + std::to_string(sums_[k]) + ",";
        return out;
    }

    void begin(Writer& w) {
        const auto dice = pick(8);
        w.kind = dice == 0 ? Kind::all : dice < 4 ? Kind::move : Kind::value;
        w.from = pick(kKeys);
        w.to = w.kind == Kind::move ? pick(kKeys) : w.from;
        if (w.kind == Kind::all) return w.fence.add(table());
        std::vector<State*> rows;
        if (mutant_ != Mutant::new_key_only) rows.push_back(table().row_to_read(w.from));
        if (mutant_ != Mutant::old_key_only || w.kind != Kind::move)
            rows.push_back(table().row_to_read(w.to));
        if (mutant_ == Mutant::row_not_raised) rows.clear();
        if (mutant_ == Mutant::any_not_raised) {
            spare_.push_back(std::make_unique<RelationState>());
            return w.fence.add_rows(*spare_.back(), rows);
        }
        w.fence.judged(world_.db, 1);
        w.fence.add_rows(table(), rows);
    }

    void commit(const Writer& w) {
        if (w.kind == Kind::all) {
            for (auto& sum : sums_) ++sum;
        } else if (w.kind == Kind::move) {
            --counts_[w.from];
            ++counts_[w.to];
        } else {
            ++sums_[w.from];
        }
    }

    void write(Writer& w) {
        switch (w.step++) {
            case 0:
                if (pick(pause_) == 0) return begin(w);
                w.step = 0;
                return;
            case 1:
                w.fence.raise();
                if (mutant_ == Mutant::fence_of_rows_left_out) w.fence.settle();
                return;
            case 2: return;
            case 3: return commit(w);
            default: w.fence.settle(); w.step = 0;
        }
    }

    void read(Reader& r) {
        switch (r.step++) {
            case 0:
                r.key = pick(kKeys + 1);
                if (seen_.look_up(cache_, world_.db, key(r.key), database_value(r.key))) r.step = 0;
                return;
            case 1: return capture(r);
            case 2: r.value = database_value(r.key); return;
            case 3:
                if (r.fill) r.fill->append(answer(r.value));
                return;
            default:
                if (r.fill) r.fill->publish(0);
                r.fill.reset();
                r.step = 0;
        }
    }

    void capture(Reader& r) {
        std::vector<State*> states;
        if (r.key == kKeys || mutant_ != Mutant::keyed_skips_table) states.push_back(&table());
        states.push_back(r.key == kKeys ? &table().any_row() : table().row_to_read(r.key));
        auto s = Snapshot::capture(world_.db, std::span<State* const>(states), 1);
        if (s) r.fill.emplace(begin_fill(cache_, world_.db, key(r.key), std::move(*s)));
    }

    static std::string key(unsigned k) { return "key " + std::to_string(k); }

    std::mt19937_64 random_;
    Mutant mutant_;
    unsigned pause_;
    World world_;
    ResultCache cache_{1 << 20, 1 << 16};
    std::array<int, kKeys> counts_{}, sums_{};
    std::vector<std::unique_ptr<RelationState>> spare_;  // outlives the fences on it
    std::array<Writer, 3> writers_;
    std::array<Reader, 4> readers_;
    Outcome seen_;
};

}  // namespace

TEST_CASE("in any interleaving a hit by key or for all is what the table holds at that moment") {
    const auto all = run_all<Model>(Mutant::none, amount(300), 2000);
    CHECK(all.wrong == 0);
    CHECK(all.hits > amount(20'000));
}

TEST_CASE("the model catches every wrong use of rows") {
    for (const auto mutant :
         {Mutant::row_not_raised, Mutant::any_not_raised, Mutant::old_key_only,
          Mutant::new_key_only, Mutant::keyed_skips_table, Mutant::fence_of_rows_left_out}) {
        CAPTURE(static_cast<int>(mutant));
        CHECK(run_all<Model>(mutant, 40, 2000).wrong > 0);
    }
}
