// What the console shows of the result cache and does to it: rows as plain values, and the three
// ways to invalidate by hand. Thread: any; the functions lock for moments.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pgweir/base/clock.hpp"

namespace pgweir::admin {

struct CacheQueryRow {
    std::uint64_t fingerprint = 0;
    std::string database;
    std::string_view cached;  // static: yes, sample (it does not pay), no
    std::string_view reason;  // static: query::name of why the latest one passed the cache by
    std::uint64_t hits = 0;
    std::uint64_t fills = 0;   // answers collected
    std::uint64_t stored = 0;  // of them
    std::uint64_t passed = 0;  // executions the cache had no part in
    base::Nanos saved = 0;     // of the server's time
    base::Nanos spent = 0;     // on collecting, estimated
};

struct CacheRelationRow {
    std::string database;
    std::string relation;          // schema.name, or its OID where the catalog does not know it
    std::uint64_t epoch = 0;       // grows with every change
    std::uint32_t fences = 0;      // commits in flight
    std::uint64_t changed_by = 0;  // the session, or 0: by hand
    base::Nanos changed = 0;       // monotonic; 0: never
};

/// How writes that do not pass through the proxy come to be known.
enum class WritesTold : std::uint8_t { no, by_notices, of_publication, of_all };

struct CacheGuaranteeRow {
    std::string database;
    std::string server;
    std::string_view guarantee;  // static: off, ttl, in_band, bounded, strict
    WritesTold writes = WritesTold::no;
    bool tells_ddl = false;  // schema changes elsewhere are told, not polled for
    std::string reason;
};

class CacheAdmin {
  public:
    static constexpr std::size_t kMostRelations = 1000;

    virtual std::vector<CacheQueryRow> queries() = 0;
    /// Those written to lately first, and at most kMostRelations.
    virtual std::vector<CacheRelationRow> relations() = 0;
    virtual std::vector<CacheGuaranteeRow> guarantees() = 0;

    /// `name` is [[database.]schema.]table. How many relations it names: an entry that depends on
    /// any of them is not given any more, nor is what is being collected stored.
    virtual std::size_t invalidate_table(std::span<const std::string> name) = 0;
    /// The same for all answers to a query; others may go, too.
    virtual void invalidate_query(std::uint64_t fingerprint) = 0;
    virtual void invalidate_all() = 0;

  protected:
    ~CacheAdmin() = default;
};

}  // namespace pgweir::admin
