// Builds messages into a std::string that the caller owns. Thread: pure. Lengths are filled in from
// what was written, so they cannot disagree with it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "pgweir/wire/messages.hpp"

namespace pgweir::wire {

/// Opens a message and writes its length when it goes out of scope.
class MessageScope {
  public:
    MessageScope(std::string& out, char type);
    ~MessageScope();
    MessageScope(const MessageScope&) = delete;
    MessageScope& operator=(const MessageScope&) = delete;

  private:
    std::string& out_;
    std::size_t start_;
};

/// What an ErrorResponse or NoticeResponse says. Empty fields are left out.
struct Report {
    std::string_view severity = "ERROR";  // ERROR, FATAL, WARNING, NOTICE
    std::string_view sqlstate;
    std::string_view message;
    std::string_view detail = {};
    std::string_view hint = {};
    std::string_view routine = {};  // by which drivers know some of PostgreSQL's errors
};

void write_error(std::string& out, const Report& report);
void write_notice(std::string& out, const Report& report);
void write_ready(std::string& out, TxStatus status);
void write_command_complete(std::string& out, std::string_view tag);
void write_parameter_status(std::string& out, std::string_view name, std::string_view value);
void write_authentication(std::string& out, std::uint32_t code, std::string_view rest = {});
void write_backend_key(std::string& out, std::uint32_t pid, std::string_view key);
/// Any message whose body is at hand; used for messages without a body, too.
void write_message(std::string& out, char type, std::string_view body = {});
void write_query(std::string& out, std::string_view sql);
void write_parse(std::string& out, std::string_view name, std::string_view sql,
                 std::span<const std::uint32_t> types);
/// Formats, parameters and formats of results, in the protocol's bytes: none at all, all as text.
inline constexpr std::string_view kNoParameters{"\0\0\0\0\0\0", 6};
void write_bind(std::string& out, std::string_view portal, std::string_view statement,
                std::string_view parameters = kNoParameters);
/// Without a limit of rows.
void write_execute(std::string& out, std::string_view portal = {});
void write_close(std::string& out, char kind, std::string_view name);
inline constexpr std::string_view kFlush{"H\0\0\0\4", 5};

/// One column of a result made by the proxy itself, all in text format.
struct Column {
    std::string_view name;
    std::uint32_t type_oid;
};
inline constexpr std::uint32_t kOidBool = 16;
inline constexpr std::uint32_t kOidInt8 = 20;
inline constexpr std::uint32_t kOidInt4 = 23;
inline constexpr std::uint32_t kOidText = 25;
inline constexpr std::uint32_t kOidNumeric = 1700;
void write_row_description(std::string& out, std::span<const Column> columns);
/// `values[i]` with a null data pointer is SQL NULL.
void write_data_row(std::string& out, std::span<const std::string_view> values);

}  // namespace pgweir::wire
