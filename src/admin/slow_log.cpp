// The queue in front of the slow log's file, and the thread between them.
#include "pgweir/admin/slow_log.hpp"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>

#include "journal.hpp"
#include "log_file.hpp"
#include "pgweir/base/log.hpp"
#include "slow_line.hpp"

namespace pgweir::admin {

namespace {
constexpr std::size_t kMaxKept = 1 << 20;              // bytes of one statement that are queued
constexpr base::Nanos kLastLines = 2 * base::kSecond;  // for what is queued at the end
}  // namespace

struct SlowLogWriter::State {
    std::mutex mutex;
    std::condition_variable wake;
    SlowLogOptions options;
    std::deque<metrics::SlowQuery> queue;
    std::size_t queued_bytes = 0;
    std::uint64_t offered = 0, taken = 0;       // into and out of the queue
    std::optional<std::uint64_t> reopen_after;  // once so many were taken
    bool reconfigured = false;                  // then with the new options
    bool stopping = false;
    base::Nanos last_at = 0;  // when stopping: until then lines are written
    std::string problem;
    std::atomic<std::uint64_t> written{0}, lost{0};
    std::uint64_t line = 0;  // the thread's
    std::thread thread;

    SlowLogOptions in_use;  // the thread's
    std::optional<LogFile> file;
    std::optional<Journal> journal;

    void run();
    bool take(std::unique_lock<std::mutex>& lock, metrics::SlowQuery& query);
    void open();
    void write(const metrics::SlowQuery& query);
    void note(const std::string& now_wrong);
};

/// Waits for a query, opening the file again when that is due; false: it is over.
bool SlowLogWriter::State::take(std::unique_lock<std::mutex>& lock, metrics::SlowQuery& query) {
    for (;;) {
        wake.wait(lock, [&] { return !queue.empty() || reopen_after || stopping; });
        if (reopen_after && taken >= *reopen_after) {
            reopen_after.reset();
            if (reconfigured)
                open();
            else if (file)
                file->reopen();
            reconfigured = false;
        } else if (stopping && base::monotonic_now() > last_at) {
            lost.fetch_add(queue.size(), std::memory_order_relaxed);
            return false;
        } else if (!queue.empty()) {
            query = std::move(queue.front());
            queue.pop_front();
            ++taken;
            return true;
        } else if (stopping) {
            return false;
        }
    }
}

void SlowLogWriter::State::note(const std::string& now_wrong) {
    if (now_wrong == problem) return;
    if (now_wrong.empty())
        base::log_info("slow log: written again");
    else
        base::log_warning("slow log: " + base::printable(now_wrong, 400) +
                          "; its lines are lost until then");
    problem = now_wrong;
}

/// With the lock: the options are shared.
void SlowLogWriter::State::open() {
    in_use = options;
    file.reset();
    journal.reset();
    if (in_use.file == "journald")
        journal.emplace(in_use.journal_socket);
    else
        file.emplace(in_use.file, in_use.max_file_size, in_use.max_files, in_use.max_age);
}

void SlowLogWriter::State::write(const metrics::SlowQuery& query) {
    bool ok = false;
    try {
        ++line;
        ok = journal ? journal->write(journal_entry(query, in_use))
                     : file->write_line(slow_log_line(query, line, in_use));
    } catch (const std::exception&) {  // no memory: the line is lost, the thread is not
    }
    (ok ? written : lost).fetch_add(1, std::memory_order_relaxed);
}

void SlowLogWriter::State::run() {
    std::unique_lock lock(mutex);
    open();
    metrics::SlowQuery query;
    while (take(lock, query)) {
        const auto size = query.text.size();
        lock.unlock();
        write(query);
        query = {};
        lock.lock();
        queued_bytes -= size;
        note(journal ? journal->problem() : file->problem());
    }
}

SlowLogWriter::SlowLogWriter(SlowLogOptions options) : state_(std::make_unique<State>()) {
    state_->options = std::move(options);
    state_->thread = std::thread([state = state_.get()] { state->run(); });
}

SlowLogWriter::~SlowLogWriter() {
    {
        const std::lock_guard lock(state_->mutex);
        state_->stopping = true;
        state_->last_at = base::monotonic_now() + kLastLines;
    }
    state_->wake.notify_one();
    state_->thread.join();
}

bool SlowLogWriter::offer(metrics::SlowQuery&& query) noexcept {
    auto& s = *state_;
    try {
        if (query.text.size() > kMaxKept) query.text = query.text.substr(0, kMaxKept);
        const auto size = query.text.size();
        const std::lock_guard lock(s.mutex);
        if (s.queue.size() < s.options.max_queued &&
            s.queued_bytes + size <= s.options.max_queued_bytes) {
            s.queue.push_back(std::move(query));
            s.queued_bytes += size;
            ++s.offered;
            s.wake.notify_one();
            return true;
        }
    } catch (const std::exception&) {  // no memory
    }
    s.lost.fetch_add(1, std::memory_order_relaxed);
    return false;
}

void SlowLogWriter::reopen() noexcept {
    const std::lock_guard lock(state_->mutex);
    state_->reopen_after = state_->offered;
    state_->wake.notify_one();
}

void SlowLogWriter::reconfigure(SlowLogOptions options) {
    const std::lock_guard lock(state_->mutex);
    state_->options = std::move(options);
    state_->reconfigured = true;
    state_->reopen_after = state_->offered;
    state_->wake.notify_one();
}

std::uint64_t SlowLogWriter::written() const noexcept {
    return state_->written.load(std::memory_order_relaxed);
}

std::uint64_t SlowLogWriter::lost() const noexcept {
    return state_->lost.load(std::memory_order_relaxed);
}

std::string SlowLogWriter::problem() const {
    const std::lock_guard lock(state_->mutex);
    return state_->problem;
}

}  // namespace pgweir::admin
