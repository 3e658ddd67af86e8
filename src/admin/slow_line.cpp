// See slow_line.hpp.
#include "slow_line.hpp"

#include <algorithm>
#include <charconv>
#include <ctime>

#include "journal.hpp"
#include "pgweir/admin/plan.hpp"
#include "pgweir/base/bytes.hpp"
#include "pgweir/base/log.hpp"
#include "pgweir/query/verdict.hpp"

namespace pgweir::admin {

namespace {

constexpr std::size_t kMaxText = std::size_t{64} * 1024;  // bytes of a statement in the log
constexpr std::size_t kMaxNormalised = 4096;
constexpr std::size_t kMaxValue = 1024;  // bytes of a parameter
constexpr std::size_t kMaxParameters = 256;

/// The first `max` bytes, less a character that would be cut in two.
std::string_view cut(std::string_view text, std::size_t max) {
    if (text.size() <= max) return text;
    auto end = max;
    while (end > 0 && max - end < 4 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80)
        --end;
    return text.substr(0, end);
}

char low(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool has_word(std::string_view text, std::string_view word) {
    if (word.empty()) return false;
    return std::search(text.begin(), text.end(), word.begin(), word.end(),
                       [](char a, char b) { return low(a) == low(b); }) != text.end();
}

bool hidden(std::string_view text, const SlowLogOptions& options) {
    return has_any_word(text, options.redact);
}

std::string statement_message(const metrics::SlowQuery& q, std::string_view text) {
    std::string out = "duration: " + duration_ms_text(q.total_ns) + " ms  ";
    if (q.extended)
        out.append("execute ")
            .append(q.prepared_name.empty() ? "<unnamed>" : q.prepared_name)
            .append(": ");
    else
        out.append("statement: ");
    return out.append(text);
}

template <class Int>
std::string big_endian(std::string_view bytes) {
    std::uint64_t n = 0;
    for (const char c : bytes) n = n << 8 | static_cast<unsigned char>(c);
    return std::to_string(static_cast<Int>(n));
}

std::string value_text(std::string_view value, bool text, std::uint32_t type) {
    constexpr std::uint32_t kBool = 16, kInt8 = 20, kInt2 = 21, kInt4 = 23;
    if (text) {
        std::string out = "'";
        for (const char c : cut(value, kMaxValue)) {
            if (c == '\'') out += c;
            out += c;
        }
        return out + (value.size() > kMaxValue ? "...'" : "'");
    }
    if (type == kBool && value.size() == 1) return value[0] != 0 ? "'t'" : "'f'";
    if (type == kInt2 && value.size() == 2) return "'" + big_endian<std::int16_t>(value) + "'";
    if (type == kInt4 && value.size() == 4) return "'" + big_endian<std::int32_t>(value) + "'";
    if (type == kInt8 && value.size() == 8) return "'" + big_endian<std::int64_t>(value) + "'";
    static constexpr char kHex[] = "0123456789abcdef";
    std::string out = "'\\x";
    for (const char c : value.substr(0, kMaxValue / 2)) {
        out += kHex[static_cast<unsigned char>(c) >> 4];
        out += kHex[static_cast<unsigned char>(c) & 15];
    }
    return out + (value.size() > kMaxValue / 2 ? "...'" : "'");
}

}  // namespace

bool has_any_word(std::string_view text, const std::vector<std::string>& words) {
    return std::any_of(words.begin(), words.end(),
                       [&](const std::string& word) { return has_word(text, word); });
}

std::string stamp_text(std::int64_t wall_us, bool milliseconds) {
    const std::time_t seconds = wall_us / 1'000'000;
    const auto ms = static_cast<int>(wall_us % 1'000'000 / 1'000);
    std::tm parts{};
    gmtime_r(&seconds, &parts);
    char text[64];
    const auto size = std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts);
    std::string out(text, size);
    const auto digits = std::to_string(1000 + std::clamp(ms, 0, 999));
    if (milliseconds) out.append(".").append(digits, 1);
    return out.append(" UTC");
}

std::string hex_text(std::uint64_t n) {
    char text[16];
    return {text, std::to_chars(text, text + sizeof text, n, 16).ptr};
}

std::string fingerprint_text(std::uint64_t fingerprint) {
    auto digits = hex_text(fingerprint);
    return digits.insert(0, 16 - digits.size(), '0');
}

std::string duration_ms_text(std::int64_t ns) {
    const auto us = std::max<std::int64_t>(ns / 1'000, 0);
    return std::to_string(us / 1'000) + "." + std::to_string(1'000 + us % 1'000).substr(1);
}

std::string clean_text(std::string_view text, bool keep_lines) {
    std::string out;
    out.reserve(text.size());
    std::size_t begin = 0;
    const auto flush = [&](std::size_t end) {
        if (end > begin) out += base::printable(text.substr(begin, end - begin), std::string::npos);
        begin = end;
    };
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto c = static_cast<unsigned char>(text[i]);
        const bool line = keep_lines && (c == '\n' || c == '\t');
        const bool c1 = c == 0xc2 && i + 1 < text.size() &&
                        static_cast<unsigned char>(text[i + 1]) >= 0x80 &&
                        static_cast<unsigned char>(text[i + 1]) < 0xa0;
        if (!line && !c1) continue;
        flush(i);
        if (line)
            out += text[i];
        else
            out.append("\\x").append(hex_text(static_cast<unsigned char>(text[++i])));
        begin = i + 1;
    }
    flush(text.size());
    return out;
}

std::string traceparent_of(std::string_view sql) {
    constexpr std::string_view kKey = "traceparent='";
    constexpr std::size_t kSize = 55;  // 00-<32>-<16>-<2>, W3C Trace Context 3.2
    const auto at = sql.rfind(kKey);
    if (at == std::string_view::npos) return {};
    const auto open = sql.rfind("/*", at);
    const auto close = sql.find("*/", open == std::string_view::npos ? at : open);
    if (open == std::string_view::npos || close == std::string_view::npos || close < at) return {};
    const auto value = sql.substr(at + kKey.size(), kSize);
    const bool whole = value.size() == kSize && at + kKey.size() + kSize < sql.size() &&
                       sql[at + kKey.size() + kSize] == '\'';
    const bool plain = std::all_of(value.begin(), value.end(), [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || c == '-';
    });
    return whole && plain ? std::string(value) : std::string();
}

std::string parameters_text(std::string_view bind, const std::vector<std::uint32_t>& types) {
    if (bind.empty()) return {};
    base::ByteReader r(bind);
    const std::size_t formats = r.u16();
    const auto codes = r.bytes(formats * 2);
    const std::size_t count = r.u16();
    if (!r.ok() || count == 0) return {};
    std::string out = "parameters: ";
    for (std::size_t i = 0; i < count; ++i) {
        const auto size = static_cast<std::int32_t>(r.u32());
        const auto value = size < 0 ? std::string_view() : r.bytes(static_cast<std::size_t>(size));
        if (!r.ok()) return out + "...";
        if (i == kMaxParameters) return out + ", ...";
        const std::size_t code = formats == 1 ? 0 : i;
        const bool text = code >= formats || codes[code * 2 + 1] == 0;
        if (i > 0) out += ", ";
        out += "$" + std::to_string(i + 1) + " = ";
        out += size < 0 ? "NULL" : value_text(value, text, i < types.size() ? types[i] : 0);
    }
    return out;
}

SlowLine slow_line(const metrics::SlowQuery& q, const SlowLogOptions& options) {
    SlowLine line;
    std::string_view source = q.text;
    if (const auto zero = source.find('\0'); zero != std::string_view::npos)
        source = source.substr(0, zero);  // a statement ends there
    line.fingerprint = query::fingerprint(source);
    line.normalised = clean_text(query::normalise(source, kMaxNormalised), true);
    line.traceparent = traceparent_of(source);
    line.stamp_us = q.started_wall_us + q.total_ns / 1'000;
    const bool hide = hidden(source, options);
    const auto shown =
        hide || !options.literals ? line.normalised : std::string(cut(source, kMaxText));
    line.cut = hide || !options.literals ? false : shown.size() < source.size();
    if (!hide) line.detail = parameters_text(q.bind, q.types);
    switch (q.event) {
        case metrics::SlowEvent::slow: line.message = statement_message(q, shown); break;
        case metrics::SlowEvent::error:
            line.severity = "ERROR";
            // The server's words may quote a constant.
            line.message = hide || !options.literals ? "error " + q.sqlstate + " (text not shown)"
                           : q.error.empty()         ? "error " + q.sqlstate
                                                     : q.error;
            line.statement = shown;
            break;
        case metrics::SlowEvent::waited:
            line.message =
                "client waited " + duration_ms_text(q.wait_ns) + " ms for a server connection";
            line.statement = shown;
            break;
        case metrics::SlowEvent::plan:
            line.message = "plan of what was slow:\n" + q.plan;
            line.detail = notes_text(q.notes);
            line.statement = shown;
            break;
        case metrics::SlowEvent::idle:
            line.message = "session idle in transaction for " + duration_ms_text(q.total_ns) +
                           " ms, transaction open for " + duration_ms_text(q.tx_age_ns) + " ms";
            line.statement = shown;
            break;
    }
    return line;
}

std::string slow_figures(const metrics::SlowQuery& q, const SlowLine& line) {
    std::string out = "total_ms=" + duration_ms_text(q.total_ns);
    out += " wait_ms=" + duration_ms_text(q.wait_ns);
    out += " server_ms=" + duration_ms_text(q.server_ns);
    out += " transfer_ms=" + duration_ms_text(q.transfer_ns);
    out += " rows=" + std::to_string(q.rows) + " bytes=" + std::to_string(q.bytes);
    out.append(" cache=").append(q.cache);
    if (!q.cache_reason.empty()) out.append(" cache_reason=").append(q.cache_reason);
    if (!q.pin.empty()) out.append(" pin=").append(q.pin);
    if (q.tx_position > 0)
        out += " tx_position=" + std::to_string(q.tx_position) +
               " tx_age_ms=" + duration_ms_text(q.tx_age_ns);
    if (!line.traceparent.empty()) out += " traceparent=" + line.traceparent;
    return out + " fingerprint=" + fingerprint_text(line.fingerprint);
}

std::string slow_log_line(const metrics::SlowQuery& q, std::uint64_t number,
                          const SlowLogOptions& options) {
    const auto line = slow_line(q, options);
    switch (options.form) {
        case SlowLogForm::json: break;
        case SlowLogForm::csv: return csv_line(q, line, number);
        case SlowLogForm::stderr_: return stderr_lines(q, line, number, options.prefix);
        case SlowLogForm::pgbouncer: return pgbouncer_line(q, line);
    }
    return json_line(q, line, number);
}

std::string journal_entry(const metrics::SlowQuery& q, const SlowLogOptions& options) {
    const auto line = slow_line(q, options);
    std::string out;
    append_journal_field(out, "MESSAGE", clean_text(line.message, true));
    append_journal_field(out, "PRIORITY", line.severity == "ERROR" ? "3" : "5");
    append_journal_field(out, "SYSLOG_IDENTIFIER", "pgweir");
    append_journal_field(out, "PGWEIR_USER", clean_text(q.user, false));
    append_journal_field(out, "PGWEIR_DATABASE", clean_text(q.database, false));
    append_journal_field(out, "PGWEIR_APPLICATION", clean_text(q.application_name, false));
    append_journal_field(out, "PGWEIR_CLIENT", clean_text(q.client_host, false));
    append_journal_field(out, "PGWEIR_FINGERPRINT", fingerprint_text(line.fingerprint));
    append_journal_field(out, "PGWEIR_NORMALISED", line.normalised);
    append_journal_field(out, "PGWEIR_FIGURES", slow_figures(q, line));
    if (!q.sqlstate.empty())
        append_journal_field(out, "PGWEIR_SQLSTATE", clean_text(q.sqlstate, false));
    if (!line.detail.empty())
        append_journal_field(out, "PGWEIR_DETAIL", clean_text(line.detail, true));
    if (!line.statement.empty())
        append_journal_field(out, "PGWEIR_STATEMENT", clean_text(line.statement, true));
    return out;
}

}  // namespace pgweir::admin
