// A client that proves itself: passwords and SASL messages by strangers. None is ever accepted.
#include "pgweir/auth/client_login.hpp"

#include "pgweir/auth/http_token.hpp"
#include "target.hpp"

using namespace pgweir;
using fuzz::must;
using Status = auth::ClientLoginStatus;

FUZZ_TARGET(client_login) {
    static const auto users =
        *auth::UserStore::parse("\"joe\" \"a long and secret password\"\n", "users.txt");
    fuzz::Pieces pieces(input);
    const auto choice = pieces.byte();
    const auth::ClientMethod methods[] = {
        auth::ClientMethod::md5, auth::ClientMethod::scram_sha_256, auth::ClientMethod::forward};
    auth::ClientLogin login;
    login.start({methods[choice % 3], (choice & 4) != 0 ? "joe" : "ghost", users,
                 (choice & 8) != 0 ? std::string(32, 'h') : std::string()});
    while (!pieces.done() && login.status() == Status::need_more) {
        const auto type = pieces.byte();
        login.feed((type & 7) == 7 ? static_cast<char>(type) : 'p', pieces.piece());
    }
    must(login.status() != Status::accepted, "nobody gets in without the password");
    if (login.status() == Status::rejected)
        must(login.failure().sqlstate.size() == 5 && !login.failure().message.empty(),
             "a refusal has a code and words");
    must(!auth::shows_token(input, "a long and secret token"), "no token is guessed");
}
