#include "pgweir/cache/key.hpp"

#include <doctest/doctest.h>

#include <map>
#include <random>
#include <tuple>

#include "support/amount.hpp"

using namespace pgweir;
using namespace pgweir::cache;
using pgweir::testing::amount;

namespace {

using Meaning =
    std::tuple<std::uint64_t, std::uint64_t, std::string, std::string, std::vector<query::Oid>,
               std::uint16_t, std::string, std::string, std::string, bool>;

/// Short strings over few bytes, so that fields that run into one another would soon be found.
std::string short_text(std::mt19937_64& random) {
    std::string s(random() % 4, '\0');
    for (auto& c : s) c = static_cast<char>(random() % 3);
    return s;
}

std::string formats(std::mt19937_64& random) {
    std::string s;
    for (auto n = random() % 3; n != 0; --n) s.append(random() % 2 == 0 ? "\0\0" : "\0\1", 2);
    return s;
}

std::string folded(const std::string& f) { return f == std::string(2, '\0') ? "" : f; }

std::string key_of(const KeyParts& parts) {
    std::string out;
    KeyName(parts).build(out);
    return out;
}

bool is_key_of(const std::string& key, const KeyParts& parts) { return KeyName(parts).names(key); }

}  // namespace

TEST_CASE("two requests have the same key exactly if they mean the same (S39)") {
    std::mt19937_64 random(7);
    std::map<std::string, Meaning> by_key;
    std::map<Meaning, std::string> by_meaning;
    std::map<std::pair<std::uint64_t, std::uint64_t>, std::string> by_hash;
    std::string before;
    for (int i = 0; i < amount(60'000); ++i) {
        const auto user = short_text(random);
        const auto statement = short_text(random), values = short_text(random);
        const auto parameter_formats = formats(random), result_formats = formats(random);
        std::vector<query::Oid> types(random() % 3);
        for (auto& t : types) t = static_cast<query::Oid>(random() % 2);
        KeyParts p;
        const auto database = random() % 2, settings = random() % 2;
        p.owner = owner_number(database, user, settings);
        p.statement = statement;
        p.types = types;
        p.parameters = static_cast<std::uint16_t>(random() % 2);
        p.parameter_formats = parameter_formats;
        p.parameter_values = values;
        p.result_formats = result_formats;
        p.description = random() % 4 == 0;
        p.statement_hash = base::hash128(statement);
        const auto key = key_of(p);
        const Meaning meaning{database,
                              settings,
                              user,
                              statement,
                              types,
                              p.parameters,
                              folded(parameter_formats),
                              values,
                              folded(result_formats),
                              p.description};
        REQUIRE(by_key.try_emplace(key, meaning).first->second == meaning);
        REQUIRE(by_meaning.try_emplace(meaning, key).first->second == key);
        const auto hash = KeyName(p).hash();
        REQUIRE(by_hash.try_emplace({hash.low, hash.high}, key).first->second == key);
        REQUIRE(is_key_of(key, p));
        REQUIRE(is_key_of(before, p) == (before == key));
        before = key;
    }
    CHECK(by_key.size() > amount(40'000));
    CHECK(by_hash.size() == by_key.size());
}

TEST_CASE("a simple Query and a Bind without parameters or binary results share a key") {
    KeyParts simple;
    simple.owner = 1;
    simple.statement = "select 1";
    KeyParts bound = simple;
    bound.result_formats = std::string_view("\0\0", 2);
    CHECK(key_of(simple) == key_of(bound));
    bound.result_formats = std::string_view("\0\1", 2);
    CHECK(key_of(simple) != key_of(bound));
    bound.result_formats =
        std::string_view("\0\0\0\0", 4);  // an error unless there are two columns
    CHECK(key_of(simple) != key_of(bound));
}

TEST_CASE("bytes that are no key are the key of nothing") {
    KeyParts p;
    p.statement = "select 1";
    auto key = key_of(p);
    CHECK(is_key_of(key, p));
    for (const auto& other : {std::string(), key.substr(0, 10), key.substr(0, key.size() - 1),
                              key + "1", std::string(key.size(), 'x')})
        CHECK_FALSE(is_key_of(other, p));
    for (auto& byte : key) {
        byte ^= 1;
        CHECK_FALSE(is_key_of(key, p));
        byte ^= 1;
    }
}

TEST_CASE("a NULL parameter is not an empty one") {
    KeyParts a, b;
    a.parameters = b.parameters = 1;
    a.parameter_values = std::string_view("\xff\xff\xff\xff", 4);
    b.parameter_values = std::string_view("\0\0\0\0", 4);
    CHECK(key_of(a) != key_of(b));
}

TEST_CASE("a key is built in place once its buffer is large enough") {
    KeyParts p;
    p.statement = "select a, b, c from a_table where a = $1 and b = $2";
    std::string buffer;
    KeyName(p).build(buffer);
    const auto* data = buffer.data();
    for (int i = 0; i < 100; ++i) KeyName(p).build(buffer);
    CHECK(buffer.data() == data);
    p.statement = "select 1";  // behind it the longer one's bytes may stand
    CHECK(KeyName(p).build(buffer) == key_of(p));
    CHECK(buffer.data() == data);
}

TEST_CASE("results are all text only if no code says otherwise") {
    CHECK(all_text(""));
    CHECK(all_text(std::string_view("\0\0\0\0", 4)));
    CHECK_FALSE(all_text(std::string_view("\0\0\0\1", 4)));
}
