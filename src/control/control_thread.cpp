// What the control thread does in each turn: every target that is due.
#include "pgweir/control/control_thread.hpp"

#include <algorithm>
#include <map>
#include <mutex>

#include "job_thread.hpp"
#include "target_link.hpp"

namespace pgweir::control {

class ControlThread::Impl {
  public:
    Impl(ControlOptions options, OnCatalog on_catalog)
        : options_(std::move(options)),
          // What a stop interrupts is no news of the database.
          on_catalog_([this, callback = std::move(on_catalog)](const CatalogEvent& event) {
              if (!thread_.stopped() && callback) callback(event);
          }),
          thread_([this](std::vector<pollfd>& polls) { return step(polls); }) {}
    ~Impl() { stop(); }
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    void start() { thread_.start(); }
    void stop() { thread_.stop(); }

    TargetId add(Target target) {
        auto requests = std::make_shared<std::atomic<std::uint64_t>>(0);
        TargetId id = 0;
        {
            const std::scoped_lock lock(mutex_);
            id = ++last_id_;
            requests_[id] = requests;
        }
        thread_.post([this, id, requests, target = std::move(target)]() mutable {
            links_.emplace(id, std::make_unique<TargetLink>(
                                   id, std::move(target), requests,
                                   TargetLink::Context{&options_, &on_catalog_, &last_version_,
                                                       thread_.stop_fd()}));
        });
        return id;
    }

    void remove(TargetId id) {
        {
            const std::scoped_lock lock(mutex_);
            requests_.erase(id);
        }
        thread_.post([this, id] { links_.erase(id); });
    }

    void set_target(TargetId id, Target target) {
        thread_.post([this, id, target = std::move(target)]() mutable {
            if (const auto it = links_.find(id); it != links_.end())
                it->second->set_target(std::move(target));
        });
    }

    std::uint64_t request(TargetId id) {
        std::uint64_t number = 0;
        {
            const std::scoped_lock lock(mutex_);
            const auto it = requests_.find(id);
            if (it == requests_.end()) return 0;
            number = ++*it->second;
        }
        thread_.wake();
        return number;
    }

    void watch(TargetId id, std::int32_t pid, OnGone gone) {
        thread_.post([this, id, pid, gone = std::move(gone)]() mutable {
            if (const auto it = links_.find(id); it != links_.end())
                it->second->watch(pid, std::move(gone));
        });
    }

    void clear_snapshots(TargetId id, std::function<void()> cleared) {
        thread_.post([this, id, cleared = std::move(cleared)] {
            if (const auto it = links_.find(id); it != links_.end()) it->second->pause();
            cleared();
        });
    }

    void rest(TargetId id) {
        thread_.post([this, id] {
            if (const auto it = links_.find(id); it != links_.end()) it->second->rest();
        });
    }

    void end_rest(TargetId id) {
        thread_.post([this, id] {
            if (const auto it = links_.find(id); it != links_.end()) it->second->end_rest();
        });
    }

    void set_poll(base::Nanos interval) {
        thread_.post([this, interval] { options_.catalog_poll = interval; });
    }

    void set_publication(std::string name) {
        thread_.post(
            [this, name = std::move(name)]() mutable { options_.publication = std::move(name); });
    }

  private:
    base::Nanos step(std::vector<pollfd>& polls) {
        for (const auto& [id, link] : links_) {
            if (thread_.stopped()) return 0;
            // By its own events too: while connecting, step() finds out by itself.
            link->step(base::monotonic_now());
        }
        base::Nanos due = base::monotonic_now() + 60 * base::kSecond;
        for (const auto& [id, link] : links_) {
            due = std::min(due, link->due());
            if (link->fd() >= 0) polls.push_back({link->fd(), link->events(), 0});
        }
        return due;
    }

    ControlOptions options_;
    OnCatalog on_catalog_;
    JobThread thread_;

    std::mutex mutex_;  // of the next two
    std::map<TargetId, TargetLink::Requests> requests_;
    TargetId last_id_ = 0;

    std::map<TargetId, std::unique_ptr<TargetLink>> links_;  // of the thread
    std::uint64_t last_version_ = 0;
};

ControlThread::ControlThread(ControlOptions options, OnCatalog on_catalog)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(on_catalog))) {}
ControlThread::~ControlThread() = default;

void ControlThread::start() { impl_->start(); }
void ControlThread::stop() { impl_->stop(); }
TargetId ControlThread::add_target(Target target) { return impl_->add(std::move(target)); }
void ControlThread::remove_target(TargetId id) { impl_->remove(id); }
void ControlThread::set_target(TargetId id, Target target) {
    impl_->set_target(id, std::move(target));
}
std::uint64_t ControlThread::request_reload(TargetId id) { return impl_->request(id); }
void ControlThread::watch_pid(TargetId id, std::int32_t pid, OnGone gone) {
    impl_->watch(id, pid, std::move(gone));
}
void ControlThread::clear_snapshots(TargetId id, std::function<void()> cleared) {
    impl_->clear_snapshots(id, std::move(cleared));
}
void ControlThread::rest(TargetId id) { impl_->rest(id); }
void ControlThread::end_rest(TargetId id) { impl_->end_rest(id); }
void ControlThread::set_catalog_poll(base::Nanos interval) { impl_->set_poll(interval); }
void ControlThread::set_publication(std::string name) { impl_->set_publication(std::move(name)); }

}  // namespace pgweir::control
