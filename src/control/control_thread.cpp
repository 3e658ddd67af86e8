// The loop of the control thread: jobs from other threads, then every target that is due, then
// poll().
#include "pgweir/control/control_thread.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <map>
#include <mutex>
#include <thread>

#include "target_link.hpp"

namespace pgweir::control {

class ControlThread::Impl {
  public:
    Impl(ControlOptions options, OnCatalog on_catalog)
        : options_(options),
          // What a stop interrupts is no news of the database.
          on_catalog_([this, callback = std::move(on_catalog)](const CatalogEvent& event) {
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
    }

    TargetId add(Target target) {
        auto requests = std::make_shared<std::atomic<std::uint64_t>>(0);
        TargetId id = 0;
        {
            const std::scoped_lock lock(mutex_);
            id = ++last_id_;
            requests_[id] = requests;
        }
        post([this, id, requests, target = std::move(target)]() mutable {
            links_.emplace(
                id, std::make_unique<TargetLink>(
                        id, std::move(target), requests,
                        TargetLink::Context{&options_, &on_catalog_, &last_version_, stop_fd_}));
        });
        return id;
    }

    void remove(TargetId id) {
        {
            const std::scoped_lock lock(mutex_);
            requests_.erase(id);
        }
        post([this, id] { links_.erase(id); });
    }

    std::uint64_t request(TargetId id) {
        std::uint64_t number = 0;
        {
            const std::scoped_lock lock(mutex_);
            const auto it = requests_.find(id);
            if (it == requests_.end()) return 0;
            number = ++*it->second;
        }
        signal(wake_fd_);
        return number;
    }

    void watch(TargetId id, std::int32_t pid, OnGone gone) {
        post([this, id, pid, gone = std::move(gone)]() mutable {
            if (const auto it = links_.find(id); it != links_.end())
                it->second->watch(pid, std::move(gone));
        });
    }

    void rest(TargetId id) {
        post([this, id] {
            if (const auto it = links_.find(id); it != links_.end()) it->second->rest();
        });
    }

    void set_poll(base::Nanos interval) {
        post([this, interval] { options_.catalog_poll = interval; });
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

    void loop() {
        while (!stopped_) {
            run_jobs();
            for (const auto& [id, link] : links_) {
                if (stopped_) return;
                // By its own events too: while connecting, step() finds out by itself.
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
        std::vector<pollfd> fds{{stop_fd_, POLLIN, 0}, {wake_fd_, POLLIN, 0}};
        base::Nanos due = base::monotonic_now() + 60 * base::kSecond;
        for (const auto& [id, link] : links_) {
            due = std::min(due, link->due());
            if (link->fd() >= 0) fds.push_back({link->fd(), link->events(), 0});
        }
        const auto left = std::max<base::Nanos>(0, due - base::monotonic_now());
        ::poll(fds.data(), fds.size(),
               static_cast<int>((left + base::kMillisecond - 1) / base::kMillisecond));
    }

    ControlOptions options_;
    OnCatalog on_catalog_;
    int stop_fd_ = -1;
    int wake_fd_ = -1;
    std::atomic<bool> stopped_ = false;
    std::thread thread_;

    std::mutex mutex_;  // of the next three
    std::vector<Job> jobs_;
    std::map<TargetId, TargetLink::Requests> requests_;
    TargetId last_id_ = 0;

    std::map<TargetId, std::unique_ptr<TargetLink>> links_;  // of the thread
    std::uint64_t last_version_ = 0;
};

ControlThread::ControlThread(ControlOptions options, OnCatalog on_catalog)
    : impl_(std::make_unique<Impl>(options, std::move(on_catalog))) {}
ControlThread::~ControlThread() = default;

void ControlThread::start() { impl_->start(); }
void ControlThread::stop() { impl_->stop(); }
TargetId ControlThread::add_target(Target target) { return impl_->add(std::move(target)); }
void ControlThread::remove_target(TargetId id) { impl_->remove(id); }
std::uint64_t ControlThread::request_reload(TargetId id) { return impl_->request(id); }
void ControlThread::watch_pid(TargetId id, std::int32_t pid, OnGone gone) {
    impl_->watch(id, pid, std::move(gone));
}
void ControlThread::rest(TargetId id) { impl_->rest(id); }
void ControlThread::set_catalog_poll(base::Nanos interval) { impl_->set_poll(interval); }

}  // namespace pgweir::control
