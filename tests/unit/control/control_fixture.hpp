// What the control layer's tests against PostgreSQL share: targets and connections to the one
// cluster.
#pragma once

#include <stdexcept>
#include <string>

#include "pgweir/control/catalog_reader.hpp"
#include "pgweir/control/connection.hpp"
#include "support/cluster.hpp"

namespace pgweir::testing {

inline control::Target target_of(const Cluster& cluster, const std::string& db = "app",
                                 const std::string& user = "postgres") {
    control::Target t;
    t.host = cluster.socket_directory();
    t.port = cluster.port();
    t.dbname = db;
    t.user = user;
    t.tls_mode = config::TlsMode::disable;
    return t;
}

/// A fresh database of the shared cluster, owned by postgres.
inline void create_database(const std::string& name) {
    Cluster::shared().connect("postgres", "postgres").run("CREATE DATABASE " + name);
}

inline query::CatalogPtr catalog_of(const std::string& db, const std::string& user = "postgres",
                                    std::uint64_t version = 1) {
    control::Connection c(target_of(Cluster::shared(), db, user), {});
    if (auto error = c.wait_connected()) throw std::runtime_error(*error);
    auto catalog = control::read_catalog(c, version);
    if (!catalog) throw std::runtime_error(catalog.error());
    return *catalog;
}

inline const query::Relation& relation_of(const query::Catalog& c, const std::string& name,
                                          const std::string& schema = "public") {
    return c.relations.at(c.schemas.find(schema)->second).find(name)->second;
}

inline const query::Function& function_of(const query::Catalog& c, const std::string& name) {
    const auto it = c.functions.find(name);
    if (it == c.functions.end() || it->second.empty()) throw std::runtime_error("no " + name);
    return it->second.front();
}

}  // namespace pgweir::testing
