// See batch_plan.hpp.
#include "batch_plan.hpp"

#include <utility>

#include "pgweir/wire/messages.hpp"

namespace pgweir::session {

namespace fe = wire::fe;
using wire::FrameStatus;

bool parse_parse(std::string_view body, ParseView& out) noexcept {
    base::ByteReader r(body);
    out.name = r.cstring();
    out.text = r.cstring();
    const auto count = r.u16();
    out.raw_types = r.bytes(std::size_t{count} * 4);
    return r.done();
}

bool parse_bind(std::string_view body, BindView& out) noexcept {
    base::ByteReader r(body);
    out.portal = r.cstring();
    out.statement = r.cstring();
    out.names_size = out.portal.size() + out.statement.size() + 2;
    const auto before = r.rest();
    const auto formats = r.u16();
    r.bytes(std::size_t{formats} * 2);
    const auto count = r.u16();
    if (formats > 1 && formats != count) return false;
    for (unsigned i = 0; i < count && r.ok(); ++i) {
        const auto length = r.i32();
        if (length < -1) return false;
        if (length > 0) r.bytes(static_cast<std::size_t>(length));
    }
    if (!r.ok()) return false;
    out.parameters = before.substr(0, before.size() - r.rest().size());
    const auto results = r.u16();
    out.result_formats = r.bytes(std::size_t{results} * 2);
    return r.done();
}

bool without_parameters(const BindView& bind) noexcept {
    base::ByteReader r(bind.parameters);
    const auto formats = r.u16();
    r.bytes(std::size_t{formats} * 2);
    return r.u16() == 0 && r.ok();
}

void add_bind(cache::KeyParts& parts, const BindView& bind) {
    base::ByteReader r(bind.parameters);
    const auto formats = r.u16();
    parts.parameter_formats = r.bytes(std::size_t{formats} * 2);
    parts.parameters = r.u16();
    parts.parameter_values = r.rest();
    parts.result_formats = bind.result_formats;
}

bool PortalUnit::scan(std::string_view view, std::uint32_t max_message) noexcept {
    // Describe of the unnamed portal, Execute of it without a limit, Sync.
    constexpr std::string_view tail("D\0\0\0\6P\0E\0\0\0\x9\0\0\0\0\0S\0\0\0\4", 22);
    constexpr auto short_tail = tail.substr(7);
    auto rest = view;
    auto frame = wire::scan_frame(rest, max_message);
    const auto next = [&] {
        rest.remove_prefix(frame.size);
        frame = wire::scan_frame(rest, max_message);
    };
    parses = frame.type == fe::kParse;
    if (parses) {
        if (frame.status != FrameStatus::complete || !parse_parse(frame.body, parse) ||
            !parse.name.empty() || parse.raw_types.size() > kMostTypes * sizeof(query::Oid))
            return false;
        next();
    }
    if (frame.type != fe::kBind || frame.status != FrameStatus::complete ||
        !parse_bind(frame.body, bind) || !bind.portal.empty() ||
        (parses && !bind.statement.empty()))
        return false;
    rest.remove_prefix(frame.size);
    described = rest.starts_with(tail);
    if (!described && !rest.starts_with(short_tail)) return false;
    size = view.size() - rest.size() + (described ? tail : short_tail).size();
    return true;
}

std::span<const query::Oid> PortalUnit::types(
    std::array<query::Oid, kMostTypes>& room) const noexcept {
    const auto count = parse.raw_types.size() / sizeof(query::Oid);
    for (std::size_t i = 0; i < count; ++i)
        room[i] = base::load_u32(parse.raw_types.data() + i * sizeof(query::Oid));
    return {room.data(), count};
}

std::size_t BatchPlan::scan(std::string_view view, std::size_t bound) {
    std::size_t at = 0;
    while (true) {
        const auto frame = scan_client_frame(view.substr(at), wire::kMaxMessage);
        if (frame.status == FrameStatus::bad_length) return at;
        const bool known = frame.status != FrameStatus::header_incomplete;
        if (frame.status != FrameStatus::complete) {
            const auto total = at + (known ? frame.size : 0);
            need_more_ = total <= bound;
            return at;
        }
        at += frame.size;
        switch (frame.type) {
            case fe::kSync: whole_ = true; return at;
            case fe::kFlush: flushed_ = true; return at;
            case fe::kQuery:
            case fe::kFunctionCall:
            case fe::kCopyData:
            case fe::kCopyDone:
            case fe::kCopyFail:
            case fe::kTerminate: return at;
            default: look(frame);
        }
        if (at > bound) return at;
    }
}

void BatchPlan::look(const wire::Frame& frame) {
    base::ByteReader r(frame.body);
    switch (frame.type) {
        case fe::kParse:
            if (++parses == 1) {
                r.cstring();
                first_text = r.rest();
            }
            if (at_ == At::bound) good_shape_ = false;
            return;
        case fe::kBind:
            ++binds;
            if (at_ == At::bound) good_shape_ = false;
            at_ = At::bound;
            described_ = false;
            portal_ = r.cstring();
            if (binds == 1) {
                first_bound = r.cstring();
                r.bytes(std::size_t{r.u16()} * 2);
                first_parameters = r.u16();
            }
            // Another under a name that is taken is an error only the server words.
            if (!portal_.empty() && std::exchange(named_, true)) good_shape_ = false;
            return;
        case fe::kDescribe: {
            const char kind = static_cast<char>(r.u8());
            if (kind == 'S') {
                ++describes_statement;
                if (at_ == At::bound) good_shape_ = false;
                return;
            }
            ++describes_portal;
            if (at_ != At::bound || described_ || r.cstring() != portal_) good_shape_ = false;
            described_ = true;
            return;
        }
        case fe::kExecute:
            ++executes;
            if (at_ != At::bound || r.cstring() != portal_) good_shape_ = false;
            at_ = At::executed;
            return;
        case fe::kClose: {
            const char kind = static_cast<char>(r.u8());
            (kind == 'S' ? closes_statement : closes_portal)++;
            const bool fits = kind == 'S' ? at_ != At::bound : at_ == At::executed;
            if (!fits || (kind != 'S' && kind != 'P')) good_shape_ = false;
            if (kind == 'P' && !portal_.empty() && r.cstring() == portal_) named_ = false;
            return;
        }
        default: good_shape_ = false;
    }
}

}  // namespace pgweir::session
