// See plan_reader.hpp.
#include "pgweir/control/plan_reader.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <charconv>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>

#include "pgweir/base/log.hpp"
#include "pgweir/base/thread.hpp"
#include "sql.hpp"

namespace pgweir::control {

namespace {

constexpr base::Nanos kStatement = 5 * base::kSecond;
constexpr std::size_t kMaxKeys = 10'000;
constexpr std::size_t kMaxPlan = 1 << 20;  // bytes

template <class Number>
Number number_of(std::string_view text) {
    Number value{};
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

RelationFacts& relation_of(std::vector<RelationFacts>& all, const Row& row) {
    for (auto& r : all)
        if (r.schema == row.text(1) && r.name == row.text(2)) return r;
    auto& made = all.emplace_back();
    made.schema = row.text(1);
    made.name = row.text(2);
    return made;
}

void take_fact(std::vector<RelationFacts>& all, const Row& row) {
    auto& relation = relation_of(all, row);
    switch (row.letter(0)) {
        case 'r':
            relation.rows = static_cast<double>(number_of<std::uint64_t>(row.text(3)));
            relation.bytes = number_of<std::uint64_t>(row.text(4));
            relation.ordinary = row.flag(5);
            break;
        case 'c':
            relation.columns.push_back({std::string(row.text(3)), std::string(row.text(4))});
            break;
        case 'i':
            relation.indexes.push_back({std::string(row.text(3)), std::string(row.text(4))});
            break;
        default: break;
    }
}

}  // namespace

std::optional<std::string> read_plan(const PlanQuestion& q, Connection::Limits limits,
                                     PlanAnswer& answer) {
    Connection connection(q.target, limits);
    if (auto error = connection.wait_connected()) return error;
    std::string settings;
    pool::append_settings_sql(settings, *pool::empty_profile(), *q.profile);
    settings += sql::plan_session;
    if (auto error = connection.run(settings)) return error;
    answer.asked = true;
    // A message of the extended protocol holds one statement, whatever the text is.
    if (auto error = connection.query_bound("EXPLAIN (VERBOSE, FORMAT JSON) " + q.text, q.types,
                                            q.bind, [&](const Row& row) {
                                                answer.json = row.text(0);
                                                return answer.json.size() <= kMaxPlan;
                                            }))
        return error;
    if (auto error = connection.run("SET search_path = pg_catalog, pg_temp")) return error;
    return connection.query_one(std::string(sql::plan_facts), answer.json, [&](const Row& row) {
        take_fact(answer.relations, row);
        return true;
    });
}

class PlanReader::Impl {
  public:
    Impl(Options options, OnPlan on_plan) : options_(options), on_plan_(std::move(on_plan)) {
        enabled_ = options.enabled;
        thread_ = base::thread_without_signals([this] { run(); });
    }

    ~Impl() {
        {
            const std::scoped_lock lock(mutex_);
            stopping_ = true;
        }
        const std::uint64_t one = 1;
        (void)!::write(stop_fd_, &one, sizeof one);
        wake_.notify_one();
        thread_.join();
        ::close(stop_fd_);
    }

    void configure(Options options) {
        const std::scoped_lock lock(mutex_);
        options_ = options;
        enabled_ = options.enabled;
    }

    bool claim(std::uint64_t key, base::Nanos now) noexcept {
        if (!enabled_.load(std::memory_order_relaxed)) return false;
        try {
            const std::scoped_lock lock(mutex_);
            if (busy_ || now < next_) return false;
            const auto it = asked_.find(key);
            if (it != asked_.end() && now - it->second < options_.again) return false;
            if (asked_.size() >= kMaxKeys) asked_.clear();
            asked_[key] = now;
            busy_ = true;
            next_ = now + options_.interval;
            return true;
        } catch (const std::exception&) {  // no memory
            return false;
        }
    }

    void ask(PlanQuestion question) {
        const std::scoped_lock lock(mutex_);
        question_ = std::move(question);
        wake_.notify_one();
    }

    void abandon() noexcept {
        const std::scoped_lock lock(mutex_);
        busy_ = false;
    }

    std::atomic<std::uint64_t> read{0}, failed{0};
    std::string problem() const {
        const std::scoped_lock lock(mutex_);
        return problem_;
    }

  private:
    void run() {
        std::unique_lock lock(mutex_);
        while (true) {
            wake_.wait(lock, [this] { return stopping_ || question_; });
            if (stopping_) return;
            const auto question = *std::move(question_);
            question_.reset();
            const auto connect = options_.connect_timeout;
            lock.unlock();
            PlanAnswer answer;
            const auto error = read_plan(question, {connect, kStatement, stop_fd_}, answer);
            if (!error) on_plan_(question, answer);
            (error ? failed : read).fetch_add(1, std::memory_order_relaxed);
            lock.lock();
            // Not the server's words on a statement, which may quote its constants.
            if (error && !answer.asked && *error != problem_ && !stopping_)
                base::log_info("plans of slow queries: " + base::printable(*error, 400));
            problem_ = error.value_or("");
            busy_ = false;
        }
    }

    mutable std::mutex mutex_;
    std::condition_variable wake_;
    Options options_;
    OnPlan on_plan_;
    std::atomic<bool> enabled_{false};
    bool stopping_ = false;
    bool busy_ = false;  // from a claim until its answer
    base::Nanos next_ = 0;
    std::optional<PlanQuestion> question_;
    std::unordered_map<std::uint64_t, base::Nanos> asked_;
    std::string problem_;
    const int stop_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    std::thread thread_;
};

PlanReader::PlanReader(Options options, OnPlan on_plan)
    : impl_(std::make_unique<Impl>(options, std::move(on_plan))) {}
PlanReader::~PlanReader() = default;
void PlanReader::configure(Options options) { impl_->configure(options); }
bool PlanReader::claim(std::uint64_t key, base::Nanos now) noexcept {
    return impl_->claim(key, now);
}
void PlanReader::ask(PlanQuestion question) { impl_->ask(std::move(question)); }
void PlanReader::abandon() noexcept { impl_->abandon(); }
std::uint64_t PlanReader::read() const noexcept { return impl_->read; }
std::uint64_t PlanReader::failed() const noexcept { return impl_->failed; }
std::string PlanReader::problem() const { return impl_->problem(); }

}  // namespace pgweir::control
