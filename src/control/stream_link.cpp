// Getting a stream: connections, what the server allows, the slot. See stream_link.hpp.
#include "stream_link.hpp"

#include <algorithm>
#include <charconv>

#include "pgweir/base/log.hpp"
#include "pgweir/base/random.hpp"
#include "publication.hpp"
#include "sql.hpp"

namespace pgweir::control {

namespace {

std::int64_t signed_number(std::string_view text) noexcept {
    std::int64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

}  // namespace

StreamLink::StreamLink(StreamId id, Target target, cache::DatabaseState& database, Context context,
                       SlotsAtServer slots_at_server)
    : ChangeSource(id, std::move(target), database, context),
      slots_at_server_(std::move(slots_at_server)) {}

void StreamLink::work(base::Nanos now) {
    if (publication_ != context_.options->publication)
        return lose("the configuration asks for another publication");
    switch (state_) {
        case State::none: return;
        case State::connecting:
        case State::joining: return connect_further();
        case State::asking: return hear_facts();
        case State::identifying: return identify();
        case State::making_slot: return make_slot(now);
        case State::starting: return start_stream(now);
        case State::live: read_stream(now); return;
    }
}

base::Nanos StreamLink::work_due() const noexcept {
    switch (state_) {
        case State::connecting: return asker_->connect_deadline();
        case State::joining: return stream_->connect_deadline();
        case State::none:
        case State::asking:
        case State::identifying:
        case State::starting: return since_ + kAnswerLimit;
        case State::making_slot: return tell_at_;
        case State::live: break;
    }
    // Nothing is read, given up or reported before the first answer.
    if (!begun_) return passing_since_ + kAnswerLimit;
    auto at = std::min(reported_at_ + base::kSecond, fence_due());
    if (busy_) at = std::min(at, read_at_);
    switch (probe_) {
        case Probe::none: return std::min(at, next_probe());
        case Probe::asked:
        case Probe::nudging: return std::min(at, passing_since_ + kAnswerLimit);
        case Probe::passing: return std::min(at, ask_at_);
    }
    return at;
}

void StreamLink::add_polls(std::vector<pollfd>& to) const {
    // What nobody would read now is not polled for: a connection that the server has closed would
    // wake for nothing again and again.
    const bool live = state_ == State::live;
    const bool asking = live ? probe_ == Probe::asked || probe_ == Probe::nudging
                             : state_ == State::connecting || state_ == State::asking;
    const bool reading = !live || (begun_ && !rests(base::monotonic_now()));
    for (auto* c : {asking ? asker_.get() : nullptr, reading ? stream_.get() : nullptr})
        if (c != nullptr && c->fd() >= 0) to.push_back({c->fd(), c->wanted(), 0});
}

void StreamLink::begin_connect(base::Nanos) {
    asker_ = connection_to(target_);
    publication_ = context_.options->publication;
    state_ = State::connecting;
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
        const auto version = asker_->server_version_num();
        facts.replace(facts.find("$2"), 2,
                      publication_.empty() ? "''" : publication_state(publication_, version));
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
        tells_ddl_ = r.flag(6) && passes_messages(publication_, asker_->server_version_num());
        publication_state_ = r.text(7);
        return true;
    });
    if (step == Connection::Step::failed) return lose(asker_->error());
    if (step == Connection::Step::busy) return look_at_limit(base::monotonic_now(), since_);
    if (auto why = obstacle(); !why.empty()) return lose(why, context_.options->obstacle_retry);
    if (!publication_.empty())
        if (auto why = publication_obstacle(publication_, publication_state_); !why.empty())
            return lose(why);
    Target target = target_;
    target.replication = true;
    stream_ = connection_to(target);
    state_ = State::joining;
}

/// What only a person can change.
std::string StreamLink::obstacle() const {
    const auto& o = *context_.options;
    if (in_recovery_) return "the server is a standby";
    if (asker_->server_version_num() < 130000) return "the server is older than PostgreSQL 13";
    if (wal_level_ != "logical") return "set wal_level = logical and restart the server";
    if (block_size_ == 0 || block_size_ > 65536) return "the server's wal_block_size is unknown";
    if (slots_at_server_(*this) >= o.max_slots)
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
    if (step == Connection::Step::busy) return look_at_limit(base::monotonic_now(), since_);
    if (system != system_) return lose("the two connections reached different servers");
    if (!last_system_.empty() && last_system_ != system_)
        base::log_warning("database " + database_.server() + "/" +
                          base::printable(database_.dbname()) + ": another server answers now");
    last_system_ = system_;
    state_ = State::making_slot;
    since_ = base::monotonic_now();
    tell_at_ = since_ + base::kSecond;
    char name[17] = {};
    std::to_chars(name, name + 16, base::random_u64() | 1ull << 63, 16);
    stream_->begin_query(
        "CREATE_REPLICATION_SLOT \"pgweir_" + std::string(name) + "\" TEMPORARY LOGICAL " +
        (publication_.empty() ? "test_decoding" : "pgoutput") + " NOEXPORT_SNAPSHOT");
    slot_ = "pgweir_" + std::string(name);
    make_slot(since_);
}

void StreamLink::make_slot(base::Nanos now) {
    const auto step = stream_->advance_query(nullptr);
    if (step == Connection::Step::failed) return lose(stream_->error());
    if (step == Connection::Step::busy) {
        if (now < tell_at_) return;
        tell_at_ = now + base::kSecond;
        return publish(false, "the change stream waits for transactions that are open");
    }
    state_ = State::starting;
    since_ = now;
    const auto options = publication_.empty()
                             ? "(\"include-xids\" '1', \"skip-empty-xacts\" '1')"
                             : pgoutput_options(publication_, stream_->server_version_num());
    stream_->begin_query("START_REPLICATION SLOT \"" + slot_ + "\" LOGICAL 0/0 " + options);
    start_stream(now);
}

void StreamLink::start_stream(base::Nanos now) {
    const auto step = stream_->advance_query(nullptr);
    if (step == Connection::Step::failed) return lose(stream_->error());
    if (step == Connection::Step::done) return lose("the server does not start the stream");
    if (step == Connection::Step::busy) return look_at_limit(now, since_);
    state_ = State::live;
    position_ = last_commit_ = 0;
    reported_at_ = now;
    span_began_ = read_at_ = 0;
    span_messages_ = 0;
    busy_ = false;
    probe_ = Probe::none;
    probe_sent_ = newest_xid_ = 0;
    catalog_ = nullptr;
    catalog_version_ = transaction_version_ = asked_for_catalog_ = agreed_version_ = 0;
    gatherer_ = gatherer();
    probe_query_ = sql::stream_probe;
    if (!publication_.empty())
        probe_query_ += ", (" + publication_state(publication_, asker_->server_version_num()) + ")";
    probe(now);
}

void StreamLink::drop() {
    stream_.reset();
    asker_.reset();
    state_ = State::none;
}

}  // namespace pgweir::control
