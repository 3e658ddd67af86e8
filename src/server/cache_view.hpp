// What the console may know of the cache and do to it, over the directory's databases. Thread: any;
// the directory's mutex and those of a database's epochs are held for moments.
#pragma once

#include "pgweir/admin/cache_admin.hpp"
#include "pgweir/cache/store.hpp"
#include "pgweir/server/directory.hpp"

namespace pgweir::server {

class CacheView final : public admin::CacheAdmin {
  public:
    /// Both outlive it.
    CacheView(Directory& directory, cache::ResultCache& cache) noexcept
        : directory_(directory), cache_(cache) {}

    std::vector<admin::CacheQueryRow> queries() override;
    std::vector<admin::CacheRelationRow> relations() override;
    std::vector<admin::CacheGuaranteeRow> guarantees() override;
    std::size_t invalidate_table(std::span<const std::string> name) override;
    void invalidate_query(std::uint64_t fingerprint) override;
    void invalidate_all() override;

  private:
    struct Database {
        std::string server, dbname;
        cache::DatabaseState* state;
        bool tells_ddl;
    };
    /// A copy, so that nothing is asked of a database while the directory is locked.
    std::vector<Database> databases();

    Directory& directory_;
    cache::ResultCache& cache_;
};

}  // namespace pgweir::server
