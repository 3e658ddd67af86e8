// Child processes, temporary directories and free ports for the integration tests.
// Invariant: nothing outlives the test program: children die with their parent, directories go
// with their owner. Thread: any, one object per thread.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace pgweir::testing {

using Seconds = std::chrono::duration<double>;

/// Whom a child runs as; nothing: as the test itself.
struct RunAs {
    uid_t uid;
    gid_t gid;
};

struct SpawnOptions {
    std::optional<RunAs> run_as;
    std::string directory;                                         // empty: the test's own
    std::vector<std::pair<std::string, std::string>> environment;  // added to the test's own
    int stdin_fd = -1;                                             // -1: /dev/null
    int stdout_fd = -1;                                            // -1: /dev/null
    int stderr_fd = -1;
};

/// Starts argv[0] (looked up in PATH) in a process group of its own. Throws std::runtime_error.
pid_t spawn(const std::vector<std::string>& argv, const SpawnOptions& options);
/// Waits for a child. Gives its exit status, 128 + n when signal n ended it, nothing after `limit`.
std::optional<int> wait_exit(pid_t pid, Seconds limit);

/// What a command printed and how it ended.
struct CommandResult {
    int status = -1;  // as wait_exit(); -1: ended for the time limit
    std::string out;
    std::string err;
};

struct RunOptions {
    Seconds limit{60};
    std::string input;
    std::vector<std::pair<std::string, std::string>> environment;
    std::optional<RunAs> run_as;
    std::string directory;
};

/// Runs a command to its end, or kills it and all it started after `limit`.
CommandResult run(const std::vector<std::string>& argv, const RunOptions& options = {});

/// A directory that is removed, with all in it, by its destructor.
class TempDir {
  public:
    explicit TempDir(const std::string& prefix);
    ~TempDir();
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;
    const std::string& path() const noexcept { return path_; }

  private:
    std::string path_;
};

/// Seconds of the processor that a process has used.
double processor_time(pid_t pid);

std::string read_file(const std::string& path);
void write_file(const std::string& path, const std::string& text);
/// Calls `done` every 5 ms until it says true. False after `limit`.
template <class F>
bool eventually(F&& done, Seconds limit = Seconds(5));
void sleep_for(Seconds time);

template <class F>
bool eventually(F&& done, Seconds limit) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!done()) {
        if (std::chrono::steady_clock::now() > end) return false;
        sleep_for(Seconds(0.005));
    }
    return true;
}

}  // namespace pgweir::testing
