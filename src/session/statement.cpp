// See statement.hpp.
#include "pgweir/session/statement.hpp"
#include "pgweir/base/plants.hpp"

#include <atomic>

#include "pgweir/base/bytes.hpp"

namespace pgweir::session {

namespace {
std::atomic<std::uint64_t> g_next_id{1};
}

StatementPtr StatementTable::make(std::string_view text, std::string_view raw_types) {
    auto s = std::make_shared<Statement>();
    s->id = g_next_id.fetch_add(1, std::memory_order_relaxed);
    s->text = text;
    for (std::size_t i = 0; i + 4 <= raw_types.size(); i += 4)
        s->types.push_back(base::load_u32(raw_types.data() + i));
    s->scan = query::scan_text(s->text);
    return s;
}

StatementPtr StatementTable::intern(std::string_view text, std::string_view raw_types,
                                    std::uint64_t profile_id, std::uint64_t schema_epoch) {
    const std::scoped_lock lock(mutex_);
    key_.clear();
    base::append_u32(key_, static_cast<std::uint32_t>(profile_id));
    base::append_u32(key_, static_cast<std::uint32_t>(schema_epoch));
    base::append_u32(key_, static_cast<std::uint32_t>(raw_types.size()));
    key_ += raw_types;
    key_ += text;
    const auto hash = base::hash128(key_);
    auto& slot = by_hash_[hash];
    if (auto found = slot.lock()) {
        // Equal hashes are not equal statements until every byte is.
        std::string types;
        for (const auto t : found->types) base::append_u32(types, t);
        return found->text == text && types == raw_types ? found : make(text, raw_types);
    }
    auto made = make(text, raw_types);
    slot = made;
    keep(made);
    if (by_hash_.size() > sweep_at_) sweep();
    return made;
}

void StatementTable::forget(std::uint64_t id) {
    const std::scoped_lock lock(mutex_);
    std::erase_if(by_hash_, [id](const auto& entry) {
        const auto s = entry.second.lock();
        return !s || s->id == id;
    });
}

void StatementTable::keep(StatementPtr statement) {
    if (kept_.size() < kKept) {
        kept_.push_back(std::move(statement));
        return;
    }
    kept_[next_kept_] = std::move(statement);
    next_kept_ = (next_kept_ + 1) % kKept;
}

void StatementTable::sweep() {
    std::erase_if(by_hash_, [](const auto& entry) { return entry.second.expired(); });
    sweep_at_ = by_hash_.size() * 2 + 4096;
}

const StatementPtr* NamedStatements::find(std::string_view name) const noexcept {
    if (!map_) return nullptr;
    const auto it = map_->find(name);
    return it == map_->end() ? nullptr : &it->second;
}

void NamedStatements::set(std::string_view name, StatementPtr statement) {
    if (!map_) map_ = std::make_unique<Map>();
    if (base::planted(base::Plant::stale_statement_name)) {
        const std::string hidden = std::string(name) + " (closed)";
        if (const auto it = map_->find(hidden); it != map_->end()) statement = it->second;
    }
    map_->insert_or_assign(std::string(name), std::move(statement));
}

bool NamedStatements::erase(std::string_view name) {
    if (!map_) return false;
    const auto it = map_->find(name);
    if (it == map_->end()) return false;
    if (base::planted(base::Plant::stale_statement_name))
        map_->insert_or_assign(std::string(name) + " (closed)", it->second);
    map_->erase(map_->find(name));
    if (map_->empty()) map_.reset();
    return true;
}

}  // namespace pgweir::session
