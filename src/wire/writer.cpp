// Message builders. See writer.hpp.
#include "pgweir/wire/writer.hpp"

#include "pgweir/base/bytes.hpp"

namespace pgweir::wire {

using base::append_cstring;
using base::append_u16;
using base::append_u32;

MessageScope::MessageScope(std::string& out, char type) : out_(out), start_(out.size()) {
    out_.push_back(type);
    append_u32(out_, 0);
}

MessageScope::~MessageScope() {
    base::store_u32(out_.data() + start_ + 1, static_cast<std::uint32_t>(out_.size() - start_ - 1));
}

namespace {

void write_report(std::string& out, char type, const Report& r) {
    const MessageScope scope(out, type);
    const auto field = [&out](char code, std::string_view value) {
        if (value.empty()) return;
        out.push_back(code);
        append_cstring(out, value.substr(0, value.find('\0')));
    };
    field('S', r.severity);
    field('V', r.severity);
    field('C', r.sqlstate);
    field('M', r.message);
    field('D', r.detail);
    field('H', r.hint);
    field('R', r.routine);
    out.push_back('\0');
}

}  // namespace

void write_error(std::string& out, const Report& report) {
    write_report(out, be::kErrorResponse, report);
}
void write_notice(std::string& out, const Report& report) {
    write_report(out, be::kNoticeResponse, report);
}

void write_ready(std::string& out, TxStatus status) {
    const char message[6] = {be::kReadyForQuery, 0, 0, 0, 5, static_cast<char>(status)};
    out.append(message, sizeof message);
}

void write_command_complete(std::string& out, std::string_view tag) {
    const MessageScope scope(out, be::kCommandComplete);
    append_cstring(out, tag);
}

void write_parameter_status(std::string& out, std::string_view name, std::string_view value) {
    // Some fifteen of them at each login, so they are written in one go.
    const auto at = out.size();
    const auto size = 4 + name.size() + 1 + value.size() + 1;
    out.resize(at + 1 + size);
    char* to = out.data() + at;
    *to = be::kParameterStatus;
    base::store_u32(to + 1, static_cast<std::uint32_t>(size));
    name.copy(to + 5, name.size());
    value.copy(to + 5 + name.size() + 1, value.size());  // resize() has left the NULs
}

void write_authentication(std::string& out, std::uint32_t code, std::string_view rest) {
    const MessageScope scope(out, be::kAuthentication);
    append_u32(out, code);
    out.append(rest);
}

void write_backend_key(std::string& out, std::uint32_t pid, std::string_view key) {
    const MessageScope scope(out, be::kBackendKeyData);
    append_u32(out, pid);
    out.append(key);
}

void write_message(std::string& out, char type, std::string_view body) {
    const MessageScope scope(out, type);
    out.append(body);
}

void write_query(std::string& out, std::string_view sql) {
    const MessageScope scope(out, fe::kQuery);
    append_cstring(out, sql);
}

void write_parse(std::string& out, std::string_view name, std::string_view sql,
                 std::span<const std::uint32_t> types) {
    const MessageScope scope(out, fe::kParse);
    append_cstring(out, name);
    append_cstring(out, sql);
    append_u16(out, static_cast<std::uint16_t>(types.size()));
    for (const auto t : types) append_u32(out, t);
}

void write_bind(std::string& out, std::string_view portal, std::string_view statement,
                std::string_view parameters) {
    const MessageScope scope(out, fe::kBind);
    append_cstring(out, portal);
    append_cstring(out, statement);
    out.append(parameters);
}

void write_execute(std::string& out, std::string_view portal) {
    const MessageScope scope(out, fe::kExecute);
    append_cstring(out, portal);
    append_u32(out, 0);
}

void write_close(std::string& out, char kind, std::string_view name) {
    const MessageScope scope(out, fe::kClose);
    out.push_back(kind);
    append_cstring(out, name);
}

void write_row_description(std::string& out, std::span<const Column> columns) {
    const MessageScope scope(out, be::kRowDescription);
    append_u16(out, static_cast<std::uint16_t>(columns.size()));
    for (const auto& c : columns) {
        append_cstring(out, c.name);
        append_u32(out, 0);  // no table
        append_u16(out, 0);  // no column
        append_u32(out, c.type_oid);
        const bool fixed4 = c.type_oid == kOidInt4;
        const bool fixed8 = c.type_oid == kOidInt8;
        append_u16(out, static_cast<std::uint16_t>(fixed4 ? 4 : fixed8 ? 8 : -1));
        append_u32(out, 0xffffffff);  // no type modifier
        append_u16(out, 0);           // text
    }
}

void write_data_row(std::string& out, std::span<const std::string_view> values) {
    const MessageScope scope(out, be::kDataRow);
    append_u16(out, static_cast<std::uint16_t>(values.size()));
    for (const auto& v : values) {
        if (v.data() == nullptr) {
            append_u32(out, 0xffffffff);
            continue;
        }
        append_u32(out, static_cast<std::uint32_t>(v.size()));
        out.append(v);
    }
}

}  // namespace pgweir::wire
