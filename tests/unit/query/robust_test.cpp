// Hostile texts: long, deep, broken anywhere, random. And the judgement by tokens that long texts
// and unknown grammar get.
#include <doctest/doctest.h>

#include <atomic>
#include <ctime>
#include <limits>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "fixture.hpp"
#include "support/amount.hpp"

using namespace pgweir::query;
using namespace pgweir::query::fixture;
using pgweir::testing::amount;

namespace {

void all_entries(std::string_view sql) {
    // A copy of exactly this size, so that a read past the end is one past an allocation.
    const std::vector<char> exact(sql.begin(), sql.end());
    const std::string_view text(exact.data(), exact.size());
    const TextScan scan = scan_text(text);
    const Verdict verdict = judged(text);
    CHECK((scan.lexed || verdict.not_cached != NotCached::none));
    CHECK((verdict.kind != Kind::unknown || verdict.writes != Writes::nothing));
    CHECK((verdict.kind != Kind::unknown || verdict.pin == PinReason::not_understood));
    static_cast<void>(judged_without_catalog(text));
    static_cast<void>(fingerprint(text));
    CHECK(normalise(text, 100).size() <= 100);
    static_cast<void>(split_search_path(text));
    static_cast<void>(special_datetime_word(text));
}

std::string repeated(std::string_view part, std::size_t times) {
    std::string out;
    out.reserve(part.size() * times);
    for (std::size_t i = 0; i < times; ++i) out += part;
    return out;
}

constexpr const char* kTexts[] = {
    "WITH x AS (SELECT 'a''b', E'c\\'d', $t$e$t$ FROM t /* f /* g */ */) SELECT * FROM x -- end",
    "INSERT INTO \"Odd Name\" (a, b) VALUES (1, 'x'), (-2.5e3, U&'y') ON CONFLICT DO NOTHING "
    "RETURNING *",
    "MERGE INTO t USING u ON t.id = u.id WHEN MATCHED THEN UPDATE SET a = B'01' WHEN NOT MATCHED "
    "THEN INSERT VALUES (X'1f')",
    "SELECT sum(a) FILTER (WHERE b) OVER (PARTITION BY c ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) "
    "FROM t TABLESAMPLE system (1)",
    "CREATE TEMP TABLE x (a int DEFAULT 1, b varchar(10)) ON COMMIT DROP; SET LOCAL a.b = 'c'; "
    "LISTEN d",
    "EXPLAIN (ANALYZE, BUFFERS) SELECT * FROM ROWS FROM (generate_series(1, 2), unnest(ARRAY[1])) "
    "AS q(a, b)",
    "DO $body$ begin perform $$x$$; end $body$; COPY t (a) FROM STDIN WITH (FORMAT csv, HEADER)",
    "SELECT xmlelement(name a, xmlattributes(b AS c)), (d).e.f[1:2], CASE g WHEN 1 THEN 2 END, "
    "$1::int[] FROM xmltable('/a' passing b columns c int)",
    "SELECT a FROM t WHERE (b, c) OVERLAPS (d, e) AND f SIMILAR TO 'x' ESCAPE '!' AND g AT TIME "
    "ZONE 'h' IS NOT DISTINCT FROM CURRENT_DATE"};

}  // namespace

TEST_CASE("every prefix of a statement is survived, and with any byte replaced") {
    std::mt19937 random(1);
    for (const std::string text : kTexts) {
        for (std::size_t i = 0; i <= text.size(); ++i)
            all_entries(std::string_view(text).substr(0, i));
        for (std::size_t i = 0; i < text.size(); ++i) {
            std::string changed = text;
            changed[i] = static_cast<char>(random());
            all_entries(changed);
        }
    }
}

TEST_CASE("random bytes and random tokens are survived") {
    std::mt19937 random(2);
    const char* const tokens[] = {"SELECT", "FROM", "t",  "(",   ")",           ",",      "'",
                                  "\"",     "$$",   "$1", "1",   "-",           "--",     "/*",
                                  "*/",     "WITH", "AS", "\n",  "INSERT INTO", "VALUES", ";",
                                  "E'",     "\\",   "::", "int", "UNION",       "WHERE",  "=",
                                  "*",      ".",    "[",  "]",   "u&'"};
    for (int i = 0; i < 3000; ++i) {
        std::string text;
        for (std::size_t n = random() % 60; n > 0; --n) {
            if (i % 2 == 0)
                text += tokens[random() % std::size(tokens)] + std::string(random() % 2, ' ');
            else
                text.push_back(static_cast<char>(random()));
        }
        all_entries(text);
    }
}

TEST_CASE("long and deep statements are survived") {
    all_entries("SELECT 1" + repeated("+1", 500000));
    all_entries("SELECT 1" + repeated("+1", 30000));
    all_entries("SELECT 1" + repeated(" + 1", 16000));
    all_entries("SELECT " + repeated("(", 200000) + "1" + repeated(")", 200000));
    all_entries("SELECT " + repeated("(", 30000) + "1" + repeated(")", 30000));
    all_entries("SELECT " + repeated("(", 4000) + "1" + repeated(")", 4000));
    all_entries(repeated("SELECT 1 UNION ", 4000) + "SELECT 1");
    all_entries("SELECT " + repeated("(SELECT ", 3000) + "1" + repeated(")", 3000));
    all_entries("SELECT a" + repeated("[1]", 20000));
    all_entries("SELECT a" + repeated("::int", 12000));
    all_entries("SELECT " + repeated("- ", 30000) + "1");
    all_entries("SELECT " + repeated("NOT ", 15000) + "true");
    all_entries(repeated("SELECT 1;", 7000));
    all_entries(repeated("/*", 200000));
    all_entries(repeated("$a", 200000));
    all_entries("$" + repeated("a", 100000) + repeated("$", 100000));
    all_entries("SELECT 'x" + repeated("''", 200000) + "'");
    all_entries("WITH a0 AS (SELECT 1)" + repeated(", a AS (SELECT * FROM a)", 2000) + " SELECT 1");
    all_entries(repeated("a.", 30000) + "b");
    all_entries("SELECT * FROM t WHERE id IN (" + repeated("1,", 30000) + "1)");
    all_entries(repeated("VALUES (", 50000));
    all_entries("SELECT " + std::string(60000, 'x'));
}

TEST_CASE("cost grows with the length and no faster") {
    const auto cost = [](const std::string& text) {
        // The thread's own processor time: how busy the machine is does not count.
        const auto used = [] {
            timespec t{};
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
            return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
        };
        double best = std::numeric_limits<double>::max();
        for (int i = 0; i < 5; ++i) {
            const auto from = used();
            static_cast<void>(scan_text(text));
            static_cast<void>(fingerprint(text));
            static_cast<void>(normalise(text));
            static_cast<void>(judged(text));
            best = std::min(best, used() - from);
        }
        return best;
    };
    for (const std::string_view part : {"$a", "/*", "''", "1,", "(", "(1),", "a.", "\"\"", "$$ $",
                                        "E'", "u&'a'", "[", "in (", "values ("}) {
        CAPTURE(part);
        const auto text = [&](std::size_t n) {
            return "INSERT INTO t VALUES " + repeated(part, n / part.size());
        };
        CHECK(cost(text(amount(800'000))) < 40 * cost(text(amount(100'000))) + 5e6);
    }
}

TEST_CASE("a long INSERT of plain values is judged as exactly as a short one") {
    const std::string rows =
        repeated("(1, 'text', -2.5, NULL, DEFAULT, true, $1, '2024-01-01'::date), ", 20000) +
        "(1, 2)";
    const Verdict plain = judged("INSERT INTO t (a, \"B c\") VALUES " + rows);
    CHECK(plain.kind == Kind::dml);
    CHECK(plain.pin == PinReason::none);
    CHECK(plain.writes == Writes::relations);
    CHECK(plain.written == std::vector{kT});
    CHECK_FALSE(plain.may_leave_state);
    CHECK(judged("INSERT INTO public.\"Odd Name\" VALUES " + rows +
                 " ON CONFLICT DO NOTHING RETURNING a, b;")
              .written == std::vector{kQuoted});
    const Verdict triggered = judged("INSERT INTO triggered VALUES " + rows);
    CHECK(triggered.writes == Writes::database);
    CHECK(triggered.may_leave_state);
    const Verdict unknown = judged_without_catalog("INSERT INTO t VALUES " + rows);
    CHECK(unknown.kind == Kind::dml);
    CHECK(unknown.writes == Writes::database);
    CHECK(unknown.pin == PinReason::none);
    CHECK(unknown.may_leave_state);
    for (const std::string tail :
         {", (setseed(1))", "; DROP TABLE t", " ON CONFLICT (a) DO UPDATE SET a = own_writer()",
          ", (1::mood)", " RETURNING own_writer()", ", ('a' 'b')"}) {
        CAPTURE(tail);
        CHECK(judged("INSERT INTO t VALUES " + rows + tail).writes == Writes::database);
    }
}

TEST_CASE("a long literal does not keep a statement from the parser") {
    const std::string blob(300000, 'x');
    CHECK(judged("UPDATE t SET a = '" + blob + "' WHERE id = 1").written == std::vector{kT});
    CHECK(judged("UPDATE t SET a = E'" + blob + "' WHERE id = 1").written == std::vector{kT});
    CHECK(judged("UPDATE t SET a = $a$" + blob + "$a$, b = X'" + std::string(1000, '0') + "'")
              .written == std::vector{kT});
    CHECK(judged("SELECT own_setter('" + blob + "')").pin == PinReason::function);
    CHECK(judged("SELECT * FROM t WHERE a = '" + blob + "'").reads == std::vector{kT});
    CHECK(judged("SELECT * FROM t WHERE a = '" + blob + " now'").not_cached ==
          NotCached::special_date_input);
}

TEST_CASE("a statement too long to parse is judged by its tokens") {
    const std::string list = "(" + repeated("1,", 100000) + "1)";
    const Verdict read = judged("SELECT * FROM t WHERE id IN " + list);
    CHECK(read.kind == Kind::select);
    CHECK(read.not_cached == NotCached::too_complex);
    CHECK(read.pin == PinReason::none);
    CHECK(read.writes == Writes::database);
    CHECK(read.may_leave_state);
    CHECK(read.timed);
    CHECK_FALSE(read.may_end_transaction);
    CHECK(read.literal_dependent);
    const auto pin = [&](const std::string& sql) { return name(judged(sql + list).pin); };
    CHECK(pin("DELETE FROM t WHERE setseed(1) IN ") == "seed");
    CHECK(pin("SELECT * INTO TEMP x FROM t WHERE a IN ") == "temporary");
    CHECK(pin("SELECT own_setter() FROM t WHERE a IN ") == "function");
    CHECK(pin("SELECT own_writer() FROM t WHERE a IN ") == "none");
    CHECK(pin("SELECT \"set_config\"('a', 'b', false) FROM t WHERE a IN ") == "set");
    CHECK(pin("CREATE TABLE x AS SELECT * FROM t WHERE a IN ") == "not_understood");
    CHECK(pin("SELECT 1; SELECT a IN ") == "not_understood");
    CHECK(judged("SELECT a IN " + list + "; COMMIT").kind == Kind::unknown);
    CHECK(judged("SELECT a IN " + list + ";;").kind == Kind::select);
    CHECK(judged("WITH x AS (DELETE FROM t RETURNING *) SELECT a IN " + list).kind == Kind::dml);
}

TEST_CASE("the names of a long text are looked up once each, and no more of them than is cheap") {
    Catalog many = Builder().take();
    for (Oid schema = 100'000; schema < 102'000; ++schema) many.relations[schema];
    std::string list = "SELECT 1";
    for (int i = 0; i < 20'000; ++i) list += ", same_" + std::to_string(i % 50);
    const ResolveContext context{.search_path = {"public"}, .catalog = &many};
    CHECK(judge(list + " FROM t", context)->writes == Writes::database);
    CHECK(judge(list + "; SELECT 1", context)->writes == Writes::database);
    for (int i = 0; i < 100'000; ++i) list += ", n" + std::to_string(i);
    for (const auto* end : {" FROM t", "; SELECT 1"}) {
        const auto from = std::clock();
        CHECK(judge(list + end, context)->writes == Writes::all_databases);
        CHECK(static_cast<double>(std::clock() - from) / CLOCKS_PER_SEC < 2);
    }
}

TEST_CASE("grammar newer than the parser is judged by its tokens") {
    for (const auto* sql : {"SELECT JSON_OBJECT('a': 1)", "SELECT a IS JSON FROM t",
                            "SELECT * FROM (SELECT 1)", "SELECT a AT LOCAL FROM t",
                            "SELECT * FROM JSON_TABLE('[]', '$[*]' COLUMNS (a int PATH '$')) j"}) {
        const std::string text = sql;
        CAPTURE(text);
        const Verdict v = judged(sql);
        CHECK(v.kind == Kind::select);
        CHECK(v.pin == PinReason::none);
        CHECK(v.not_cached == NotCached::not_understood);
        CHECK(v.writes == Writes::database);
        CHECK_FALSE(v.may_end_transaction);
        CHECK(judged_without_catalog(sql).kind == Kind::select);
    }
    CHECK(judged("MERGE INTO t USING u ON t.a = u.a WHEN NOT MATCHED BY SOURCE THEN DELETE").kind ==
          Kind::dml);
    CHECK(judged("UPDATE t SET a = 1 RETURNING WITH (OLD AS o) o.a").kind == Kind::dml);
    CHECK(judged("SELECT setseed(1), a IS JSON FROM t").pin == PinReason::seed);
    CHECK(judged("SELECT a IS JSON FROM t; SET x = 1").pin == PinReason::not_understood);
    CHECK(judged("SELECT 0x1F").kind == Kind::unknown);
}

TEST_CASE("threads judge at the same time") {
    std::vector<std::thread> threads;
    std::atomic<int> wrong = 0;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&wrong] {
            for (int round = 0; round < 200; ++round) {
                if (judged("SELECT * FROM t JOIN u USING (id) WHERE a = 'x'").reads !=
                    std::vector{kT, kU})
                    ++wrong;
                if (judged("SELECT broken FROM").kind != Kind::select) ++wrong;
                if (judged("INSERT INTO t VALUES (1)").written != std::vector{kT}) ++wrong;
            }
        });
    }
    for (auto& thread : threads) thread.join();
    CHECK(wrong == 0);
}
