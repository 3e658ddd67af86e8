// Files that are not meant well, or are no configuration at all: told, in bounded time and memory.
#include <chrono>

#include "support.hpp"
#include "support/amount.hpp"

using namespace pgweir::config;
using namespace pgweir::config::testing;
using pgweir::testing::amount;

namespace {

/// The errors of a text, which have to come soon.
std::string soon(const std::string& text) {
    const auto start = std::chrono::steady_clock::now();
    auto errors = bad(text);
    CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(20));
    CHECK(errors.size() < 100'000);
    return errors;
}

std::string times(std::size_t n, const std::string& text) {
    std::string out;
    out.reserve(n * text.size());
    for (std::size_t i = 0; i < n; ++i) out += text;
    return out;
}

}  // namespace

TEST_CASE("syntax errors are told with their place") {
    for (const auto* text :
         {"pool: {max_size: 3\n", "pool: [a\n", "a: b: c\n", "pool:\n\tmax_size: 3\n",
          "pool: \"x\n", "a: 'b\n", "- a\nb: c\n", "{]\n", "%YAML 9.9\n---\na: b\n",
          "pool: {max_size: @x}\n", "a: \"\\q\"\n", "a: !<x\n", "? ? ?\n"}) {
        const auto errors = soon(text);
        CHECK_MESSAGE(has(errors, "c.yaml:"), errors);
    }
    CHECK(has(bad("log: {}\npool: {max_size: 3\n"), "; expected YAML"));
}

TEST_CASE("a tab in the indentation is told as such") {
    CHECK(bad("pool:\n\tmax_size: 3\n") ==
          "c.yaml:2:1: a tab in the indentation; expected spaces\n");
    CHECK(bad("databases:\n  a:\n    port: 1\n   \thost: h\n") ==
          "c.yaml:4:4: a tab in the indentation; expected spaces\n");
    CHECK(!has(bad("pool: {max_size: 3\n"), "a tab"));
    CHECK(good("pool:\t{max_size: 3}\t# why\n")->pool.max_size == 3);
}

TEST_CASE("a star without quotes is told to need them") {
    CHECK(has(bad("listen: {host: *}\n"), "expected quotes around text that begins with * or &"));
    CHECK(has(bad("databases:\n  *: {host: a}\n"), "c.yaml:2:"));
    CHECK(has(bad("databases:\n  a: *nothing\n"), "expected quotes"));
}

TEST_CASE("merge keys, tags, several documents and circles are refused") {
    CHECK(has(bad("databases:\n  a: &a {host: h}\n  b:\n    <<: *a\n    port: 1\n"),
              "c.yaml:4:5: merge keys are not supported"));
    CHECK(has(bad("workers: !!int 3\n"), "c.yaml:1:10: the tag"));
    CHECK(has(bad("pool: !map {mode: session}\n"), "the tag \"!map\"; expected none"));
    CHECK(has(bad("pool: !!python/object {}\n"), "the tag"));
    CHECK(
        has(bad("pool: {}\n---\nlog: {}\n"), "c.yaml:2:1: a second document begins; expected one"));
    CHECK(has(bad("---\n---\npool: {}\n"), "a second document"));
    CHECK(has(bad("pool: {}\n...\n---\n"), "a second document"));
    CHECK(has(bad("databases: &d {a: *d}\n"), "an alias inside what it stands for"));
    CHECK(has(bad("databases: &d {a: {pool: [1, {x: *d}]}}\n"), "an alias inside"));
}

TEST_CASE("a bomb of aliases costs nothing") {
    std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
    for (int i = 1; i < 30; ++i) {
        const auto before = "*a" + std::to_string(i - 1);
        text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before;
        text += times(9, ", " + before) + "]\n";
    }
    CHECK(has(soon(text), "unknown key \"a0\""));
    std::string wide = "databases:\n  first: &all {" + times(10'000, "nope: 1, ") + "nope2: 1}\n";
    for (int i = 0; i < 10'000; ++i) wide += "  d" + std::to_string(i) + ": *all\n";
    CHECK(has(soon(wide), "more errors follow"));
}

TEST_CASE("deep nesting is refused, of every kind") {
    for (const auto* open : {"[", "{", "{a: ", "- ", "? ", "[[", "{? "})
        CHECK_MESSAGE(!soon(times(20'000, open)).empty(), open);
    CHECK(has(soon("a: " + times(40, "[") + times(40, "]") + "\n"), "nested too deeply"));
    std::string block;
    for (std::size_t i = 0; i < 600; ++i) block += std::string(i, ' ') + "a:\n";
    CHECK(!soon(block).empty());
}

TEST_CASE("bytes that are not UTF-8 text are told with their place") {
    const std::pair<std::string, const char*> cases[] = {
        {"a: \xff\n", "c.yaml:1:4: a byte that is not UTF-8"},
        {"log: {}\n# \xc3\x28\n", "c.yaml:2:3: a byte that is not UTF-8"},
        {"# \xc0\xaf\n", "not UTF-8"},          // overlong
        {"# \xe0\x80\xaf\n", "not UTF-8"},      // overlong
        {"# \xed\xa0\x80\n", "not UTF-8"},      // surrogate
        {"# \xf4\x90\x80\x80\n", "not UTF-8"},  // beyond Unicode
        {"# \xf0\x80\x80\xaf\n", "not UTF-8"},
        {"# \xe2\x82", "not UTF-8"},
        {"# \x80\n", "not UTF-8"},
        {std::string("a: b\0c\n", 7), "c.yaml:1:5: a control character"},
        {"a: \x1b[31m\n", "c.yaml:1:4: a control character"},
        {"\xff\xfe" + std::string("p\0o\0", 4), "c.yaml:1:1: a byte that is not UTF-8"},
        {std::string("\0\0\xfe\xff", 4), "c.yaml:1:1: a control character"},
    };
    for (const auto& c : cases) {
        const auto errors = bad(c.first);
        CHECK_MESSAGE(has(errors, c.second), errors);
    }
    CHECK(good("databases: {\"gr\u00fc\u00dfe\u20ac\U0001F600\": {}}\n")->databases.size() == 1);
}

TEST_CASE("a file too large is not parsed at all") {
    CHECK(has(soon("# " + times(9u << 20, "x") + "\n"), "too large; expected at most 8 MiB"));
    const Folder folder;
    const auto file = folder.write("c.yaml", "# " + times(9u << 20, "x") + "\n");
    const auto result = load_config(file, environment());
    REQUIRE(result.errors.size() == 1);
    CHECK(has(result.errors[0], "more than 8192 KiB"));
    CHECK(load_config("/dev/zero", environment()).errors.size() == 1);
}

TEST_CASE("large files of one thing are told soon") {
    constexpr std::size_t kMany = amount(200'000), kLong = amount(4u << 20);
    CHECK(!soon(times(kMany, "a: 1\n")).empty());
    CHECK(!soon("{" + times(kMany, "a: 1, ") + "}\n").empty());
    CHECK(!soon(times(kMany, "&a ")).empty());
    CHECK(!soon(times(kMany, "- 1\n")).empty());
    CHECK(!soon("[" + times(kMany, "1, ") + "]\n").empty());
    CHECK(!soon(times(kLong, "x") + ": 1\n").empty());
    for (const auto* part : {"${", "${a:-", "${a}", "$", "{${a:-}, "})
        CHECK_MESSAGE(!soon("x: [" + times(kMany, part) + "\n").empty(), part);
    CHECK(!soon("pool: \"" + times(kLong, "\n") + "\"\n").empty());
    CHECK(has(soon("admin: {users: [" + times(1'100'000, "a,") + "]}\n"), "too many values"));
}

TEST_CASE("every beginning of a good file is either good or told, and so is every damage") {
    const std::string text =
        "listen: {host: '127.0.0.1', port: 6432}\nworkers: auto\ndatabases:\n  app: &a {host: h, "
        "tls: "
        "{mode: prefer}}\n  \"*\": *a\nadmin: {users: [\"a\\x41\", b]}\npool:\n  validation_query: "
        "|\n"
        "    SELECT 1\n  idle_timeout: 30s # why\n";
    REQUIRE(parse(text).config != nullptr);
    for (std::size_t n = 0; n <= text.size(); ++n) {
        const auto result = parse(text.substr(0, n));
        CHECK((result.config != nullptr) == result.errors.empty());
    }
    for (std::size_t n = 0; n < text.size(); ++n)
        for (const char c :
             {'{', '}', '[', ':', '*', '&', '"', '\'', '\n', ' ', '-', '!', '\t', '0'}) {
            auto damaged = text;
            damaged[n] = c;
            const auto result = parse(damaged);
            CHECK((result.config != nullptr) == result.errors.empty());
        }
}
