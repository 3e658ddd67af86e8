// The loop of the streams' thread: jobs from other threads, then every link, then poll().
#include "pgweir/control/change_streams.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <thread>

#include "stream_link.hpp"

namespace pgweir::control {

class ChangeStreams::Impl {
  public:
    Impl(StreamOptions options, OnEvent on_event)
        : options_(options), on_event_([this, callback = std::move(on_event)](const auto& event) {
              if (!stopped_ && callback) callback(event);
          }) {
        stop_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        wake_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    }
    ~Impl() {
        stop();
        close(stop_fd_);
        close(wake_fd_);
    }
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    void start() {
        if (!thread_.joinable() && !stopped_) thread_ = std::thread([this] { loop(); });
    }

    void stop() {
        stopped_ = true;
        signal(stop_fd_);
        if (thread_.joinable()) thread_.join();
        for (auto& [id, database] : databases_) database->stream().on_demand(nullptr);
        databases_.clear();
        links_.clear();
    }

    StreamId add(Target target, cache::DatabaseState& database) {
        StreamId id = 0;
        {
            const std::scoped_lock lock(mutex_);
            id = ++last_id_;
            databases_[id] = &database;
        }
        database.stream().on_demand([this] { signal(wake_fd_); });
        post([this, id, target = std::move(target), &database] {
            links_.emplace(id, std::make_unique<StreamLink>(
                                   id, target, database,
                                   StreamLink::Context{&options_, &on_event_,
                                                       [this](const StreamLink& link) {
                                                           return slots_at_server_of(link);
                                                       },
                                                       stop_fd_}));
        });
        return id;
    }

    void remove(StreamId id) {
        {
            const std::scoped_lock lock(mutex_);
            const auto found = databases_.find(id);
            if (found == databases_.end()) return;
            found->second->stream().on_demand(nullptr);
            databases_.erase(found);
        }
        post([this, id] { links_.erase(id); });
    }

    void set_options(StreamOptions options) {
        post([this, options] { options_ = options; });
    }

  private:
    using Job = std::function<void()>;

    static void signal(int fd) noexcept {
        const std::uint64_t one = 1;
        // A full counter means that it is readable already.
        [[maybe_unused]] const auto n = write(fd, &one, sizeof one);
    }

    void post(Job job) {
        {
            const std::scoped_lock lock(mutex_);
            jobs_.push_back(std::move(job));
        }
        signal(wake_fd_);
    }

    unsigned slots_at_server_of(const StreamLink& link) const {
        unsigned n = 0;
        for (const auto& [id, other] : links_)
            if (other.get() != &link && other->has_slot() &&
                other->target().host == link.target().host &&
                other->target().port == link.target().port)
                ++n;
        return n;
    }

    void loop() {
        while (!stopped_) {
            run_jobs();
            for (const auto& [id, link] : links_) {
                if (stopped_) return;
                link->step(base::monotonic_now());
            }
            wait();
        }
    }

    void run_jobs() {
        std::uint64_t ignored = 0;
        [[maybe_unused]] const auto n = read(wake_fd_, &ignored, sizeof ignored);
        std::vector<Job> jobs;
        {
            const std::scoped_lock lock(mutex_);
            jobs.swap(jobs_);
        }
        for (const auto& job : jobs) job();
    }

    void wait() {
        polls_.assign({{stop_fd_, POLLIN, 0}, {wake_fd_, POLLIN, 0}});
        // Not for ever: an idle stream is to be released.
        base::Nanos due = base::monotonic_now() + 5 * base::kSecond;
        for (const auto& [id, link] : links_) {
            due = std::min(due, link->due());
            link->add_polls(polls_);
        }
        const auto left = std::max<base::Nanos>(0, due - base::monotonic_now());
        const timespec limit{static_cast<time_t>(left / base::kSecond),
                             static_cast<long>(left % base::kSecond)};
        ::ppoll(polls_.data(), polls_.size(), &limit, nullptr);
    }

    StreamOptions options_;
    OnEvent on_event_;
    int stop_fd_ = -1;
    int wake_fd_ = -1;
    std::atomic<bool> stopped_ = false;
    std::thread thread_;

    std::mutex mutex_;  // of the next three
    std::vector<Job> jobs_;
    std::map<StreamId, cache::DatabaseState*> databases_;
    StreamId last_id_ = 0;

    std::map<StreamId, std::unique_ptr<StreamLink>> links_;  // of the thread
    std::vector<pollfd> polls_;
};

ChangeStreams::ChangeStreams(StreamOptions options, OnEvent on_event)
    : impl_(std::make_unique<Impl>(options, std::move(on_event))) {}
ChangeStreams::~ChangeStreams() = default;

void ChangeStreams::start() { impl_->start(); }
void ChangeStreams::stop() { impl_->stop(); }
StreamId ChangeStreams::add(Target target, cache::DatabaseState& database) {
    return impl_->add(std::move(target), database);
}
void ChangeStreams::remove(StreamId id) { impl_->remove(id); }
void ChangeStreams::set_options(StreamOptions options) { impl_->set_options(options); }

}  // namespace pgweir::control
