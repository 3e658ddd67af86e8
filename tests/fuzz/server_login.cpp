// A server, or who pretends to be one, while we log in to it.
#include "pgweir/auth/server_login.hpp"

#include "pgweir/wire/error_fields.hpp"
#include "target.hpp"

using namespace pgweir;
using fuzz::must;
using Status = auth::LoginStatus;

FUZZ_TARGET(server_login) {
    fuzz::Pieces pieces(input);
    const auto choice = pieces.byte();
    auth::ServerLoginOptions o;
    o.user = "joe";
    o.database = "app";
    if ((choice & 1) != 0) o.secret.password = "canary";
    o.may_send_cleartext = (choice & 2) != 0;
    o.may_send_md5 = (choice & 4) != 0;
    if ((choice & 8) != 0) o.certificate_hash = std::string(32, 'h');
    o.channel_binding = static_cast<auth::ChannelBinding>((choice >> 4) % 3);
    o.derive_elsewhere = true;  // a stranger's count of iterations is not worked off here
    const bool clear = o.may_send_cleartext;
    const bool bound = o.channel_binding == auth::ChannelBinding::require;
    auth::ServerLogin login;
    login.start(std::move(o));
    while (!pieces.done()) {
        const auto type = static_cast<char>(pieces.byte());
        auto step = login.feed(type, pieces.piece());
        if (step.status == Status::password_needed) step = login.give_password("canary");
        if (step.status == Status::keys_needed) step = login.give_keys({});
        must(clear || step.bytes.find("canary") == std::string::npos,
             "no password leaves in clear where it must not");
    }
    if (login.status() == Status::ready) {
        must(!bound, "what is required to be bound is not let in without the server's proof");
        must(login.parameters().size() <= auth::kMaxServerParameters, "parameters are bounded");
    }
}
