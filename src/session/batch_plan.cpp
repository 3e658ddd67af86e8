// See batch_plan.hpp.
#include "batch_plan.hpp"

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

std::size_t BatchPlan::scan(std::string_view view, std::size_t bound) {
    std::size_t at = 0;
    while (true) {
        const auto frame = wire::scan_frame(view.substr(at));
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
            case fe::kFlush: return at;
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
            if (++parses > 1 || binds > 0 || !parse_parse(frame.body, parse)) good_shape_ = false;
            return;
        case fe::kBind:
            if (++binds > 1 || !parse_bind(frame.body, bind)) good_shape_ = false;
            return;
        case fe::kDescribe: {
            const char kind = static_cast<char>(r.u8());
            const auto name = r.cstring();
            if (kind == 'S') {
                ++describes_statement;
                described_statement = name;
                good_shape_ = good_shape_ && binds == 0 && describes_statement == 1;
            } else {
                ++describes_portal;
                good_shape_ = good_shape_ && binds == 1 && executes == 0 && name == bind.portal &&
                              describes_portal == 1;
            }
            return;
        }
        case fe::kExecute: {
            const auto portal = r.cstring();
            max_rows = r.i32();
            ++executes;
            good_shape_ = good_shape_ && r.done() && binds == 1 && portal == bind.portal;
            return;
        }
        case fe::kClose: {
            const char kind = static_cast<char>(r.u8());
            (kind == 'S' ? closes_statement : closes_portal)++;
            good_shape_ = good_shape_ && kind == 'P' && executes == 1;
            return;
        }
        default: good_shape_ = false;
    }
}

}  // namespace pgweir::session
