// The subcommand: reads all files, draws the bar, writes both forms.
#include "pgweir/admin/report.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "pgweir/query/reasons.hpp"
#include "report.hpp"
#include "show.hpp"

namespace pgweir::admin {

namespace {

/// A line that is drawn again whenever a hundredth more has been read.
class Bar {
  public:
    Bar(const std::vector<std::string>& files, const std::function<void(const std::string&)>& draw)
        : draw_(draw) {
        for (const auto& file : files) {
            struct stat info {};
            if (file != "-" && stat(file.c_str(), &info) == 0 && S_ISREG(info.st_mode))
                whole_ += static_cast<std::uint64_t>(info.st_size);
        }
    }
    void add(std::uint64_t bytes) {
        read_ += bytes;
        const auto done =
            whole_ == 0 ? read_ >> 24 : std::min<std::uint64_t>(read_ * 100 / whole_, 100);
        if (done == drawn_ && drawn_once_) return;
        drawn_ = done;
        drawn_once_ = true;
        std::string text = "\r";
        if (whole_ > 0) {
            constexpr std::uint64_t kWidth = 40;
            const auto full = done * kWidth / 100;
            text += "[" + std::string(full, '#') + std::string(kWidth - full, ' ') + "] " +
                    std::to_string(done) + " %  ";
        }
        draw_(text + bytes_text(read_) + " read ");
    }
    /// Wipes it.
    void end() {
        if (drawn_once_) draw_("\r" + std::string(72, ' ') + "\r");
    }

  private:
    const std::function<void(const std::string&)>& draw_;
    std::uint64_t whole_ = 0, read_ = 0, drawn_ = 0;
    bool drawn_once_ = false;
};

/// Whole or not at all: a page half written would say something else.
std::string write_page(const std::string& path, const std::string& page) {
    const auto part = path + ".part";
    const int fd = open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (fd < 0) return part + ": " + std::strerror(errno);
    std::string error;
    for (std::size_t at = 0; at < page.size() && error.empty();) {
        const auto n = write(fd, page.data() + at, page.size() - at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) error = part + ": " + std::strerror(errno);
        if (n > 0) at += static_cast<std::size_t>(n);
    }
    if (close(fd) != 0 && error.empty()) error = part + ": " + std::strerror(errno);
    if (error.empty() && rename(part.c_str(), path.c_str()) != 0)
        error = path + ": " + std::strerror(errno);
    if (!error.empty()) unlink(part.c_str());
    return error;
}

}  // namespace

std::string_view reason_help(std::string_view reason) {
    for (const auto& known : query::kNotCachedReasons)
        if (known.name == reason) return known.help;
    return {};
}

bool run_report(const ReportOptions& options, const std::function<void(const std::string&)>& out,
                const std::function<void(const std::string&)>& err,
                const std::function<void(const std::string&)>& bar) {
    Summary summary;
    ReportInput input{summary, {}, options.top};
    Bar progress(options.files, bar);
    bool good = true;
    for (const auto& path : options.files) {
        LogReader reader([&summary](LogEntry&& entry) { summary.add(std::move(entry)); });
        const auto error = read_log(path, reader, [&](std::uint64_t bytes) {
            if (options.progress) progress.add(bytes);
        });
        input.files.push_back({path, reader.counts(), error});
    }
    progress.end();
    for (const auto& file : input.files)
        if (!file.error.empty()) {
            good = false;
            err("pgweir report: " + shown(file.error, false));
        }
    out(report_text(input));
    if (options.html.empty()) return good;
    const auto error = write_page(options.html, report_page(input));
    if (!error.empty()) err("pgweir report: " + shown(error, false));
    return good && error.empty();
}

}  // namespace pgweir::admin
