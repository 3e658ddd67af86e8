// Values of one execution, in canonical form, and the numbers made of them.
#include "pgweir/query/row_keys.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <limits>

#include "lexer.hpp"
#include "pgweir/base/bytes.hpp"
#include "pgweir/base/hash.hpp"
#include "pgweir/base/plants.hpp"

namespace pgweir::query {

namespace {

constexpr Oid kInt8 = 20, kInt2 = 21, kInt4 = 23, kText = 25, kOid = 26, kUnknown = 705,
              kBpchar = 1042, kVarchar = 1043, kDate = 1082, kUuid = 2950;
/// More combinations of alternatives are not kept apart.
constexpr std::size_t kMostRows = 16;
/// No index holds longer ones.
constexpr std::size_t kLongestText = 2704;

void put_number(std::int64_t value, std::string& out) {
    const auto bits = static_cast<std::uint64_t>(value);
    base::append_u32(out, static_cast<std::uint32_t>(bits >> 32));
    base::append_u32(out, static_cast<std::uint32_t>(bits));
}

/// Only the form PostgreSQL prints: no blanks, no plus, no leading zeros.
bool decimal(std::string_view text, std::int64_t& value) noexcept {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return false;
    if (text.front() == '-') text.remove_prefix(1);
    return text.front() != '0' || text.size() == 1;
}

bool oid_fits(std::int64_t value) noexcept {
    return value >= 0 && value <= std::numeric_limits<std::uint32_t>::max();
}

int hex_digit(char c) noexcept {
    if (c >= '0' && c <= '9') return c - '0';
    c = static_cast<char>(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/// The form with hyphens only.
bool uuid(std::string_view text, std::string& out) {
    if (text.size() != 36) return false;
    for (std::size_t i = 0; i < text.size();) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (text[i++] != '-') return false;
            continue;
        }
        const int high = hex_digit(text[i]), low = hex_digit(text[i + 1]);
        if (high < 0 || low < 0) return false;
        out.push_back(static_cast<char>(high * 16 + low));
        i += 2;
    }
    return true;
}

constexpr std::chrono::sys_days kEpoch =
    std::chrono::year(2000) / std::chrono::January / std::chrono::day(1);

/// YYYY-MM-DD, which no setting of DateStyle reads otherwise.
bool date(std::string_view text, std::string& out) {
    if (text.size() != 10 || text[4] != '-' || text[7] != '-') return false;
    std::array<unsigned, 3> parts{};
    constexpr std::array<std::array<std::size_t, 2>, 3> kAt{{{0, 4}, {5, 2}, {8, 2}}};
    for (std::size_t i = 0; i < 3; ++i) {
        const auto digits = text.substr(kAt[i][0], kAt[i][1]);
        const auto [end, error] =
            std::from_chars(digits.data(), digits.data() + digits.size(), parts[i]);
        if (error != std::errc() || end != digits.data() + digits.size()) return false;
    }
    const auto day = std::chrono::year(static_cast<int>(parts[0])) / std::chrono::month(parts[1]) /
                     std::chrono::day(parts[2]);
    if (!day.ok() || parts[0] == 0) return false;
    put_number((std::chrono::sys_days(day) - kEpoch).count(), out);
    return true;
}

/// Bytes of other encodings may be other characters on the server.
bool ascii(std::string_view text, std::string& out) {
    const bool plain =
        std::all_of(text.begin(), text.end(), [](char c) { return c != 0 && (c & 0x80) == 0; });
    if (!plain || text.size() > kLongestText) return false;
    out.append(text);
    return true;
}

/// A list of which only the first few are mostly asked for; those need no memory of their own.
template <class T, std::size_t Near>
class Few {
  public:
    std::size_t size() const noexcept { return size_; }
    const T& operator[](std::size_t i) const noexcept {
        return i < Near ? near_[i] : far_[i - Near];
    }
    void push_back(const T& item) {
        if (size_ < Near)
            near_[size_] = item;
        else
            far_.push_back(item);
        ++size_;
    }
    void clear() noexcept {
        size_ = 0;
        far_.clear();
    }

  private:
    std::array<T, Near> near_;
    std::vector<T> far_;
    std::size_t size_ = 0;
};

/// The parameters of a Bind and the literals of a text, looked up when first asked for.
class Execution {
  public:
    explicit Execution(const KeyValues& values) : values_(values) {}
    bool canonical(const KeySource& source, KeyType type, std::string& out);

  private:
    struct Parameter {
        bool binary = false;
        bool null = false;
        std::string_view value;
    };
    bool parameter(const KeySource& source, KeyType type, std::string& out);
    bool literal(std::size_t number, KeyType type, std::string& out);
    void take_parameters();
    void take_literals();

    const KeyValues& values_;
    Few<Parameter, 8> parameters_;
    Few<Token, 8> literals_;
    bool took_parameters_ = false, took_literals_ = false;
};

void Execution::take_parameters() {
    took_parameters_ = true;
    base::ByteReader r(values_.parameters);
    const auto formats = r.u16();
    const auto codes = r.bytes(std::size_t{formats} * 2);
    const auto count = r.u16();
    for (unsigned i = 0; i < count && r.ok(); ++i) {
        Parameter p;
        const auto length = r.i32();
        p.null = length < 0;
        if (!p.null) p.value = r.bytes(static_cast<std::size_t>(length));
        const unsigned which = formats == 1 ? 0 : i;
        if (formats > 1 && i >= formats) return parameters_.clear();
        p.binary =
            r.ok() && formats > 0 && base::load_u16(codes.data() + std::size_t{2} * which) != 0;
        parameters_.push_back(p);
    }
    if (!r.ok()) parameters_.clear();
}

void Execution::take_literals() {
    took_literals_ = true;
    Lexer lexer(values_.text);
    for (auto t = lexer.next_literal(); t.kind != TokenKind::end; t = lexer.next_literal()) {
        if (t.kind == TokenKind::bad) return literals_.clear();
        literals_.push_back(t);
    }
}

bool Execution::parameter(const KeySource& source, KeyType type, std::string& out) {
    if (!took_parameters_) take_parameters();
    if (source.number >= parameters_.size()) return false;
    const auto& p = parameters_[source.number];
    const auto declared =
        source.number < values_.types.size() ? values_.types[source.number] : Oid{0};
    if (declared == 0 || declared == kUnknown) {
        if (!source.sole) return false;
    } else if (key_type(declared) != type) {
        return false;
    }
    if (p.null) return false;
    return p.binary ? canonical_binary(type, p.value, out) : canonical_text(type, p.value, out);
}

bool Execution::literal(std::size_t number, KeyType type, std::string& out) {
    if (!took_literals_) take_literals();
    if (number >= literals_.size()) return false;
    const auto& token = literals_[number];
    const bool digits =
        token.literal == lex::Literal::integer || token.literal == lex::Literal::wide_integer;
    if (digits)
        return (type == KeyType::integer || type == KeyType::oid) &&
               canonical_text(type, token.text, out);
    // With a prefix or dollars the value is not what stands there.
    if (token.literal != lex::Literal::string || token.text.size() < 2 || token.text[0] != '\'')
        return false;
    auto text = token.text.substr(1, token.text.size() - 2);
    if (text.find('\'') == text.npos) return canonical_text(type, text, out);
    std::string value;
    for (std::size_t i = 0; i < text.size(); ++i) {
        value.push_back(text[i]);
        if (text[i] == '\'') ++i;  // the second of two
    }
    return canonical_text(type, value, out);
}

bool Execution::canonical(const KeySource& source, KeyType type, std::string& out) {
    return source.parameter ? parameter(source, type, out) : literal(source.number, type, out);
}

}  // namespace

std::optional<KeyType> key_type(Oid type) noexcept {
    switch (type) {
        case kInt2:
        case kInt4:
        case kInt8: return KeyType::integer;
        case kOid: return KeyType::oid;
        case kUuid: return KeyType::uuid;
        case kDate: return KeyType::date;
        case kText:
        case kVarchar: return KeyType::text;
        case kBpchar:
            if (base::planted(base::Plant::blanks_count)) return KeyType::text;
            return std::nullopt;
        default: return std::nullopt;
    }
}

namespace {

struct TypeName {
    std::string_view name;     // of pg_catalog
    std::string_view printed;  // by format_type()
    KeyType type;
};
constexpr std::array<TypeName, 8> kTypeNames{{{"int2", "smallint", KeyType::integer},
                                              {"int4", "integer", KeyType::integer},
                                              {"int8", "bigint", KeyType::integer},
                                              {"oid", "oid", KeyType::oid},
                                              {"uuid", "uuid", KeyType::uuid},
                                              {"date", "date", KeyType::date},
                                              {"text", "text", KeyType::text},
                                              {"varchar", "character varying", KeyType::text}}};

}  // namespace

std::optional<KeyType> cast_type(std::string_view name) noexcept {
    for (const auto& known : kTypeNames)
        if (known.name == name) return known.type;
    return std::nullopt;
}

std::optional<KeyType> printed_type(std::string_view name) noexcept {
    for (const auto& known : kTypeNames)
        if (known.printed == name) return known.type;
    return std::nullopt;
}

bool canonical_text(KeyType type, std::string_view value, std::string& out) {
    std::int64_t number = 0;
    switch (type) {
        case KeyType::integer:
            if (!decimal(value, number)) return false;
            return put_number(number, out), true;
        case KeyType::oid:
            if (!decimal(value, number) || !oid_fits(number)) return false;
            return put_number(number, out), true;
        case KeyType::uuid: return uuid(value, out);
        case KeyType::date: return date(value, out);
        case KeyType::text: return ascii(value, out);
    }
    return false;
}

bool canonical_binary(KeyType type, std::string_view value, std::string& out) {
    if (type == KeyType::text) return ascii(value, out);
    if (type == KeyType::uuid) {
        if (value.size() != 16) return false;
        out.append(value);
        return true;
    }
    if (value.size() != 2 && value.size() != 4 && value.size() != 8) return false;
    if (type != KeyType::integer && value.size() != 4) return false;
    std::uint64_t bits = 0;
    for (const char c : value) bits = bits << 8 | static_cast<unsigned char>(c);
    // The sign is that of its own width; an oid has none.
    const auto unused = 64 - 8 * value.size();
    const auto number = type == KeyType::oid ? static_cast<std::int64_t>(bits)
                                             : static_cast<std::int64_t>(bits << unused) >> unused;
    put_number(number, out);
    return true;
}

std::uint64_t row_number(std::span<const RowValue> values) {
    std::size_t size = 0;
    for (const auto& v : values) size += 2 * sizeof(std::uint32_t) + v.value.size();
    std::array<char, 128> near;
    std::string far;
    if (size > near.size()) far.resize(size);
    char* const begin = size > near.size() ? far.data() : near.data();
    char* to = begin;
    for (const auto& v : values) {
        base::store_u32(to, static_cast<std::uint32_t>(v.number));
        base::store_u32(to + 4, static_cast<std::uint32_t>(v.value.size()));
        to = std::copy(v.value.begin(), v.value.end(), to + 8);
    }
    return base::hash64({begin, size});
}

void row_numbers(std::span<const RowValue> values, std::vector<std::uint64_t>& out) {
    std::vector<RowValue> some;
    for (unsigned set = 1; set < 1U << values.size(); ++set) {
        some.clear();
        for (std::size_t i = 0; i < values.size(); ++i)
            if ((set >> i & 1U) != 0) some.push_back(values[i]);
        out.push_back(row_number(some));
    }
}

namespace {

/// Calls f(row) for one combination of alternatives after the other, as a number with one digit per
/// column; false when a value is not known, or f has said false.
template <class F>
bool each_row(const RowKey& key, Execution& execution, F&& f) {
    std::array<RowValue, kMostKeyColumns> row;
    if (key.columns.size() > row.size()) return false;
    std::size_t count = 1;
    for (const auto& column : key.columns) {
        count *= column.values.size();
        if (count == 0 || count > kMostRows) return false;
    }
    for (std::size_t i = 0; i < count; ++i) {
        auto rest = i;
        auto* value = row.data();
        for (const auto& column : key.columns) {
            const auto& source = column.values[rest % column.values.size()];
            rest /= column.values.size();
            value->number = column.number;
            value->value.clear();
            if (!execution.canonical(source, column.type, value->value)) return false;
            ++value;
        }
        if (!f(std::span<const RowValue>(row.data(), key.columns.size()))) return false;
    }
    return true;
}

/// Blanks at the end may be cut off when they are stored.
bool ends_in_blank(const RowKey& key, std::span<const RowValue> row) {
    for (std::size_t i = 0; i < row.size(); ++i)
        if (key.columns[i].type == KeyType::text && row[i].value.ends_with(' ')) return true;
    return false;
}

}  // namespace

bool rows_read(const RowKey& key, const KeyValues& values, std::vector<std::uint64_t>& out) {
    Execution execution(values);
    return each_row(key, execution, [&](std::span<const RowValue> row) {
        out.push_back(row_number(row));
        return true;
    });
}

bool rows_written(std::span<const RowKey> keys, const KeyValues& values,
                  std::vector<std::uint64_t>& out) {
    Execution execution(values);
    return std::all_of(keys.begin(), keys.end(), [&](const RowKey& key) {
        return each_row(key, execution, [&](std::span<const RowValue> row) {
            if (ends_in_blank(key, row) && !base::planted(base::Plant::blanks_count)) return false;
            row_numbers(row, out);
            return true;
        });
    });
}

}  // namespace pgweir::query
