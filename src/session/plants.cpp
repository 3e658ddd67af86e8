// Session: bugs on purpose that need code of their own; see base/plants.hpp.
#include "pgweir/base/plants.hpp"

#ifdef PGWEIR_PLANTS
#include "pgweir/cache/key.hpp"
#include "pgweir/session/session.hpp"
#include "turn.hpp"

namespace pgweir::session {

using base::Plant;

/// Uses the cache inside a transaction as it may be used outside. True: answered.
bool Session::plant_in_transaction(std::string_view text, const MemoPtr& memo) {
    const bool fills = base::planted(Plant::fill_in_transaction);
    const bool hits = base::planted(Plant::hit_in_own_transaction);
    const bool fit = tx_ == wire::TxStatus::in_transaction &&
                     memo->verdict->not_cached == query::NotCached::none;
    auto* cache = env_.result_cache();
    if (cache == nullptr || !fit || (!fills && !hits)) return false;
    const cache::KeyName name(key_parts(text, base::hash128(text)));
    const auto hash = name.hash();
    auto& database = *identity_->context.database;
    if (hits) {
        const auto entry = cache->lookup(database, hash, name, env_.now());
        if (!entry || entry->row_description().empty()) return false;
        turn_->client.view(entry->answer());
        turn_->client.copy(std::string_view("Z\0\0\0\5T", 6));
        turn_->client.flush();
        return true;
    }
    auto snapshot =
        cache::Snapshot::capture(database, std::span(memo->depends), memo->catalog_version);
    std::string key;
    name.build(key);
    if (snapshot && exchange_->fills.empty())
        exchange_->fills.emplace_back(
            *cache, database, key, hash, std::move(*snapshot),
            cache::FillOptions{
                .sent = env_.now(), .ttl = cache::kNever, .shape = query::scan_text(text).shape});
    return false;
}

}  // namespace pgweir::session
#endif
