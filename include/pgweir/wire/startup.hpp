// The packets without a type byte that open a connection: SSLRequest, GSSENCRequest, CancelRequest,
// StartupMessage (manual, "Message Flow: Start-up"). Everything here comes from a stranger.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pgweir/base/result.hpp"

namespace pgweir::wire {

/// PostgreSQL's own limit (MAX_STARTUP_PACKET_LENGTH).
inline constexpr std::uint32_t kMaxStartupPacket = 10000;
inline constexpr std::uint32_t kProtocol30 = 196608;
inline constexpr std::uint32_t kProtocol32 = 196610;
inline constexpr std::uint32_t kSslRequestCode = 80877103;
inline constexpr std::uint32_t kGssEncRequestCode = 80877104;
inline constexpr std::uint32_t kCancelRequestCode = 80877102;

enum class StartupKind : std::uint8_t {
    need_more,  // not all of the packet is here
    ssl_request,
    gssenc_request,
    cancel,
    startup,
    bad_length,   // close without a word, as PostgreSQL does
    bad_version,  // a major version that is not 3: FATAL 0A000
    malformed,    // FATAL 08P01
};

struct StartupPacket {
    StartupKind kind = StartupKind::need_more;
    std::uint32_t size = 0;     // bytes of the packet, when complete
    std::uint32_t version = 0;  // as sent: major << 16 | minor
    std::uint32_t cancel_pid = 0;
    std::string_view cancel_key;  // into the bytes given
    /// Name and value in the order sent, views into the bytes given; _pq_. options included.
    std::vector<std::pair<std::string_view, std::string_view>> parameters;
};

StartupPacket parse_startup(std::string_view bytes);

/// Splits the value of `options` as PostgreSQL's command line does: `-c k=v`, `-ck=v`, `--k=v`,
/// backslash escapes the next byte. Gives name-value pairs, or what cannot be a setting.
base::Result<std::vector<std::pair<std::string, std::string>>> parse_options(
    std::string_view options);

}  // namespace pgweir::wire
