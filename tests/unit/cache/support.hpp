// What the cache's tests share: a database with a catalog in force, server messages, and filling in
// one call. Thread: as the objects used.
#pragma once

#include <string>
#include <string_view>

#include "pgweir/base/bytes.hpp"
#include "pgweir/base/hash.hpp"
#include "pgweir/cache/fill.hpp"
#include "pgweir/cache/key.hpp"
#include "pgweir/wire/messages.hpp"
#include "pgweir/wire/writer.hpp"

namespace pgweir::cache::testing {

/// Where a test's keys are no keys of requests.
inline base::Hash128 hash_key(std::string_view key) { return base::hash128(key); }

inline query::CatalogPtr catalog(std::uint64_t version) {
    auto c = std::make_shared<query::Catalog>();
    c->read_committed = true;
    c->version = version;
    return c;
}

/// A registry with one database whose catalog has version 1.
struct World {
    Registry registry;
    DatabaseState& db = registry.database("127.0.0.1:5432", "app");
    World() { db.set_catalog(catalog(1)); }

    std::optional<Snapshot> capture(std::initializer_list<query::Oid> relations) {
        return Snapshot::capture(db, std::span(relations.begin(), relations.size()), 1);
    }
};

inline std::string row(std::string_view value) {
    std::string out;
    const std::string_view values[] = {value};
    wire::write_data_row(out, values);
    return out;
}

inline std::string description() {
    std::string out;
    const wire::Column columns[] = {{"v", wire::kOidText}};
    wire::write_row_description(out, columns);
    return out;
}

inline std::string tag(std::string_view text) {
    std::string out;
    wire::write_command_complete(out, text);
    return out;
}

inline std::string ready(wire::TxStatus status = wire::TxStatus::idle) {
    std::string out;
    wire::write_ready(out, status);
    return out;
}

inline std::string message(char type, std::string_view body = {}) {
    std::string out;
    wire::write_message(out, type, body);
    return out;
}

/// The answer to a simple Query that gives one text.
inline std::string answer(std::string_view value) {
    return description() + row(value) + tag("SELECT 1") + ready();
}

/// The value in an entry made from answer().
inline std::string value_of(const Entry& entry) {
    base::ByteReader r(entry.data().substr(5));
    r.u16();
    return std::string(r.bytes(r.u32()));
}

inline Fill begin_fill(ResultCache& cache, DatabaseState& db, std::string_view key,
                       Snapshot snapshot, base::Nanos sent = 0, base::Nanos ttl = kNever) {
    FillOptions options;
    options.sent = sent;
    options.ttl = ttl;
    return Fill(cache, db, std::string(key), hash_key(key), std::move(snapshot), options);
}

/// What a model of writers and readers saw.
struct Outcome {
    int wrong = 0;
    int hits = 0;

    /// True: there is an entry, which is a hit, and wrong unless it holds `expected`.
    bool look_up(ResultCache& cache, DatabaseState& db, const std::string& key,
                 const std::string& expected) {
        const auto entry = cache.lookup(db, hash_key(key), key, 0);
        if (!entry) return false;
        ++hits;
        wrong += value_of(*entry) != expected;
        return true;
    }
};

/// Model(seed, mutant).run(steps) for each of so many seeds.
template <typename Model, typename Mutant>
Outcome run_all(Mutant mutant, int seeds, int steps = 3000) {
    Outcome all;
    for (int seed = 0; seed < seeds; ++seed) {
        const auto one = Model(static_cast<std::uint64_t>(seed), mutant).run(steps);
        all.wrong += one.wrong;
        all.hits += one.hits;
        if (all.wrong > 0) break;  // it is caught
    }
    return all;
}

}  // namespace pgweir::cache::testing
