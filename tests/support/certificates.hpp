// Certificates for tests, made by openssl in a directory that goes with the object: an authority
// (ca), with server, app and other by it; and a foreign one (foreign), with fake by that.
// All are made out to localhost and 127.0.0.1. Thread: one.
#pragma once

#include <string>

#include "support/process.hpp"

namespace pgweir::testing {

struct Certificates {
    Certificates();
    /// Certificate `name`.pem and key `name`.key, made out by `ca`.
    void make(const std::string& name, const std::string& ca) const;
    /// crl.pem: the list by `ca` of what it has revoked so far, with `name` added if there is one.
    void revoke(const std::string& name = {}) const;
    /// A test that runs as root runs its PostgreSQL as another user, who has to read the key.
    void give_key_to_postgres(const std::string& name) const;
    /// Flow text for the section `listen`.
    std::string listen(const std::string& mode) const;
    /// Connection parameters of a client with, or without, a certificate.
    std::string as(const std::string& name) const;
    std::string nobody() const;

    TempDir dir{"pgweir-certificates"};
    std::string d = dir.path() + "/";
};

}  // namespace pgweir::testing
