// Which rows statements name by key, and that whatever is not beyond doubt counts for the relation.
#include <doctest/doctest.h>

#include <random>

#include "fixture.hpp"
#include "pgweir/base/bytes.hpp"
#include "pgweir/query/tokens.hpp"

using namespace pgweir;
using namespace pgweir::query;
using namespace pgweir::query::fixture;

namespace {

/// relation(column=source|source,...) of each: $n a parameter, 'n a literal, from 0.
std::string text(const std::vector<RowKey>& keys) {
    std::string all;
    for (const auto& key : keys) {
        all += (all.empty() ? "" : " ") + std::to_string(key.relation) + "(";
        for (const auto& column : key.columns) {
            if (&column != key.columns.data()) all += ",";
            all += std::to_string(column.number) + "=";
            for (const auto& source : column.values)
                all += (&source == column.values.data() ? "" : "|") +
                       std::string(source.parameter ? "$" : "'") + std::to_string(source.number);
        }
        all += ")";
    }
    return all;
}

std::string read(const char* sql) {
    const auto v = judged(sql);
    CHECK_MESSAGE(v.not_cached == NotCached::none, sql);
    return text(v.read_rows);
}
std::string written(const char* sql) {
    const auto v = judged(sql);
    CHECK_MESSAGE(v.writes >= Writes::relations, sql);
    return text(v.written_rows);
}

struct Case {
    const char* sql;
    const char* rows;
};

/// Parameters as in Bind: all of one format.
std::string bound(std::vector<std::string> values, bool binary = false) {
    std::string out;
    const auto u16 = [&](std::size_t n) {
        out.push_back(static_cast<char>(n >> 8));
        out.push_back(static_cast<char>(n));
    };
    u16(1);
    u16(binary ? 1 : 0);
    u16(values.size());
    for (const auto& v : values) {
        base::append_u32(out, static_cast<std::uint32_t>(v.size()));
        out += v;
    }
    return out;
}

/// The row a value names, or 0.
std::uint64_t row(const std::string& sql, std::vector<std::string> values = {},
                  std::vector<std::uint32_t> types = {}, bool binary = false) {
    const auto v = judged(sql);
    REQUIRE_MESSAGE(v.read_rows.size() == 1, sql);
    const auto parameters = bound(std::move(values), binary);
    std::vector<std::uint64_t> numbers;
    if (!rows_read(v.read_rows[0], {sql, parameters, types}, numbers)) return 0;
    REQUIRE(numbers.size() == 1);
    return numbers[0];
}

std::vector<std::uint64_t> rows_of_write(const std::string& sql,
                                         std::vector<std::string> values = {}) {
    const auto v = judged(sql);
    const auto parameters = bound(std::move(values));
    std::vector<std::uint64_t> numbers;
    if (!rows_written(v.written_rows, {sql, parameters, {}}, numbers)) numbers.clear();
    return numbers;
}

bool contains(const std::vector<std::uint64_t>& all, std::uint64_t one) {
    return std::find(all.begin(), all.end(), one) != all.end();
}

}  // namespace

TEST_CASE("a read whose WHERE fixes identity columns reads those rows only") {
    for (const auto& c : std::initializer_list<Case>{
             {"SELECT * FROM keyed WHERE id = 5", "150(1='0)"},
             {"SELECT * FROM keyed WHERE 5 = id AND v > 3", "150(1='0)"},
             {"SELECT * FROM keyed WHERE v > 3 AND (a = 1 AND id = $2)", "150(1=$1)"},
             {"SELECT max(v) FROM keyed k WHERE k.id = $1 LIMIT 1", "150(1=$0)"},
             {"SELECT * FROM public.keyed WHERE keyed.id = $1::int8", "150(1=$0)"},
             {"SELECT 'x' FROM keyed WHERE id = '7'", "150(1='1)"},
             {"SELECT * FROM keyed WHERE id OPERATOR(pg_catalog.=) 7", "150(1='0)"},
             {"SELECT * FROM keyed WHERE id IN (1, $1, 3)", "150(1='0|$0|'1)"},
             {"SELECT * FROM keyed WHERE id IN (1::numeric, 2) AND id = 3", "150(1='2)"},
             {"SELECT * FROM tenants WHERE id = 1 AND tenant = 2", "151(1='1,3='0)"},
             {"SELECT * FROM tenants WHERE tenant = 2 ORDER BY v LIMIT 3", "151(1='0)"},
             {"SELECT * FROM tenants WHERE tenant IN (1, 2) AND id = 3", "151(1='0|'1,3='2)"},
             {"SELECT * FROM named WHERE \"Name\" = 'x'", "152(1='0)"},
             {"SELECT * FROM by_uuid WHERE u = $1 AND $2 = 3", "153(1=$0)"},
         })
        CHECK_MESSAGE(read(c.sql) == c.rows, c.sql);
}

TEST_CASE("in a join each side is fixed, or falls back to its relation") {
    for (const auto& c : std::initializer_list<Case>{
             {"SELECT * FROM keyed k JOIN tenants n ON n.id = k.v WHERE k.id = 1", "150(1='0)"},
             {"SELECT * FROM keyed k, tenants n WHERE k.id = 1 AND n.id = 2",
              "150(1='0) 151(3='1)"},
             {"SELECT * FROM t LEFT JOIN keyed k USING (id) WHERE k.id = 1", "150(1='0)"},
             {"SELECT * FROM keyed a, keyed b WHERE a.id = 1 AND b.id = 2", "150(1='0) 150(1='1)"},
             {"SELECT * FROM keyed WHERE id = 1 UNION SELECT * FROM keyed WHERE id = 2",
              "150(1='1) 150(1='0)"},
             {"SELECT (SELECT max(a) FROM u WHERE u.id = k.v) FROM keyed k WHERE k.id = 9",
              "150(1='0)"},
             {"WITH c AS (SELECT * FROM keyed WHERE id = 1) SELECT * FROM c", "150(1='0)"},
         })
        CHECK_MESSAGE(read(c.sql) == c.rows, c.sql);
    // One place without a key is enough for all of it.
    for (const auto* sql :
         {"SELECT * FROM keyed a, keyed b WHERE a.id = 1", "SELECT * FROM keyed, t WHERE id = 1",
          "SELECT * FROM keyed WHERE id = 1 AND v = (SELECT max(v) FROM keyed)",
          "SELECT * FROM keyed WHERE id = 1 UNION SELECT * FROM keyed",
          "SELECT * FROM keyed k JOIN keyed_view w ON true WHERE k.id = 1",
          "SELECT * FROM (keyed JOIN t ON true) j WHERE j.id = 1",
          "WITH keyed AS (SELECT * FROM t) SELECT * FROM keyed WHERE id = 1"})
        CHECK_MESSAGE(read(sql) == "", sql);
}

TEST_CASE("what does not fix a row beyond doubt counts for the relation") {
    for (const auto* sql : {
             "SELECT * FROM keyed",
             "SELECT * FROM keyed WHERE v = 1",
             "SELECT * FROM keyed WHERE id = 1 OR v = 2",
             "SELECT * FROM keyed WHERE NOT id = 1",
             "SELECT * FROM keyed WHERE id <> 1",
             "SELECT * FROM keyed WHERE id >= 1",
             "SELECT * FROM keyed WHERE id = v",
             "SELECT * FROM keyed WHERE id = -1",
             "SELECT * FROM keyed WHERE id = 1 + 1",
             "SELECT * FROM keyed WHERE id = 1.0",
             "SELECT * FROM keyed WHERE id = NULL",
             "SELECT * FROM keyed WHERE id NOT IN (1, 2)",
             "SELECT * FROM keyed WHERE id IN (1, v)",
             "SELECT * FROM keyed WHERE id IN (1, 2.5)",
             "SELECT * FROM keyed WHERE id IN (1::numeric, 2)",
             "SELECT * FROM keyed WHERE id IN ($1::numeric, 2, 3)",
             "SELECT * FROM keyed WHERE id IN (1, 2::numeric, 3)",
             "SELECT * FROM named WHERE \"Name\" IN ('a'::bpchar, 'b')",
             "SELECT * FROM keyed WHERE id = ANY ($1)",
             "SELECT * FROM keyed WHERE id + 0 = 1",
             "SELECT * FROM keyed WHERE id = $1::numeric",
             "SELECT * FROM keyed WHERE id::text = '1'",
             "SELECT * FROM keyed WHERE (id, v) = (1, 2)",
             "SELECT * FROM keyed HAVING max(id) = 1",
             "SELECT * FROM keyed WHERE keyed = 1",
             "SELECT * FROM keyed WHERE ID2 = 1",
             "SELECT * FROM keyed k(x, y) WHERE k.id = 1",
             "SELECT * FROM keyed k WHERE keyed.id = 1",
             "SELECT * FROM inherited WHERE id = 1",
             "SELECT * FROM keyed_view WHERE id = 1",
             "SELECT * FROM t WHERE id = 1",
             "SELECT * FROM named WHERE name = 'x'",
             "SELECT * FROM named WHERE \"Name\" = 'x'::varchar(1)",
             "SELECT * FROM named WHERE \"Name\" = 'x'::bpchar",
             "SELECT * FROM named WHERE \"Name\" = 'x' COLLATE \"C\"",
             "SELECT * FROM named WHERE lower(\"Name\") = 'x'",
             "SELECT * FROM named WHERE \"Name\" LIKE 'x'",
             "SELECT * FROM by_uuid WHERE u = '00000000-0000-0000-0000-000000000000'::text",
             "SELECT * FROM keyed WHERE id IN (1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17)",
         })
        CHECK_MESSAGE(text(judged(sql).read_rows) == "", sql);
    CHECK(text(judged("SELECT 1; SELECT * FROM keyed WHERE id = 1").read_rows) == "");
    CHECK(text(judged_without_catalog("SELECT * FROM keyed WHERE id = 1").read_rows) == "");
}

TEST_CASE("a write that names all columns rows are read by writes those rows only") {
    for (const auto& c : std::initializer_list<Case>{
             {"UPDATE keyed SET v = 1 WHERE id = 2", "150(1='1)"},
             {"UPDATE keyed k SET v = $1 FROM t WHERE k.id = $2 AND t.a = k.v", "150(1=$1)"},
             {"UPDATE keyed SET (v, w) = (1, 2) WHERE id IN (3, 4)", "150(1='2|'3)"},
             {"DELETE FROM keyed WHERE id = $1 RETURNING *", "150(1=$0)"},
             {"DELETE FROM tenants WHERE tenant = 1 AND id = 2", "151(1='0,3='1)"},
             {"INSERT INTO keyed (v, id) VALUES (1, 2), ($1, $2)", "150(1='1) 150(1=$1)"},
             {"INSERT INTO tenants VALUES (1, 2, 3)", "151(1='0,3='1)"},
             {"INSERT INTO keyed VALUES (1, DEFAULT) ON CONFLICT DO NOTHING", "150(1='0)"},
             {"INSERT INTO keyed VALUES (1, 2) ON CONFLICT (id) DO UPDATE SET v = excluded.v",
              "150(1='0)"},
         })
        CHECK_MESSAGE(written(c.sql) == c.rows, c.sql);
}

TEST_CASE("what may write other rows, too, counts for the relation") {
    for (const auto* sql : {
             "UPDATE keyed SET v = 1",
             "UPDATE keyed SET id = 3 WHERE id = 2",
             "UPDATE keyed SET (v, id) = (1, 2) WHERE id = 2",
             "UPDATE keyed SET (v, id) = (SELECT 1, 2) WHERE id = 2",
             "UPDATE keyed SET v = 1 WHERE id = 2 OR v = 3",
             "UPDATE keyed SET v = 1 FROM t WHERE id = 2",
             "UPDATE keyed SET v = 1 WHERE id IN (1, 2::numeric, 3)",
             "DELETE FROM keyed WHERE id IN (1::numeric, 2)",
             "UPDATE named SET v = 1 WHERE \"Name\" = 'a'\n'b'",
             "INSERT INTO named VALUES ('a' -- more\n 'b', 1)",
             "DELETE FROM keyed WHERE id = 1 AND v = U&'!0061' UESCAPE '!'",
             "UPDATE tenants SET v = 1 WHERE tenant = 2",
             "WITH x AS (SELECT 1) UPDATE keyed SET v = 1 WHERE id = 2",
             "WITH x AS (DELETE FROM keyed) UPDATE keyed SET v = 1 WHERE id = 2",
             "WITH x AS (UPDATE keyed SET v = 1 WHERE id = 1 RETURNING 1) "
             "UPDATE keyed SET v = 1 WHERE id = 2",
             "WITH x AS (DELETE FROM keyed WHERE id = 1) DELETE FROM keyed",
             "WITH x AS (INSERT INTO keyed VALUES (1, 2)) MERGE INTO keyed USING t ON keyed.id = 1 "
             "WHEN MATCHED THEN DELETE",
             "WITH x AS (DELETE FROM keyed WHERE id = 1 RETURNING v) "
             "INSERT INTO keyed SELECT 3, v FROM x",
             "WITH x AS (UPDATE keyed SET v = 1 WHERE id = 1), "
             "y AS (UPDATE keyed SET v = 1 WHERE id = 2) INSERT INTO keyed VALUES (3, 4)",
             "UPDATE keyed SET v = 1 WHERE CURRENT OF c",
             "DELETE FROM keyed",
             "DELETE FROM keyed USING t WHERE id = 2",
             "TRUNCATE keyed",
             "MERGE INTO keyed USING t ON keyed.id = 1 WHEN MATCHED THEN DELETE",
             "COPY keyed FROM STDIN",
             "INSERT INTO keyed SELECT 1, 2",
             "INSERT INTO keyed DEFAULT VALUES",
             "INSERT INTO keyed (v) VALUES (1)",
             "INSERT INTO keyed VALUES (DEFAULT, 1)",
             "INSERT INTO keyed VALUES (1), (1 + 1)",
             "INSERT INTO keyed OVERRIDING USER VALUE VALUES (1)",
             "INSERT INTO keyed VALUES (1, 2) ON CONFLICT (v) DO UPDATE SET v = 1",
             "INSERT INTO keyed VALUES (1, 2) ON CONFLICT ON CONSTRAINT k DO UPDATE SET v = 1",
             "INSERT INTO keyed VALUES (1, 2) ON CONFLICT (id) DO UPDATE SET id = 9",
             "INSERT INTO keyed VALUES (1, 2) ON CONFLICT (id) WHERE v > 1 DO UPDATE SET v = 1",
             "INSERT INTO tenants VALUES (1, 2) ON CONFLICT (tenant, id) DO UPDATE SET v = 1",
             "UPDATE watched SET v = 1 WHERE id = 2",
             "UPDATE own_default SET v = 1 WHERE id = 2",
             "UPDATE inherited SET v = 1 WHERE id = 2",
             "UPDATE keyed_view SET v = 1 WHERE id = 2",
             "UPDATE keyed SET v = own_writer() WHERE id = 2",
             "UPDATE keyed SET v = 1 WHERE id = 2; UPDATE keyed SET v = 1 WHERE id = 3",
             "EXPLAIN ANALYZE UPDATE keyed SET v = 1 WHERE id = 2",
         })
        CHECK_MESSAGE(written(sql) == "", sql);
}

TEST_CASE("equal values name equal rows, however they are given") {
    const auto five = row("SELECT * FROM keyed WHERE id = 5");
    CHECK(five != 0);
    CHECK(row("SELECT 'a', 2 FROM keyed WHERE id = '5'") == five);
    CHECK(row("SELECT * FROM keyed WHERE id = '5'::int8") == five);
    CHECK(row("SELECT * FROM keyed WHERE id = $1", {"5"}) == five);
    CHECK(row("SELECT * FROM keyed WHERE id = $1", {"5"}, {20}) == five);
    CHECK(row("SELECT * FROM keyed WHERE id = $1", {std::string("\0\5", 2)}, {21}, true) == five);
    CHECK(row("SELECT * FROM keyed WHERE id = $1", {std::string("\0\0\0\5", 4)}, {23}, true) ==
          five);
    CHECK(row("SELECT * FROM keyed WHERE id = $1", {std::string("\0\0\0\0\0\0\0\5", 8)}, {20},
              true) == five);
    CHECK(row("SELECT * FROM keyed WHERE id = $1", {"\xff\xff"}, {21}, true) ==
          row("SELECT * FROM keyed WHERE id = $1", {"-1"}));
    CHECK(row("SELECT * FROM keyed WHERE id = 6") != five);
    CHECK(row("SELECT * FROM keyed WHERE id = 9223372036854775807") != 0);
    const auto u =
        row("SELECT * FROM by_uuid WHERE u = $1", {"01234567-89ab-cdef-0123-456789abcdef"}, {2950});
    CHECK(u != 0);
    CHECK(row("SELECT * FROM by_uuid WHERE u = '01234567-89AB-CDEF-0123-456789ABCDEF'") == u);
    CHECK(row("SELECT * FROM by_uuid WHERE u = $1",
              {std::string("\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef", 16)},
              {2950}, true) == u);
    const auto quote = row("SELECT * FROM named WHERE \"Name\" = 'it''s'");
    CHECK(quote != 0);
    CHECK(row("SELECT * FROM named WHERE \"Name\" = $1", {"it's"}, {1043}) == quote);
    CHECK(row("SELECT * FROM named WHERE \"Name\" = $1", {"it's"}, {25}, true) == quote);
}

TEST_CASE("a value that may be equal to others of another form names no row") {
    for (const auto* value :
         {"05", " 5", "5 ", "+5", "5.0", "5e0", "0x5", "", "-", "five", "99999999999999999999"})
        CHECK_MESSAGE(row("SELECT * FROM keyed WHERE id = $1", {value}) == 0, value);
    CHECK(row("SELECT * FROM keyed WHERE id = 99999999999999999999") == 0);
    CHECK(row("SELECT * FROM keyed WHERE id = '5.0'") == 0);
    CHECK(row("SELECT * FROM keyed WHERE id = E'5'") == 0);
    CHECK(row("SELECT * FROM keyed WHERE id = $$5$$") == 0);
    // As numeric, text, bpchar and money declare it.
    for (const std::uint32_t type : {1700U, 25U, 1042U, 790U, 16400U})
        CHECK(row("SELECT * FROM keyed WHERE id = $1", {"5"}, {type}) == 0);
    CHECK(row("SELECT * FROM named WHERE \"Name\" = $1", {"x"}, {1042}) == 0);
    CHECK(row("SELECT * FROM named WHERE \"Name\" = $1", {"\xc3\xa9"}) == 0);
    CHECK(row("SELECT * FROM named WHERE \"Name\" = 5") == 0);
    CHECK(row("SELECT * FROM keyed WHERE id = $1", {"12345"}, {}, true) == 0);
    // Elsewhere it may have been given another type.
    CHECK(row("SELECT $1::numeric FROM keyed WHERE id = $1", {"5"}) == 0);
    CHECK(row("SELECT $1::numeric FROM keyed WHERE id = $1", {"5"}, {23}) != 0);
    CHECK(row("SELECT * FROM by_uuid WHERE u = $1", {"{01234567-89ab-cdef-0123-456789abcdef}"}) ==
          0);
    // NULL, and a parameter that is not there.
    const auto v = judged("SELECT * FROM keyed WHERE id = $1");
    std::vector<std::uint64_t> numbers;
    CHECK_FALSE(rows_read(v.read_rows[0], {"", std::string_view("\0\0\0\1\xff\xff\xff\xff", 8), {}},
                          numbers));
    CHECK_FALSE(rows_read(v.read_rows[0], {"", std::string_view("\0\0\0\0", 4), {}}, numbers));
    CHECK_FALSE(
        rows_read(v.read_rows[0], {"", std::string_view("\0\0\0\1\0\0\0\7", 8), {}}, numbers));
}

TEST_CASE("a write raises each number its rows may be read by, and no others") {
    const auto all = rows_of_write("UPDATE tenants SET v = 1 WHERE tenant = 2 AND id = 3");
    CHECK(all.size() == 3);
    CHECK(contains(all, row("SELECT * FROM tenants WHERE tenant = 2")));
    CHECK(contains(all, row("SELECT * FROM tenants WHERE id = 3")));
    CHECK(contains(all, row("SELECT * FROM tenants WHERE id = 3 AND tenant = 2")));
    CHECK_FALSE(contains(all, row("SELECT * FROM tenants WHERE tenant = 3")));
    CHECK_FALSE(contains(all, row("SELECT * FROM tenants WHERE tenant = 3 AND id = 2")));
    CHECK(rows_of_write("INSERT INTO keyed VALUES (1), ($1)", {"2"}) ==
          std::vector{row("SELECT * FROM keyed WHERE id = 1"),
                      row("SELECT * FROM keyed WHERE id = 2")});
    // Stored without its blanks where the column is a varchar(n).
    CHECK(rows_of_write("INSERT INTO named VALUES ('x ')").empty());
    CHECK(rows_of_write("INSERT INTO named VALUES ('x')").size() == 1);
}

TEST_CASE("a verdict's places are found again in any text of its shape") {
    const std::string one = "SELECT  'a' /* 'x' */ FROM keyed WHERE id = 5 AND v < 7";
    const std::string other = "select 'it''s; 5' from keyed -- 9\n where ID = 123 and V < 'x'";
    const auto v = judged(one);
    const std::string same = "SELECT 'it''s; 5' FROM keyed -- 9\n WHERE id = 123 AND v < 8";
    REQUIRE(scan_text(one).shape == scan_text(same).shape);
    CHECK(scan_text(one).shape != scan_text(other).shape);
    std::vector<std::uint64_t> numbers;
    REQUIRE(rows_read(v.read_rows[0], {same, {}, {}}, numbers));
    CHECK(numbers == std::vector{row("SELECT * FROM keyed WHERE id = 123")});
}

TEST_CASE("a literal's place is counted as tokens are, whatever stands around it") {
    const std::vector<std::string> pieces = {
        "7",    "1234567",  "1.5",   ".5",       "'x'",     "'it''s'",   "E'\\''",
        "e'7'", "B'01'",    "X'1f'", "N'n'",     "U&'d'",   "$$7 'x'$$", "$t$ 7 $t$",
        "$1",   "word7",    "e",     "u",        "\"7 '\"", "--7\n",     "/* 7 /* '8' */ */",
        "-",    "+-/*c*/*", "a.b",   "..",       "(7)",     ",",         "::",
        "x'",   "\"",       "/*",    "U&\"id\"", "e'\\",    "$7",        "<=",
        "n1e5"};
    std::mt19937 random(11);
    for (int i = 0; i < 20'000; ++i) {
        std::string sql;
        for (auto n = 1 + random() % 12; n > 0; --n) {
            sql += pieces[random() % pieces.size()];
            if (random() % 3 != 0) sql += ' ';
        }
        std::vector<std::string> literals;
        const auto tokens = text_tokens(sql);
        for (const auto& t : tokens)
            if (t.kind == TextToken::Kind::constant) literals.push_back(t.text);
        for (std::size_t at = 0; at <= literals.size(); ++at) {
            const RowKey key{
                1, {{1, KeyType::integer, {{false, static_cast<std::uint16_t>(at), false}}}}};
            std::vector<std::uint64_t> rows;
            const bool known = rows_read(key, {sql, {}, {}}, rows);
            std::string value;
            auto text = at < literals.size() ? literals[at] : std::string();
            if (text.starts_with('\'')) text = text.substr(1, text.size() - 2);
            const bool number = !text.empty() &&
                                text.find_first_not_of("0123456789") == std::string::npos &&
                                canonical_text(KeyType::integer, text, value);
            // A text that cannot be read to its end names no row.
            if (known) REQUIRE_MESSAGE(number, sql);
            if (known)
                REQUIRE_MESSAGE(rows == std::vector{row_number(std::vector<RowValue>{{1, value}})},
                                sql);
            if (number && !known) REQUIRE_MESSAGE(!scan_text(sql).lexed, sql);
        }
    }
}
