// See statement.hpp.
#include "pgweir/session/statement.hpp"
#include "pgweir/base/plants.hpp"

#include <atomic>

#include "pgweir/base/bytes.hpp"

namespace pgweir::session {

namespace {
std::atomic<std::uint64_t> g_next_id{1};
}

bool Statement::described_like(const Statement& now) const noexcept {
    const auto like = [](const auto& told, const auto& is) {
        const auto hash = told.load(std::memory_order_relaxed);
        return hash == 0 || hash == is.load(std::memory_order_relaxed);
    };
    return like(described_.types, now.described_.types) &&
           like(described_.result, now.described_.result);
}

bool Statement::comparable(const Statement& now) const noexcept {
    return (described_.types == 0 || now.described_.types != 0) &&
           (described_.result == 0 || now.described_.result != 0);
}

std::uint64_t hash_of_types(std::string_view description) noexcept {
    return base::hash64(description) | 1;
}

std::uint64_t hash_of_result(std::string_view description) noexcept {
    std::uint64_t hash = static_cast<unsigned char>(description.front());
    base::ByteReader r(description.substr(wire::kHeaderSize));
    constexpr std::size_t kColumn = 18;  // table, column, type, its size and modifier, format
    for (auto n = r.u16(); n > 0 && r.ok(); --n) {
        const auto name = r.cstring();
        const auto type = r.bytes(kColumn).substr(6, 10);
        hash = (hash + base::hash64(name)) * 31 + base::hash64(type);
    }
    return hash | 1;
}

std::string Statement::raw_types() const {
    std::string raw;
    for (const auto t : types) base::append_u32(raw, t);
    return raw;
}

bool Statement::has_types(std::string_view raw) const noexcept {
    if (types.size() * 4 != raw.size()) return false;
    for (std::size_t i = 0; i < types.size(); ++i)
        if (types[i] != base::load_u32(raw.data() + 4 * i)) return false;
    return true;
}

StatementPtr StatementTable::make(std::string_view text, std::string_view raw_types,
                                  std::uint64_t definitions, std::uint64_t profile_id,
                                  std::shared_ptr<Statement> spare) {
    auto s = spare ? std::move(spare) : std::make_shared<Statement>();
    s->definitions = definitions;
    s->profile = profile_id;
    s->unseen = false;
    s->id = g_next_id.fetch_add(1, std::memory_order_relaxed);
    s->text = text;
    s->types.clear();
    for (std::size_t i = 0; i + 4 <= raw_types.size(); i += 4)
        s->types.push_back(base::load_u32(raw_types.data() + i));
    s->forget_text();
    if (s->interned) {
        s->scan();
        s->hash();
    }
    return s;
}

std::shared_ptr<Statement> StatementTable::own(const Statement& shared) {
    auto s = std::make_shared<Statement>();
    s->id = shared.id;
    s->text = shared.text;
    s->types = shared.types;
    s->definitions = shared.definitions;
    s->profile = shared.profile;
    s->owner = shared.owner;
    if (shared.changed()) s->note_changed();
    return s;
}

StatementPtr StatementTable::make_unseen() {
    auto s = std::make_shared<Statement>();
    s->id = g_next_id.fetch_add(1, std::memory_order_relaxed);
    s->unseen = true;
    return s;
}

std::shared_ptr<Statement> StatementTable::spare(StatementPtr&& over) noexcept {
    const auto mine = std::move(over);
    if (!mine || mine.use_count() != 1 || mine->interned || mine->text.capacity() > kLongestKept)
        return nullptr;
    return std::const_pointer_cast<Statement>(mine);
}

StatementPtr StatementTable::intern(std::string_view text, std::string_view raw_types,
                                    std::uint64_t profile_id, std::uint64_t definitions,
                                    std::uint64_t owner) {
    const std::scoped_lock lock(mutex_);
    key_.clear();
    base::append_u32(key_, static_cast<std::uint32_t>(owner));
    base::append_u32(key_, static_cast<std::uint32_t>(profile_id));
    base::append_u32(key_, static_cast<std::uint32_t>(definitions));
    base::append_u32(key_, static_cast<std::uint32_t>(raw_types.size()));
    key_ += raw_types;
    key_ += text;
    const auto hash = base::hash128(key_);
    auto& slot = by_hash_[hash];
    if (auto found = slot.lock()) {
        // Equal hashes are not equal statements until every byte is.
        const bool same = found->text == text && found->has_types(raw_types) &&
                          found->profile == profile_id && found->definitions == definitions &&
                          found->owner == owner;
        return same ? found : make(text, raw_types, definitions, profile_id);
    }
    auto fresh = std::make_shared<Statement>();
    fresh->interned = true;
    fresh->owner = owner;
    auto made = make(text, raw_types, definitions, profile_id, std::move(fresh));
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
    if (statement->text.size() > kLongestKept) return;
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

namespace {
std::size_t bytes_of(std::string_view name, const Statement& statement) noexcept {
    return sizeof(Statement) + name.size() + statement.text.size() +
           statement.types.size() * sizeof(statement.types[0]);
}
}  // namespace

const StatementPtr* NamedStatements::find(std::string_view name) const noexcept {
    if (!held_) return nullptr;
    auto& found = held_->found;
    if (found != nullptr && found->first == name) return &found->second;
    const auto it = held_->map.find(name);
    if (it == held_->map.end()) return nullptr;
    found = &*it;
    return &it->second;
}

std::string_view NamedStatements::name_of(std::uint64_t statement) const noexcept {
    if (held_)
        for (const auto& [name, named] : held_->map)
            if (named->id == statement) return name;
    return {};
}

void NamedStatements::set(std::string_view name, StatementPtr statement) {
    if (!held_) held_ = std::make_unique<Held>();
    auto& [map, bytes, found] = *held_;
    if (base::planted(base::Plant::stale_statement_name)) {
        const std::string hidden = std::string(name) + " (closed)";
        if (const auto it = map.find(hidden); it != map.end()) statement = it->second;
    }
    auto& slot = map[std::string(name)];
    if (slot != nullptr) bytes -= bytes_of(name, *slot);
    bytes += bytes_of(name, *statement);
    slot = std::move(statement);
}

bool NamedStatements::erase(std::string_view name) {
    if (!held_) return false;
    auto& [map, bytes, found] = *held_;
    const auto it = map.find(name);
    if (it == map.end()) return false;
    found = nullptr;
    bytes -= bytes_of(name, *it->second);
    if (base::planted(base::Plant::stale_statement_name))
        map.insert_or_assign(std::string(name) + " (closed)", it->second);
    map.erase(map.find(name));
    if (map.empty()) held_.reset();
    return true;
}

}  // namespace pgweir::session
