// Parsers of the opening packets. See startup.hpp.
#include "pgweir/wire/startup.hpp"

#include "pgweir/base/bytes.hpp"

namespace pgweir::wire {

namespace {

bool parse_parameters(std::string_view body, StartupPacket& packet) {
    base::ByteReader r(body);
    while (true) {
        const auto name = r.cstring();
        if (!r.ok()) return false;
        if (name.empty()) return r.rest().empty();
        const auto value = r.cstring();
        if (!r.ok()) return false;
        packet.parameters.emplace_back(name, value);
    }
}

void parse_cancel(std::string_view body, StartupPacket& packet) {
    base::ByteReader r(body);
    packet.cancel_pid = r.u32();
    packet.cancel_key = r.rest();
    const bool fits = r.ok() && packet.cancel_key.size() >= 4 && packet.cancel_key.size() <= 256;
    packet.kind = fits ? StartupKind::cancel : StartupKind::bad_length;
}

}  // namespace

StartupPacket parse_startup(std::string_view bytes) {
    StartupPacket packet;
    if (bytes.size() < 4) return packet;
    const std::uint32_t length = base::load_u32(bytes.data());
    if (length < 8 || length > kMaxStartupPacket) {
        packet.kind = StartupKind::bad_length;
        return packet;
    }
    if (bytes.size() < length) return packet;
    packet.size = length;
    packet.version = base::load_u32(bytes.data() + 4);
    const auto body = bytes.substr(8, length - 8);
    switch (packet.version) {
        case kSslRequestCode: packet.kind = StartupKind::ssl_request; return packet;
        case kGssEncRequestCode: packet.kind = StartupKind::gssenc_request; return packet;
        case kCancelRequestCode: parse_cancel(body, packet); return packet;
        default: break;
    }
    if (packet.version >> 16 != 3) {
        packet.kind = StartupKind::bad_version;
        return packet;
    }
    packet.kind = parse_parameters(body, packet) ? StartupKind::startup : StartupKind::malformed;
    return packet;
}

namespace {

/// One word of the options string, with backslash escapes undone; false at its end.
bool next_word(std::string_view& rest, std::string& word) {
    constexpr std::string_view kSpace = " \t\n\r\v\f";
    const auto start = rest.find_first_not_of(kSpace);
    if (start == std::string_view::npos) return false;
    rest.remove_prefix(start);
    word.clear();
    while (!rest.empty() && kSpace.find(rest[0]) == std::string_view::npos) {
        if (rest[0] == '\\' && rest.size() > 1) rest.remove_prefix(1);
        word.push_back(rest[0]);
        rest.remove_prefix(1);
    }
    return true;
}

}  // namespace

base::Result<std::vector<std::pair<std::string, std::string>>> parse_options(
    std::string_view options) {
    std::vector<std::pair<std::string, std::string>> settings;
    std::string word;
    while (next_word(options, word)) {
        std::string setting;
        if (word == "-c") {
            if (!next_word(options, setting)) return base::Error{"-c requires a value"};
        } else if (word.starts_with("-c") || word.starts_with("--")) {
            setting = word.substr(2);
        } else {
            return base::Error{"invalid command-line argument for server process: " + word};
        }
        const auto equals = setting.find('=');
        if (equals == std::string::npos || equals == 0)
            return base::Error{word.starts_with("--") ? "--" + setting + " requires a value"
                                                      : "-c " + setting + " requires a value"};
        std::string name = setting.substr(0, equals);
        for (auto& c : name)
            if (c == '-') c = '_';
        settings.emplace_back(std::move(name), setting.substr(equals + 1));
    }
    return settings;
}

}  // namespace pgweir::wire
