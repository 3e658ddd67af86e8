// See process.hpp.
#include "support/process.hpp"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <thread>

extern char** environ;

namespace pgweir::testing {
namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void fail(const std::string& what) {
    throw std::runtime_error(what + ": " + std::strerror(errno));
}

std::vector<std::string> merged_environment(const SpawnOptions& options) {
    std::vector<std::string> all;
    for (char** e = environ; *e != nullptr; ++e) {
        const std::string entry = *e;
        bool replaced = false;
        for (const auto& [name, value] : options.environment)
            replaced = replaced || entry.starts_with(name + "=");
        if (!replaced) all.push_back(entry);
    }
    for (const auto& [name, value] : options.environment) all.push_back(name + "=" + value);
    return all;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
    std::vector<char*> p;
    for (auto& s : strings) p.push_back(s.data());
    p.push_back(nullptr);
    return p;
}

int or_null(int fd, int null) { return fd < 0 ? null : fd; }

/// Runs in the child between fork and exec: only async-signal-safe calls.
void become(const SpawnOptions& options, int null, pid_t parent) {
    setpgid(0, 0);
    dup2(or_null(options.stdin_fd, null), 0);
    dup2(or_null(options.stdout_fd, null), 1);
    dup2(or_null(options.stderr_fd, null), 2);
    if (options.run_as) {
        if (setgroups(0, nullptr) != 0 || setgid(options.run_as->gid) != 0 ||
            setuid(options.run_as->uid) != 0)
            _exit(126);
    }
    // After setuid, which clears it.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(126);
    if (!options.directory.empty() && chdir(options.directory.c_str()) != 0) _exit(126);
    for (int fd = 3; fd < 256; ++fd) fcntl(fd, F_SETFD, FD_CLOEXEC);
    signal(SIGPIPE, SIG_DFL);
}

struct Pipe {
    std::array<int, 2> fd{-1, -1};
    Pipe() {
        if (pipe2(fd.data(), O_CLOEXEC) != 0) fail("pipe");
    }
    ~Pipe() {
        close_end(0);
        close_end(1);
    }
    Pipe(const Pipe&) = delete;
    Pipe& operator=(const Pipe&) = delete;
    void close_end(std::size_t i) {
        if (fd[i] >= 0) close(fd[i]);
        fd[i] = -1;
    }
};

/// Moves what can be moved between the pipes and the strings. False once both outputs have ended.
bool pump(Pipe& in, Pipe& out, Pipe& err, std::string_view& input, CommandResult& result) {
    std::array<pollfd, 3> fds{
        {{in.fd[1], POLLOUT, 0}, {out.fd[0], POLLIN, 0}, {err.fd[0], POLLIN, 0}}};
    if (input.empty()) in.close_end(1);
    fds[0].fd = in.fd[1];
    if (out.fd[0] < 0 && err.fd[0] < 0) return false;
    poll(fds.data(), fds.size(), 50);
    if (fds[0].fd >= 0 && fds[0].revents != 0) {
        const auto n = write(in.fd[1], input.data(), std::min<std::size_t>(input.size(), 4096));
        input.remove_prefix(n > 0 ? static_cast<std::size_t>(n) : input.size());
    }
    const auto drain = [](pollfd& p, Pipe& from, std::string& to) {
        if (p.fd < 0 || p.revents == 0) return;
        std::array<char, 65536> buffer{};
        const auto n = read(p.fd, buffer.data(), buffer.size());
        if (n > 0)
            to.append(buffer.data(), static_cast<std::size_t>(n));
        else
            from.close_end(0);
    };
    drain(fds[1], out, result.out);
    drain(fds[2], err, result.err);
    return true;
}

/// A thread that lives as long as the program and forks for all others: the kernel counts the
/// thread that forked as the parent whose end ends the child (prctl(2), PR_SET_PDEATHSIG).
class Launcher {
  public:
    static pid_t run(std::function<pid_t()> start) {
        static auto* const launcher = new Launcher;
        std::packaged_task<pid_t()> task(std::move(start));
        auto result = task.get_future();
        {
            const std::lock_guard lock(launcher->mutex_);
            launcher->tasks_.push_back(std::move(task));
        }
        launcher->some_.notify_one();
        return result.get();
    }

  private:
    Launcher() {
        std::thread([this] { work(); }).detach();
    }
    [[noreturn]] void work() {
        std::unique_lock lock(mutex_);
        while (true) {
            some_.wait(lock, [this] { return !tasks_.empty(); });
            auto task = std::move(tasks_.front());
            tasks_.pop_front();
            lock.unlock();
            task();
            lock.lock();
        }
    }

    std::mutex mutex_;
    std::condition_variable some_;
    std::deque<std::packaged_task<pid_t()>> tasks_;
};

}  // namespace

pid_t spawn(const std::vector<std::string>& argv, const SpawnOptions& options) {
    auto arguments = argv;
    auto environment = merged_environment(options);
    const auto arg_pointers = pointers(arguments);
    const auto env_pointers = pointers(environment);
    const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    const pid_t parent = getpid();
    const pid_t pid = Launcher::run([&] {
        const pid_t child = fork();
        if (child != 0) return child;
        become(options, null, parent);
        execvpe(arg_pointers[0], arg_pointers.data(), env_pointers.data());
        _exit(127);
    });
    if (pid < 0) fail("fork");
    setpgid(pid, pid);
    close(null);
    return pid;
}

std::optional<int> wait_exit(pid_t pid, Seconds limit) {
    const auto end = Clock::now() + limit;
    while (true) {
        int status = 0;
        const pid_t got = waitpid(pid, &status, WNOHANG);
        if (got < 0) fail("waitpid");
        if (got == pid) return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        if (Clock::now() > end) return std::nullopt;
        sleep_for(Seconds(0.002));
    }
}

CommandResult run(const std::vector<std::string>& argv, const RunOptions& options) {
    signal(SIGPIPE, SIG_IGN);
    Pipe in, out, err;
    SpawnOptions spawn_options{options.run_as, options.directory, options.environment,
                               in.fd[0],       out.fd[1],         err.fd[1]};
    const pid_t pid = spawn(argv, spawn_options);
    in.close_end(0);
    out.close_end(1);
    err.close_end(1);
    CommandResult result;
    std::string_view input = options.input;
    const auto end = Clock::now() + options.limit;
    while (Clock::now() < end && pump(in, out, err, input, result)) {
    }
    const auto status = wait_exit(pid, std::max<Seconds>(Seconds(0), end - Clock::now()));
    if (status) {
        result.status = *status;
        return result;
    }
    kill(-pid, SIGKILL);
    wait_exit(pid, Seconds(10));
    result.err += "\n[ended for its time limit]";
    return result;
}

TempDir::TempDir(const std::string& prefix) {
    const char* base = std::getenv("TMPDIR");
    path_ =
        std::string(base != nullptr && *base != '\0' ? base : "/tmp") + "/" + prefix + ".XXXXXX";
    if (mkdtemp(path_.data()) == nullptr) fail("mkdtemp " + path_);
    // Another user's process has to get through to what is given to it.
    chmod(path_.c_str(), 0755);
}

TempDir::~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

double processor_time(pid_t pid) {
    const auto stat = read_file("/proc/" + std::to_string(pid) + "/stat");
    std::istringstream fields(stat.substr(stat.rfind(')') + 2));
    std::string skipped;
    for (int i = 0; i < 11; ++i) fields >> skipped;
    double user = 0, system = 0;
    fields >> user >> system;
    return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

std::string read_file(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

void write_file(const std::string& path, const std::string& text) {
    std::ofstream out(path, std::ios::binary | std::ios::trunc);
    out << text;
    out.flush();
    if (!out) fail("write " + path);
}

void sleep_for(Seconds time) { std::this_thread::sleep_for(time); }

}  // namespace pgweir::testing
