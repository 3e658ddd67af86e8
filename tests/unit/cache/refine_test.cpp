// Writes of unknown extent beside a change stream that tells what they were: a database, its
// stream, writers and readers in one thread, their steps interleaved at random. Checked at every
// hit: the answer is what the database would give at that moment, although nothing but the fence
// keeps entries from use until the stream has told. The mutants are ways to do it wrongly.
#include <doctest/doctest.h>

#include <deque>
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
    lowered_at_once,  // the fence comes down with the answer
    probe_too_early,  // the watermark moves before the probe's position is reached
    table_not_told,   // the stream does not show one of the tables
    gap_not_taken,    // a gap raises no epochs
};

constexpr unsigned kRelations = 3;

class Model {
  public:
    Model(std::uint64_t seed, Mutant mutant)
        : random_(seed), mutant_(mutant), pause_(2U << (seed % 6)) {
        world_.db.stream().begin(snapshot(), world_.db.whole());
        world_.db.stream().advance(base::monotonic_now());
    }

    Outcome run(int steps) {
        for (int i = 0; i < steps; ++i) {
            const auto actor = pick(10);
            if (actor < 3)
                write(writers_[actor]);
            else if (actor < 6)
                read(readers_[actor - 3]);
            else
                stream(actor);
        }
        return seen_;
    }

  private:
    struct Transaction {
        FullXid xid = 0;
        unsigned relation = 0;
    };
    struct Writer {
        int step = 0;
        Transaction at;
        WriteFence fence;
    };
    struct Reader {
        int step = 0;
        unsigned relation = 0;
        std::optional<Fill> fill;
        std::optional<Stamp> stamp;
        std::string value;
    };

    unsigned pick(unsigned n) { return static_cast<unsigned>(random_() % n); }
    std::string key(unsigned relation) const { return "k" + std::to_string(relation); }

    /// What is visible: all below next_ but for those that are at work.
    Stamp snapshot() const {
        std::vector<FullXid> running;
        for (const auto& w : writers_)
            if (w.at.xid != 0) running.push_back(w.at.xid);
        std::sort(running.begin(), running.end());
        auto text = std::to_string(running.empty() ? next_ : running.front()) + ":" +
                    std::to_string(next_) + ":";
        for (const auto xid : running)
            text += (text.ends_with(':') ? "" : ",") + std::to_string(xid);
        return *Stamp::parse(text);
    }

    void write(Writer& w) {
        switch (w.step++) {
            case 0:
                if (pick(pause_) != 0) w.step = 0;
                return;
            case 1:
                w.fence.add_unknown(world_.db);
                w.fence.raise();
                return;
            case 2: w.at = {next_++, pick(kRelations)}; return;
            case 3: log_.push_back(w.at); return;  // from here on the stream may show it
            case 4:
                ++values_[w.at.relation];
                w.at = {};
                return;
            default:
                if (mutant_ == Mutant::lowered_at_once) {
                    // As if the stream had told.
                    world_.db.stream().advance(base::monotonic_now());
                    w.fence.settle();
                    world_.db.stream().advance(base::monotonic_now());
                } else {
                    w.fence.settle();
                }
                w.step = 0;
        }
    }

    void stream(unsigned what) {
        auto& s = world_.db.stream();
        if (what < 9) {
            if (what == 6 && !probe_)
                probe_ = {base::monotonic_now(), snapshot(), log_.size()};
            else if (delivered_ < log_.size())
                deliver(log_[delivered_++]);
            if (!probe_) return;
            s.proven(probe_->seen);
            if (delivered_ < probe_->position && mutant_ != Mutant::probe_too_early) return;
            s.advance(probe_->sent);
            probe_.reset();
            return;
        }
        if (pick(50) != 0) return;
        // Cut, and begun again: what is in the log is not told any more.
        probe_.reset();
        delivered_ = log_.size();
        RelationState none;
        auto& whole = mutant_ == Mutant::gap_not_taken ? none : world_.db.whole();
        s.end(whole);
        s.begin(snapshot(), whole);
        s.advance(base::monotonic_now());
    }

    void deliver(const Transaction& t) {
        if (mutant_ == Mutant::table_not_told && t.relation == 1) return;
        auto& relation = world_.db.relation(t.relation + 1);
        world_.db.stream().deliver({t.xid, {&relation}, 0, false, false}, world_.db.whole());
    }

    void read(Reader& r) {
        switch (r.step++) {
            case 0: {
                r.relation = pick(kRelations);
                const auto now = std::to_string(values_[r.relation]);
                if (seen_.look_up(cache_, world_.db, key(r.relation), now)) r.step = 0;
                return;
            }
            case 1:
                if (auto snapshot = world_.capture({r.relation + 1}))
                    r.fill.emplace(
                        begin_fill(cache_, world_.db, key(r.relation), std::move(*snapshot)));
                return;
            case 2: r.stamp = snapshot(); return;
            case 3: r.value = std::to_string(values_[r.relation]); return;
            default:
                if (r.fill) {
                    r.fill->append(answer(r.value));
                    r.fill->publish(0, r.stamp);
                }
                r.fill.reset();
                r.step = 0;
        }
    }

    struct Probe {
        base::Nanos sent;
        Stamp seen;
        std::size_t position;
    };
    std::mt19937_64 random_;
    Mutant mutant_;
    unsigned pause_;  // how rarely writers start
    World world_;
    ResultCache cache_{1 << 20, 1 << 16};
    std::array<std::uint64_t, kRelations> values_{};
    FullXid next_ = 100;
    std::deque<Transaction> log_;
    std::size_t delivered_ = 0;
    std::optional<Probe> probe_;
    std::array<Writer, 3> writers_;
    std::array<Reader, 3> readers_;
    Outcome seen_;
};

}  // namespace

TEST_CASE("beside a stream unknown writes are exact in any interleaving, gaps included") {
    const auto all = run_all<Model>(Mutant::none, amount(1000));
    CHECK(all.wrong == 0);
    CHECK(all.hits > amount(50'000));
}

TEST_CASE("the model catches every wrong way to refine") {
    for (const auto mutant : {Mutant::lowered_at_once, Mutant::probe_too_early,
                              Mutant::table_not_told, Mutant::gap_not_taken}) {
        CAPTURE(static_cast<int>(mutant));
        CHECK(run_all<Model>(mutant, 100).wrong > 0);
    }
}

TEST_CASE("a fence that the stream lowers keeps entries of other tables, a late one keeps none") {
    for (const bool late : {false, true}) {
        World w;
        auto& stream = w.db.stream();
        stream.begin(*Stamp::parse("50:50:"), w.db.whole());
        stream.advance(1);
        const auto kept = w.capture({1});
        const auto touched = w.capture({2});
        WriteFence fence;
        fence.add_unknown(w.db);
        fence.raise();
        CHECK_FALSE(kept->still_valid());
        CHECK_FALSE(w.capture({1}));
        fence.settle();  // the writer has its answer
        CHECK_FALSE(kept->still_valid());
        CHECK(stream.needed() != 0);
        stream.deliver({50, {&w.db.relation(2)}, 0, false, false}, w.db.whole());
        if (late)
            stream.give_up(base::monotonic_now() + 1);
        else
            stream.advance(base::monotonic_now() + 1);
        CHECK(stream.needed() == 0);
        CHECK(kept->still_valid() == !late);
        CHECK_FALSE(touched->still_valid());
        CHECK_FALSE(w.db.whole().fenced());
    }
}

TEST_CASE("without a stream, or with several for one database, unknown writes are everything") {
    World alone;
    const auto before = alone.capture({1});
    WriteFence fence;
    fence.add_unknown(alone.db);
    fence.raise();
    fence.settle();
    CHECK_FALSE(before->still_valid());
    CHECK_FALSE(alone.db.whole().fenced());

    World shared;
    shared.registry.database("127.0.0.2:5432", "app");
    shared.db.stream().begin(*Stamp::parse("50:50:"), shared.db.whole());
    shared.db.stream().advance(1);
    const auto captured = shared.capture({1});
    fence.add_unknown(shared.db);
    fence.raise();
    fence.settle();
    CHECK_FALSE(captured->still_valid());
    CHECK_FALSE(shared.db.whole().fenced());
}

TEST_CASE("a fence whose extent becomes known to be everything raises epochs after all") {
    World w;
    w.db.stream().begin(*Stamp::parse("50:50:"), w.db.whole());
    w.db.stream().advance(1);
    const auto captured = w.capture({1});
    WriteFence fence;
    fence.add_unknown(w.db);
    fence.raise();
    fence.add_schema(w.db);
    fence.settle();
    CHECK_FALSE(captured->still_valid());
    CHECK_FALSE(w.db.whole().fenced());
    CHECK(w.db.catalog_version() == 0);
}
