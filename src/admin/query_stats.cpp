// See query_stats.hpp. A record goes into the figures of the present ten seconds only; when those
// are over they are added to the hour's, the day's and the whole, so that a record costs one
// addition and not four.
#include "pgweir/admin/query_stats.hpp"

#include <algorithm>
#include <array>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "pgweir/query/verdict.hpp"
#include "slow_line.hpp"

namespace pgweir::admin {

namespace {

using metrics::QueryBatch;
using metrics::QueryBatchPtr;
using metrics::QueryRecord;

constexpr std::size_t kMaxQueued = 128;  // batches on their way
constexpr std::size_t kWakeAt = 8;
constexpr std::size_t kMaxEarlyPlans = 64;
constexpr std::size_t kMaxGroups = 4096;
constexpr std::size_t kMaxName = 256;
constexpr std::size_t kSample = 1024;
constexpr base::Nanos kMinute = 60 * base::kSecond;
constexpr base::Nanos kPresent = kMinute / 6;

/// Figures of the latest six slots of one width.
class Ring {
  public:
    explicit constexpr Ring(base::Nanos width) noexcept : width_(width) {}
    std::int64_t slot(base::Nanos at) const noexcept { return at / width_; }
    /// Gives how many bytes more are held.
    std::int64_t add(base::Nanos at, const QueryFigures& figures) {
        const auto id = slot(at);
        auto& s = slots_[static_cast<std::size_t>(id) % slots_.size()];
        const auto before = s.figures ? static_cast<std::int64_t>(s.figures->bytes_held()) : 0;
        if (!s.figures || s.id != id) s.figures = std::make_unique<QueryFigures>();
        s.id = id;
        s.figures->merge(figures);
        return static_cast<std::int64_t>(s.figures->bytes_held()) - before;
    }
    void sum(base::Nanos now, QueryFigures& into) const {
        const auto id = slot(now);
        for (const auto& s : slots_)
            if (s.figures && s.id <= id && s.id > id - static_cast<std::int64_t>(slots_.size()))
                into.merge(*s.figures);
    }

  private:
    struct Slot {
        std::int64_t id = 0;
        std::unique_ptr<QueryFigures> figures;
    };
    base::Nanos width_;
    std::array<Slot, 6> slots_{};
};

struct Key {
    std::uint64_t fingerprint = 0;
    std::uint32_t group = 0;
    friend bool operator==(const Key&, const Key&) = default;
};
struct KeyHash {
    std::size_t operator()(const Key& k) const noexcept {
        return k.fingerprint ^ (k.group * 0x9E3779B97F4A7C15ull);
    }
};

struct Text {
    std::string text, sample;
    QueryTraits traits;
    PlanPtr plan;
    std::uint32_t entries = 0;  // that use it
    std::int64_t bytes_held() const {
        std::size_t bytes = text.size() + sample.size();
        if (plan) {
            bytes += sizeof *plan + plan->text.size();
            for (const auto& n : plan->notes)
                bytes += sizeof n + n.rule.size() + n.evidence.size() + n.advice.size();
        }
        return static_cast<std::int64_t>(bytes);
    }
};

struct Entry {
    QueryFigures present;  // of the ten seconds that present_at lies in
    base::Nanos present_at = 0;
    std::int64_t present_slot = 0;  // which ten seconds
    QueryFigures all;               // before those
    Ring minute{kPresent}, hour{10 * kMinute}, day{240 * kMinute};
    std::int64_t first_wall_us = 0, last_wall_us = 0;
    std::uint64_t time_us = 0;  // of all
    std::int64_t bytes = 0;     // held behind this
    Text* text = nullptr;       // of its fingerprint
};

struct Group {
    std::string database, user, application;
};

constexpr std::int64_t kEntryBytes =
    sizeof(Key) + sizeof(Entry) + 256;  // with the present histograms
constexpr std::int64_t kTextBytes = sizeof(Text) + 48;

std::uint64_t value_of(const QueryRow& row, QueryOrder order) {
    const auto& f = row.figures;
    switch (order) {
        case QueryOrder::total: return f.total.sum;
        case QueryOrder::calls: return f.calls;
        case QueryOrder::mean: return f.total.mean();
        case QueryOrder::p50: return f.total.quantile(0.5);
        case QueryOrder::p95: return f.total.quantile(0.95);
        case QueryOrder::p99: return f.total.quantile(0.99);
        case QueryOrder::max: return f.total.most;
        case QueryOrder::wait: return f.wait.sum;
        case QueryOrder::server: return f.server.sum;
        case QueryOrder::rows: return f.rows;
        case QueryOrder::bytes: return f.bytes;
        case QueryOrder::errors: return f.errors;
        case QueryOrder::hits: return f.hits;
        case QueryOrder::saved: return f.saved_us;
        case QueryOrder::last: return static_cast<std::uint64_t>(row.last_wall_us);
    }
    return 0;
}

bool fits(const std::string& wanted, const std::string& value) {
    return wanted.empty() || wanted == value;
}

}  // namespace

struct QueryStats::State {
    // Handing over.
    std::mutex queue_mutex;
    std::condition_variable wake;
    std::deque<QueryBatchPtr> queue;
    std::vector<QueryBatchPtr> spare;
    bool stopping = false;
    std::atomic<std::uint64_t> dropped{0};
    // Who asks.
    std::mutex group_mutex;
    std::vector<Group> groups{{}, {"(other)", "(other)", "(other)"}};  // 0 is nobody
    std::unordered_map<std::string, std::uint32_t> group_numbers;
    // What was gathered.
    std::mutex mutex;
    std::vector<std::string> hidden_words{"password"};
    bool all_hidden = false;
    std::unordered_map<Key, Entry, KeyHash> entries;
    std::unordered_map<std::uint64_t, Text> texts;
    std::unordered_map<std::uint64_t, PlanPtr> early_plans;  // of queries not met yet
    SessionWatch watch;
    struct Near {
        Key key;
        Entry* entry = nullptr;
    };
    std::array<Near, 512> lately{};  // entries that were met lately; none of them is gone
    std::uint64_t max_memory = 0;
    std::int64_t bytes = 0;
    std::uint64_t calls = 0, forgotten = 0;
    bool new_generation = false;  // some text was forgotten
    std::thread thread;

    void run(std::atomic<std::uint32_t>& generation);
    void drain();
    void gather(const QueryBatch& batch);
    void learn(const metrics::QueryText& text);
    void begin_text(std::uint64_t fingerprint, Text& text);
    Entry& entry_of(const QueryRecord& record, std::int64_t wall_us);
    void add(const QueryRecord& record, const QueryBatch& batch, std::int64_t slot);
    void close(Entry& entry);
    void forget();
    Group group_of(std::uint32_t number);
    QueryFigures figures(const Entry& entry, QueryWindow window, base::Nanos now) const;
};

void QueryStats::State::close(Entry& e) {
    if (e.present.calls == 0) return;
    const auto before = static_cast<std::int64_t>(e.all.bytes_held());
    e.all.merge(e.present);
    auto more = static_cast<std::int64_t>(e.all.bytes_held()) - before;
    more += e.minute.add(e.present_at, e.present);
    more += e.hour.add(e.present_at, e.present);
    more += e.day.add(e.present_at, e.present);
    e.present = {};
    e.bytes += more;
    bytes += more;
}

void QueryStats::State::begin_text(std::uint64_t fingerprint, Text& text) {
    bytes += kTextBytes;
    const auto early = early_plans.find(fingerprint);
    if (early == early_plans.end()) return;
    text.plan = std::move(early->second);
    early_plans.erase(early);
    bytes += text.bytes_held();
}

/// The entry of who asks what; the latest are found without a look into the table.
inline Entry& QueryStats::State::entry_of(const QueryRecord& r, std::int64_t wall_us) {
    const Key key{r.fingerprint, r.group};
    auto& near = lately[(r.fingerprint ^ r.group) % lately.size()];
    if (near.entry != nullptr && near.key == key) return *near.entry;
    auto [it, made] = entries.try_emplace(key);
    near = {key, &it->second};
    if (made) {
        bytes += kEntryBytes;
        it->second.first_wall_us = wall_us;
        auto [text, new_text] = texts.try_emplace(r.fingerprint);
        if (new_text) begin_text(r.fingerprint, text->second);
        ++text->second.entries;
        it->second.text = &text->second;
    }
    return it->second;
}

inline void QueryStats::State::add(const QueryRecord& r, const QueryBatch& batch,
                                   std::int64_t slot) {
    auto& e = entry_of(r, batch.wall_us);
    if (e.present_slot != slot) {
        close(e);
        e.present_slot = slot;
    }
    e.present_at = batch.at;
    e.last_wall_us = batch.wall_us;
    e.time_us += r.total_us;
    std::uint64_t mean = 0;
    if ((r.flags & QueryRecord::hit) != 0) {
        const auto executed = e.all.total.histogram.count() + e.present.total.histogram.count();
        if (executed > 0) mean = (e.all.total.sum + e.present.total.sum) / executed;
    }
    e.present.add(r, mean);
    if (r.not_cached != 0) e.text->traits.note_reason(r.not_cached);
}

void QueryStats::State::learn(const metrics::QueryText& known) {
    const auto it = texts.find(known.fingerprint);
    if (it == texts.end()) return;
    auto& text = it->second;
    text.traits.note_text(known.text);
    if (!text.sample.empty()) return;
    const auto before = text.bytes_held();
    text.text = query::normalise(known.text, kSample);
    const bool hide = all_hidden || has_any_word(known.text, hidden_words);
    text.sample = hide ? text.text : known.text.substr(0, kSample);
    bytes += text.bytes_held() - before;
}

void QueryStats::State::gather(const QueryBatch& batch) {
    const auto traits = [this](std::uint64_t fingerprint) {
        const auto it = texts.find(fingerprint);
        return it == texts.end() ? nullptr : &it->second.traits;
    };
    const auto slot = batch.at / kPresent;
    for (std::size_t i = 0; i < batch.size; ++i) {
        add(batch.records[i], batch, slot);
        watch.observe(batch.records[i], batch.at, traits);
    }
    calls += batch.size;
    for (const auto& text : batch.texts) learn(text);
    if (bytes > static_cast<std::int64_t>(max_memory)) forget();
}

/// The least valuable go: little time in all, halved for each ten minutes without a call.
void QueryStats::State::forget() {
    lately = {};
    struct Worth {
        double value;
        Key key;
    };
    while (bytes > static_cast<std::int64_t>(max_memory) && !entries.empty()) {
        std::vector<Worth> all;
        all.reserve(entries.size());
        std::int64_t latest = 0;
        for (const auto& [key, e] : entries) latest = std::max(latest, e.last_wall_us);
        for (const auto& [key, e] : entries) {
            const auto idle = static_cast<double>(latest - e.last_wall_us) / 600e6;
            all.push_back({static_cast<double>(e.time_us + 1) / (1 + idle), key});
        }
        const auto out = std::max<std::size_t>(all.size() / 8, 1);
        std::nth_element(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(out - 1), all.end(),
                         [](const Worth& a, const Worth& b) { return a.value < b.value; });
        for (std::size_t i = 0; i < out; ++i) {
            const auto it = entries.find(all[i].key);
            bytes -= kEntryBytes + it->second.bytes;
            entries.erase(it);
            ++forgotten;
            const auto text = texts.find(all[i].key.fingerprint);
            if (--text->second.entries > 0) continue;
            bytes -= kTextBytes + text->second.bytes_held();
            texts.erase(text);
            new_generation = true;
        }
    }
}

/// With `mutex`. Each batch is taken with the queue's own lock, which workers need, too.
void QueryStats::State::drain() {
    for (;;) {
        QueryBatchPtr batch;
        {
            const std::lock_guard lock(queue_mutex);
            if (queue.empty()) return;
            batch = std::move(queue.front());
            queue.pop_front();
        }
        gather(*batch);
        batch->clear();
        const std::lock_guard lock(queue_mutex);
        spare.push_back(std::move(batch));
    }
}

/// Texts are asked for again at most once a second, however much is forgotten.
void QueryStats::State::run(std::atomic<std::uint32_t>& generation) {
    std::unique_lock lock(queue_mutex);
    while (!stopping) {
        wake.wait_for(lock, std::chrono::milliseconds(500),
                      [&] { return stopping || queue.size() >= kWakeAt; });
        lock.unlock();
        {
            const std::lock_guard tables(mutex);
            static thread_local base::Nanos asked_at = 0;
            drain();
            const auto now = base::monotonic_now();
            if (new_generation && now - asked_at >= base::kSecond) {
                asked_at = now;
                new_generation = false;
                auto next = generation.load(std::memory_order_relaxed) + 1;
                generation.store(next == 0 ? 1 : next, std::memory_order_relaxed);
            }
        }
        lock.lock();
    }
}

Group QueryStats::State::group_of(std::uint32_t number) {
    const std::lock_guard lock(group_mutex);
    return number < groups.size() ? groups[number] : Group{};
}

QueryFigures QueryStats::State::figures(const Entry& e, QueryWindow window, base::Nanos now) const {
    QueryFigures f;
    switch (window) {
        case QueryWindow::all: f.merge(e.all); break;
        case QueryWindow::minute: e.minute.sum(now, f); break;
        case QueryWindow::hour: e.hour.sum(now, f); break;
        case QueryWindow::day: e.day.sum(now, f); break;
    }
    constexpr base::Nanos kLength[] = {0, kMinute, 60 * kMinute, 1440 * kMinute};
    if (window == QueryWindow::all || now - e.present_at < kLength[static_cast<int>(window)])
        f.merge(e.present);
    return f;
}

QueryStats::QueryStats(std::uint64_t max_memory, bool with_thread)
    : state_(std::make_unique<State>()) {
    state_->max_memory = max_memory;
    if (with_thread) state_->thread = std::thread([this] { state_->run(generation_); });
}

QueryStats::~QueryStats() {
    if (!state_->thread.joinable()) return;
    {
        const std::lock_guard lock(state_->queue_mutex);
        state_->stopping = true;
    }
    state_->wake.notify_one();
    state_->thread.join();
}

std::uint32_t QueryStats::group(std::string_view database, std::string_view user,
                                std::string_view application) {
    Group g{std::string(database.substr(0, kMaxName)), std::string(user.substr(0, kMaxName)),
            std::string(application.substr(0, kMaxName))};
    auto& s = *state_;
    const std::lock_guard lock(s.group_mutex);
    const auto name = g.database + '\0' + g.user + '\0' + g.application;
    if (const auto it = s.group_numbers.find(name); it != s.group_numbers.end()) return it->second;
    if (s.groups.size() >= kMaxGroups) return 1;
    s.groups.push_back(std::move(g));
    return s.group_numbers[name] = static_cast<std::uint32_t>(s.groups.size() - 1);
}

QueryBatchPtr QueryStats::exchange(QueryBatchPtr full) noexcept {
    auto& s = *state_;
    try {
        const std::lock_guard lock(s.queue_mutex);
        if (full) {
            s.queue.push_back(std::move(full));
            if (s.queue.size() == kWakeAt) s.wake.notify_one();
        }
        if (!s.spare.empty()) {
            auto batch = std::move(s.spare.back());
            s.spare.pop_back();
            return batch;
        }
        if (s.queue.size() >= kMaxQueued) return nullptr;
        return std::make_unique<QueryBatch>();
    } catch (const std::exception&) {  // no memory
        return nullptr;
    }
}

void QueryStats::count_dropped(std::uint64_t records) noexcept {
    state_->dropped.fetch_add(records, std::memory_order_relaxed);
}

void QueryStats::set_plan(std::uint64_t fingerprint, PlanPtr plan) {
    auto& s = *state_;
    const std::lock_guard lock(s.mutex);
    s.drain();
    const auto it = s.texts.find(fingerprint);
    if (it == s.texts.end()) {  // its execution is still in a worker's hands
        if (s.early_plans.size() >= kMaxEarlyPlans) s.early_plans.clear();
        s.early_plans[fingerprint] = std::move(plan);
        return;
    }
    const auto before = it->second.bytes_held();
    it->second.plan = std::move(plan);
    s.bytes += it->second.bytes_held() - before;
}

std::vector<QueryRow> QueryStats::rows(const QueryFilter& filter, base::Nanos now) {
    auto& s = *state_;
    const std::lock_guard lock(s.mutex);
    s.drain();
    std::unordered_map<std::string, QueryRow> rows;
    for (const auto& [key, e] : s.entries) {
        auto g = s.group_of(key.group);
        if (!fits(filter.database, g.database) || !fits(filter.user, g.user) ||
            !fits(filter.application, g.application))
            continue;
        auto figures = s.figures(e, filter.window, now);
        if (figures.calls == 0) continue;
        if (!filter.by_database) g.database.clear();
        if (!filter.by_user) g.user.clear();
        if (!filter.by_application) g.application.clear();
        auto& row = rows[std::to_string(key.fingerprint) + '\0' + g.database + '\0' + g.user +
                         '\0' + g.application];
        if (row.figures.calls == 0) {
            const auto text = s.texts.find(key.fingerprint);
            row.fingerprint = key.fingerprint;
            row.text = text->second.text;
            row.sample = text->second.sample;
            row.traits = text->second.traits;
            row.plan = text->second.plan;
            row.database = std::move(g.database);
            row.user = std::move(g.user);
            row.application = std::move(g.application);
            row.first_wall_us = e.first_wall_us;
        }
        row.figures.merge(figures);
        row.first_wall_us = std::min(row.first_wall_us, e.first_wall_us);
        row.last_wall_us = std::max(row.last_wall_us, e.last_wall_us);
    }
    std::vector<QueryRow> out;
    for (auto& [name, row] : rows)
        if (filter.fingerprint.empty() || filter.fingerprint == fingerprint_text(row.fingerprint))
            out.push_back(std::move(row));
    std::sort(out.begin(), out.end(), [&](const QueryRow& a, const QueryRow& b) {
        const auto x = value_of(a, filter.order), y = value_of(b, filter.order);
        return x != y ? x > y : a.fingerprint < b.fingerprint;
    });
    if (out.size() > filter.limit) out.resize(filter.limit);
    return out;
}

QueryTotals QueryStats::totals() {
    auto& s = *state_;
    const std::lock_guard lock(s.mutex);
    s.drain();
    return {s.entries.size(), static_cast<std::uint64_t>(std::max<std::int64_t>(s.bytes, 0)),
            s.calls, s.forgotten, s.dropped.load(std::memory_order_relaxed)};
}

void QueryStats::reset() {
    auto& s = *state_;
    const std::lock_guard lock(s.mutex);
    s.drain();
    s.lately = {};
    s.entries.clear();
    s.texts.clear();
    s.early_plans.clear();
    s.watch = {};
    s.bytes = 0;
    s.calls = s.forgotten = 0;
    s.dropped = 0;
    generation_.fetch_add(1, std::memory_order_relaxed);
}

void QueryStats::set_hidden(std::vector<std::string> words, bool all) {
    const std::lock_guard lock(state_->mutex);
    state_->hidden_words = std::move(words);
    state_->all_hidden = all;
}

void QueryStats::set_max_memory(std::uint64_t bytes) {
    const std::lock_guard lock(state_->mutex);
    state_->max_memory = bytes;
    if (state_->bytes > static_cast<std::int64_t>(bytes)) state_->forget();
}

}  // namespace pgweir::admin
