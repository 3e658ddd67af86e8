// The forms of the slow log beside JSON: PostgreSQL's csvlog and stderr, and PgBouncer's lines.
// Invariant: what comes from outside can begin no line of its own, but inside CSV's quotes.
#include <unistd.h>

#include <algorithm>

#include "pgweir/query/verdict.hpp"
#include "slow_line.hpp"

namespace pgweir::admin {

namespace {

std::string session_text(const metrics::SlowQuery& q) {
    return hex_text(q.session_id) + "." + hex_text(q.server_pid);
}

std::string host_text(const metrics::SlowQuery& q) {
    return q.client_host == "unix" ? "[local]" : clean_text(q.client_host, false);
}

class CsvRow {
  public:
    void plain(std::string_view value) {
        if (!first_) out_ += ',';
        first_ = false;
        out_ += value;
    }
    /// Empty ones are written as nothing, as PostgreSQL does.
    void text(std::string_view value, bool lines = false) {
        plain("");
        if (value.empty()) return;
        out_ += '"';
        for (const char c : clean_text(value, lines)) {
            if (c == '"') out_ += c;
            out_ += c;
        }
        out_ += '"';
    }
    std::string take() { return std::move(out_); }

  private:
    std::string out_;
    bool first_ = true;
};

/// The statement's first word in upper case, when it is a word.
std::string command_tag(std::string_view text) {
    std::string tag;
    for (const char c : text) {
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter || tag.size() == 16) break;
        tag += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    }
    return tag;
}

/// A server says it, so it may be anything: what is no code is not written as one.
std::string sql_code(const metrics::SlowQuery& q) {
    if (q.sqlstate.empty()) return "00000";
    const bool code =
        q.sqlstate.size() == 5 && std::all_of(q.sqlstate.begin(), q.sqlstate.end(), [](char c) {
            return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z');
        });
    return code ? q.sqlstate : "XX000";
}

/// PostgreSQL begins the further lines of an entry with a tab.
std::string tabbed(std::string_view text) {
    std::string out;
    for (const char c : clean_text(text, true)) {
        out += c;
        if (c == '\n') out += '\t';
    }
    return out;
}

/// One escape of log_line_prefix; false: not one of ours, which PostgreSQL drops, too.
bool append_escape(std::string& out, char escape, const metrics::SlowQuery& q, const SlowLine& line,
                   std::uint64_t number) {
    switch (escape) {
        case 'a': out += clean_text(q.application_name, false); return true;
        case 'u': out += clean_text(q.user, false); return true;
        case 'd': out += clean_text(q.database, false); return true;
        case 'r':
            out += host_text(q);
            if (q.client_port != 0) out += "(" + std::to_string(q.client_port) + ")";
            return true;
        case 'h': out += host_text(q); return true;
        case 'b': out += "client backend"; return true;
        case 'p': out += std::to_string(q.server_pid); return true;
        case 't': out += stamp_text(line.stamp_us, false); return true;
        case 'm': out += stamp_text(line.stamp_us); return true;
        case 'n':
            out += std::to_string(line.stamp_us / 1'000'000) + "." +
                   std::to_string(1'000 + line.stamp_us / 1'000 % 1'000).substr(1);
            return true;
        case 's': out += stamp_text(q.started_wall_us, false); return true;
        case 'i': out += command_tag(line.normalised); return true;
        case 'e': out += clean_text(sql_code(q), false); return true;
        case 'c': out += session_text(q); return true;
        case 'l': out += std::to_string(number); return true;
        case 'x': out += "0"; return true;
        case 'Q': out += std::to_string(static_cast<std::int64_t>(line.fingerprint)); return true;
        case '%': out += "%"; return true;
        default: return false;
    }
}

std::string expanded(std::string_view prefix, const metrics::SlowQuery& q, const SlowLine& line,
                     std::uint64_t number) {
    std::string out;
    for (std::size_t i = 0; i < prefix.size(); ++i) {
        if (prefix[i] != '%' || i + 1 == prefix.size()) {
            out += prefix[i];
            continue;
        }
        ++i;
        const bool left = prefix[i] == '-';
        if (left) ++i;
        std::size_t width = 0;
        for (; i < prefix.size() && prefix[i] >= '0' && prefix[i] <= '9' && width < 100; ++i)
            width = width * 10 + static_cast<std::size_t>(prefix[i] - '0');
        if (i == prefix.size()) break;
        std::string value;
        append_escape(value, prefix[i], q, line, number);
        const std::string pad(width > value.size() ? width - value.size() : 0, ' ');
        out += left ? value + pad : pad + value;
    }
    return out;
}

}  // namespace

/// PostgreSQL 15, "Using CSV-Format Log Output": 26 columns.
std::string csv_line(const metrics::SlowQuery& q, const SlowLine& line, std::uint64_t number) {
    CsvRow row;
    row.plain(stamp_text(line.stamp_us));
    row.text(q.user);
    row.text(q.database);
    row.plain(std::to_string(q.server_pid));
    row.text(q.client_port == 0 ? host_text(q)
                                : host_text(q) + ":" + std::to_string(q.client_port));
    row.plain(session_text(q));
    row.plain(std::to_string(number));
    row.text(command_tag(line.normalised));
    row.plain(stamp_text(q.started_wall_us, false));  // stands for the session's start
    row.plain("");                                    // virtual transaction
    row.plain("0");                                   // transaction
    row.plain(line.severity);
    row.plain(clean_text(sql_code(q), false));
    row.text(line.message, true);
    row.text(line.detail, true);
    for (int i = 0; i < 3; ++i) row.plain("");  // hint, internal query and its position
    row.text(slow_figures(q, line));            // context
    row.text(line.statement, true);
    row.plain("");  // position in it
    row.plain("");  // location
    row.text(q.application_name);
    row.text("client backend");
    row.plain("");  // leader
    row.plain(std::to_string(static_cast<std::int64_t>(line.fingerprint)));
    return row.take();
}

std::string stderr_lines(const metrics::SlowQuery& q, const SlowLine& line, std::uint64_t number,
                         std::string_view prefix) {
    const auto before = expanded(prefix, q, line, number);
    std::string out = before;
    out.append(line.severity).append(":  ").append(tabbed(line.message));
    const auto more = [&](std::string_view kind, std::string_view text) {
        if (text.empty()) return;
        out.append("\n").append(before).append(kind).append(":  ").append(tabbed(text));
    };
    more("DETAIL", line.detail);
    more("CONTEXT", slow_figures(q, line));
    more("STATEMENT", line.statement);
    return out;
}

std::string pgbouncer_line(const metrics::SlowQuery& q, const SlowLine& line) {
    std::string out = stamp_text(line.stamp_us) + " [" + std::to_string(getpid()) + "] ";
    out.append(line.severity == "ERROR" ? "WARNING" : "LOG");
    out += " C-0x" + hex_text(q.session_id) + ": " + clean_text(q.database, false) + "/" +
           clean_text(q.user, false) + "@" +
           (q.client_host == "unix" ? "unix" : clean_text(q.client_host, false)) + ":" +
           std::to_string(q.client_port) + " ";
    if (line.severity == "ERROR") out += "pooler error: ";
    out += clean_text(line.message, false);
    if (!line.statement.empty()) out += " statement: " + clean_text(line.statement, false);
    if (!line.detail.empty()) out += " " + clean_text(line.detail, false);
    return out + " (" + slow_figures(q, line) + ")";
}

}  // namespace pgweir::admin
