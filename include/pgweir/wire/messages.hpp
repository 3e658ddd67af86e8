// Message types of protocol 3 (PostgreSQL manual, "Message Formats"), declared once.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace pgweir::wire {

/// From the client.
namespace fe {
inline constexpr char kBind = 'B';
inline constexpr char kClose = 'C';
inline constexpr char kCopyData = 'd';
inline constexpr char kCopyDone = 'c';
inline constexpr char kCopyFail = 'f';
inline constexpr char kDescribe = 'D';
inline constexpr char kExecute = 'E';
inline constexpr char kFlush = 'H';
inline constexpr char kFunctionCall = 'F';
inline constexpr char kParse = 'P';
inline constexpr char kPassword = 'p';  // also SASLInitialResponse, SASLResponse, GSSResponse
inline constexpr char kQuery = 'Q';
inline constexpr char kSync = 'S';
inline constexpr char kTerminate = 'X';
}  // namespace fe

/// From the server.
namespace be {
inline constexpr char kAuthentication = 'R';
inline constexpr char kBackendKeyData = 'K';
inline constexpr char kBindComplete = '2';
inline constexpr char kCloseComplete = '3';
inline constexpr char kCommandComplete = 'C';
inline constexpr char kCopyBothResponse = 'W';
inline constexpr char kCopyData = 'd';
inline constexpr char kCopyDone = 'c';
inline constexpr char kCopyInResponse = 'G';
inline constexpr char kCopyOutResponse = 'H';
inline constexpr char kDataRow = 'D';
inline constexpr char kEmptyQueryResponse = 'I';
inline constexpr char kErrorResponse = 'E';
inline constexpr char kFunctionCallResponse = 'V';
inline constexpr char kNegotiateProtocolVersion = 'v';
inline constexpr char kNoData = 'n';
inline constexpr char kNoticeResponse = 'N';
inline constexpr char kNotificationResponse = 'A';
inline constexpr char kParameterDescription = 't';
inline constexpr char kParameterStatus = 'S';
inline constexpr char kParseComplete = '1';
inline constexpr char kPortalSuspended = 's';
inline constexpr char kReadyForQuery = 'Z';
inline constexpr char kRowDescription = 'T';
}  // namespace be

namespace detail {
constexpr std::array<bool, 256> table_of(std::string_view types) {
    std::array<bool, 256> t{};
    for (const char c : types) t[static_cast<unsigned char>(c)] = true;
    return t;
}
inline constexpr auto kClientTypes = table_of("BCDEFHPQSXcdfp");
inline constexpr auto kServerTypes = table_of("123ACDEGHIKNRSTVWZcdnstv");
}  // namespace detail

/// True for the types a client may send after start-up.
inline bool is_client_message(char type) noexcept {
    return detail::kClientTypes[static_cast<unsigned char>(type)];
}
/// True for the types a server may send after it has accepted the login.
inline bool is_server_message(char type) noexcept {
    return detail::kServerTypes[static_cast<unsigned char>(type)];
}

/// Transaction status byte of ReadyForQuery.
enum class TxStatus : char { idle = 'I', in_transaction = 'T', failed = 'E' };

}  // namespace pgweir::wire
