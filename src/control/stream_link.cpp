// Getting a stream: connections, what the server allows, the slot. See stream_link.hpp.
#include "stream_link.hpp"

#include <algorithm>
#include <charconv>
#include <limits>

#include "pgweir/base/log.hpp"
#include "pgweir/base/random.hpp"
#include "sql.hpp"

namespace pgweir::control {

namespace {

/// A connection that has not answered for this long is given up.
constexpr base::Nanos kAnswerLimit = 12 * base::kSecond;
constexpr base::Nanos kNoTime = std::numeric_limits<base::Nanos>::max();

std::int64_t signed_number(std::string_view text) noexcept {
    std::int64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

}  // namespace

StreamLink::StreamLink(StreamId id, Target target, cache::DatabaseState& database, Context context)
    : id_(id),
      target_(std::move(target)),
      database_(database),
      context_(std::move(context)),
      gatherer_([this](const TransactionGatherer::Table& table,
                       std::vector<cache::State*>& states) { return resolve(table, states); }) {}

StreamLink::~StreamLink() { close(); }

void StreamLink::step(base::Nanos now) {
    const auto& o = *context_.options;
    const bool wanted =
        database_.stream().wanted() != 0 && now - database_.stream().wanted() < o.idle_release;
    if (!wanted && state_ != State::dormant) {
        close();
        return publish(false, "the change stream was released, as nothing was cached for a while");
    }
    switch (state_) {
        case State::dormant:
            if (wanted) begin_connect(now);
            return;
        case State::waiting:
            if (now >= retry_at_) begin_connect(now);
            return;
        case State::connecting:
        case State::joining: return connect_further();
        case State::asking: return hear_facts();
        case State::identifying: return identify();
        case State::making_slot: return make_slot(now);
        case State::starting: return start_stream(now);
        case State::live: read_stream(now); return;
    }
}

base::Nanos StreamLink::due() const noexcept {
    switch (state_) {
        case State::dormant: return kNoTime;
        case State::waiting: return retry_at_;
        case State::connecting: return asker_->connect_deadline();
        case State::joining: return stream_->connect_deadline();
        case State::asking:
        case State::identifying:
        case State::starting: return since_ + kAnswerLimit;
        case State::making_slot: return since_ + base::kSecond;
        case State::live: break;
    }
    base::Nanos at = reported_at_ + base::kSecond;
    if (const auto fence = database_.stream().oldest_fence(); fence != 0)
        at = std::min(at, fence + context_.options->max_staleness + 1);
    switch (probe_) {
        case Probe::none: return std::min(at, next_probe());
        case Probe::asked:
        case Probe::nudging: return std::min(at, passing_since_ + kAnswerLimit);
        case Probe::passing: return std::min(at, ask_at_);
    }
    return at;
}

void StreamLink::add_polls(std::vector<pollfd>& to) const {
    // What nobody would read now is not polled for.
    const bool live = state_ == State::live;
    const bool asking = !live || probe_ == Probe::asked || probe_ == Probe::nudging;
    for (auto* c : {asking ? asker_.get() : nullptr, live && !begun_ ? nullptr : stream_.get()})
        if (c != nullptr && c->fd() >= 0) to.push_back({c->fd(), c->wanted(), 0});
}

void StreamLink::begin_connect(base::Nanos now) {
    asker_ = std::make_unique<Connection>(
        target_,
        Connection::Limits{context_.options->connect_timeout, kAnswerLimit, context_.stop_fd});
    state_ = State::connecting;
    since_ = now;
}

void StreamLink::connect_further() {
    auto& connection = state_ == State::connecting ? *asker_ : *stream_;
    switch (connection.advance()) {
        case ConnectState::connecting: return;
        case ConnectState::failed: return lose(connection.error());
        case ConnectState::ready: break;
    }
    since_ = base::monotonic_now();
    if (state_ == State::connecting) {
        state_ = State::asking;
        std::string facts(sql::stream_facts);
        facts.replace(facts.find("$1"), 2, sql::ddl_watch);
        connection.begin_query(std::string(sql::stream_session) + facts);
        return hear_facts();
    }
    state_ = State::identifying;
    connection.begin_query("IDENTIFY_SYSTEM");
    identify();
}

void StreamLink::hear_facts() {
    const auto step = asker_->advance_query([this](const Row& r) {
        system_ = r.text(0);
        block_size_ = r.number(1);
        wal_level_ = r.text(2);
        in_recovery_ = r.flag(3);
        free_slots_ = signed_number(r.text(4));
        free_senders_ = signed_number(r.text(5));
        tells_ddl_ = r.flag(6);
        return true;
    });
    if (step == Connection::Step::failed) return lose(asker_->error());
    if (step == Connection::Step::busy) {
        if (base::monotonic_now() - since_ > kAnswerLimit) lose("no answer within the time limit");
        return;
    }
    if (auto why = obstacle(); !why.empty()) return lose(why, context_.options->obstacle_retry);
    Target target = target_;
    target.replication = true;
    stream_ = std::make_unique<Connection>(
        target,
        Connection::Limits{context_.options->connect_timeout, kAnswerLimit, context_.stop_fd});
    state_ = State::joining;
}

/// What only a person can change.
std::string StreamLink::obstacle() const {
    const auto& o = *context_.options;
    if (in_recovery_) return "the server is a standby";
    if (asker_->server_version_num() < 130000) return "the server is older than PostgreSQL 13";
    if (wal_level_ != "logical") return "set wal_level = logical and restart the server";
    if (block_size_ == 0 || block_size_ > 65536) return "the server's wal_block_size is unknown";
    if (context_.slots_at_server(*this) >= o.max_slots)
        return "all of cache.stream.max_slots are in use for other databases of this server";
    if (free_slots_ <= o.spare_slots || free_senders_ <= o.spare_slots)
        return "the server has too few free replication slots: raise max_replication_slots and "
               "max_wal_senders";
    return {};
}

void StreamLink::identify() {
    std::string system;
    const auto step = stream_->advance_query([&](const Row& r) {
        system = r.text(0);
        return true;
    });
    if (step == Connection::Step::failed) return lose(stream_->error());
    if (step == Connection::Step::busy) {
        if (base::monotonic_now() - since_ > kAnswerLimit) lose("no answer within the time limit");
        return;
    }
    if (system != system_) return lose("the two connections reached different servers");
    if (!last_system_.empty() && last_system_ != system_)
        base::log_warning("database " + database_.server() + "/" +
                          base::printable(database_.dbname()) + ": another server answers now");
    last_system_ = system_;
    state_ = State::making_slot;
    since_ = base::monotonic_now();
    char name[17] = {};
    std::to_chars(name, name + 16, base::random_u64() | 1ull << 63, 16);
    stream_->begin_query("CREATE_REPLICATION_SLOT \"pgweir_" + std::string(name) +
                         "\" TEMPORARY LOGICAL test_decoding NOEXPORT_SNAPSHOT");
    slot_ = "pgweir_" + std::string(name);
    make_slot(since_);
}

void StreamLink::make_slot(base::Nanos now) {
    const auto step = stream_->advance_query(nullptr);
    if (step == Connection::Step::failed) return lose(stream_->error());
    if (step == Connection::Step::busy) {
        if (now - since_ >= base::kSecond)
            publish(false, "the change stream waits for transactions that are open");
        return;
    }
    state_ = State::starting;
    since_ = now;
    stream_->begin_query("START_REPLICATION SLOT \"" + slot_ +
                         "\" LOGICAL 0/0 (\"include-xids\" '1', \"skip-empty-xacts\" '1')");
    start_stream(now);
}

void StreamLink::start_stream(base::Nanos now) {
    const auto step = stream_->advance_query(nullptr);
    if (step == Connection::Step::failed) return lose(stream_->error());
    if (step == Connection::Step::done) return lose("the server does not start the stream");
    if (step == Connection::Step::busy) {
        if (now - since_ > kAnswerLimit) lose("no answer within the time limit");
        return;
    }
    state_ = State::live;
    begun_ = told_live_ = false;
    position_ = last_commit_ = 0;
    probe_ = Probe::none;
    probe_sent_ = newest_xid_ = 0;
    catalog_ = nullptr;
    catalog_version_ = transaction_version_ = 0;
    gatherer_.reset();
    probe(now);
}

void StreamLink::close() {
    // Before anything else: no hit rests on it any longer.
    if (begun_) database_.stream().end(database_.whole());
    begun_ = false;
    stream_.reset();
    asker_.reset();
    state_ = State::dormant;
}

void StreamLink::lose(std::string reason, base::Nanos retry) {
    // By value: the text may be a connection's own.
    const auto& o = *context_.options;
    const bool was_live = told_live_;
    close();
    told_live_ = false;
    state_ = State::waiting;
    retry_delay_ =
        was_live ? o.first_retry : std::clamp(retry_delay_ * 2, o.first_retry, o.last_retry);
    retry_at_ = base::monotonic_now() + (retry != 0 ? retry : retry_delay_);
    publish(false, base::printable(reason, 500));
}

void StreamLink::publish(bool live, const std::string& reason) {
    if (live == published_live_ && reason == reason_) return;
    published_live_ = live;
    reason_ = reason;
    (*context_.on_event)({id_, live, reason});
}

}  // namespace pgweir::control
