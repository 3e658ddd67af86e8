// One change stream as a machine: connecting, asking, making its slot, live. It is stepped when a
// time or one of its descriptors is due, and never waits. Invariant: as ChangeSource's.
// Thread: the streams' thread.
#pragma once

#include <string>
#include <vector>

#include "change_source.hpp"
#include "decoding.hpp"
#include "pgoutput.hpp"

namespace pgweir::control {

class StreamLink final : public ChangeSource {
  public:
    /// Of all links, those that hold a slot at this one's server.
    using SlotsAtServer = std::function<unsigned(const StreamLink&)>;

    StreamLink(StreamId id, Target target, cache::DatabaseState& database, Context context,
               SlotsAtServer slots_at_server);
    ~StreamLink() override { close(); }

    void add_polls(std::vector<pollfd>& to) const override;
    bool has_slot() const noexcept override { return state_ >= State::making_slot; }

  private:
    enum class State : std::uint8_t {
        none,
        connecting,   // the ordinary connection
        asking,       // what server it is
        joining,      // the replication connection
        identifying,  // the same server?
        making_slot,
        starting,
        live,  // the stream runs
    };
    enum class Probe : std::uint8_t { none, asked, passing, nudging };

    void begin_connect(base::Nanos now) override;
    void work(base::Nanos now) override;
    base::Nanos work_due() const noexcept override;
    void drop() override;
    std::string_view release_text() const noexcept override {
        return "the change stream was released, as nothing was cached for a while";
    }

    void connect_further();
    void hear_facts();
    std::string obstacle() const;
    void identify();
    void make_slot(base::Nanos now);
    void start_stream(base::Nanos now);
    void read_stream(base::Nanos now);
    /// False: the stream is lost.
    bool take_messages(base::Nanos now);
    bool rests(base::Nanos now) const;
    bool take_message(std::string_view message);
    bool take_line(Lsn position, std::string_view line);
    void deliver(cache::Change change);
    std::unique_ptr<Gatherer> gatherer();
    /// The catalog by which this transaction's tables are found; null: none, or another one by now.
    const query::Catalog* catalog_at_work();
    Gatherer::Found resolve(const TransactionGatherer::Table& table,
                            std::vector<cache::State*>& states);
    Gatherer::Found resolve(const ToldChange& change, std::vector<cache::State*>& states);
    template <class Change>
    Gatherer::Found add(const query::Relation& relation, const Change& change,
                        std::vector<cache::State*>& states);
    bool catalog_is_of_publication();
    void probe(base::Nanos now);
    void hear_probe(base::Nanos now);
    void look_if_passed(base::Nanos now);
    void report_position(base::Nanos now, bool ask);
    base::Nanos next_probe() const;

    const SlotsAtServer slots_at_server_;
    State state_ = State::none;
    base::Nanos tell_at_ = 0;  // that its slot has to wait
    std::unique_ptr<Connection> asker_;
    std::unique_ptr<Connection> stream_;

    // What the server said of itself.
    std::string system_, wal_level_, slot_;
    std::uint32_t block_size_ = 0;
    bool in_recovery_ = false;
    bool tells_ddl_ = false;
    std::int64_t free_slots_ = 0, free_senders_ = 0;
    std::string last_system_;
    // The publication that is shown, if one is, and its state: what was shown before another one
    // may have left out what is in it now.
    std::string publication_, publication_state_;
    std::uint64_t asked_for_catalog_ = 0;  // because this version was not of the publication
    std::uint64_t agreed_version_ = 0;     // of a catalog that was

    std::unique_ptr<Gatherer> gatherer_;
    query::CatalogPtr catalog_;  // by which tables are resolved
    std::uint64_t catalog_version_ = 0;
    std::uint64_t transaction_version_ = 0;  // by which the transaction at work is; 0: none yet

    Lsn position_ = 0;     // everything up to here is delivered
    Lsn last_commit_ = 0;  // the position of the last transaction
    base::Nanos reported_at_ = 0;
    // How much comes, and how long it is left alone for that.
    base::Nanos span_began_ = 0, read_at_ = 0;
    unsigned span_messages_ = 0;
    bool busy_ = false;

    Probe probe_ = Probe::none;
    base::Nanos probe_sent_ = 0;
    std::optional<cache::Stamp> probe_stamp_;
    std::optional<Lsn> probe_position_;
    std::string probe_query_, probe_publication_;
    cache::FullXid newest_xid_ = 0;
    base::Nanos ask_at_ = 0;   // for the server's position, while passing
    base::Nanos ask_gap_ = 0;  // doubles
    base::Nanos passing_since_ = 0;
    base::Nanos nudged_at_ = 0;
    unsigned nudges_ = 0;
};

}  // namespace pgweir::control
