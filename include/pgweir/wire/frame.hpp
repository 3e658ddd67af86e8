// Finds frames in a run of bytes: one type byte, a length of four bytes that counts itself, a body.
// Looks only at the five header bytes, so framing costs the same for any body and an absurd length
// is refused before anything is allocated for it. Thread: pure. Source: manual, "Overview of
// Messages".
#pragma once

#include <cstdint>
#include <string_view>

#include "pgweir/base/bytes.hpp"

namespace pgweir::wire {

inline constexpr std::size_t kHeaderSize = 5;
/// PostgreSQL's own limit of one message (MaxAllocSize): no honest peer exceeds it.
inline constexpr std::uint32_t kMaxMessage = 0x3fffffff;

enum class FrameStatus : std::uint8_t { complete, partial, header_incomplete, bad_length };

struct Frame {
    FrameStatus status = FrameStatus::header_incomplete;
    char type = 0;
    /// Type byte, length and body; 64 bits, so that no sum of it with an offset can wrap.
    std::uint64_t size = 0;
    /// The body as far as it has arrived.
    std::string_view body;
};

/// The frame at the start of `bytes`.
inline Frame scan_frame(std::string_view bytes, std::uint32_t max_message = kMaxMessage) noexcept {
    Frame f;
    if (bytes.size() < kHeaderSize) {
        if (!bytes.empty()) f.type = bytes[0];
        return f;
    }
    f.type = bytes[0];
    const std::uint32_t length = base::load_u32(bytes.data() + 1);
    if (length < 4 || length > max_message) {
        f.status = FrameStatus::bad_length;
        return f;
    }
    f.size = std::uint64_t{length} + 1;
    const bool whole = bytes.size() >= f.size;
    f.status = whole ? FrameStatus::complete : FrameStatus::partial;
    f.body = bytes.substr(kHeaderSize, whole ? f.size - kHeaderSize : bytes.size() - kHeaderSize);
    return f;
}

}  // namespace pgweir::wire
