// Everything of the admin layer that is JSON: the slow log's lines and /healthz.
// pgBadger reads a line only in compact form and with the stamp first, which is why the keys keep
// the order they are written in.
#include <algorithm>
#include <charconv>
#include <ctime>
#include <nlohmann/json.hpp>

#include "pgweir/admin/http.hpp"
#include "pgweir/admin/slow_log.hpp"
#include "pgweir/query/verdict.hpp"

namespace pgweir::admin {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMaxText = 64 * 1024;  // bytes of a statement in the log

/// Compact, with invalid UTF-8 replaced. The library leaves DEL and the C1 controls as they are,
/// which terminals act upon; they can only stand inside strings, so they are escaped here.
std::string compact(const Json& json) {
    const auto text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        auto c = static_cast<unsigned char>(text[i]);
        const bool c1 =
            c == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0;
        if (c != 0x7f && !c1) {
            out += text[i];
            continue;
        }
        if (c1) c = static_cast<unsigned char>(text[++i]);
        constexpr std::string_view kHex = "0123456789abcdef";
        out.append("\\u00");
        out += kHex[c >> 4];
        out += kHex[c & 15];
    }
    return out;
}

/// PostgreSQL's %m: "2026-11-21 02:30:01.123 UTC".
std::string stamp(std::int64_t wall_us) {
    const std::time_t seconds = wall_us / 1'000'000;
    const auto ms = static_cast<int>(wall_us % 1'000'000 / 1'000);
    std::tm parts{};
    gmtime_r(&seconds, &parts);
    char text[64];
    const auto size = std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts);
    std::string out(text, size);
    const auto digits = std::to_string(1000 + std::clamp(ms, 0, 999));
    return out.append(".").append(digits, 1).append(" UTC");
}

std::string hex(std::uint64_t n) {
    char text[16];
    return {text, std::to_chars(text, text + sizeof text, n, 16).ptr};
}

/// Milliseconds with three digits: a whole number of microseconds prints without noise.
double milliseconds(std::int64_t ns) { return static_cast<double>(ns / 1'000) / 1e3; }

std::string duration_text(std::int64_t ns) {
    const auto us = std::max<std::int64_t>(ns / 1'000, 0);
    return std::to_string(us / 1'000) + "." + std::to_string(1'000 + us % 1'000).substr(1);
}

/// The first `max` bytes, less a character that would be cut in two.
std::string_view cut(std::string_view text, std::size_t max) {
    if (text.size() <= max) return text;
    auto end = max;
    while (end > 0 && max - end < 4 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80)
        --end;
    return text.substr(0, end);
}

std::string message(const metrics::SlowQuery& q, std::string_view text) {
    std::string out = "duration: " + duration_text(q.total_ns) + " ms  ";
    if (q.extended)
        out.append("execute ")
            .append(q.prepared_name.empty() ? "<unnamed>" : q.prepared_name)
            .append(": ");
    else
        out.append("statement: ");
    return out.append(text);
}

}  // namespace

std::string slow_log_line(const metrics::SlowQuery& q, std::uint64_t line_number) {
    const auto text = cut(q.text, kMaxText);
    const auto fingerprint = query::fingerprint(q.text);
    Json line;
    line["timestamp"] = stamp(q.started_wall_us + q.total_ns / 1'000);
    line["user"] = q.user;
    line["dbname"] = q.database;
    line["pid"] = q.server_pid;
    line["remote_host"] = q.client_host == "unix" ? "[local]" : q.client_host;
    if (q.client_port != 0) line["remote_port"] = q.client_port;
    line["session_id"] = hex(q.session_id) + "." + hex(q.server_pid);
    line["line_num"] = line_number;
    line["error_severity"] = "LOG";
    if (!q.sqlstate.empty()) line["state_code"] = q.sqlstate;
    line["message"] = message(q, text);
    line["application_name"] = q.application_name;
    line["backend_type"] = "client backend";
    line["query_id"] = static_cast<std::int64_t>(fingerprint);
    line["wait_ms"] = milliseconds(q.wait_ns);
    line["server_ms"] = milliseconds(q.server_ns);
    line["transfer_ms"] = milliseconds(q.transfer_ns);
    line["rows"] = q.rows;
    line["bytes"] = q.bytes;
    line["cache"] = q.cache;
    auto digits = hex(fingerprint);
    line["fingerprint"] = digits.insert(0, 16 - digits.size(), '0');
    line["pool"] = q.pool;
    if (text.size() < q.text.size()) line["text_cut"] = true;
    return compact(line);
}

std::string health_json(const Snapshot& s, std::int64_t now_wall_us) {
    const bool ready = s.ready && !s.draining;
    Json health;
    health["status"] = s.draining ? "draining" : ready ? "ok" : "not ready";
    if (!ready) health["reason"] = s.draining ? "shutting down" : s.not_ready_reason;
    health["version"] = PGWEIR_VERSION;
    health["uptime_seconds"] =
        std::max<std::int64_t>(now_wall_us - s.started_wall_us, 0) / 1'000'000;
    health["draining"] = s.draining;
    health["ready"] = ready;
    std::uint64_t active = 0, idle = 0, waiting = 0;
    for (const auto& pool : s.pools) {
        active += pool.sv_active;
        idle += pool.sv_idle + pool.sv_used;
        waiting += pool.cl_waiting;
    }
    health["clients"] = {
        {"connected", s.clients.size()}, {"waiting", waiting}, {"limit", s.max_clients}};
    health["servers"] = {{"active", active}, {"idle", idle}};
    health["pools"] = merged_pools(s.pools).size();
    return compact(health);
}

}  // namespace pgweir::admin
