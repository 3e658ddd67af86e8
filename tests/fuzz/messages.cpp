// Frames of both directions, cut anywhere, and the bodies that are looked into.
#include "batch_plan.hpp"
#include "pgweir/wire/error_fields.hpp"
#include "pgweir/wire/frame.hpp"
#include "target.hpp"

using namespace pgweir;
using fuzz::must;

FUZZ_TARGET(messages) {
    auto rest = input;
    while (!rest.empty()) {
        const auto frame = wire::scan_frame(rest, 1u << 20);
        if (frame.status != wire::FrameStatus::complete) break;
        must(frame.size <= rest.size() && frame.body.size() + wire::kHeaderSize == frame.size,
             "a whole frame is within the input");
        session::ParseView parse;
        (void)session::parse_parse(frame.body, parse);
        session::BindView bind;
        if (session::parse_bind(frame.body, bind))
            (void)session::each_parameter(bind.parameters, [&](bool, std::string_view value) {
                must(value.data() >= frame.body.data() &&
                         value.data() + value.size() <= frame.body.data() + frame.body.size(),
                     "a parameter is within its message");
                return true;
            });
        const auto fields = wire::parse_error_fields(frame.body);
        must(fields.message.size() <= frame.body.size(), "fields are within their message");
        rest.remove_prefix(static_cast<std::size_t>(frame.size));
    }
    session::BatchPlan plan;
    const auto size = plan.scan(input, 64 * 1024);
    must(size <= input.size(), "a batch is within the input");
}
