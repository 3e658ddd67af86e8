// See files.hpp.
#include "files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace pgweir::config {

namespace {

constexpr std::size_t kChunk = std::size_t{64} * 1024;

base::Result<std::string> read_all(int fd, std::size_t limit) {
    std::string content;
    while (content.size() <= limit) {
        const auto before = content.size();
        content.resize(before + std::min(kChunk, limit + 1 - before));
        const auto n = ::read(fd, content.data() + before, content.size() - before);
        content.resize(before + static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
        if (n == 0) return content;
        if (n < 0 && errno != EINTR) return base::Error{std::strerror(errno)};
    }
    return base::Error{"it has more than " + std::to_string(limit / 1024) + " KiB"};
}

}  // namespace

base::Result<std::string> read_file(const std::string& path, std::size_t limit, FileKind kind) {
    // Without O_NONBLOCK opening a pipe would wait for its writer before it can be refused.
    const int flags = O_RDONLY | O_CLOEXEC | (kind == FileKind::regular ? O_NONBLOCK : 0);
    const int fd = ::open(path.c_str(), flags);
    if (fd < 0) return base::Error{std::strerror(errno)};
    struct stat status {};
    base::Result<std::string> result = base::Error{"it is not a regular file"};
    if (kind == FileKind::any || (::fstat(fd, &status) == 0 && S_ISREG(status.st_mode)))
        result = read_all(fd, limit);
    ::close(fd);
    return result;
}

}  // namespace pgweir::config
