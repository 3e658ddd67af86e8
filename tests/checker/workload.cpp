// See workload.hpp.
#include "checker/workload.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <optional>
#include <shared_mutex>
#include <thread>

#include "checker/clients.hpp"
#include "checker/cutter.hpp"
#include "checker/probes.hpp"
#include "support/proxy.hpp"

namespace pgweir::checker {

using namespace testing;

namespace {

constexpr Time kTimeToLive = 1'000'000'000;
/// Beyond the time to live: the machine may be busy.
constexpr Time kSlack = 1'000'000'000;
/// Of the change stream, and what a worker's clock may be behind.
constexpr Time kStaleness = 200'000'000;
constexpr Time kClock = 30'000'000;
/// On a slow machine writers wait for readers: with fewer reads to a write nothing would be a hit.
constexpr std::int64_t kReadsPerWrite = 30;
constexpr std::int64_t kFirstWrites = 50;
/// What makes the cache forget everything comes after so long and so many reads.
constexpr Time kCalm = 1'200'000'000;
constexpr std::int64_t kCalmReads = 8'000;
/// Committed by nobody who stays.
constexpr std::int64_t kLost = 1'000'000'000'000;
/// How long a run may last beyond its time until every register was written and read.
constexpr Time kPatience = 120'000'000'000;

/// What readers do beside reading registers.
struct Shared {
    std::vector<Write> appends;
    std::vector<ListRead> lists;
};

class Run {
  public:
    explicit Run(const RunOptions& options);
    RunResult run();

  private:
    void choose_registers();
    ProxyOptions proxy_options() const;
    void writer(std::size_t which);
    void reader(std::size_t which);
    void read(Client& client, std::size_t which, std::vector<std::vector<Read>>& seen,
              std::minstd_rand& random);
    void bank(Client& client, std::minstd_rand& random);
    void counter(Client& client, std::int64_t& last, std::minstd_rand& random);
    void list(Client& client, Shared& shared, std::minstd_rand& random);
    void prober();
    void breaker();
    std::shared_lock<std::shared_mutex> take_turn();
    void write_much();
    void fail_over();
    void read_behind(const Proxy& proxy);
    bool outside() const { return options_.profile == Profile::outside; }
    void guard(const std::function<void()>& work);
    void judge(RunResult& result);
    bool over() const { return failed_ || now() > latest_ || (now() > end_ && unseen_ == 0); }
    std::size_t next_write(std::minstd_rand& random);
    void done(std::size_t which, std::uint8_t what);

    RunOptions options_;
    std::unique_ptr<Cluster> cluster_;
    std::unique_ptr<Cutter> cutter_;
    std::unique_ptr<Cutter> around_;  // in the way of those who do not ask the proxy; or none
    std::optional<Proxy> proxy_;
    std::optional<Proxy> second_;
    std::vector<Register> registers_;
    std::vector<History> histories_;
    std::vector<std::size_t> weights_;  // indices, hot ones often
    std::vector<std::vector<std::vector<Read>>> seen_;
    std::vector<Shared> shared_;
    Complaints complaints_;
    std::atomic<std::int64_t> element_{0};
    std::atomic<std::int64_t> reads_{0};
    std::atomic<std::int64_t> writes_{0};
    std::atomic<bool> failed_{false};
    std::shared_mutex turns_;  // shared by whoever asks something
    std::atomic<bool> moving_{false};
    std::atomic<int> moves_{0};
    std::atomic<std::int64_t> faults_{0};
    /// What was done with a register, and how many registers were not both written and read. A
    /// run goes on for them on a slow machine, or it would prove nothing.
    std::vector<std::atomic<std::uint8_t>> did_;
    std::atomic<std::size_t> unseen_{0};
    Time end_ = 0;
    Time latest_ = 0;
};

constexpr std::uint8_t kWritten = 1;
constexpr std::uint8_t kRead = 2;
constexpr std::size_t kWriters = 3;
constexpr std::size_t kReaders = 3;

Run::Run(const RunOptions& options)
    : options_(options),
      // A commit that is written out before it is visible may be decoded before, too.
      cluster_(std::make_unique<Cluster>(
          ClusterOptions{{"max_prepared_transactions = 20",
                          options.profile == Profile::outside && options.fault != Fault::lazy
                              ? "synchronous_commit = on"
                              : "synchronous_commit = off"},
                         ""})) {
    cluster_->connect().run(probe_schema());
    cluster_->connect("app").run(schema());
    if (options_.fault == Fault::publication) publish(*cluster_);
    cutter_ = std::make_unique<Cutter>(cluster_->port());
    if (options_.fault == Fault::failover) around_ = std::make_unique<Cutter>(cluster_->port());
    choose_registers();
    seen_.assign(kReaders, std::vector<std::vector<Read>>(registers_.size()));
    shared_.resize(kReaders);
}

void Run::choose_registers() {
    auto all = outside() ? outside_registers() : registers();
    if (options_.fault == Fault::huge) all.push_back(huge_register());
    for (auto& r : all) {
        const bool plain =
            !r.ways.empty() && !r.disturbs && !r.outside &&
            (r.reads[0].find(" reg ") != std::string::npos || r.name.starts_with("join"));
        // In contexts, reads of relations nobody knows end the life of all entries before their
        // time does, so that what is written outside is looked at in the others.
        const bool wanted = outside() || options_.profile == Profile::indirect ||
                            (options_.profile == Profile::hot && (plain || r.outside)) ||
                            (options_.profile == Profile::contexts && r.name == "direct");
        if (wanted) registers_.push_back(std::move(r));
    }
    for (std::size_t i = 0; i < registers_.size(); ++i) {
        histories_.push_back({registers_[i].name, {}, {}});
        auto& h = histories_.back();
        if (registers_[i].outside) h.staleness = kTimeToLive + kSlack;
        h.sessions = outside();
        if (outside() && (registers_[i].outside || registers_[i].second))
            h.staleness = kStaleness + kClock;
        const int weight = registers_[i].disturbs ? 1 : 4;
        for (int n = 0; n < weight; ++n) weights_.push_back(i);
    }
    did_ = std::vector<std::atomic<std::uint8_t>>(registers_.size());
    unseen_ = registers_.size();
}

void Run::done(std::size_t which, std::uint8_t what) {
    const auto before = did_[which].fetch_or(what);
    if ((before | what) == (kWritten | kRead) && before != (kWritten | kRead)) --unseen_;
}

/// By weight; one that was never written is tried again and again as well, since those with little
/// weight might never be met in a short run.
std::size_t Run::next_write(std::minstd_rand& random) {
    const auto i = weights_[random() % weights_.size()];
    if (random() % 2 == 0) return i;
    for (std::size_t n = 0; n < did_.size(); ++n) {
        const auto k = (i + n) % did_.size();
        if ((did_[k] & kWritten) == 0 && !registers_[k].ways.empty()) return k;
    }
    return i;
}

ProxyOptions Run::proxy_options() const {
    ProxyOptions o;
    const auto shown = options_.fault == Fault::publication
                           ? ", stream: {publication: " + std::string(kPublication) + "}"
                           : "";
    o.sections = {{"cache", outside() ? "{max_staleness: 200ms" + shown + "}"
                                      : "{exclusive_writer: true, default_ttl: 1s}"},
                  {"pool", "{min_size: 0, max_size: 12, max_pinned: 100}"},
                  {"workers", std::to_string(options_.workers)}};
    if (!options_.plant.empty()) o.environment.emplace_back("PGWEIR_PLANT", options_.plant);
    if (options_.holds) o.environment.emplace_back("PGWEIR_HOLDS", "1");
    o.server_port = cutter_->port();
    return o;
}

void Run::guard(const std::function<void()>& work) {
    try {
        work();
    } catch (const std::exception& e) {
        complaints_.add(std::string("EXCEPTION ") + e.what());
        failed_ = true;
    }
}

void Run::writer(std::size_t which) {
    Writer writer({proxy_->port(), around_ ? around_->port() : cluster_->port(),
                   second_ ? second_->port() : proxy_->port()},
                  options_.seed * 100 + which, complaints_);
    auto moves = moves_.load();
    std::minstd_rand random(static_cast<unsigned>(options_.seed * 10 + which));
    Time disturb_at = now() + 500'000'000;
    std::int64_t disturb_after = kCalmReads / 2;
    while (!over()) {
        const auto i = next_write(random);
        const auto& r = registers_[i];
        if (r.ways.empty()) continue;
        const bool slow = r.ways[0].outcome == Outcome::unknown || (r.outside && !outside());
        const bool mine = outside() ? i % kWriters == which : slow ? which == 2 : i % 2 == which;
        if (!mine) {
            if (which == 2) sleep_for(Seconds(0.01));
            continue;
        }
        if (r.disturbs && (now() < disturb_at || reads_ < disturb_after)) continue;
        while (!over() && (writes_ - kFirstWrites) * kReadsPerWrite > reads_)
            sleep_for(Seconds(0.001));
        ++writes_;
        {
            const auto turn = take_turn();
            if (moves != moves_) writer.reconnect();
            moves = moves_;
            writer.write(r, histories_[i]);
        }
        if (!histories_[i].writes.empty()) done(i, kWritten);
        if (r.disturbs) {
            disturb_at = now() + kCalm;
            disturb_after = reads_ + kCalmReads;
        }
        // What is wrong must have the time to show before the next write mends it.
        const bool long_pause = outside() && random() % 8 == 0;
        const unsigned longest = options_.profile == Profile::contexts ? 400'000
                                 : long_pause                          ? 600'000
                                                                       : 8'000;
        sleep_for(Seconds(static_cast<double>(random() % longest) / 1e6));
    }
}

void Run::read(Client& client, std::size_t which, std::vector<std::vector<Read>>& seen,
               std::minstd_rand& random) {
    const auto i = weights_[random() % weights_.size()];
    const auto& texts = registers_[i].reads;
    // The first text most often: entries of one key are what races are about.
    const auto& text = texts[random() % 2 == 0 ? 0 : random() % texts.size()];
    const auto dice = random() % 100;
    const Mode mode = dice < 8    ? Mode::transaction
                      : dice < 55 ? Mode::simple
                      : dice < 70 ? Mode::unnamed
                                  : Mode::named;
    Read r;
    r.session = client.session();
    r.invoked = now();
    const auto answer = client.ask(text, mode);
    r.returned = now();
    ++reads_;
    if (const auto version = version_of(answer)) {
        r.version = *version;
        seen[i].push_back(r);
        done(i, kRead);
        return;
    }
    const auto error = error_of(answer);
    // A table that is made anew while its plan is old; the statement of that name is gone then.
    const bool remade =
        error.sqlstate == "42P01" || error.sqlstate == "0A000" || error.sqlstate == "XX000";
    if (!remade) complaints_.add("ERROR " + text + ": " + error.sqlstate + " " + error.message);
    client.reconnect();
    (void)which;
}

void Run::bank(Client& client, std::minstd_rand& random) {
    if (random() % 10 == 0) {
        const auto from = std::to_string(random() % 10), to = std::to_string(random() % 10);
        // In the order of their numbers, or two transfers wait for each other.
        const bool up = from < to;
        client.raw().ask(msg::query("BEGIN"));
        client.raw().ask(msg::query("UPDATE accounts SET v = v " + std::string(up ? "- " : "+ ") +
                                    "1 WHERE id = " + (up ? from : to)));
        client.raw().ask(msg::query("UPDATE accounts SET v = v " + std::string(up ? "+ " : "- ") +
                                    "1 WHERE id = " + (up ? to : from)));
        client.raw().ask(msg::query(random() % 5 == 0 ? "ROLLBACK" : "COMMIT"));
        return;
    }
    ++reads_;
    const auto sum = first_value(client.ask("SELECT sum(v) FROM accounts", Mode::simple));
    if (sum != "1000") complaints_.add("SUM " + sum);
}

void Run::counter(Client& client, std::int64_t& last, std::minstd_rand& random) {
    const bool counts = random() % 10 == 0;
    const auto seen = version_of(
        client.ask(counts ? "UPDATE counter SET n = n + 1 RETURNING n" : "SELECT n FROM counter",
                   random() % 2 == 0 ? Mode::simple : Mode::unnamed));
    ++reads_;
    if (!seen || *seen < last)
        complaints_.add("BACKWARDS " + std::to_string(seen.value_or(-1)) + " after " +
                        std::to_string(last));
    last = std::max(last, seen.value_or(0));
}

void Run::list(Client& client, Shared& shared, std::minstd_rand& random) {
    if (random() % 10 == 0 && element_ < 3000) {
        Write w;
        w.version = ++element_;
        w.invoked = now();
        client.ask("UPDATE lst SET a = a || " + std::to_string(w.version) + "::bigint WHERE k = 0",
                   Mode::simple);
        w.acknowledged = now();
        shared.appends.push_back(w);
        return;
    }
    ListRead r;
    r.invoked = now();
    const auto text = first_value(client.ask("SELECT a FROM lst WHERE k = 0", Mode::simple));
    r.returned = now();
    ++reads_;
    for (std::size_t at = 1; at + 1 < text.size();
         at = std::min(text.find(',', at), text.size()) + 1)
        r.elements.push_back(std::atoll(text.c_str() + at));
    if (shared.lists.size() < 2000) shared.lists.push_back(std::move(r));
}

void Run::reader(std::size_t which) {
    std::vector<Client> clients;
    for (int i = 0; i < 2; ++i) clients.emplace_back(proxy_->port());
    std::minstd_rand random(static_cast<unsigned>(options_.seed * 1000 + which));
    std::vector<std::int64_t> last(clients.size());
    while (!over()) {
        const auto turn = take_turn();
        const auto c = random() % clients.size();
        const auto dice = random() % 100;
        if (dice < 85)
            read(clients[c], which, seen_[which], random);
        else if (dice < 90)
            bank(clients[c], random);
        else if (dice < 95)
            counter(clients[c], last[c], random);
        else
            list(clients[c], shared_[which], random);
    }
}

void Run::prober() {
    Probes probes(proxy_->port(), cluster_->port(), options_.seed, complaints_);
    while (!over()) reads_ += probes.round();
}

/// Nobody asks anything while the address moves.
std::shared_lock<std::shared_mutex> Run::take_turn() {
    while (moving_ && !failed_) sleep_for(Seconds(0.001));
    return std::shared_lock(turns_);
}

void Run::breaker() {
    std::minstd_rand random(static_cast<unsigned>(options_.seed));
    std::optional<Disturber> disturber;
    if (options_.fault != Fault::failover)
        disturber.emplace(*cluster_, options_.fault, options_.seed);
    while (!over()) {
        sleep_for(Seconds(0.7 + static_cast<double>(random() % 600) / 1000));
        if (options_.fault == Fault::failover)
            fail_over();
        else if (options_.fault == Fault::huge)
            write_much();
        else
            disturber->disturb();
        ++faults_;
    }
}

void Run::write_much() {
    auto db = cluster_->connect("app");
    db.run("CREATE TABLE IF NOT EXISTS much (n int)");
    auto& history = histories_.back();
    Write w;
    w.version = static_cast<std::int64_t>(history.writes.size()) + 1;
    w.invoked = now();
    db.run("BEGIN");
    db.run("INSERT INTO much SELECT generate_series(1, " + std::to_string(options_.rows) + ")");
    db.run("UPDATE huge_t SET ver = " + std::to_string(w.version));
    db.run("COMMIT");
    w.acknowledged = now();
    history.writes.push_back(w);
    done(histories_.size() - 1, kWritten);
    db.run("TRUNCATE much");
}

/// What the old primary commits last is seen through both proxies, and gone behind the move: no
/// version of it may be read then, except within what is allowed.
void Run::fail_over() {
    auto standby = standby_of(*cluster_);
    moving_ = true;
    const std::unique_lock turn(turns_);
    separate(*cluster_, *standby);
    const auto text = [](std::string step) {
        return step.replace(step.find("%v"), 2, std::to_string(kLost));
    };
    const Register* lost = nullptr;
    auto direct = cluster_->connect("app");
    for (const auto& r : registers_) {
        if (r.ways[0].steps.size() != 1) continue;
        direct.run(text(r.ways[0].steps[0]));
        lost = &r;
    }
    for (const auto* proxy : {&*proxy_, &*second_}) {
        auto client = RawClient::login(proxy->port());
        const bool seen =
            eventually([&] { return ask(client, lost->reads[0]) == std::to_string(kLost); });
        if (!seen || !becomes_cached(*proxy, client, lost->reads[0]))
            complaints_.add("UNSEEN before the move");
    }
    cluster_->crash();
    standby->promote();
    cutter_->move_to(standby->port());
    around_->move_to(standby->port());
    cluster_ = std::move(standby);
    sleep_for(Seconds(static_cast<double>(kStaleness + kClock) / 1e9));
    for (const auto* proxy : {&*proxy_, &*second_}) read_behind(*proxy);
    ++moves_;
    moving_ = false;
}

void Run::read_behind(const Proxy& proxy) {
    auto client = RawClient::login(proxy.port());
    for (int round = 0; round < 3; ++round) {
        for (const auto& r : registers_) {
            std::string answer;
            const bool answered = eventually(
                [&] {
                    answer = ask(client, r.reads[0]);
                    return answer.find(' ') == std::string::npos;
                },
                Seconds(20));
            ++reads_;
            if (!answered || answer == std::to_string(kLost))
                complaints_.add("LOST " + r.name + ": " + answer);
        }
    }
    if (!becomes_cached(proxy, client, registers_[0].reads[0]))
        complaints_.add("no hits behind the move");
}

void Run::judge(RunResult& result) {
    Shared all;
    for (std::size_t i = 0; i < histories_.size(); ++i) {
        for (auto& seen : seen_)
            histories_[i].reads.insert(histories_[i].reads.end(), seen[i].begin(), seen[i].end());
        result.writes += static_cast<std::int64_t>(histories_[i].writes.size());
        for (auto& line : check(histories_[i])) result.breaches.push_back(std::move(line));
    }
    for (auto& s : shared_) {
        all.appends.insert(all.appends.end(), s.appends.begin(), s.appends.end());
        all.lists.insert(all.lists.end(), s.lists.begin(), s.lists.end());
    }
    for (auto& line : check_list(all.appends, all.lists))
        result.breaches.push_back(std::move(line));
    for (auto& line : complaints_.take()) result.breaches.push_back(std::move(line));
    result.reads = reads_;
    // Behind millions of rows the stream is late for most of the time.
    const double least = options_.fault == Fault::huge                        ? 0.01
                         : options_.profile == Profile::indirect || outside() ? 0.1
                                                                              : 0.3;
    const double ratio = static_cast<double>(result.hits) /
                         static_cast<double>(std::max<std::int64_t>(1, result.reads));
    if (ratio < least)
        result.invalid =
            "only " + std::to_string(static_cast<int>(ratio * 100)) + " % of the reads were hits";
    for (const auto& h : histories_)
        if (h.writes.empty() || h.reads.empty())
            result.invalid = "register " + h.name + " was not written or not read";
}

RunResult Run::run() {
    proxy_.emplace(proxy_options());
    if (outside()) second_.emplace(proxy_options());
    RunResult result;
    {
        auto client = RawClient::login(proxy_->port());
        if (!becomes_cached(*proxy_, client, registers_[0].reads[0])) {
            result.invalid = "nothing is cached";
            return result;
        }
    }
    const auto hits = proxy_->cache_counter("hits");
    end_ = now() + static_cast<Time>(options_.seconds * 1e9);
    latest_ = end_ + kPatience;
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < kWriters; ++i)
        threads.emplace_back([this, i] { guard([&] { writer(i); }); });
    for (std::size_t i = 0; i < kReaders; ++i)
        threads.emplace_back([this, i] { guard([&] { reader(i); }); });
    if (options_.profile == Profile::contexts)
        threads.emplace_back([this] { guard([&] { prober(); }); });
    if (outside()) threads.emplace_back([this] { guard([&] { breaker(); }); });
    for (auto& t : threads) t.join();
    result.hits = proxy_->cache_counter("hits") - hits;
    result.faults = faults_;
    result.resident_kib = proxy_->resident_kib();
    result.metrics = proxy_->http("/metrics");
    judge(result);
    proxy_.reset();
    second_.reset();
    return result;
}

}  // namespace

RunResult run(const RunOptions& options) { return Run(options).run(); }

}  // namespace pgweir::checker
