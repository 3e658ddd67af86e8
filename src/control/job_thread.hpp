// A thread that runs jobs from other threads, then a step of its owner's, then waits in poll(). The
// owner stops it before what the step works on goes. Invariant: after stop() has returned no job
// runs. Thread: post(), wake(), start() and stop() any; the rest the thread itself.
#pragma once

#include <poll.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "pgweir/base/clock.hpp"

namespace pgweir::control {

class JobThread {
  public:
    using Job = std::function<void()>;
    /// Does what is due, adds the descriptors to watch, and gives when it wants to run again.
    using Step = std::function<base::Nanos(std::vector<pollfd>& polls)>;

    explicit JobThread(Step step);
    ~JobThread();  // stops
    JobThread(const JobThread&) = delete;
    JobThread& operator=(const JobThread&) = delete;

    void start();
    void stop();
    bool stopped() const noexcept { return stopped_; }
    /// Readable once it is to stop.
    int stop_fd() const noexcept { return stop_fd_; }
    void wake() const noexcept;
    void post(Job job);

  private:
    void loop();
    void run_jobs();

    Step step_;
    const int stop_fd_, wake_fd_;
    std::atomic<bool> stopped_ = false;
    std::mutex mutex_;  // of the jobs
    std::vector<Job> jobs_;
    std::vector<pollfd> polls_;
    std::thread thread_;
};

}  // namespace pgweir::control
