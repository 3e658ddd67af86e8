// See job_thread.hpp.
#include "job_thread.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>

namespace pgweir::control {

namespace {
void signal(int fd) noexcept {
    const std::uint64_t one = 1;
    // A full counter means that it is readable already.
    [[maybe_unused]] const auto n = write(fd, &one, sizeof one);
}
}  // namespace

JobThread::JobThread(Step step)
    : step_(std::move(step)),
      stop_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      wake_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

JobThread::~JobThread() {
    stop();
    close(stop_fd_);
    close(wake_fd_);
}

void JobThread::start() {
    if (!thread_.joinable() && !stopped_) thread_ = std::thread([this] { loop(); });
}

void JobThread::stop() {
    stopped_ = true;
    signal(stop_fd_);
    if (thread_.joinable()) thread_.join();
}

void JobThread::wake() const noexcept { signal(wake_fd_); }

void JobThread::post(Job job) {
    {
        const std::scoped_lock lock(mutex_);
        jobs_.push_back(std::move(job));
    }
    wake();
}

void JobThread::loop() {
    while (!stopped_) {
        run_jobs();
        polls_.assign({{stop_fd_, POLLIN, 0}, {wake_fd_, POLLIN, 0}});
        const auto due = step_(polls_);
        const auto left = std::max<base::Nanos>(0, due - base::monotonic_now());
        const timespec limit{static_cast<time_t>(left / base::kSecond),
                             static_cast<long>(left % base::kSecond)};
        ::ppoll(polls_.data(), polls_.size(), &limit, nullptr);
    }
}

void JobThread::run_jobs() {
    std::uint64_t ignored = 0;
    [[maybe_unused]] const auto n = read(wake_fd_, &ignored, sizeof ignored);
    std::vector<Job> jobs;
    {
        const std::scoped_lock lock(mutex_);
        jobs.swap(jobs_);
    }
    for (const auto& job : jobs) job();
}

}  // namespace pgweir::control
