// How the proxy's own connections over libpq are encrypted: as a database's entry says.
// Thread: pure.
#pragma once

#include "pgweir/control/connection.hpp"

namespace pgweir::server {

inline void set_tls(control::Target& target, const config::Database& db) {
    target.tls_mode = db.tls.mode;
    target.tls_ca_file = db.tls.ca_file;
    target.tls_crl_file = db.tls.crl_file;
    target.tls_cert_file = db.tls.cert_file;
    target.tls_key_file = db.tls.key_file;
    target.require_channel_binding =
        db.tls.channel_binding == config::ChannelBindingOption::require;
}

}  // namespace pgweir::server
