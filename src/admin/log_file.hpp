// A file that lines are appended to, one write each: opened again after an error, rotated by size.
// Invariant: half a line is never followed by another one; what could not be written whole is taken
// back, or ended by a newline before the next.
// Thread: one.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "pgweir/base/clock.hpp"

namespace pgweir::admin {

class LogFile {
  public:
    /// `path` empty: standard error, which is never rotated. Sizes in bytes; max_size 0: no limit.
    /// max_age: since the file was made, 0: no limit.
    LogFile(std::string path, std::uint64_t max_size, std::uint32_t max_files,
            base::Nanos max_age = 0);
    ~LogFile();
    LogFile(const LogFile&) = delete;
    LogFile& operator=(const LogFile&) = delete;

    /// Writes the line and a newline; false: it is lost, see problem(). After a failure nothing is
    /// tried for a second.
    bool write_line(std::string_view line);
    /// The file is opened anew for the next line, and a pause after a failure is over.
    void reopen() noexcept;
    const std::string& problem() const noexcept { return problem_; }

  private:
    bool open();
    void close() noexcept;
    bool fail(const char* what, int error);
    void look() noexcept;
    std::int64_t birth() const noexcept;
    bool too_old() const noexcept;
    void rotate();
    bool prepare(std::size_t more);
    bool wait_writable() const noexcept;
    bool take_back(ssize_t n) noexcept;

    const std::string path_;
    const std::uint64_t max_size_;
    const std::uint32_t max_files_;
    const base::Nanos max_age_;
    int fd_ = -1;
    bool regular_ = false;      // a file with a size, rather than a pipe or terminal
    bool removed_ = false;      // it has no name any more
    bool broken_line_ = false;  // the last write left a part that could not be taken back
    std::uint64_t size_ = 0;
    std::int64_t born_wall_us_ = 0;  // when the file was made
    base::Nanos retry_at_ = 0;
    std::string problem_;
    std::string buffer_;
};

}  // namespace pgweir::admin
