// The forms beside JSON: csvlog, stderr's and PgBouncer's lines. Our figures stand in each as one
// text of a fixed grammar, at a place where nobody else's words can stand.
#include <charconv>
#include <chrono>

#include "log_entry.hpp"
#include "pgweir/admin/plan.hpp"

namespace pgweir::admin {

namespace {

using metrics::SlowEvent;

constexpr std::size_t kMaxEntry = 4 << 20;  // bytes of one entry's lines
constexpr std::size_t kMaxParts = 64;
constexpr std::size_t kMaxPlan = 32 << 10;
constexpr std::string_view kPlan = "plan of what was slow:\n";

bool digits(std::string_view text, std::size_t at, std::size_t count, int& value) {
    value = 0;
    for (std::size_t i = at; i < at + count; ++i) {
        if (i >= text.size() || text[i] < '0' || text[i] > '9') return false;
        value = value * 10 + (text[i] - '0');
    }
    return true;
}

/// Reads one "key=value" in front of `rest`; false: it is not there.
bool take(std::string_view& rest, std::string_view key, std::string_view& value) {
    if (!rest.starts_with(key) || rest.size() <= key.size() || rest[key.size()] != '=')
        return false;
    const auto end = std::min(rest.find(' '), rest.size());
    value = rest.substr(key.size() + 1, end - key.size() - 1);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    return true;
}

template <class Int>
bool number(std::string_view text, Int& value, int base = 10) {
    const auto r = std::from_chars(text.data(), text.data() + text.size(), value, base);
    return r.ec == std::errc() && r.ptr == text.data() + text.size();
}

/// "1234.567", three digits behind the point.
bool millis(std::string_view text, std::uint64_t& us) {
    const auto point = text.find('.');
    std::uint64_t whole = 0, part = 0;
    constexpr std::uint64_t kMost = 10'000'000'000'000;
    if (point == std::string_view::npos || text.size() != point + 4 ||
        !number(text.substr(0, point), whole) || !number(text.substr(point + 1), part) ||
        whole > kMost)
        return false;
    us = whole * 1000 + part;
    return true;
}

/// The fields of a CSV record; false: it ends inside quotes or has text behind them.
bool csv_fields(std::string_view record, std::vector<std::string>& fields) {
    fields.assign(1, {});
    bool quoted = false;
    for (std::size_t i = 0; i < record.size(); ++i) {
        const char c = record[i];
        if (quoted && c == '"' && i + 1 < record.size() && record[i + 1] == '"') {
            fields.back() += c;
            ++i;
        } else if (c == '"') {
            const char next = i + 1 < record.size() ? record[i + 1] : ',';
            if (quoted ? next != ',' : !fields.back().empty()) return false;
            quoted = !quoted;
        } else if (c == ',' && !quoted) {
            fields.emplace_back();
        } else {
            fields.back() += c;
        }
    }
    return !quoted;
}

std::string without_tabs(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        out += text[i];
        if (text[i] == '\n' && i + 1 < text.size() && text[i + 1] == '\t') ++i;
    }
    return out;
}

/// The value behind "user=" or its like, up to what ends it in a prefix.
std::string prefix_value(std::string_view prefix, std::string_view key) {
    const auto at = prefix.find(key);
    if (at == std::string_view::npos) return {};
    const auto value = prefix.substr(at + key.size());
    return std::string(value.substr(0, std::min(value.find_first_of(", ]"), value.size())));
}

}  // namespace

std::int64_t read_stamp(std::string_view t) {
    int y, mo, d, h, mi, s, ms = 0;
    if (!digits(t, 0, 4, y) || !digits(t, 5, 2, mo) || !digits(t, 8, 2, d) ||
        !digits(t, 11, 2, h) || !digits(t, 14, 2, mi) || !digits(t, 17, 2, s))
        return 0;
    if (t[4] != '-' || t[7] != '-' || t[10] != ' ' || t[13] != ':' || t[16] != ':') return 0;
    if (t.size() > 19 && t[19] == '.' && !digits(t, 20, 3, ms)) return 0;
    const auto day = std::chrono::year(y) / mo / d;
    if (!day.ok() || y < 1970 || h > 23 || mi > 59 || s > 60) return 0;
    const std::int64_t days = std::chrono::sys_days(day).time_since_epoch().count();
    return ((((days * 24 + h) * 60 + mi) * 60 + s) * 1'000 + ms) * 1'000;
}

bool read_figures(std::string_view rest, LogEntry& e) {
    std::string_view value;
    if (!take(rest, "total_ms", value) || !millis(value, e.total_us)) return false;
    if (!take(rest, "wait_ms", value) || !millis(value, e.wait_us)) return false;
    if (!take(rest, "server_ms", value) || !millis(value, e.server_us)) return false;
    if (!take(rest, "transfer_ms", value) || !millis(value, e.transfer_us)) return false;
    if (!take(rest, "rows", value) || !number(value, e.rows)) return false;
    if (!take(rest, "bytes", value) || !number(value, e.bytes)) return false;
    if (!take(rest, "cache", value)) return false;
    e.cache = value;
    if (take(rest, "cache_reason", value)) e.cache_reason = value;
    if (take(rest, "pin", value)) e.pin = value;
    if (take(rest, "tx_position", value) &&
        (!take(rest, "tx_age_ms", value) || !millis(value, e.tx_age_us)))
        return false;
    take(rest, "traceparent", value);
    return take(rest, "fingerprint", value) && rest.empty() && value.size() == 16 &&
           number(value, e.fingerprint, 16);
}

void read_message(std::string_view severity, std::string_view message, std::string_view statement,
                  LogEntry& e) {
    if (severity == "ERROR" || severity == "WARNING") {
        e.event = SlowEvent::error;
        e.error = message;
        e.text = statement;
        e.refused = e.server_us == 0;
        return;
    }
    e.text = statement;
    if (message.starts_with(kPlan)) {
        e.event = SlowEvent::plan;
        e.plan = message.substr(kPlan.size(), kMaxPlan);
        e.notes = read_notes(e.parameters);
        e.parameters.clear();
    } else if (message.starts_with("client waited ")) {
        e.event = SlowEvent::waited;
    } else if (message.starts_with("session idle in transaction ")) {
        e.event = SlowEvent::idle;
    } else {
        e.event = SlowEvent::slow;
        const auto behind = message.find(" ms  ");
        const auto text =
            behind == std::string_view::npos ? std::string_view::npos : message.find(": ", behind);
        if (message.starts_with("duration: ") && text != std::string_view::npos)
            e.text = message.substr(text + 2);
    }
}

LineIs read_csv_record(std::string_view record, LogEntry& e) {
    constexpr std::size_t kColumns = 26, kSeverity = 11, kState = 12, kMessage = 13, kDetail = 14,
                          kContext = 18, kStatement = 19, kApplication = 22;
    std::vector<std::string> f;
    // 23 to 26 columns: PostgreSQL 12 to 15 and later. More: a record that was cut and the next.
    if (!csv_fields(record, f) || f.size() < 23 || f.size() > kColumns) return LineIs::broken;
    e.at_us = read_stamp(f[0]);
    if (e.at_us == 0) return LineIs::broken;
    if (f.size() != kColumns || !read_figures(f[kContext], e)) return LineIs::other;
    e.user = std::move(f[1]);
    e.database = std::move(f[2]);
    if (f[kState] != "00000") e.sqlstate = std::move(f[kState]);
    e.parameters = std::move(f[kDetail]);
    e.application = std::move(f[kApplication]);
    read_message(f[kSeverity], f[kMessage], f[kStatement], e);
    return LineIs::entry;
}

/// "<stamp> [pid] LOG C-0x1: db/user@host:port message (figures)"
LineIs read_pgbouncer_line(std::string_view line, LogEntry& e) {
    const auto figures = line.rfind(" (total_ms=");
    const auto bracket = line.find("] ");
    if (bracket == std::string_view::npos) return LineIs::broken;
    if (figures == std::string_view::npos || !line.ends_with(')')) return LineIs::other;
    if (!read_figures(line.substr(figures + 2, line.size() - figures - 3), e)) return LineIs::other;
    e.at_us = read_stamp(line);
    auto rest = line.substr(bracket + 2, figures - bracket - 2);
    const auto severity = rest.substr(0, std::min(rest.find(' '), rest.size()));
    const auto who = rest.find(": ");
    if (who == std::string_view::npos) return LineIs::broken;
    rest.remove_prefix(who + 2);
    const auto slash = rest.find('/'), at = rest.find('@'), space = rest.find(' ', at);
    if (slash > at || space == std::string_view::npos) return LineIs::broken;
    e.database = rest.substr(0, slash);
    e.user = rest.substr(slash + 1, at - slash - 1);
    rest.remove_prefix(space + 1);
    constexpr std::string_view kError = "pooler error: ", kStatement = " statement: ";
    if (rest.starts_with(kError)) rest.remove_prefix(kError.size());
    if (rest.starts_with("duration: ")) {
        read_message(severity, rest, {}, e);
        return LineIs::entry;
    }
    // Its lines cannot be told apart from what follows them any more.
    if (rest.starts_with(kPlan.substr(0, kPlan.size() - 1))) {
        e.event = SlowEvent::plan;
        return LineIs::entry;
    }
    const auto statement = rest.find(kStatement);
    const bool none = statement == std::string_view::npos;
    read_message(severity, rest.substr(0, statement),
                 none ? std::string_view() : rest.substr(statement + kStatement.size()), e);
    return LineIs::entry;
}

void StderrEntry::line(std::string_view line) {
    if (line.starts_with('\t') && (complete_ || !parts_.empty())) {
        auto& last = complete_ ? statement_ : parts_.back();
        if (bytes_ + line.size() <= kMaxEntry) last.append("\n").append(line);
        bytes_ += line.size();
        return;
    }
    const std::string statement = prefix_ + "STATEMENT:  ";
    if (complete_ && line.starts_with(statement)) {
        statement_ = line.substr(statement.size());
        return;
    }
    if (complete(line)) return;
    if (parts_.size() >= kMaxParts || bytes_ > kMaxEntry) {
        stray_ += parts_.size();
        parts_.clear();
        bytes_ = 0;
    }
    parts_.emplace_back(line.substr(0, kMaxEntry));
    bytes_ += parts_.back().size();
}

bool StderrEntry::complete(std::string_view line) {
    constexpr std::string_view kContext = "CONTEXT:  ";
    const auto at = line.rfind("CONTEXT:  total_ms=");
    LogEntry figures;
    if (at == std::string_view::npos || !read_figures(line.substr(at + kContext.size()), figures))
        return false;
    const auto prefix = line.substr(0, at);
    for (std::size_t head = parts_.size(); head-- > 0;) {
        if (!parts_[head].starts_with(prefix)) continue;
        const auto rest = std::string_view(parts_[head]).substr(prefix.size());
        const bool log = rest.starts_with("LOG:  "), error = rest.starts_with("ERROR:  ");
        if (rest.starts_with("DETAIL:  ")) detail_ = rest.substr(9);
        if (!log && !error) continue;
        severity_ = log ? "LOG" : "ERROR";
        message_ = rest.substr(log ? 6 : 8);
        prefix_ = prefix;
        figures_ = std::move(figures);
        stray_ += head;
        parts_.clear();
        bytes_ = 0;
        return complete_ = true;
    }
    detail_.clear();
    return false;
}

bool StderrEntry::take_before(std::string_view next, LogEntry& e) {
    if (!complete_) return false;
    const bool ours = next.starts_with('\t') ||
                      (statement_.empty() && next.starts_with(prefix_ + "STATEMENT:  "));
    if (ours) return false;
    e = std::move(figures_);
    std::string_view rest = prefix_;
    while (!rest.empty() && e.at_us == 0) {
        e.at_us = read_stamp(rest);
        rest.remove_prefix(1);
    }
    e.user = prefix_value(prefix_, "user=");
    e.database = prefix_value(prefix_, "db=");
    e.application = prefix_value(prefix_, "app=");
    e.parameters = without_tabs(detail_);
    read_message(severity_, without_tabs(message_), without_tabs(statement_), e);
    const auto stray = stray_;
    *this = {};
    stray_ = stray;
    return true;
}

std::uint64_t StderrEntry::take_stray() { return std::exchange(stray_, 0); }

}  // namespace pgweir::admin
