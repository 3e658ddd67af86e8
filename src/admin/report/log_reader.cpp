// See log_reader.hpp. The form is known line by line, from how a line begins.
#include "log_reader.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace pgweir::admin {

namespace {

bool odd_quotes(std::string_view text) {
    return std::count(text.begin(), text.end(), '"') % 2 != 0;
}

/// Of "2026-11-21 02:30:01.123 UTC", up to UTC; 0: the line begins otherwise.
std::size_t stamp_size(std::string_view line) {
    if (read_stamp(line) == 0) return 0;
    const auto zone = line.substr(0, 40).find(" UTC");
    return zone == std::string_view::npos ? 0 : zone + 4;
}

bool is_csv(std::string_view line) {
    const auto size = stamp_size(line);
    return size > 0 && line.size() > size && line[size] == ',';
}

/// "<stamp> [4242] LOG C-0x12: "
bool is_pgbouncer(std::string_view line) {
    const auto size = stamp_size(line);
    if (size == 0 || !line.substr(size).starts_with(" [")) return false;
    const auto bracket = line.find("] ", size);
    if (bracket == std::string_view::npos || bracket - size > 16) return false;
    const auto rest = line.substr(bracket + 2);
    return rest.starts_with("LOG C-0x") || rest.starts_with("WARNING C-0x");
}

}  // namespace

void LogReader::count(LineIs what, LogEntry&& entry) {
    switch (what) {
        case LineIs::entry:
            ++counts_.entries;
            use_(std::move(entry));
            break;
        case LineIs::other: ++counts_.other; break;
        case LineIs::broken: ++counts_.broken; break;
    }
}

void LogReader::feed(std::string_view bytes) {
    counts_.bytes += bytes.size();
    while (!bytes.empty()) {
        const auto end = bytes.find('\n');
        const auto part = bytes.substr(0, end);
        if (!skipping_ && rest_.size() + part.size() > kMaxLine) {
            ++counts_.broken;
            skipping_ = true;
            rest_.clear();
            rest_.shrink_to_fit();
        }
        if (end == std::string_view::npos) {
            if (!skipping_) rest_ += part;
            return;
        }
        bytes.remove_prefix(end + 1);
        if (skipping_) {
            skipping_ = false;
        } else if (rest_.empty()) {
            line(part, true);
        } else {
            rest_ += part;
            line(std::exchange(rest_, {}), true);
        }
    }
}

void LogReader::finish() {
    if (!rest_.empty()) line(std::exchange(rest_, {}), false);
    skipping_ = false;
    if (csv_open_) give_up_csv();
    flush_stderr("");
    if (!stderr_.empty()) {  // what never came to its figures
        ++counts_.broken;
        stderr_ = {};
    }
}

void LogReader::line(std::string_view line, bool whole) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (csv_open_) return csv_line(line);
    begin(line, whole);
}

void LogReader::begin(std::string_view line, bool whole) {
    flush_stderr(line);
    if (line.starts_with('\t') && stderr_.begun()) return stderr_.line(line);
    if (line.empty()) return;
    LogEntry entry;
    if (line[0] == '{') {
        const auto what = read_json_line(line, entry);
        return count(what, std::move(entry));
    }
    if (is_pgbouncer(line)) {
        const auto what = whole ? read_pgbouncer_line(line, entry) : LineIs::broken;
        return count(what, std::move(entry));
    }
    if (is_csv(line)) {
        csv_ = line;
        if ((csv_open_ = odd_quotes(line))) return;
        const auto what = read_csv_record(csv_, entry);
        return count(what, std::move(entry));
    }
    for (const std::string_view severity :
         {"LOG:  ", "ERROR:  ", "DETAIL:  ", "CONTEXT:  ", "STATEMENT:  "})
        if (line.find(severity) != std::string_view::npos) return stderr_.line(line);
    ++counts_.broken;
}

/// The next line of a record whose quotes are open.
void LogReader::csv_line(std::string_view line) {
    csv_.append("\n").append(line);
    if (csv_.size() > kMaxLine) return give_up_csv();
    if (!odd_quotes(line)) return;
    LogEntry entry;
    const auto what = read_csv_record(csv_, entry);
    if (what == LineIs::broken) return give_up_csv();
    csv_open_ = false;
    count(what, std::move(entry));
}

/// A record that was cut: its first line is lost, and the next one that looks like the begin of a
/// record is one. Lines are looked at again once for each line with a quote, at most twice.
void LogReader::give_up_csv() {
    std::string record;
    record.swap(csv_);
    csv_open_ = false;
    ++counts_.broken;
    bool found = false;
    std::string_view rest = record;
    for (auto end = rest.find('\n'); end != std::string_view::npos; end = rest.find('\n')) {
        rest.remove_prefix(end + 1);
        const auto next = rest.substr(0, rest.find('\n'));
        found = found || is_csv(next) || next.starts_with("{\"timestamp\":\"");
        if (!found) continue;
        if (csv_open_)
            csv_line(next);
        else
            begin(next, true);
    }
}

void LogReader::flush_stderr(std::string_view next) {
    LogEntry entry;
    if (stderr_.take_before(next, entry)) count(LineIs::entry, std::move(entry));
    counts_.broken += stderr_.take_stray();
}

std::string read_log(const std::string& path, LogReader& reader,
                     const std::function<void(std::uint64_t)>& tick) {
    const bool standard = path == "-";
    const int fd = standard ? STDIN_FILENO : open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) return path + ": " + std::strerror(errno);
    std::string buffer(1 << 20, '\0');
    std::string error;
    for (;;) {
        const auto n = read(fd, buffer.data(), buffer.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) error = path + ": " + std::strerror(errno);
        if (n <= 0) break;
        reader.feed(std::string_view(buffer).substr(0, static_cast<std::size_t>(n)));
        tick(static_cast<std::uint64_t>(n));
    }
    if (!standard) close(fd);
    reader.finish();
    return error;
}

}  // namespace pgweir::admin
