// A batch of extended-protocol messages up to Sync or Flush, looked at before a server is asked
// for: what it is made of, and whether it has the shape the cache answers: any number of
// [Close statement] [Parse] [Describe statement] and of [Parse] Bind [Describe portal] Execute
// [Close portal], then Sync; the first alone may also end with Flush. Views into the bytes scanned.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "pgweir/cache/entry.hpp"
#include "pgweir/cache/key.hpp"
#include "pgweir/wire/frame.hpp"

namespace pgweir::session {

struct ParseView {
    std::string_view name, text, raw_types;
};
struct BindView {
    std::string_view portal, statement;
    std::string_view parameters;      // formats and values, raw, up to the result formats
    std::string_view result_formats;  // the raw codes, two bytes each
    std::size_t names_size = 0;       // bytes of both names with their NULs
};

/// Of messages that hold neither text nor data: PostgreSQL's bound (PQ_SMALL_MESSAGE_LIMIT).
inline constexpr std::uint64_t kLongestSmall = 10'000 + 1;

/// A client's frame. One that is longer than its type may be has a bad length, so that it is
/// refused when its header has come, and nobody waits for the rest.
inline wire::Frame scan_client_frame(std::string_view bytes, std::uint32_t max_message) noexcept {
    auto f = wire::scan_frame(bytes, max_message);
    if (f.size > kLongestSmall &&
        std::string_view("CDEHSXcf").find(f.type) != std::string_view::npos) [[unlikely]]
        f.status = wire::FrameStatus::bad_length;
    return f;
}

/// False when the body is not a well-formed message of its type.
bool parse_parse(std::string_view body, ParseView& out) noexcept;
bool parse_bind(std::string_view body, BindView& out) noexcept;
bool without_parameters(const BindView& bind) noexcept;
/// Calls f(is_text, value) for each parameter that is not NULL; false when f has said false.
template <class F>
bool each_parameter(std::string_view parameters, F&& f) noexcept;

/// Of what is parsed or bound in front of it.
inline constexpr std::string_view kParseAndBindComplete = cache::Entry::kLead;
inline constexpr std::string_view kParseComplete = kParseAndBindComplete.substr(0, 5);
inline constexpr std::string_view kBindComplete = kParseAndBindComplete.substr(5);

/// The parameters of a Bind in the key's parts: formats and values without their counts.
void add_bind(cache::KeyParts& parts, const BindView& bind);

/// The batch most drivers send for one query: [Parse] Bind [Describe] Execute Sync, where only the
/// statement may have a name, and only one that is not parsed here.
struct PortalUnit {
    static constexpr std::size_t kMostTypes = 16;
    /// False: `view` does not begin with one whose messages are of at most `max_message` bytes.
    bool scan(std::string_view view, std::uint32_t max_message) noexcept;
    /// As the Parse declares them, in `room`.
    std::span<const query::Oid> types(std::array<query::Oid, kMostTypes>& room) const noexcept;

    ParseView parse;
    BindView bind;
    bool parses = false, described = false;
    std::size_t size = 0;  // bytes
};

class BatchPlan {
  public:
    /// Looks at `view` up to the end of the batch; the size of the batch when whole().
    std::size_t scan(std::string_view view, std::size_t bound);

    bool need_more() const noexcept { return need_more_; }
    /// Ends with Sync and every frame is here.
    bool whole() const noexcept { return whole_; }
    /// Ends with Flush.
    bool flushed() const noexcept { return flushed_; }
    /// Has the shape the cache answers.
    bool cacheable_shape() const noexcept {
        return (whole_ || (flushed_ && binds == 0)) && good_shape_ && executes == binds &&
               binds + describes_statement > 0;
    }
    /// The same, and no statement is described or closed.
    bool runs_only() const noexcept {
        return cacheable_shape() && describes_statement + closes_statement == 0;
    }

    unsigned parses = 0, binds = 0, executes = 0, describes_statement = 0, describes_portal = 0;
    unsigned closes_statement = 0, closes_portal = 0;
    /// Of the first Parse, and what follows in its message.
    std::string_view first_text;
    /// The statement that the first Bind names, and how many parameters it brings.
    std::string_view first_bound;
    unsigned first_parameters = 0;

  private:
    enum class At : std::uint8_t { start, bound, executed };
    void look(const wire::Frame& frame);
    std::string_view portal_;  // of the last Bind
    At at_ = At::start;
    bool described_ = false;
    bool named_ = false;  // a portal with a name has not been closed
    bool need_more_ = false;
    bool whole_ = false;
    bool flushed_ = false;
    bool good_shape_ = true;
};

template <class F>
bool each_parameter(std::string_view parameters, F&& f) noexcept {
    base::ByteReader r(parameters);
    const auto formats = r.u16();
    const auto codes = r.bytes(std::size_t{formats} * 2);
    const auto count = r.u16();
    for (unsigned i = 0; i < count && r.ok(); ++i) {
        const auto length = r.i32();
        if (length < 0) continue;
        const auto value = r.bytes(static_cast<std::size_t>(length));
        const unsigned which = formats == 1 ? 0 : i;
        const bool text =
            formats == 0 || base::load_u16(codes.data() + std::size_t{2} * which) == 0;
        if (r.ok() && !f(text, value)) return false;
    }
    return r.ok();
}

}  // namespace pgweir::session
