// Everything of the admin layer that is JSON: the slow log's lines and /healthz.
// pgBadger reads a line only in compact form and with the stamp first, which is why the keys keep
// the order they are written in.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "pgweir/admin/http.hpp"
#include "slow_line.hpp"

namespace pgweir::admin {

namespace {

using Json = nlohmann::ordered_json;

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

/// Milliseconds with three digits: a whole number of microseconds prints without noise.
double milliseconds(std::int64_t ns) {
    const auto microseconds = ns / 1'000;
    return static_cast<double>(microseconds) / 1e3;
}

}  // namespace

std::string json_line(const metrics::SlowQuery& q, const SlowLine& l, std::uint64_t number) {
    Json line;
    line["timestamp"] = stamp_text(l.stamp_us);
    line["user"] = q.user;
    line["dbname"] = q.database;
    line["pid"] = q.server_pid;
    line["remote_host"] = q.client_host == "unix" ? "[local]" : q.client_host;
    if (q.client_port != 0) line["remote_port"] = q.client_port;
    line["session_id"] = hex_text(q.session_id) + "." + hex_text(q.server_pid);
    line["line_num"] = number;
    line["error_severity"] = l.severity;
    if (!q.sqlstate.empty()) line["state_code"] = q.sqlstate;
    line["message"] = l.message;
    if (!l.detail.empty()) line["detail"] = l.detail;
    if (!l.statement.empty()) line["statement"] = l.statement;
    line["application_name"] = q.application_name;
    line["backend_type"] = "client backend";
    line["query_id"] = static_cast<std::int64_t>(l.fingerprint);
    line["total_ms"] = milliseconds(q.total_ns);
    line["wait_ms"] = milliseconds(q.wait_ns);
    line["server_ms"] = milliseconds(q.server_ns);
    line["transfer_ms"] = milliseconds(q.transfer_ns);
    line["rows"] = q.rows;
    line["bytes"] = q.bytes;
    line["cache"] = q.cache;
    if (!q.cache_reason.empty()) line["cache_reason"] = q.cache_reason;
    if (!q.pin.empty()) line["pin"] = q.pin;
    if (q.tx_position > 0) {
        line["tx_position"] = q.tx_position;
        line["tx_age_ms"] = milliseconds(q.tx_age_ns);
    }
    if (!l.traceparent.empty()) line["traceparent"] = l.traceparent;
    line["fingerprint"] = fingerprint_text(l.fingerprint);
    line["normalised"] = l.normalised;
    line["pool"] = q.pool;
    if (l.cut) line["text_cut"] = true;
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
