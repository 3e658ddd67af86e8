// See pgoutput.hpp.
#include "pgoutput.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "pgweir/base/bytes.hpp"

namespace pgweir::control {

namespace {

constexpr std::size_t kTimestamp = 8, kLsn = 8;

/// Where an identity's columns stand in a relation's tuples, by its own columns' order.
using Places = std::array<std::size_t, query::kMostKeyColumns>;

/// False: the stream describes one of them otherwise, or not as part of the replica identity. Then
/// an old value might not be shown.
bool find_places(const std::vector<ToldColumn>& columns, const query::Relation& relation,
                 Places& places) {
    if (relation.identity.size() > places.size()) return false;
    for (std::size_t i = 0; i < relation.identity.size(); ++i) {
        const auto& wanted = relation.identity[i];
        const auto told = std::find_if(columns.begin(), columns.end(),
                                       [&](const auto& c) { return c.name == wanted.name; });
        if (told == columns.end() || query::key_type(told->type) != wanted.type) return false;
        places[i] = told->position;
    }
    return true;
}

/// Takes one tuple off, and the identity out of it.
bool take_tuple(base::ByteReader& r, const query::Relation& relation, const Places& places,
                std::vector<query::RowValue>& out) {
    const auto& identity = relation.identity;
    out.resize(identity.size());
    std::size_t found = 0;
    const std::size_t count = r.u16();
    for (std::size_t at = 0; at < count; ++at) {
        const auto kind = static_cast<char>(r.u8());
        if (kind == 'n' || kind == 'u') continue;  // null, or a long value that is as before
        if (kind != 't') return false;
        const auto value = r.bytes(r.u32());
        if (!r.ok()) return false;
        for (std::size_t i = 0; i < identity.size(); ++i) {
            if (places[i] != at) continue;
            out[i].number = identity[i].number;
            out[i].value.clear();
            if (!query::canonical_text(identity[i].type, value, out[i].value)) return false;
            ++found;
        }
    }
    return r.ok() && found == identity.size();
}

}  // namespace

bool identities(const ToldChange& change, const query::Relation& relation,
                std::vector<std::vector<query::RowValue>>& out) {
    Places places{};
    if (relation.identity.empty() || change.columns == nullptr || change.tuples.empty() ||
        !find_places(*change.columns, relation, places))
        return false;
    base::ByteReader r(change.tuples);
    const auto take = [&](std::string_view kinds) {
        return kinds.find(static_cast<char>(r.u8())) != kinds.npos &&
               take_tuple(r, relation, places, out.emplace_back());
    };
    switch (change.operation) {
        case 'I': return take("N") && r.done();
        case 'D': return take("KO") && r.done();
        case 'U':
            // Without an old tuple the identity is as before.
            if (!change.tuples.starts_with('N') && !take("KO")) return false;
            return take("N") && r.done();
        default: return false;
    }
}

/// Relation: what its tuples look like from here on.
bool PublicationGatherer::describe(std::string_view body) {
    base::ByteReader r(body);
    const auto oid = r.u32();
    r.cstring();
    r.cstring();
    r.u8();  // which replica identity; the columns say it
    const std::size_t count = r.u16();
    std::vector<ToldColumn> columns;
    for (std::size_t at = 0; at < count && r.ok(); ++at) {
        const bool part = (r.u8() & 1) != 0;
        const auto name = r.cstring();
        const auto type = r.u32();
        r.u32();  // the type's modifier
        if (part && columns.size() <= kMaxColumnsEach)
            columns.push_back({static_cast<std::uint16_t>(at), type, std::string(name)});
    }
    // What was known of it is not so any more, whatever this is.
    if (const auto known = columns_.find(oid); known != columns_.end()) {
        column_count_ -= known->second.size();
        columns_.erase(known);
    }
    if (!r.done()) return false;
    if (columns.empty() || columns.size() > kMaxColumnsEach ||
        column_count_ + columns.size() > kMaxColumns)
        return true;
    column_count_ += columns.size();
    columns_.emplace(oid, std::move(columns));
    return true;
}

void PublicationGatherer::add(const ToldChange& change) {
    if (knows_everything() || change.relation == last_) return;
    const auto before = states().size();
    const auto found = resolve_(change, states());
    if (found == Found::nothing || too_many()) return everything();
    if (found == Found::relation) last_ = change.relation;
    settle(before);
}

bool PublicationGatherer::change(char operation, std::string_view body) {
    base::ByteReader r(body);
    ToldChange c{r.u32(), operation, {}, nullptr};
    if (!r.ok() || c.relation == 0) return false;
    if (tells_rows()) {
        c.tuples = r.rest();
        if (const auto known = columns_.find(c.relation); known != columns_.end())
            c.columns = &known->second;
    }
    add(c);
    return true;
}

bool PublicationGatherer::truncate(std::string_view body) {
    base::ByteReader r(body);
    const std::size_t count = r.u32();
    r.u8();  // CASCADE, RESTART IDENTITY: all it led to is listed
    if (!r.ok() || r.rest().size() != count * 4) return false;
    while (!r.done() && !knows_everything()) {
        const auto relation = r.u32();
        if (relation == 0) return false;
        add({relation, 'T', {}, nullptr});
    }
    return true;
}

/// pg_logical_emit_message: what sql/watch_ddl.sql has a transaction say that changes the catalog.
Gatherer::Result PublicationGatherer::message(std::string_view body) {
    base::ByteReader r(body);
    const bool transactional = (r.u8() & 1) != 0;
    r.bytes(kLsn);
    const auto prefix = r.cstring();
    const auto content = r.bytes(r.u32());
    if (!r.done()) {
        if (inside()) everything();
        return inside() ? Result::more : Result::malformed;
    }
    if (!transactional || prefix != "pgweir_ddl") return Result::more;
    cache::FullXid xid = 0;
    const auto [end, error] = std::from_chars(content.data(), content.data() + content.size(), xid);
    if (error != std::errc{} || end != content.data() + content.size()) xid = 0;
    return define(xid);
}

Gatherer::Result PublicationGatherer::take(std::string_view message_bytes) {
    base::ByteReader r(message_bytes);
    const auto type = static_cast<char>(r.u8());
    const auto body = r.rest();
    bool understood = false;
    switch (type) {
        case 'B': {
            r.bytes(kLsn + kTimestamp);
            const auto xid = r.u32();
            return r.done() ? begin(xid) : Result::malformed;
        }
        case 'C':
            r.u8();
            r.bytes(2 * kLsn + kTimestamp);
            return r.done() ? commit() : Result::malformed;
        case 'M': return message(body);
        case 'O':
        case 'Y': return Result::more;  // where it came from; a type that is not built in
        case 'R':
            understood = describe(body);
            if (understood) return Result::more;
            break;
        case 'I':
        case 'U':
        case 'D': understood = inside() && change(type, body); break;
        case 'T': understood = inside() && truncate(body); break;
        default: break;
    }
    if (!inside()) return Result::malformed;
    if (!understood) everything();
    return Result::more;
}

}  // namespace pgweir::control
