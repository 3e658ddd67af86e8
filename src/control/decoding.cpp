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
    } else if (line.starts_with(kBegin)) {
        if (take_xid(line.substr(kBegin.size()), d.xid)) d.kind = Kind::begin;
    } else if (line.starts_with(kCommit)) {
        if (take_xid(line.substr(kCommit.size()), d.xid)) d.kind = Kind::commit;
    } else if (line.starts_with("message: ")) {
        d.kind = Kind::message;
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

void TransactionGatherer::reset() {
    inside_ = false;
    change_ = {};
    last_names_.clear();
}

void TransactionGatherer::add(std::string_view names) {
    if (change_.everything || names == last_names_) return;
    if (names.size() > kLongestNames) {
        change_.everything = true;
        return;
    }
    last_names_ = names;
    auto& states = change_.relations;
    const auto before = states.size();
    while (!change_.everything && next_table(names, schema_, table_))
        change_.everything = !resolve_(schema_, table_, states) || states.size() > 4096;
    if (!names.empty()) change_.everything = true;
    // Each once; those before are so already.
    for (auto i = before; i < states.size();) {
        const auto end = states.begin() + static_cast<std::ptrdiff_t>(i);
        if (std::find(states.begin(), end, *end) == end)
            ++i;
        else
            states.erase(end);
    }
    if (states.size() > kMaxRelations) change_.everything = true;
    if (change_.everything) states.clear();
}

TransactionGatherer::Result TransactionGatherer::take(std::string_view line) {
    const auto d = parse_line(line);
    using Kind = DecodedLine::Kind;
    switch (d.kind) {
        case Kind::begin:
            if (inside_) return Result::malformed;
            reset();
            inside_ = true;
            xid_ = d.xid;
            return Result::more;
        case Kind::commit:
            if (!inside_ || d.xid != xid_) return Result::malformed;
            inside_ = false;
            return Result::transaction;
        case Kind::change:
            if (!inside_) return Result::malformed;
            add(d.names);
            return Result::more;
        case Kind::message: return Result::more;  // some may come outside a transaction
        case Kind::other: break;
    }
    if (!inside_) return Result::malformed;
    change_.everything = true;
    change_.relations.clear();
    return Result::more;
}

}  // namespace pgweir::control
