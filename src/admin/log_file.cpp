// Appends, rotates and opens again.
#include "log_file.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <system_error>
#include <utility>

namespace pgweir::admin {

LogFile::LogFile(std::string path, std::uint64_t max_size, std::uint32_t max_files,
                 base::Nanos max_age)
    : path_(std::move(path)), max_size_(max_size), max_files_(max_files), max_age_(max_age) {}

LogFile::~LogFile() { close(); }

void LogFile::close() noexcept {
    if (fd_ > STDERR_FILENO) ::close(fd_);
    fd_ = -1;
}

void LogFile::reopen() noexcept {
    close();
    retry_at_ = 0;
}

bool LogFile::fail(const char* what, int error) {
    problem_ = (path_.empty() ? std::string("standard error") : path_) + ": " + what + ": " +
               std::generic_category().message(error);
    close();
    retry_at_ = base::monotonic_now() + base::kSecond;
    return false;
}

bool LogFile::open() {
    if (path_.empty()) {
        fd_ = STDERR_FILENO;
    } else {
        // Not blocking, or a FIFO without a reader would hold the thread for ever.
        fd_ = ::open(path_.c_str(),
                     O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0640);
        if (fd_ < 0) return fail("cannot be opened", errno);
    }
    look();
    if (regular_ && size_ == 0) broken_line_ = false;
    born_wall_us_ = regular_ && size_ > 0 ? birth() : base::wall_now_us();
    return true;
}

/// Where the file system does not know it, the age counts from the opening.
std::int64_t LogFile::birth() const noexcept {
    struct statx about {};
    if (statx(fd_, "", AT_EMPTY_PATH, STATX_BTIME, &about) != 0 ||
        (about.stx_mask & STATX_BTIME) == 0)
        return base::wall_now_us();
    return about.stx_btime.tv_sec * 1'000'000 + about.stx_btime.tv_nsec / 1'000;
}

/// A clock that jumps may rotate once too early or too late, never again and again.
bool LogFile::too_old() const noexcept {
    return max_age_ > 0 && base::wall_now_us() - born_wall_us_ >= max_age_ / base::kMicrosecond;
}

/// The size is asked for before each line, as others may truncate or remove the file.
void LogFile::look() noexcept {
    struct stat about {};
    const bool known = fstat(fd_, &about) == 0;
    regular_ = known && S_ISREG(about.st_mode);
    size_ = regular_ ? static_cast<std::uint64_t>(about.st_size) : 0;
    removed_ = regular_ && about.st_nlink == 0;
}

/// file.N is dropped, file.1 becomes file.2, file becomes file.1. What cannot be renamed stays: the
/// file then grows on, which is better than losing lines.
void LogFile::rotate() {
    const auto numbered = [&](std::uint32_t n) { return path_ + "." + std::to_string(n); };
    if (max_files_ == 0) {
        if (ftruncate(fd_, 0) == 0) {
            size_ = 0;
            born_wall_us_ = base::wall_now_us();
        }
        return;
    }
    for (auto n = max_files_ - 1; n > 0; --n)
        std::rename(numbered(n).c_str(), numbered(n + 1).c_str());
    if (std::rename(path_.c_str(), numbered(1).c_str()) == 0) close();
}

bool LogFile::prepare(std::size_t more) {
    if (fd_ < 0) return open();
    look();
    if (path_.empty() || !regular_) return true;
    if (removed_) close();
    const bool full = max_size_ > 0 && size_ + more > max_size_;
    if (fd_ >= 0 && size_ > 0 && (full || too_old())) rotate();
    return fd_ >= 0 || open();
}

/// A pipe nobody reads must not hold the thread for ever.
bool LogFile::wait_writable() const noexcept {
    if (regular_) return true;
    pollfd p{fd_, POLLOUT, 0};
    return poll(&p, 1, 1000) == 1 && (p.revents & POLLOUT) != 0;
}

/// Removes the last `n` bytes, if the file is ours alone; standard error may be others', too.
bool LogFile::take_back(ssize_t n) noexcept {
    if (path_.empty() || !regular_) return false;
    const auto end = lseek(fd_, 0, SEEK_CUR);  // after an append: behind what was appended
    return end >= n && ftruncate(fd_, end - n) == 0;
}

bool LogFile::write_line(std::string_view line) {
    if (base::monotonic_now() < retry_at_) return false;
    if (!prepare(line.size() + 1)) return false;
    if (!wait_writable()) return fail("nobody reads it", EAGAIN);
    buffer_.assign(broken_line_ ? "\n" : "").append(line).push_back('\n');
    ssize_t n;
    do {
        n = ::write(fd_, buffer_.data(), buffer_.size());
    } while (n < 0 && errno == EINTR);
    if (n == static_cast<ssize_t>(buffer_.size())) {
        broken_line_ = false;
        problem_.clear();
        return true;
    }
    const int error = n < 0 ? errno : ENOSPC;
    if (n > 0 && !take_back(n)) broken_line_ = true;
    return fail("cannot be written", error);
}

}  // namespace pgweir::admin
