// See rows_of.hpp.
#include "rows_of.hpp"

#include <algorithm>
#include <limits>

#include "lexer.hpp"
#include "pgweir/base/plants.hpp"

namespace pgweir::query {

namespace {

bool fixes(const pgw_key& key) noexcept {
    return key.kind == PGW_KEY_PARAMETER || key.kind == PGW_KEY_LITERAL;
}

bool names_column(const pgw_key& key, const IdentityColumn& column) noexcept {
    return key.position != 0 ? key.position == column.position : column.name == key.column;
}

/// Only a plain table's rows are what its name says: no views, partitions, parents and children.
bool plain(const Relation& r) noexcept {
    return r.kind == 'r' && r.persistence == 'p' && !r.inherits && !r.system && !r.has_rules &&
           !r.identity.empty();
}

/// Triggers, or a default, a check or the like that names it, may write other rows of it.
bool writes_itself(const Relation& r) noexcept {
    return r.has_triggers ||
           std::find(r.writes_also.begin(), r.writes_also.end(), r.oid) != r.writes_also.end();
}

}  // namespace

std::optional<std::uint16_t> RowsOf::literal_at(int place) {
    if (!looked_) {
        looked_ = true;
        Lexer lexer(text_);
        for (auto token = lexer.next(); token.kind != TokenKind::end; token = lexer.next()) {
            if (token.kind == TokenKind::bad) break;
            if (token.kind == TokenKind::literal)
                literals_.push_back(static_cast<int>(token.text.data() - text_.data()));
        }
    }
    const auto at = std::lower_bound(literals_.begin(), literals_.end(), place);
    if (at == literals_.end() || *at != place) return std::nullopt;
    const auto number = at - literals_.begin();
    if (number > std::numeric_limits<std::uint16_t>::max()) return std::nullopt;
    return static_cast<std::uint16_t>(number);
}

std::optional<KeySource> RowsOf::source(const pgw_key& key, KeyType type, const Names& names) {
    const std::string_view cast = key.cast;
    if (!cast.empty() && (cast_type(cast) != type || names.shadowed_type(cast)))
        return std::nullopt;
    if (key.kind == PGW_KEY_PARAMETER) {
        const auto number = static_cast<std::uint16_t>(key.number);
        return KeySource{true, static_cast<std::uint16_t>(number - 1), uses_[number] == 1};
    }
    const auto number = literal_at(key.number);
    if (!number) return std::nullopt;
    return KeySource{false, *number, true};
}

/// All of the group; empty when one of them is not understood, whichever it is.
std::vector<KeySource> RowsOf::values(const IdentityColumn& column, unsigned group, Keys keys,
                                      const Names& names) {
    std::vector<KeySource> all;
    for (const auto* k = keys.first; k != keys.last; ++k) {
        if (!fixes(*k) || k->group != group || !names_column(*k, column)) continue;
        const auto found = source(*k, column.type, names);
        if (!found) return {};
        all.push_back(*found);
    }
    return all;
}

/// `row` 0: of any group.
std::optional<RowKey> RowsOf::key(const Relation& relation, Keys keys, unsigned row,
                                  const Names& names) {
    RowKey found{relation.oid, {}};
    for (const auto& column : relation.identity) {
        for (const auto* k = keys.first; k != keys.last; ++k) {
            if (!fixes(*k) || (row != 0 && k->group != row) || !names_column(*k, column)) continue;
            auto all = values(column, k->group, keys, names);
            if (all.empty()) continue;
            found.columns.push_back({column.number, column.type, std::move(all)});
            break;
        }
    }
    if (found.columns.empty()) return std::nullopt;
    return found;
}

std::optional<RowKey> RowsOf::read(const Relation& relation, const pgw_fact& fact,
                                   const Names& names) {
    if (text_.empty() || fact.keys == 0 || !plain(relation)) return std::nullopt;
    return key(relation, keys_of(fact), 0, names);
}

std::vector<RowKey> RowsOf::written(const Relation& relation, const pgw_fact& fact,
                                    const Names& names) {
    if (text_.empty() || fact.keys == 0 || !plain(relation) || writes_itself(relation)) return {};
    // Reads demand this of all they compare by; a write has to be asked.
    if (!names.operation("", "=").constant) return {};
    const auto keys = keys_of(fact);
    std::size_t conflicts = 0;
    for (const auto* k = keys.first; k != keys.last; ++k) {
        const bool identity =
            std::any_of(relation.identity.begin(), relation.identity.end(),
                        [&](const IdentityColumn& c) { return c.name == k->column; });
        if (k->kind == PGW_KEY_CHANGED && identity &&
            !base::planted(base::Plant::key_change_unseen))
            return {};
        if (k->kind != PGW_KEY_CONFLICT) continue;
        if (!identity || !relation.conflicts_by_identity) return {};
        ++conflicts;
    }
    // A column named twice would make this one too many, which is careful.
    if (conflicts != 0 && conflicts != relation.identity.size()) return {};
    std::vector<RowKey> all;
    for (unsigned row = fact.rows == 0 ? 0 : 1; row <= fact.rows; ++row) {
        auto found = key(relation, keys, row, names);
        if (!found || found->columns.size() != relation.identity.size()) return {};
        all.push_back(std::move(*found));
    }
    return all;
}

}  // namespace pgweir::query
