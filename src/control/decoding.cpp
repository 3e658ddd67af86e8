// See decoding.hpp.
#include "decoding.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "pgweir/base/bytes.hpp"

namespace pgweir::control {

namespace {

constexpr std::size_t kLongestNames = 4096;  // of one line; a longer list is everything

bool take_hex(std::string_view& text, std::uint32_t& value) noexcept {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
    if (error != std::errc{} || end == text.data()) return false;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return true;
}

std::uint64_t read_u64(base::ByteReader& r) noexcept {
    const auto high = r.u32();
    return std::uint64_t{high} << 32 | r.u32();
}

bool plain(char c) noexcept { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; }

/// The end of an identifier as quote_identifier() writes it; npos: there is none.
std::size_t identifier_end(std::string_view text, std::size_t at) noexcept {
    if (at >= text.size()) return std::string_view::npos;
    if (text[at] != '"') {
        auto end = at;
        while (end < text.size() && plain(text[end])) ++end;
        return end == at ? std::string_view::npos : end;
    }
    for (auto end = at + 1; end < text.size(); ++end) {
        if (text[end] != '"') continue;
        if (end + 1 < text.size() && text[end + 1] == '"')
            ++end;
        else
            return end + 1;
    }
    return std::string_view::npos;
}

void unquote(std::string_view text, std::string& out) {
    if (!text.starts_with('"')) {
        out = text;
        return;
    }
    out.clear();
    for (std::size_t i = 1; i + 1 < text.size(); ++i) {
        out.push_back(text[i]);
        if (text[i] == '"') ++i;  // the second of two
    }
}

/// The end of "schema.table"; npos: there is none.
std::size_t table_end(std::string_view text, std::size_t at, std::size_t& dot) noexcept {
    dot = identifier_end(text, at);
    if (dot == std::string_view::npos || dot >= text.size() || text[dot] != '.')
        return std::string_view::npos;
    return identifier_end(text, dot + 1);
}

bool take_xid(std::string_view text, std::uint32_t& xid) noexcept {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), xid);
    return error == std::errc{} && end == text.data() + text.size() && xid != 0;
}

/// What sql/watch_ddl.sql has a transaction say that changes the catalog: only with its commit.
bool take_definition(std::string_view line, cache::FullXid& xid) noexcept {
    constexpr std::string_view kStart = "message: transactional: 1 prefix: pgweir_ddl, sz: ";
    constexpr std::string_view kContent = " content:";
    if (!line.starts_with(kStart)) return false;
    line.remove_prefix(kStart.size());
    const auto content = line.find(kContent);
    if (content == line.npos) return false;
    line.remove_prefix(content + kContent.size());
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), xid);
    if (error != std::errc{} || end != line.data() + line.size()) xid = 0;
    return true;
}

bool names_operation(std::string_view rest) noexcept {
    static constexpr std::array<std::string_view, 4> kOperations{
        ": INSERT:", ": UPDATE:", ": DELETE:", ": TRUNCATE:"};
    return std::any_of(kOperations.begin(), kOperations.end(),
                       [&](std::string_view o) { return rest.starts_with(o); });
}

}  // namespace

std::optional<Lsn> parse_lsn(std::string_view text) noexcept {
    std::uint32_t high = 0, low = 0;
    if (!take_hex(text, high) || !text.starts_with('/')) return std::nullopt;
    text.remove_prefix(1);
    if (!take_hex(text, low) || !text.empty()) return std::nullopt;
    return Lsn{high} << 32 | low;
}

ReplicationMessage parse_replication(std::string_view message) noexcept {
    ReplicationMessage m;
    base::ByteReader r(message);
    const auto type = static_cast<char>(r.u8());
    if (type == 'w') {
        m.position = read_u64(r);
        read_u64(r);  // the same for logical decoding
        read_u64(r);  // the server's clock
        m.data = r.rest();
        if (r.ok()) m.kind = ReplicationMessage::Kind::data;
    } else if (type == 'k') {
        m.position = read_u64(r);
        read_u64(r);
        m.reply_wanted = r.u8() != 0;
        if (r.done()) m.kind = ReplicationMessage::Kind::keepalive;
    }
    return m;
}

std::string status_update(Lsn position, bool reply_wanted) {
    std::string m(1, 'r');
    for (int i = 0; i < 3; ++i) {  // written, flushed, applied
        base::append_u32(m, static_cast<std::uint32_t>(position >> 32));
        base::append_u32(m, static_cast<std::uint32_t>(position));
    }
    m.append(8, '\0');  // our clock: only shown to people
    m.push_back(reply_wanted ? '\1' : '\0');
    return m;
}

DecodedLine parse_line(std::string_view line) noexcept {
    using Kind = DecodedLine::Kind;
    DecodedLine d;
    constexpr std::string_view kBegin = "BEGIN ", kCommit = "COMMIT ", kTable = "table ";
    if (line.starts_with(kTable)) {
        line.remove_prefix(kTable.size());
        std::size_t at = 0, dot = 0;
        while (true) {
            at = table_end(line, at, dot);
            if (at == std::string_view::npos) return d;
            if (!line.substr(at).starts_with(", ")) break;
            at += 2;
        }
        if (!names_operation(line.substr(at))) return d;
        d.kind = Kind::change;
        d.names = line.substr(0, at);
        d.row = line.substr(at);
    } else if (line.starts_with(kBegin)) {
        if (take_xid(line.substr(kBegin.size()), d.xid)) d.kind = Kind::begin;
    } else if (line.starts_with(kCommit)) {
        if (take_xid(line.substr(kCommit.size()), d.xid)) d.kind = Kind::commit;
    } else if (line.starts_with("message: ")) {
        d.kind = take_definition(line, d.full_xid) ? Kind::definition : Kind::message;
    }
    return d;
}

bool next_table(std::string_view& names, std::string& schema, std::string& table) {
    if (names.empty()) return false;
    std::size_t dot = 0;
    const auto end = table_end(names, 0, dot);
    if (end == std::string_view::npos) return false;
    auto rest = names.substr(end);
    if (!rest.empty() && (!rest.starts_with(", ") || rest.size() == 2)) return false;
    unquote(names.substr(0, dot), schema);
    unquote(names.substr(dot + 1, end - dot - 1), table);
    names = rest.empty() ? rest : rest.substr(2);
    return true;
}

namespace {

/// Columns as test_decoding prints them: name[type]:value, each behind a blank.
class Tuple {
  public:
    explicit Tuple(std::string_view text) : rest_(text) {}

    struct Column {
        std::string_view name, type, value;  // name quoted as SQL; value without its quotes
        bool quoted = false;
    };
    /// False: there is none, or it is not understood.
    bool next(Column& column) noexcept {
        const auto name = rest_.starts_with(' ') ? identifier_end(rest_, 1) : rest_.npos;
        if (name == rest_.npos || name >= rest_.size() || rest_[name] != '[') return false;
        const auto type = type_end(name + 1);
        if (type == rest_.npos) return false;
        column.name = rest_.substr(1, name - 1);
        column.type = rest_.substr(name + 1, type - name - 1);
        rest_.remove_prefix(type + 2);
        column.quoted = rest_.starts_with('\'');
        const auto end = column.quoted ? string_end() : std::min(rest_.find(' '), rest_.size());
        if (end == rest_.npos) return false;
        column.value = column.quoted ? rest_.substr(1, end - 2) : rest_.substr(0, end);
        rest_.remove_prefix(end);
        return true;
    }
    std::string_view rest() const noexcept { return rest_; }

  private:
    /// Of "]:", outside of quotes.
    std::size_t type_end(std::size_t at) const noexcept {
        bool quoted = false;
        for (; at + 1 < rest_.size(); ++at) {
            if (rest_[at] == '"') quoted = !quoted;
            if (!quoted && rest_[at] == ']' && rest_[at + 1] == ':') return at;
        }
        return rest_.npos;
    }
    /// Behind the closing quote; two quotes are one that does not close.
    std::size_t string_end() const noexcept {
        for (auto at = rest_.find('\'', 1); at != rest_.npos; at = rest_.find('\'', at + 2))
            if (at + 1 >= rest_.size() || rest_[at + 1] != '\'') return at + 1;
        return rest_.npos;
    }
    std::string_view rest_;
};

/// What the columns of the tuple at the start of `text` say of the identity; `text` then begins
/// somewhere behind the last that was wanted.
bool identity_in(Tuple& tuple, const query::Relation& relation, std::vector<query::RowValue>& out) {
    std::string unquoted;
    Tuple::Column column;
    std::vector<const query::IdentityColumn*> wanted;
    for (const auto& c : relation.identity) wanted.push_back(&c);
    out.resize(wanted.size());
    for (std::size_t found = 0; found < wanted.size();) {
        if (!tuple.next(column)) return false;
        unquote(column.name, unquoted);
        for (std::size_t i = 0; i < wanted.size(); ++i) {
            if (wanted[i] == nullptr || wanted[i]->name != unquoted) continue;
            const auto type = wanted[i]->type;
            if (query::printed_type(column.type) != type) return false;
            const bool number = type == query::KeyType::integer || type == query::KeyType::oid;
            if (column.quoted == number) return false;
            std::string plain;
            for (std::size_t k = 0; k < column.value.size(); ++k) {
                plain.push_back(column.value[k]);
                if (column.quoted && column.value[k] == '\'') ++k;  // the second of two
            }
            out[i].number = wanted[i]->number;
            out[i].value.clear();
            if (!query::canonical_text(type, plain, out[i].value)) return false;
            wanted[i] = nullptr;
            ++found;
        }
    }
    return true;
}

bool take(std::string_view& text, std::string_view word) noexcept {
    if (!text.starts_with(word)) return false;
    text.remove_prefix(word.size());
    return true;
}

}  // namespace

bool identities(std::string_view row, const query::Relation& relation,
                std::vector<std::vector<query::RowValue>>& out) {
    if (relation.identity.empty()) return false;
    constexpr std::string_view kOld = " old-key:", kNew = " new-tuple:";
    if (take(row, ": INSERT:") || take(row, ": DELETE:")) {
        Tuple tuple(row);
        return identity_in(tuple, relation, out.emplace_back());
    }
    if (!take(row, ": UPDATE:")) return false;
    const bool changed = take(row, kOld);
    // Without an old key the identity is as before.
    if (!changed && relation.identity_full) return false;
    Tuple tuple(row);
    if (!identity_in(tuple, relation, out.emplace_back())) return false;
    if (!changed) return true;
    Tuple::Column ignored;
    while (!tuple.rest().starts_with(kNew))
        if (!tuple.next(ignored)) return false;
    Tuple fresh(tuple.rest().substr(kNew.size()));
    return identity_in(fresh, relation, out.emplace_back());
}

void TransactionGatherer::add(const DecodedLine& line) {
    auto names = line.names;
    if (knows_everything() || names == last_names_) return;
    if (names.size() > kLongestNames) return everything();
    const auto before = states().size();
    auto found = Found::relation;
    const auto row = tells_rows() ? line.row : std::string_view();
    while (!knows_everything() && next_table(names, schema_, table_)) {
        found = resolve_({schema_, table_, row}, states());
        if (found == Found::nothing || too_many()) everything();
    }
    if (knows_everything() || !names.empty()) return everything();
    if (found == Found::relation) last_names_ = line.names;
    settle(before);
}

TransactionGatherer::Result TransactionGatherer::take(std::string_view line) {
    const auto d = parse_line(line);
    using Kind = DecodedLine::Kind;
    switch (d.kind) {
        case Kind::begin: return begin(d.xid);
        case Kind::commit: return d.xid == xid() ? commit() : Result::malformed;
        case Kind::change:
            if (!inside()) return Result::malformed;
            add(d);
            return Result::more;
        case Kind::message: return Result::more;  // some may come outside a transaction
        case Kind::definition: return define(d.full_xid);
        case Kind::other: break;
    }
    if (!inside()) return Result::malformed;
    everything();
    return Result::more;
}

}  // namespace pgweir::control
