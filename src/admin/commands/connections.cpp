// SHOW CLIENTS and SHOW SERVERS, which have the same columns. Ours, at the end: why it is pinned.
#include "command.hpp"

#include <charconv>

namespace pgweir::admin {

const std::array<wire::Column, 22> kConnectionColumns{{
    {"type", kTextType},
    {"user", kTextType},
    {"database", kTextType},
    {"replication", kTextType},
    {"state", kTextType},
    {"addr", kTextType},
    {"port", kInt4Type},
    {"local_addr", kTextType},
    {"local_port", kInt4Type},
    {"connect_time", kTextType},
    {"request_time", kTextType},
    {"wait", kInt4Type},
    {"wait_us", kInt4Type},
    {"close_needed", kInt4Type},
    {"ptr", kTextType},
    {"link", kTextType},
    {"remote_pid", kInt4Type},
    {"tls", kTextType},
    {"application_name", kTextType},
    {"prepared_statements", kInt4Type},
    {"id", kInt4Type},
    {"pin", kTextType},
}};

namespace {

/// "2026-11-21 02:30:01 UTC"; nothing for 0.
std::string when(std::int64_t wall_us) {
    if (wall_us == 0) return {};
    const std::time_t seconds = wall_us / 1'000'000;
    std::tm parts{};
    gmtime_r(&seconds, &parts);
    char text[64];
    return {text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &parts)};
}

std::string identity(std::uint64_t ptr) {
    if (ptr == 0) return {};
    char text[20] = {'0', 'x'};
    return {text, std::to_chars(text + 2, text + sizeof text, ptr, 16).ptr};
}

void write(std::string_view type, const ConnectionRow& c, RowWriter& row) {
    row.text(type).text(c.user).text(c.database).text(c.replication).text(c.state);
    row.text(c.addr).int4(c.port).text(c.local_addr).int4(c.local_port);
    row.text(when(c.connect_time_us)).text_or_null(when(c.request_time_us));
    row.int4(c.wait_us / 1'000'000).int4(c.wait_us % 1'000'000).int4(c.close_needed ? 1 : 0);
    row.text(identity(c.ptr)).text(identity(c.link)).int4(c.remote_pid).text(c.tls);
    row.text(c.application_name).int4(c.prepared_statements);
    row.int4(static_cast<std::int64_t>(c.id & 0x7fffffff)).text(c.pin).end();
}

}  // namespace

void show_clients(const CommandInput& input, RowWriter& row) {
    for (const auto& client : input.snapshot.clients) write("C", client, row);
}

void show_servers(const CommandInput& input, RowWriter& row) {
    for (const auto& server : input.snapshot.servers) write("S", server, row);
}

}  // namespace pgweir::admin
