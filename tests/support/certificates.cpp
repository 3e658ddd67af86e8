// See certificates.hpp.
#include "support/certificates.hpp"

#include <stdexcept>

namespace pgweir::testing {

namespace {

void shell(const std::string& command) {
    const auto r = run({"sh", "-c", command});
    if (r.status != 0) throw std::runtime_error(command + ": " + r.err);
}

}  // namespace

Certificates::Certificates() {
    for (const char* ca : {"ca", "foreign"})
        shell("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=" + std::string(ca) +
              " -keyout " + d + ca + ".key -out " + d + ca + ".pem");
    for (const auto& [name, ca] :
         {std::pair("server", "ca"), {"app", "ca"}, {"other", "ca"}, {"fake", "foreign"}})
        make(name, ca);
    shell("chmod 755 " + dir.path());
}

void Certificates::make(const std::string& name, const std::string& ca) const {
    const auto n = d + name;
    write_file(n + ".ext", "subjectAltName=DNS:localhost,IP:127.0.0.1\n");
    shell("openssl req -newkey rsa:2048 -nodes -subj /CN=" + name + " -keyout " + n + ".key -out " +
          n + ".csr");
    shell("openssl x509 -req -days 2 -in " + n + ".csr -CA " + d + ca + ".pem -CAkey " + d + ca +
          ".key -CAcreateserial -extfile " + n + ".ext -out " + n + ".pem");
    shell("chmod 600 " + n + ".key");
}

void Certificates::revoke(const std::string& name) const {
    write_file(d + "ca.conf", "[ca]\ndefault_ca=d\n[d]\ndatabase=" + d +
                                  "index\ndefault_md=sha256\ndefault_crl_days=2\n");
    const auto ca =
        "openssl ca -config " + d + "ca.conf -cert " + d + "ca.pem -keyfile " + d + "ca.key ";
    shell("touch " + d + "index");
    if (!name.empty()) shell(ca + "-revoke " + d + name + ".pem");
    shell(ca + "-gencrl -out " + d + "crl.pem");
}

void Certificates::give_key_to_postgres(const std::string& name) const {
    shell("if [ $(id -u) = 0 ]; then chown postgres " + d + name + ".key; fi");
}

std::string Certificates::listen(const std::string& mode) const {
    return "{host: 127.0.0.1, port: {port}, tls: {mode: " + mode + ", cert_file: " + d +
           "server.pem, key_file: " + d + "server.key, ca_file: " + d + "ca.pem}}";
}

std::string Certificates::as(const std::string& name) const {
    return "sslmode=require sslcert=" + d + name + ".pem sslkey=" + d + name + ".key ";
}

std::string Certificates::nobody() const {
    return "sslmode=require sslcert=" + d + "none sslkey=" + d + "none ";
}

}  // namespace pgweir::testing
