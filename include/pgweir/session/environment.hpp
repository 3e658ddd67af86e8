// What a session needs of its worker, and its way to the client. Abstract where there is I/O behind
// it, so that the session machine is driven in unit tests with bytes and a clock moved by hand.
// Thread: the worker's.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "pgweir/base/clock.hpp"
#include "pgweir/cache/store.hpp"
#include "pgweir/config/config.hpp"
#include "pgweir/metrics/counters.hpp"
#include "pgweir/metrics/query_record.hpp"
#include "pgweir/metrics/slow_query.hpp"
#include "pgweir/pool/pool.hpp"
#include "pgweir/session/channels.hpp"
#include "pgweir/session/exchange.hpp"
#include "pgweir/session/gather.hpp"
#include "pgweir/session/judge_memo.hpp"
#include "pgweir/session/statement.hpp"
#include "pgweir/session/text_store.hpp"

namespace pgweir::session {

class ClientLink : public GatherSink {
  public:
    virtual std::size_t queued() const noexcept = 0;
    virtual void set_reading(bool on) noexcept = 0;
    /// Closes once what was sent has gone out. The session is not called again.
    virtual void finish() noexcept = 0;

  protected:
    ~ClientLink() = default;
};

/// Everything of a login that equal logins share.
struct Identity {
    std::string database;  // as the client named it
    std::string user;
    config::PoolMode mode = config::PoolMode::transaction;
    pool::ProfilePtr profile;  // the settings in force, for as long as they are
    std::shared_ptr<pool::SharedPool> shared_pool;
    JudgeContext context;
    std::uint64_t cache_owner = 0;  // cache::owner_number()
    /// Else the server may have been given any search_path at login.
    bool path_known = false;
    /// none: the cache may be asked; else why never for this session.
    query::NotCached not_cached = query::NotCached::none;
    std::string server_address;
    /// Under its settings the server may read a text otherwise than the judgement does, so a text
    /// could hide what it changes: nothing it says is believed.
    bool opaque_text = false;
    bool lazy_begin = false;  // BEGIN is kept back until a statement needs a server
};
using IdentityPtr = std::shared_ptr<const Identity>;

class Environment {
  public:
    /// Monotonic, of the present batch of events. Read several times for each statement.
    base::Nanos now() const noexcept { return *clock_; }
    virtual const config::Config& config() const noexcept = 0;
    virtual metrics::WorkerCounters& counters() noexcept = 0;
    virtual metrics::SlowQuerySink* slow_log() noexcept = 0;
    /// A statement of this identity was slow, and what it means is certain: its plan may be asked
    /// for. `bind` and `types` are what it was bound with.
    virtual void explain(const Identity& identity, const std::string& application,
                         std::uint64_t fingerprint, std::string_view text, std::string_view bind,
                         const std::vector<std::uint32_t>& types) = 0;
    /// Null when the cache is off.
    virtual cache::ResultCache* result_cache() noexcept = 0;
    /// DDL or the like passed through: have the database's catalog read again.
    virtual void catalog_may_have_changed(cache::DatabaseState& database) = 0;
    /// Settings that logins are given changed, of a role or database of any server: connections
    /// opened before are not lent again.
    virtual void logins_may_have_changed() = 0;
    /// A statement needs database `dbname` of the server free of sessions: idle connections to it
    /// close, and the proxy's own, for some seconds. True: it takes a moment until they are gone.
    virtual bool vacate_database(const Identity& identity, const std::string& dbname) = 0;
    /// That statement is over, or was refused: the proxy may connect to the database again.
    virtual void enter_database(const Identity& identity, const std::string& dbname) = 0;
    /// The proxy's own snapshots of this database are to be over: calls on_way_clear() of the
    /// session then, and takes none for a moment. False: there are none.
    virtual bool clear_snapshots(cache::DatabaseState& database, std::uint64_t session) = 0;
    /// The outcome of what `held` stands for is unknown until the server process is gone.
    virtual void hold_until_gone(const Identity& identity, std::uint32_t server_pid,
                                 std::unique_ptr<pool::Held> held) = 0;

    /// Runs it on this worker's thread, later; any thread.
    virtual void post_task(std::function<void()> task) = 0;
    /// Calls on_watermark() of the session once the database's watermark has reached `needed`, or
    /// the stream is over; never before this returns.
    virtual void await_watermark(cache::DatabaseState& database, base::Nanos needed,
                                 std::uint64_t session) = 0;

    /// Calls on_process() of `session` with the server process of the client that was told `number`
    /// at its login, if it is one of the same server as `asker`; never before this returns. `lend`:
    /// it is to have a server connection, and to keep it until the loan is let go of.
    virtual void find_process(const Identity& asker, std::uint32_t number, bool lend,
                              std::uint64_t session, std::uint64_t question) = 0;

    /// The identity of a session of `of` that has other settings now.
    virtual IdentityPtr with_profile(const Identity& of, pool::ProfilePtr profile) = 0;

    /// Some session has asked for currval or lastval: from now on none finds another's values.
    bool sequences_read = false;

    ChannelHubs hubs;
    ExchangeStore exchanges;
    TextStore texts;
    std::shared_ptr<StatementTable> statements;  // of all workers
    JudgeMemo memo;
    std::shared_ptr<Statement> spare_statement;  // to make the next unnamed one of
    std::string key_buffer;                      // for building one key at a time
    std::vector<cache::EntryPtr> batch_entries;  // for looking up one batch at a time
    std::vector<std::uint64_t> row_numbers;      // of one relation that is read by rows
    metrics::QueryRecorder queries;              // the statistics per query
    /// What runs in a batch that the cache answers.
    struct BatchWork {
        MemoPtr memo;
        StatementPtr statement;
    };
    std::vector<BatchWork> batch_works;

  protected:
    explicit Environment(const base::Nanos* clock) noexcept : clock_(clock) {}
    ~Environment() = default;

  private:
    const base::Nanos* clock_;
};

}  // namespace pgweir::session
