// What a stranger sends first: PROXY header, opening packets, the options string.
#include "pgweir/wire/startup.hpp"

#include "pgweir/wire/proxy_header.hpp"
#include "target.hpp"

using namespace pgweir;
using fuzz::must;

FUZZ_TARGET(startup) {
    const auto header = wire::parse_proxy_header(input);
    must(header.size <= input.size() && header.size <= wire::kMaxProxyHeader,
         "header within input");
    const auto packet = wire::parse_startup(input);
    must(packet.size <= input.size(), "packet within input");
    using Kind = wire::StartupKind;
    if (packet.kind == Kind::need_more) return;
    // What was said of the whole is not taken back when more comes, nor said earlier.
    const auto again = wire::parse_startup(std::string(input) + "more");
    must(again.kind == packet.kind && again.size == packet.size, "the rest does not matter");
    if (packet.size > 0)
        must(wire::parse_startup(input.substr(0, packet.size - 1)).kind == Kind::need_more,
             "a cut packet is waited for");
    for (const auto& [name, value] : packet.parameters) {
        must(!name.empty() && name.find('\0') == name.npos && value.find('\0') == value.npos,
             "names and values are strings");
        if (name == "options") (void)wire::parse_options(value);
    }
    (void)wire::parse_options(input);
}
