// Files that decide who may come in. They are the operator's, and a mistake in them must be an
// error: never less strict than what was written, never a crash.
#include <netinet/in.h>

#include <algorithm>

#include "pgweir/auth/hba.hpp"
#include "pgweir/auth/ident_map.hpp"
#include "pgweir/auth/users.hpp"
#include "target.hpp"

using namespace pgweir;
using fuzz::must;

FUZZ_TARGET(rules) {
    const auto nothing = [](const std::string&) -> base::Result<std::string> {
        return std::string("bob, \"carol\"\n");
    };
    const auto loaded = auth::HbaRules::parse(input, "hba", nothing);
    must((loaded.rules == nullptr) == !loaded.errors.empty(), "rules, or errors");
    if (loaded.rules) {
        sockaddr_in peer{};
        peer.sin_family = AF_INET;
        peer.sin_addr.s_addr = htonl(0x0a000001);
        for (const bool tls : {false, true})
            for (const auto* address : {reinterpret_cast<const sockaddr*>(&peer),
                                        static_cast<const sockaddr*>(nullptr)}) {
                const auto* rule = loaded.rules->find({address, tls, "app", "bob"});
                if (rule == nullptr) continue;
                must((address == nullptr) == (rule->kind == auth::HbaKind::local),
                     "a rule is for its own kind of connection");
                must(tls || rule->kind != auth::HbaKind::hostssl, "hostssl is for TLS");
                must(tls || rule->method != auth::HbaMethod::cert, "cert is for TLS");
            }
    }
    const auto idents = auth::IdentMap::parse(input.substr(0, 2000), "ident");
    must((idents.map == nullptr) == !idents.errors.empty(), "maps, or errors");
    if (idents.map) {
        (void)idents.map->allows("m", "some.body@example.com", "somebody");
        (void)idents.map->allows("m", std::string(256, 'a'), "somebody");
    }
    // Plain passwords cost a derivation each (milliseconds): two are enough.
    if (input.starts_with('"') && std::count(input.begin(), input.end(), '"') <= 8)
        (void)auth::UserStore::parse(input, "users.txt");
}
