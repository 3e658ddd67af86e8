// systemd's journal, by its own protocol: one datagram of fields per entry (systemd's "Native
// Journal Protocol"). Never waits: what the journal does not take at once is lost.
// Thread: one.
#pragma once

#include <string>
#include <string_view>

#include "pgweir/base/clock.hpp"

namespace pgweir::admin {

/// Adds a field; the value may have any bytes.
void append_journal_field(std::string& datagram, std::string_view name, std::string_view value);

class Journal {
  public:
    explicit Journal(std::string socket) : path_(std::move(socket)) {}
    ~Journal();
    Journal(const Journal&) = delete;
    Journal& operator=(const Journal&) = delete;

    /// False: it is lost, see problem(). After a failure nothing is tried for a second.
    bool write(std::string_view datagram);
    const std::string& problem() const noexcept { return problem_; }

  private:
    bool open();
    bool fail(int error);

    const std::string path_;
    int fd_ = -1;
    base::Nanos retry_at_ = 0;
    std::string problem_;
};

}  // namespace pgweir::admin
