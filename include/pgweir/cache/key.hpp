// The bytes that name one answer. Invariant: two requests have the same key bytes only if the
// server would treat them alike (given the same data), so every field is prefixed by its length or
// of fixed size, and only what means the same is folded together. Thread: pure.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "pgweir/base/hash.hpp"
#include "pgweir/base/plants.hpp"
#include "pgweir/query/catalog.hpp"

namespace pgweir::cache {

/// Views of what the caller owns. A simple Query leaves types, parameters and result formats empty.
struct KeyParts {
    std::uint64_t owner = 0;             // owner_number() of who asks
    std::string_view statement;          // exact text, without the NUL
    std::span<const query::Oid> types;   // declared in Parse, as sent
    std::string_view parameter_formats;  // the Int16s of Bind, network order, without their count
    std::string_view parameter_values;   // the Int32 lengths and bytes of Bind, without their count
    std::string_view result_formats;     // the Int16s of Bind, network order, without their count
    std::uint16_t parameters = 0;        // number of values in Bind
    bool description = false;            // what Describe of the statement says, and no answer
    base::Hash128 statement_hash;        // base::hash128(statement), to find it by

    /// What tells this question from others that one statement asks.
    std::string_view question() const noexcept {
        return parameters == 0 ? statement : parameter_values;
    }
};

/// A number for a database (DatabaseState::cache_id()), the user who has logged in and a class of
/// settings, the current role among them: equal ones have the same at any time, others never. Of
/// the process. Bounded: when there are too many all are forgotten, and equal ones have another
/// number from then on. Thread: any; a mutex.
std::uint64_t owner_number(std::uint64_t database, std::string_view user, std::uint64_t settings);

/// What an entry is asked for by: the parts of a key, or its bytes. A view of either.
/// Folded: no format code and one code 0 (both mean text for all, protocol chapter "Bind"). Not
/// folded: a code per column, since a wrong number of them is an error that only the server can
/// see.
class KeyName {
  public:
    KeyName() = default;
    explicit KeyName(const KeyParts& parts) noexcept;
    /// Of a simple Query; see KeyParts.
    KeyName(std::uint64_t owner, std::string_view statement, const base::Hash128& hash) noexcept
        : statement_(statement),
          header_{.owner = owner, .statement = statement.size()},
          statement_hash_(hash) {}
    /// Of bytes that build() has written, or of a test.
    KeyName(std::string_view key) noexcept : statement_(key), whole_(true) {}
    KeyName(const std::string& key) noexcept : KeyName(std::string_view(key)) {}
    KeyName(const char* key) noexcept : KeyName(std::string_view(key)) {}

    /// The key: written to the start of `buffer`, which only grows; what it gives is a view of it.
    std::string_view build(std::string& buffer) const;
    /// Whether `key` is what build() would write.
    bool names(std::string_view key) const noexcept {
        if (whole_) [[unlikely]]
            return key == statement_;
        if (key.size() != size() || std::memcmp(key.data(), &header_, sizeof header_) != 0)
            return false;
        const char* at = key.data() + sizeof header_;
        const auto same = [&at](std::string_view field) {
            const auto* const from = std::exchange(at, at + field.size());
            return field.empty() || std::memcmp(from, field.data(), field.size()) == 0;
        };
        return same(statement_) && same(values_) &&
               (small() == 0 || (same(types_) && same(formats_) && same(results_)));
    }
    /// Equal keys' hashes are equal. Not of one made of bytes.
    base::Hash128 hash() const noexcept {
        auto h = statement_hash_;
        h.low += header_.owner * kOdd;
        h.high ^= header_.owner * kOther;
        if (small() != 0 || header_.parameters != 0 || header_.values != 0 ||
            header_.description != 0)
            mix_bound(h);
        if (base::planted(base::Plant::hash_only)) return {h.low & 0xf, 0};
        return h;
    }

  private:
    static constexpr std::uint64_t kOdd = 0x9E3779B97F4A7C15ull, kOther = 0xC2B2AE3D27D4EB4Full;
    static void mix(base::Hash128& h, std::string_view field) noexcept;
    /// What a simple Query has not.
    void mix_bound(base::Hash128& h) const noexcept;

    /// All lengths. Never leaves the process, so the machine's own byte order will do.
    struct Header {
        std::uint64_t owner = 0;
        std::uint64_t statement = 0;
        std::uint64_t values = 0;
        std::uint32_t types = 0;
        std::uint32_t formats = 0;
        std::uint32_t results = 0;
        std::uint16_t parameters = 0;
        std::uint16_t description = 0;
    };
    static_assert(std::has_unique_object_representations_v<Header>, "padding has no value");

    /// Of what most keys have not.
    std::size_t small() const noexcept {
        return std::size_t{header_.types} + header_.formats + header_.results;
    }
    std::size_t size() const noexcept {
        return sizeof header_ + header_.statement + header_.values + small();
    }

    std::string_view statement_, values_, types_, formats_, results_;
    Header header_;
    base::Hash128 statement_hash_;
    bool whole_ = false;  // statement_ is all the bytes
};

/// All results in text format, as far as the codes alone show: a simple Query's answer is the same.
bool all_text(std::string_view formats) noexcept;

}  // namespace pgweir::cache
