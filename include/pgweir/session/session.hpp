// A logged-in client: reads its messages, answers what can be answered here, leases a server for
// the rest, and relays the answers. Plain bytes in, plain bytes out; no sockets.
//
//   idle ── a whole Query, or a batch up to Sync/Flush ──► answered here (cache, empty batch)
//    ▲                                                  └► wanting ── lease ──► leased ──► relaying
//    └──────── ReadyForQuery 'I', nothing owed, nothing pinned ◄──────────────────────────────┘
//
// Invariants: bytes reach a server only in whole, understood frames, or as the rest of one that is
// streamed; each ReadyForQuery is matched to what asked for it, and the server goes back only when
// none is owed; whatever the proxy asked for itself is never seen by the client; a commit's fence
// is settled before the client sees the answer. Thread: the worker's. Ownership: owned by its
// client connection, which buries it when it has ended.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pgweir/cache/key.hpp"
#include "pgweir/pool/pool.hpp"
#include "pgweir/session/channels.hpp"
#include "pgweir/session/environment.hpp"
#include "pgweir/wire/error_fields.hpp"
#include "pgweir/wire/frame.hpp"
#include "pgweir/wire/messages.hpp"
#include "pgweir/wire/writer.hpp"

namespace pgweir::session {

class BatchPlan;
struct PortalUnit;
struct BindView;
struct Inspection;

class Session final : public pool::ServerUser, public pool::Waiter {
  public:
    Session(Environment& env, ClientLink& client, pool::Leaser& leaser, IdentityPtr identity,
            std::string application_name);
    ~Session();
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    /// Begins on a server connection that is leased to it already.
    void adopt(pool::ServerLink& server) noexcept;
    void on_client_bytes(std::string_view bytes) noexcept;
    /// What was queued towards the client has gone out.
    void on_client_drained() noexcept;
    void on_client_gone() noexcept;
    /// A CancelRequest has come. `settled` is let go of when it can have no more effect.
    void on_cancel_request(pool::CancelToken settled = {}) noexcept;
    /// Who it is for the cache and for servers may be something else, once it has no server.
    void renew_identity() noexcept { logins_seen_ = -1; }
    /// Some time passed; about ten times a second while busy().
    void tick(base::Nanos now) noexcept;
    /// What a hit waited for has come, or will not.
    void on_watermark() noexcept;
    /// See Environment::clear_snapshots.
    void on_way_clear() noexcept;
    /// To be told of this session's server process, or 0 that it has none; from within, or later.
    /// Where it has to be lent one, it keeps that until loan_ended().
    void tell_process(bool lend, ProcessAnswer answer);
    void loan_ended() noexcept;
    /// The answer to Environment::find_process.
    void on_process(std::uint64_t question, std::uint32_t number, std::uint32_t process,
                    Loan loan) noexcept;
    /// With this report, whatever it is doing.
    void shut_down(const wire::Report& report) noexcept;

    // ServerUser, Waiter
    void on_server_bytes(std::string_view bytes) noexcept override;
    void on_server_gone(std::string_view why) noexcept override;
    void on_server_drained() noexcept override;
    pool::ServerUser& server_user() noexcept override { return *this; }
    void on_lease(pool::ServerLink& server) noexcept override;
    void on_lease_failed(const pool::ServerFailure& why) noexcept override;

    bool ended() const noexcept { return ended_; }
    bool waiting() const noexcept { return waiting_; }
    /// Something is owed to the client or by it: not to be ended politely yet.
    bool busy() const noexcept;
    /// The client has ended it with a write under way, which PostgreSQL would finish.
    bool must_finish() const noexcept { return terminating_ && exchange_ && exchange_->wrote; }
    bool in_transaction() const noexcept { return tx_ != wire::TxStatus::idle; }
    query::PinReason pin() const noexcept { return pin_; }
    pool::ServerLink* server() noexcept { return server_; }
    const Identity& identity() const noexcept { return *identity_; }
    const std::string& application_name() const noexcept { return application_name_; }
    std::size_t prepared_statements() const noexcept { return statements_.size(); }
    metrics::PoolCounters& pool_counters() noexcept { return counters_; }
    base::Nanos request_time() const noexcept { return exchange_ ? exchange_->started : 0; }

    /// For the slow log: who is at the other end.
    std::string client_host;
    std::uint16_t client_port = 0;
    std::uint64_t session_id = 0;
    /// The process number the client was told at login; 0: none.
    std::uint32_t own_pid = 0;

  private:
    struct Turn;
    struct TurnScope;
    struct ServerSink final : GatherSink {
        explicit ServerSink(Session& s) noexcept : session(s) {}
        void gather_send(std::span<const iovec> parts) override;
        Session& session;
    };
    struct PendingFills;
    static std::unique_ptr<PendingFills>& spare_fills();
    static std::unique_ptr<PendingFills> make_fills();
    void end_pending();
    struct ProcessQuestion;
    struct Place;
    using PlacePtr = std::shared_ptr<Place>;
    /// What the client logged in with, kept once its settings have changed: RESET goes back to it.
    struct Start {
        IdentityPtr identity;
        std::string application_name;
    };
    enum class Reply : std::uint8_t { forward, swallow, violation };

    // session.cpp: buffers, leases, ends
    /// The client's next message has to wait, or will not be read.
    bool stopped() const noexcept {
        return ended_ || waiting_ || preparing_ || awaiting_ || hub_wait_ || asking_ ||
               terminating_;
    }
    std::size_t consume(std::string_view view);
    void consume_buffer();
    void bound_input() noexcept {
        if (const auto* in = in_.get(); in != nullptr && !ended_) bound_what_waits(in->size());
    }
    void bound_what_waits(std::size_t bytes) noexcept;
    std::size_t input_bound() const noexcept;
    void hold_up() noexcept;
    void resume_reading() noexcept;
    bool want_server();
    void begin_lease(), match_settings();
    void inject(std::string_view sql);
    void maybe_release();
    pool::ServerLink* let_go_of_server();
    void give_back(pool::Release how);
    void fail_front(const pool::ServerFailure& why);
    std::size_t fail_unit(std::string_view view, const pool::ServerFailure& why);
    void fatal(const wire::Report& report);
    void protocol_error(std::string_view what);
    void end(), leave_server(), hold_fences();
    std::size_t send_error_and_ready(const wire::Frame& frame, const wire::Report& report);
    std::size_t take_terminate(std::string_view view);
    std::size_t skip_frame(std::string_view view, const wire::Frame& frame);

    // session_input.cpp: frames from the client
    std::size_t take_unit(std::string_view view);
    std::size_t take_query(std::string_view view, const wire::Frame& frame);
    std::size_t take_batch(std::string_view view);
    std::size_t send_batch(std::string_view view, std::size_t again);
    std::size_t take_between(std::string_view view);
    std::size_t forward_frames(std::string_view view);
    [[gnu::always_inline]] inline std::size_t forward_frame(std::string_view view);
    [[gnu::always_inline]] inline std::size_t forward_part(std::string_view view,
                                                           const wire::Frame& frame);
    std::size_t stream_query(std::string_view view, const wire::Frame& frame);
    std::size_t forward_query(std::string_view view, const wire::Frame& frame);
    std::size_t forward_copy(std::string_view view, const wire::Frame& frame);
    std::size_t forward_execute(std::string_view view, const wire::Frame& frame);
    std::size_t forward_whole(std::string_view view, const wire::Frame& frame);
    std::size_t stream_frame(std::string_view view, const wire::Frame& frame);
    std::size_t forward_sync(std::string_view view, const wire::Frame& frame);
    std::size_t forward_function_call(std::string_view view, const wire::Frame& frame);
    void expect(const Expect& e) { exchange_->expect(e); }
    void begin_statement(bool extended), end_copy(), send_kept_syncs();
    bool waits_for_clear_way(const query::Verdict&verdict), awaits_answers(char type);
    bool refused_in_statement_mode(const query::Verdict& verdict) const noexcept;

    // session_prepare.cpp: prepared statements
    std::size_t forward_parse(std::string_view view, const wire::Frame& frame);
    void apply_bind_effects(const MemoEntry& memo, const Statement& statement,
                            std::string_view body);
    void note_portal(std::string_view name) noexcept;
    bool apply_bind(const wire::Frame& frame, std::string_view name, const StatementPtr& statement,
                    MemoPtr memo, std::string_view values, bool as_sent);
    std::size_t forward_bind(std::string_view view, const wire::Frame& frame);
    std::size_t send_bind(std::string_view view, const wire::Frame& frame, std::string_view name,
                          std::string_view server_name, std::string_view parameters);
    std::size_t forward_describe(std::string_view view, const wire::Frame& frame);
    std::size_t forward_close(std::string_view view, const wire::Frame& frame);
    StatementPtr intern(std::string_view text, std::string_view raw_types);
    const StatementPtr* find_statement(std::string_view name) const noexcept;
    bool full(std::size_t more = 1) const noexcept, ensure_prepared(const Statement&, bool unnamed);
    query::Kind kind_of(const Statement& statement);
    bool has_statement(std::string_view) const noexcept,
        may_be_there(std::string_view) const noexcept;
    std::optional<OwnError> why_not_named(std::string_view name, const Statement& statement);
    bool doubt(std::string_view name), doubt(std::uint64_t statement, std::uint64_t other = 0);
    bool doubt_names(), doubt_closed(), doubt_parse(std::string_view, const StatementPtr&);
    std::size_t forward_long_parse(std::string_view view, const wire::Frame& frame);
    const StatementPtr* statement_here(std::string_view name) const noexcept;
    void give_back_names(std::size_t count);
    void make_room(), fail_batch(OwnError error), answer_local_front(), drop_unnamed() noexcept;
    void forward_renamed(const wire::Frame& frame, std::size_t before, std::size_t name_size,
                         std::string_view new_name);
    bool answer_parse_here(std::string_view batch), executes_nothing(std::string_view) const;

    // session_meaning.cpp: what a prepared statement means by now
    bool outdated(const Statement&s) const noexcept, serves_still(const Statement&s, bool unnamed),
        destroyed(std::string_view name, const Statement&s) const noexcept;
    void renew(std::string_view name), learn(std::string_view), ask_meaning(const StatementPtr&),
        stands_for(std::string_view name, StatementPtr statement), forget_question(), try_again(),
        keep_for_retry(std::string_view front), take_back_renewed(std::uint32_t failed);
    StatementPtr next_of(std::string_view name, const Statement& old);
    const StatementPtr* renewed_for_cache(std::string_view name, const StatementPtr* found);
    enum class Meaning : std::uint8_t { same, asked, another };
    Meaning meaning_now(std::string_view view, const wire::Frame& frame, std::string_view portal,
                        std::string_view name);
    const StatementPtr* bound_last(std::string_view portal) noexcept;
    bool to_be_learned(std::string_view name, const StatementPtr& statement, bool types);
    static void note_told(const Statement& statement, std::string_view description) noexcept;
    bool may_try_again(std::string_view bound, bool asks, std::string_view batch) const,
        stale_plan(const wire::ErrorFields&fields), tells_renewed() noexcept;

    // session_begin.cpp: transactions in which nothing has run yet
    std::string_view step_here(const MemoEntry& memo, std::string_view text);
    bool answer_step(std::string_view text, const MemoEntry& memo);
    bool leaves_failed(const MemoEntry& memo, std::string_view text);
    bool refuses_all() const noexcept;
    std::size_t refuse_batch(std::string_view view);
    std::size_t refuse_call(const wire::Frame& frame);
    StatementPtr step_statement(std::string_view batch, std::string_view& new_name);
    bool answer_step_batch(const BatchPlan& plan, std::string_view batch);
    void answer_each(std::string_view batch, std::string_view tag);
    void send_begin(), begin_failed();
    void keep_portal(const StatementPtr& statement, std::string_view values);
    void restore_portal(), forget_portal() noexcept;
    /// What comes behind the first statement waits until its BEGIN has succeeded, and behind what
    /// takes prepared statements or settings away until that is answered.
    bool held_back() const noexcept {
        if (!exchange_) return false;
        const auto& x = *exchange_;
        return x.taking || x.sends_again || x.in_doubt ||
               ((x.begin || x.begin_failed || x.lost) && !x.unsynced && client_left_ == 0);
    }

    // session_effects.cpp: what statements do beyond their answer
    /// Where names are looked for. What a temporary object stands for changes writes only, see
    /// writes_now(). A server connection kept since before settings of logins changed has its own.
    query::NameScope scope_now() const noexcept {
        const bool sure = scope_ == query::NameScope::path && identity_->path_known &&
                          logins_seen_ == identity_->context.database->logins_changed().load();
        return sure ? query::NameScope::path : query::NameScope::anywhere;
    }
    void follow_logins(), meet_logins(), hide_text();
    MemoPtr judge(std::string_view text, const query::TextScan& scan);
    void apply_effects(const MemoEntry& memo, const query::KeyValues* values);
    query::Writes writes_now(const query::Verdict& verdict) const noexcept;
    void collect_writes(const MemoEntry& memo, const query::KeyValues* values);
    void unknown_effects(query::PinReason reason);
    void raise_fence();
    bool undone(wire::TxStatus before) const noexcept;
    void settle_logins(wire::TxStatus before), settle_believed(), settle_fences();
    void settle_at_ready(wire::TxStatus before);
    void finish_statement(base::Nanos now);

    // session_rows.cpp: rows instead of relations
    std::vector<cache::Dependency> rows_read(const MemoEntry& memo,
                                             const query::KeyValues& values) const;
    bool write_rows(const MemoEntry& memo, const query::KeyValues& values);

    // session_report.cpp: statistics and the slow log
    void finish_execute(std::uint64_t work), record_part(std::uint64_t work);
    void record_query(base::Nanos now, std::uint64_t work, base::Nanos since);
    void record_here(const MemoEntry& memo, std::string_view text);
    metrics::QueryRecord* begin_record(const MemoEntry& memo, std::string_view text);
    void record_hit(const MemoEntry& memo, std::string_view text, std::size_t bytes);
    void introduce(const MemoEntry& memo, std::string_view text);
    std::uint32_t stats_group();
    void consider_logging(base::Nanos now, base::Nanos total);
    void log_statement(base::Nanos now, base::Nanos total, bool failed, bool waited, bool over);
    base::Nanos slow_threshold(const metrics::SlowQuery& query, const Work* work) const;
    metrics::SlowQuery describe(base::Nanos now, base::Nanos total);
    void explain_slow(const metrics::SlowQuery& query);
    void describe_client(metrics::SlowQuery& query) const;
    void log_idle(base::Nanos now);
    void log_refused(std::string_view text, const pool::ServerFailure& why);

    // session_state.cpp: what is left on the server, carried or pinned
    void suspect(const query::Verdict& verdict);
    void suspect_lasting(query::PinReason reason);
    void settle_suspicion(wire::TxStatus before);
    void inspect();
    void meet_server();
    void use_sequences(const query::Verdict& verdict);
    void forget_sequences(), run_in_batch(std::string_view sql);
    bool conclude();
    void look_for_names();
    void take_names(const Inspection& found);
    void carry(Inspection& found);
    void stay_behind(pool::ProfilePtr profile);
    void settings_refused();
    void pin(query::PinReason reason);
    bool may_pin(const query::Verdict& verdict) const noexcept;
    bool has_pin_place(), refuse_pin();
    void fail_pin(), end_refused();
    void unpin() noexcept;
    const Identity& start() const noexcept;
    const std::string& start_application_name() const noexcept;

    // session_resets.cpp: what RESET takes away comes back
    pool::Settings start_settings() const;
    bool note_settings(std::string_view text), may_take(query::Kind, std::string_view text) const;
    void note_timeout(std::string_view text), restore_in_batch(const pool::Settings&settings);
    void note_discard_all(), give_up_reset(), reapply_settings();
    bool reset_is_due() const noexcept;

    // session_sql_statements.cpp: what SQL's PREPARE has made, carried
    bool has_its_statements() const noexcept {
        return server_->sql_statements == (sql_ ? sql_->all : nullptr);
    }
    void prepare_for_sql(std::string_view text);
    void name_on_server(const std::string& name, std::string_view text,
                        const std::vector<std::uint32_t>& types);
    void name_taken(const std::vector<std::string>& executed);
    void note_taker(std::string_view portal, const StatementPtr& statement);
    StatementPtr begin_taking(std::string_view portal);
    void note_taken(std::string_view tag), end_taking();
    MemoPtr portable(std::string_view text);
    MemoPtr executed(std::string_view text);
    void apply_query_effects(const MemoEntry& memo, std::string_view text);
    void append_deallocate(std::string& sql) const;
    void bring_statements();
    void note_unmade(std::uint64_t index, std::string_view error);
    std::string_view why_unmade(const wire::ErrorFields& fields) const;
    bool has_sql_statement(std::string_view name) const noexcept;
    void forget_sql_statements() noexcept;
    bool carry_statements(Inspection& found);

    // session_processes.cpp: processes that statements name
    bool processes_known(const std::vector<std::uint32_t>& numbers, bool lend);
    std::uint32_t process_of(std::uint32_t number) const noexcept;
    bool name_processes(std::string_view& text, std::string& replaced);
    bool name_processes(StatementPtr& statement, const BindView& bind, std::string& parameters);
    void processes_named(), end_loans();
    void answer_borrowers() noexcept;
    void tick_processes(base::Nanos now);
    void stop_waiting_to_lend();

    // session_listen.cpp: notifications without a server connection
    struct Listening;
    std::string_view encoding() const noexcept;
    bool expects_hub() const;
    bool hand_over_channels(std::vector<std::string>& found);
    void give_to_hub();
    void ask_channels(std::string_view sql);
    void step_hand_over();
    void end_hand_over(bool ok);
    void listen_at_lease(bool met);
    bool hold_ready();
    bool may_be_told() const noexcept;
    void tell_waiting();
    bool notifications_wait() const noexcept;
    void heed_channels(const query::Verdict& verdict, std::string_view text);
    void settle_channels(wire::TxStatus before);
    void show_channels(const wire::Frame& frame);
    void name_sender();
    void on_notification(std::string_view message);
    void on_joined(bool ok);
    void on_caught_up();
    void on_channels_lost(std::string_view why);

    // session_cache.cpp
    query::NotCached cache_verdict(const MemoEntry& memo,
                                   const query::TextScan& scan) const noexcept;
    query::NotCached statement_verdict(const MemoEntry& memo) const noexcept;
    /// An entry looked for before its statement was looked at, which it makes needless.
    struct Sought {
        bool named = false;   // by what follows
        cache::KeyName name;  // views of what is asked
        base::Hash128 hash;
        cache::EntryPtr entry;  // neither counted as a hit nor as a miss yet
    };
    void seek(Sought& sought, const cache::KeyParts& parts, bool look);
    std::string room_for(const Sought& sought);
    void send_answer(const cache::Entry& entry, std::string_view lead, bool described);
    void give_answer(const cache::Entry& entry, const MemoEntry& memo, std::string_view text);
    bool answer_query_from_cache(std::string_view text, const MemoEntry& memo,
                                 const query::TextScan& scan);
    /// What the configuration says.
    bool cache_may_answer() const noexcept {
        const auto& c = env_.config().cache;
        return c.enabled && c.consistency != config::Consistency::off;
    }
    base::Nanos watermark_needed();
    /// Whether hits may be given by the change stream's watermark.
    enum class Fresh : std::uint8_t { yes, wait, no };
    Fresh freshness();
    void await_watermark();
    void end_waiting() noexcept {
        awaited_ = 0;
        waited_ = false;
    }
    /// Whoever has been given an entry has seen the database as it was when that was filled.
    void saw(const cache::Entry& entry) noexcept {
        last_seen_ = std::max(last_seen_, entry.filled() + entry.cost());
    }
    void saw_present() noexcept;
    void send_stamp();
    /// `hash`: base::hash128(text).
    cache::KeyParts key_parts(std::string_view text, const base::Hash128& hash) const noexcept {
        cache::KeyParts parts;
        parts.owner = identity_->cache_owner;
        parts.statement = text;
        parts.statement_hash = hash;
        return parts;
    }
    void begin_fills();
    std::string_view ready_message() const noexcept;
    static bool only_reads(const query::Verdict& verdict) noexcept;
    bool each_has_its_snapshot() const noexcept;
    bool between_reads() const noexcept;
    bool begins_reads(const query::Verdict& verdict) const noexcept;
    std::uint16_t next_fill();
    bool verifies() const noexcept;

    // session_hits.cpp: hits in a row, by the shortest way
    /// The cache, where nothing of the session's state stands against that, else null.
    cache::ResultCache* expects_hit() const noexcept;
    [[gnu::always_inline]] inline const MemoEntry* may_repeat(cache::ResultCache& cache,
                                                              const cache::Entry& entry);
    std::size_t answer_hits(std::string_view bytes);
    bool passes_again(PortalUnit& unit, std::string_view bytes);
    [[gnu::always_inline]] inline std::size_t answer_query_again(cache::ResultCache& cache,
                                                                 std::string_view bytes);
    std::size_t answer_portal_again(cache::ResultCache& cache, std::string_view bytes);
    [[gnu::always_inline]] inline cache::EntryPtr seek_portal(cache::ResultCache& cache,
                                                              const PortalUnit& unit,
                                                              const StatementPtr*& statement);

    // session_flight.cpp: waiting for what another session fetches
    cache::Lead board(const PlacePtr& woken, const base::Hash128& hash);
    bool in_flight() const noexcept;
    void leave_flight() noexcept;
    void on_flight_ended();
    void look_again();
    void tick_flight(base::Nanos now);
    void end_fill(cache::Fill& fill, base::Nanos now);
    bool plant_in_transaction(std::string_view text, const MemoPtr& memo);  // plants.cpp

    // session_batch.cpp
    struct BatchLookup;
    bool answer_batch_here(const BatchPlan& plan, std::string_view batch);
    std::size_t answer_batch_from_cache(const BatchPlan& plan, std::string_view batch);
    std::size_t answer_front(BatchLookup& lookup, std::string_view batch);
    bool look_up_batch(BatchLookup& lookup, std::string_view batch);
    bool look_up_parse(BatchLookup& lookup, std::string_view body);
    query::NotCached portal_verdict(const BatchLookup& lookup, const MemoEntry& memo) const;
    cache::KeyParts portal_parts(const BatchLookup& lookup) const;
    void look_up_portal(BatchLookup& lookup);
    bool look_up_description(BatchLookup& lookup, std::string_view body);
    void pass_by(BatchLookup& lookup, const MemoEntry& memo, query::NotCached reason);
    bool look_up_close(BatchLookup& lookup, std::string_view body);
    void forget_statement(std::string_view name);
    bool look_up_begin(BatchLookup& lookup, const MemoPtr& memo);
    void write_batch_hit(BatchLookup& lookup, std::string_view batch, std::string_view begun);
    void replace_unnamed(StatementPtr statement);
    StatementPtr unnamed_for(std::string_view text, std::string_view raw_types);
    void count_not_cached(query::NotCached reason, const MemoEntry* memo = nullptr);
    cache::LedgerRow* ledger_row(const MemoEntry& memo);
    cache::LedgerRow* ledger_row(cache::ResultCache& cache, const MemoEntry& memo) {
        const bool known = memo.ledger_generation == cache.ledger().generation();
        return known ? memo.ledger.get() : find_ledger_row(cache.ledger(), memo);
    }
    bool does_not_pay(cache::ResultCache& cache, const MemoEntry& memo, std::string_view question);
    cache::LedgerRow* find_ledger_row(cache::Ledger& ledger, const MemoEntry& memo);
    query::NotCached worth_storing(const base::Hash128& hash, const cache::LedgerRow* row);
    query::NotCached stores(const base::Hash128& hash, cache::LedgerRow* row);
    void count_hit();

    // explain.cpp: EXPLAIN CACHE
    static std::optional<std::string_view> explained(std::string_view text) noexcept;
    static std::optional<std::string_view> explains_cache(std::string_view text) noexcept {
        // Almost no statement begins so; one look tells.
        const char c = text.empty() ? 'x' : text.front();
        return c <= ' ' || (c | 0x20) == 'e' ? explained(text) : std::nullopt;
    }
    void explain_cache(std::string_view query);

    // session_position.cpp: pgweir.lsn
    /// Almost no other statement begins so.
    static bool may_name_position(std::string_view text) noexcept {
        return text.size() >= 15 && (text[0] | 0x20) == 's' &&
               ((text[1] | 0x20) == 'h' || (text[2] | 0x20) == 't');
    }
    /// What the server is asked in place of SHOW pgweir.lsn, or `text` itself.
    static std::string_view meant(std::string_view text) noexcept;
    /// True: this was SET pgweir.lsn, and hits wait for it from here on.
    bool heeds_position(std::string_view text);
    /// The same, and it is answered.
    bool takes_position(std::string_view text);
    bool takes_position_batch(const BatchPlan& plan, std::string_view batch);
    void send_text(std::string_view text);

    // session_output.cpp: frames from the server
    struct Run;
    Reply on_server_frame(Run& run, char type, std::string_view body, std::string_view whole);
    Reply on_ready_for_query(Run& run, std::string_view body);
    Reply on_error(Run& run, std::string_view body);
    Reply tell_error(Run& run, std::string_view own);
    std::string in_clients_words(const Expect& bind, std::string_view error) const;
    static std::string in_clients_words(std::string error, std::string_view name);
    Reply take_stamp(std::string_view row);
    Reply on_copy_response(char type);
    Reply on_own_notification(Run& run, std::string_view whole);
    static void emit(Run& run);
    Reply answer(Run& run, Expect::Kind kind, std::string_view whole);
    Reply completion(std::string_view whole, char type);
    bool hold(std::string_view rest, std::size_t frame_size);
    std::size_t complete_held(Run& run, std::string_view bytes);
    void local_replies(Run& run);
    bool local_is_next() const noexcept;
    bool inspecting() const noexcept;
    void count_affected(std::string_view tag);
    std::size_t pass_usual(std::string_view bytes);
    enum class Usual : std::uint8_t { no, more, done };
    [[gnu::always_inline]] inline Usual take_usual(char type, const Expect& due);
    bool whole_answer(Run& run);
    void ready(wire::TxStatus status), server_violation(std::string_view what);
    void append_to_fill(std::uint16_t fill, std::string_view bytes);
    void tee(std::string_view bytes), tee_to_all(std::string_view whole), skip_batch();
    void note_parameter(std::string_view body), take_back_names(const Expect&e, bool refused);
    void take_back_unnamed(const Expect& e, bool refused, bool last);
    void note_closed(std::string_view name, const StatementPtr& statement);
    bool note_unnamed(std::uint64_t parsed);
    void confirm_name(std::uint64_t statement);
    bool parse_is_due(std::uint64_t statement) const noexcept;

    Environment& env_;
    ClientLink& client_;
    pool::Leaser& leaser_;
    metrics::PoolCounters& counters_;  // the pool's
    IdentityPtr identity_;             // with the settings the session has now
    std::string application_name_;     // as it is now
    std::unique_ptr<Start> changed_;
    pool::ServerLink* server_ = nullptr;
    Turn* turn_ = nullptr;
    std::unique_ptr<Exchange> exchange_;
    std::unique_ptr<std::string> in_;    // bytes of the client not dealt with yet
    std::unique_ptr<std::string> held_;  // the start of a server's frame that must be seen whole
    NamedStatements statements_;
    std::unique_ptr<SqlPrepared> sql_;  // null: SQL's PREPARE has made nothing
    StatementPtr unnamed_;
    StatementPtr begin_;        // kept back until a statement needs a server
    bool begin_reads_ = false;  // the cache may answer behind it, or behind the last that was sent
    UnnamedPortal portal_ = UnnamedPortal::servers;
    std::unique_ptr<AnsweredPortal> answered_portal_;  // where portal_ says that there is one
    MemoPtr judged_;  // of the Query at the front of the input, while it waits for a server
    StatementPtr next_unnamed_;  // made while its batch was looked at, before its Parse is sent
    std::unique_ptr<PendingFills> pending_fills_;
    PlacePtr flight_;  // waits, or was woken and is to look again
    std::unique_ptr<pool::ServerFailure> lease_failure_;
    std::unique_ptr<Listening> listening_;  // channels that a hub listens to
    std::unique_ptr<ProcessQuestion> question_;
    Lending lending_;
    base::Nanos wait_started_ = 0;
    std::uint64_t client_left_ = 0;  // bytes of the client's frame being streamed
    std::uint64_t reply_left_ = 0;   // bytes of the server's frame being streamed
    wire::TxStatus tx_ = wire::TxStatus::idle;
    query::PinReason pin_ = query::PinReason::none;
    query::NameScope scope_ = query::NameScope::path;      // of the next statement
    query::NameScope scope_set_ = query::NameScope::path;  // ... outside transactions
    base::Nanos logins_seen_ = 0;  // DatabaseState::logins_changed() when identity_ was made anew
    base::Nanos last_seen_ = 0;    // what this client was told is no newer; with a stream only
    base::Nanos awaited_ = 0;      // the watermark the front of the input needs
    base::Nanos awaited_since_ = 0;
    query::NotCached not_cached_ =
        query::NotCached::none;      // the latest answer of the cache's rules
    std::uint32_t stats_group_ = 0;  // 0: not asked for yet
    bool pin_lasts_ = false;         // until DISCARD ALL or the end: nothing can be asked
    std::uint32_t pins_told_ = 0;    // a bit for each reason that was logged and counted
    /// What came last of the cache; the same is likely to come of what is next.
    enum class Last : std::uint8_t { other, hit, does_not_pay } last_ = Last::other;
    bool looked_up_ = false;        // what is left of a batch whose front was answered here
    std::uint32_t retry_size_ = 0;  // of the batch at the front of the input, while it waits
    bool held_up_ = false;          // the client is not read
    bool ended_ = false, waiting_ = false, consuming_ = false;
    bool awaiting_ = false;   // a hit waits for the change stream
    bool clearing_ = false;   // not a hit, but a VACUUM: for the proxy's snapshots to be over
    bool waited_ = false;     // ... has waited long enough
    bool preparing_ = false;  // settings are applied, or looked at; the client's bytes wait
    bool hub_wait_ = false;   // the hub of notifications has something to do first
    bool asking_ = false;     // question_ is not answered yet
    bool skip_until_sync_ = false;
    bool terminating_ = false;  // Terminate has come, and an answer is still owed
    bool discarding_ = false;   // client_left_ bytes go nowhere
    bool copy_in_ = false;
    bool reply_swallowed_ = false;
    bool own_timeout_ = false;  // the client set statement_timeout: the proxy's gives way
    bool fatal_seen_ = false;   // the server has said its last word to the client
};

}  // namespace pgweir::session
