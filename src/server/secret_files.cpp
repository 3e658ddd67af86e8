// See secret_files.hpp.
#include "secret_files.hpp"

#include <sys/stat.h>

namespace pgweir::server {

namespace {

void add(std::string& stamp, const std::string& path) {
    if (path.empty()) return;
    struct stat s {};
    const bool there = stat(path.c_str(), &s) == 0;
    stamp += path + '\0';
    if (!there) return;
    for (const auto part :
         {static_cast<long long>(s.st_ino), static_cast<long long>(s.st_size),
          static_cast<long long>(s.st_mtim.tv_sec), static_cast<long long>(s.st_mtim.tv_nsec)})
        stamp += std::to_string(part) + ' ';
}

}  // namespace

std::string secret_files_stamp(const config::Config& config) {
    std::string stamp;
    const auto& tls = config.listen.tls;
    for (const auto* path : {&config.auth.users_file, &tls.cert_file, &tls.key_file, &tls.ca_file,
                             &tls.crl_file, &config.control.password_file,
                             &config.auth.query_login.password_file, &config.http.token_file})
        add(stamp, *path);
    for (const auto& d : config.databases)
        for (const auto* path : {&d.login.password_file, &d.control.password_file, &d.tls.ca_file,
                                 &d.tls.crl_file, &d.tls.cert_file, &d.tls.key_file})
            add(stamp, *path);
    return stamp;
}

std::string config_file_stamp(const config::Config& config) {
    std::string stamp;
    add(stamp, config.file);
    return stamp;
}

}  // namespace pgweir::server
