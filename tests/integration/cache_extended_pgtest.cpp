// The result cache in the extended protocol: formats, parameters, pipelines and row limits. Every
// answer is compared with PostgreSQL's own.
#include <doctest/doctest.h>

#include "support/cache_client.hpp"

using namespace pgweir::testing;

namespace {

Proxy& proxy() {
    static Proxy p(Cluster::shared(), caching());
    return p;
}

RawClient login(const msg::Parameters& more = {}, const std::string& user = "app") {
    return RawClient::login(proxy().port(), user, "app", more);
}

template <class F>
std::int64_t hits(F&& work) {
    return hits_of(proxy(), work);
}

bool becomes_cached(RawClient& c, const std::string& sql) {
    return becomes_cached(proxy(), c, sql);
}

void setup(const std::string& sql) { must_run(login(), sql); }

}  // namespace

TEST_CASE("the extended protocol hits per parameters, types and formats") {
    setup("CREATE TABLE keyed AS SELECT n, n * 10 AS v FROM generate_series(1, 20) n");
    auto c = login();
    auto direct = RawClient::login(Cluster::shared().port());
    const auto batch = [](const std::string& value, int format) {
        return msg::parse("", "SELECT v FROM keyed WHERE n = $1", {23}) +
               msg::bind("", "", {value}, format) + msg::describe('P', "") + msg::execute() +
               msg::sync();
    };
    CHECK(becomes_cached(c, "SELECT v FROM keyed WHERE n = 1"));
    for (int round = 0; round < 5; ++round) {
        for (const char* value : {"3", "4"})
            for (const int format : {0, 1})
                CHECK(c.ask(batch(value, format)) == direct.ask(batch(value, format)));
        sleep_for(Seconds(0.05));
    }
    CHECK(hits([&] {
              for (const char* value : {"3", "4"})
                  for (const int format : {0, 1})
                      CHECK(c.ask(batch(value, format)) == direct.ask(batch(value, format)));
          }) == 4);
    // A named statement, prepared once.
    c.ask(msg::parse("k", "SELECT v FROM keyed WHERE n = $1", {23}) + msg::sync());
    const auto run = [&](const std::string& value) {
        return c.ask(msg::bind("", "k", {value}) + msg::execute() + msg::sync());
    };
    for (int i = 0; i < 3; ++i) CHECK(first_value(run("7")) == "70");
    CHECK(hits([&] { CHECK(types(run("7")) == "2DCZ"); }) == 1);
    CHECK(first_value(run("8")) == "80");
}

TEST_CASE("D3: a text is today in binary format, too, by itself and in an array") {
    auto c = login();
    CHECK(becomes_cached(c, "SELECT 1"));
    const auto binary = [](const std::string& value) {
        auto bind = msg::bind("", "", {value});
        bind.replace(7, 2, std::string("\0\1\0\1", 4));  // one format, which is binary
        bind[4] = static_cast<char>(bind[4] + 2);
        return bind;
    };
    const auto array = [](const std::string& text) {
        const std::string head("\0\0\0\1\0\0\0\0\0\0\0\x19\0\0\0\1\0\0\0\1\0\0\0", 23);
        return head + static_cast<char>(text.size()) + text;
    };
    const auto hits_by = [&](const std::string& sql, std::uint32_t type, const std::string& value) {
        const auto batch =
            msg::parse("", sql, {type}) + binary(value) + msg::execute("") + msg::sync();
        return hits([&] {
            for (int i = 0; i < 3; ++i) CHECK(types(c.ask(batch)) == "12DCZ");
        });
    };
    const std::string one = "SELECT $1::date", many = "SELECT $1::date[]";
    CHECK(hits_by(one, 25, "2020-01-01") == 2);
    CHECK(hits_by(many, 1009, array("2020-01-01")) == 2);
    CHECK(hits_by("SELECT $1", 25, "know how") == 2);
    for (const std::string word : {"today", " NOW ", "yesterday"}) {
        CAPTURE(word);
        for (const std::uint32_t type : {25u, 1043u, 19u}) CHECK(hits_by(one, type, word) == 0);
        CHECK(hits_by(many, 1009, array(word)) == 0);
    }
    // Its length is the letter "a".
    CHECK(hits_by(many, 1009, array("today" + std::string('a' - 5, ' '))) == 0);
}

TEST_CASE("who is answered from the cache again and again gets what PostgreSQL says all the same") {
    setup(
        "CREATE TABLE again AS SELECT n, n * 10 AS v FROM generate_series(1, 50) n;"
        "CREATE TABLE again_days AS SELECT current_date AS day; CREATE SCHEMA again_other;"
        "CREATE TABLE again_other.again AS SELECT 3 AS n, 'other' AS v");
    auto c = login();
    const auto simple = [&](const std::string& sql) { return c.ask(msg::query(sql)); };
    const auto unnamed = [&](const std::string& sql) {
        return c.ask(msg::parse("", sql) + msg::bind("", "", {}) + msg::describe('P', "") +
                     msg::execute() + msg::sync());
    };
    const auto in_both = [&](const std::string& sql, const std::string& value) {
        CHECK(first_value(simple(sql)) == value);
        CHECK(first_value(unnamed(sql)) == value);
    };
    const auto at = [](int n) { return "SELECT v FROM again WHERE n = " + std::to_string(n); };
    REQUIRE(becomes_cached(c, at(3)));
    for (int n = 1; n <= 9; ++n) in_both(at(n), std::to_string(10 * n));
    // Each is one hit, whether it was expected or not, and each that is not is one miss.
    const auto misses = proxy().cache_counter("misses");
    CHECK(hits([&] {
              for (int n = 1; n <= 9; ++n) in_both(at(n), std::to_string(10 * n));
          }) == 18);
    CHECK(proxy().cache_counter("misses") == misses);
    CHECK(hits([&] { CHECK(first_value(simple(at(30))) == "300"); }) == 0);
    CHECK(proxy().cache_counter("misses") == misses + 1);
    // Behind a hit: words that mean another day tomorrow, as constants and as parameters.
    const auto none = [&](auto&& work) {
        for (int round = 0; round < 3; ++round) {
            in_both(at(3), "30");
            CHECK(hits(work) == 0);
        }
    };
    const std::string days = "SELECT count(*) FROM again_days WHERE day < ";
    none([&] { in_both(days + "'tomorrow'", "1"); });
    none([&] {
        CHECK(first_value(c.ask(msg::parse("", days + "$1", {1082}) +
                                msg::bind("", "", {"tomorrow"}) + msg::execute() + msg::sync())) ==
              "1");
    });
    // What may be cached no more, though its text is the same.
    in_both(at(4), "40");
    setup("ALTER TABLE again ENABLE ROW LEVEL SECURITY");
    CHECK(hits([&] {
              for (int round = 0; round < 3; ++round) in_both(at(4), "40");
          }) == 0);
    setup("ALTER TABLE again DISABLE ROW LEVEL SECURITY");
    REQUIRE(becomes_cached(c, at(3)));
    // Names that mean something else for this session from here on.
    in_both(at(3), "30");
    simple("SET search_path = again_other, public");
    for (int round = 0; round < 3; ++round) in_both(at(3), "other");
    simple("RESET search_path");
    in_both(at(3), "30");
    simple("CREATE TEMPORARY TABLE again AS SELECT 3 AS n, 'mine' AS v");
    for (int round = 0; round < 3; ++round) in_both(at(3), "mine");
}

TEST_CASE("behind a hit a batch of any form is answered as PostgreSQL answers it") {
    setup("CREATE TABLE forms AS SELECT n, n * 10 AS v FROM generate_series(1, 50) n");
    auto c = login();
    auto direct = RawClient::login(Cluster::shared().port());
    const std::string sql = "SELECT v, n FROM forms WHERE n >= $1 ORDER BY n LIMIT 2";
    REQUIRE(becomes_cached(c, "SELECT v FROM forms WHERE n = 1"));
    const auto same = [&](const std::string& batch, const std::string& what) {
        const auto ours = c.ask(batch), theirs = direct.ask(batch);
        // Of errors not every word: a statement has another name on the server.
        const bool fail = types(theirs).find('E') != std::string::npos;
        CHECK_MESSAGE(types(ours) == types(theirs), what, ": ", error_of(ours).message);
        CHECK_MESSAGE((fail || ours == theirs), what);
        CHECK_MESSAGE(error_of(ours).sqlstate == error_of(theirs).sqlstate, what);
    };
    const auto both = [&](const std::string& batch, const std::string& what) {
        for (auto* each : {&c, &direct})
            CHECK(first_value(each->ask(msg::query("SELECT v FROM forms WHERE n = 1"))) == "10");
        same(batch, what);
    };
    for (auto* each : {&c, &direct}) each->ask(msg::parse("k", sql, {23}) + msg::sync());
    const std::string codes[] = {std::string("\0\0", 2), std::string("\0\1\0\0", 4),
                                 std::string("\0\1\0\1", 4), std::string("\0\2\0\1\0\0", 6),
                                 std::string("\0\3\0\0\0\0\0\0", 8)};
    const std::string values[] = {
        std::string("\0\0\0\1\0\0\0\0017", 9), std::string("\0\1\0\1\0\1\0\0\0\4\0\0\0\7", 14),
        std::string("\0\0\0\1\xff\xff\xff\xff", 8), std::string("\0\0\0\0", 4)};
    const auto bind = [](const std::string& names, const std::string& rest) {
        return msg::frame('B', names + rest);
    };
    int n = 0;
    const auto before = proxy().cache_counter("hits");
    for (const std::string& parse : {std::string(), msg::parse("", sql), msg::parse("", sql, {23}),
                                     msg::parse("", sql, std::vector<std::uint32_t>(17, 23))})
        for (const auto& value : values)
            for (const auto& results : codes)
                for (const std::string& describe :
                     {std::string(), msg::describe('P', ""), msg::describe('S', "")})
                    for (const std::uint32_t limit : {0, 1, 2}) {
                        const std::string names(parse.empty() ? "\0k\0" : "\0\0",
                                                parse.empty() ? 3 : 2);
                        const auto batch = parse + bind(names, value + results) + describe +
                                           msg::execute("", limit) + msg::sync();
                        for (int round = 0; round < 2; ++round)
                            both(batch, "form " + std::to_string(n));
                        ++n;
                        if (n % 20 == 0)  // what the unnamed statement is now
                            same(bind(std::string(2, '\0'), values[0] + codes[0]) + msg::execute() +
                                     msg::sync(),
                                 "behind form " + std::to_string(n));
                    }
    CHECK(n == 4 * 4 * 5 * 3 * 3);
    CHECK(proxy().cache_counter("hits") - before >
          2 * n);  // one in front of each, and many of them
}

TEST_CASE("behind a hit what ends a batch, or stands behind it, is heeded") {
    setup("CREATE TABLE ends AS SELECT n, n * 10 AS v FROM generate_series(1, 50) n");
    auto c = login();
    auto direct = RawClient::login(Cluster::shared().port());
    const std::string one = "SELECT v FROM ends WHERE n = 1";
    REQUIRE(becomes_cached(c, one));
    const auto unit = [](const std::string& sql, const std::string& end) {
        return msg::parse("", sql) + msg::bind("", "", {}) + msg::describe('P', "") +
               msg::execute() + end;
    };
    const auto both = [&](const std::string& batch, int answers) {
        CHECK(ask(c, one) == "10");
        for (auto* each : {&c, &direct}) each->send(batch);
        for (int i = 0; i < answers; ++i) CHECK(c.read_until('Z') == direct.read_until('Z'));
    };
    for (int round = 0; round < 3; ++round) {
        both(unit(one, msg::sync()), 1);
        both(unit(one, msg::flush() + msg::sync()), 1);
        both(unit(one, msg::execute() + msg::sync()), 1);
        both(unit(one, msg::close('P', "") + msg::sync()), 1);
        both(unit(one, unit(one, msg::sync())), 1);
        both(unit(one, msg::sync()) + msg::sync() + unit(one, msg::sync()), 3);
        // Hits, a miss, an error and hits, all in one write.
        const auto miss = "SELECT v FROM ends WHERE n = " + std::to_string(20 + round);
        both(msg::query(one) + unit(one, msg::sync()) + msg::query(miss) + msg::query(one) +
                 unit(miss, msg::sync()) + unit("SELECT 1/0", msg::sync()) +
                 unit(one, msg::sync()) + msg::query(""),
             8);
        both(unit(one, msg::sync()) + msg::query("BEGIN") + unit(one, msg::sync()) +
                 msg::query("UPDATE ends SET v = v + 1 WHERE n = 50") + unit(one, msg::sync()) +
                 msg::query("ROLLBACK") + unit(one, msg::sync()),
             7);
    }
    // In pieces: each cut of the batch, once.
    const auto batch = unit(one, msg::sync());
    for (std::size_t cut = 1; cut < batch.size(); cut += 3) {
        CHECK(ask(c, one) == "10");
        c.send(batch.substr(0, cut));
        sleep_for(Seconds(0.001));
        c.send(batch.substr(cut));
        CHECK(first_value(c.read_until('Z')) == "10");
    }
    CHECK(ask(c, one) == "10");
    c.send(batch + msg::terminate());
    CHECK(types(c.read_to_end()) == "12TDCZ");
}

TEST_CASE("an answer that was stored without its description is not given to who asks for one") {
    setup("CREATE TABLE bare AS SELECT n, n * 10 AS v FROM generate_series(1, 50) n");
    auto c = login();
    auto direct = RawClient::login(Cluster::shared().port());
    REQUIRE(becomes_cached(c, "SELECT v FROM bare WHERE n = 1"));
    for (auto* each : {&c, &direct})
        each->ask(msg::parse("b", "SELECT v FROM bare WHERE n = $1", {23}) + msg::sync());
    const auto run = [&](const std::string& n, bool described) {
        const auto batch = msg::bind("", "b", {n}) + (described ? msg::describe('P', "") : "") +
                           msg::execute() + msg::sync();
        const auto m = c.ask(batch);
        CHECK(m == direct.ask(batch));
        return m;
    };
    for (int n = 2; n < 9; ++n) {
        const auto number = std::to_string(n);
        for (int i = 0; i < 3; ++i) run(number, false);
        CHECK(hits([&] { run(number, false); }) == 1);
        for (int i = 0; i < 3; ++i) run(number, true);
        for (int i = 0; i < 2; ++i) run(number, false);
    }
}

TEST_CASE(
    "a write whose Bind comes before another's answer, and whose Execute behind it, is seen") {
    setup("CREATE TABLE split AS SELECT n, n * 10 AS v FROM generate_series(1, 5) n");
    auto reader = login();
    const std::string sum = "SELECT sum(v) FROM split";
    REQUIRE(becomes_cached(reader, sum));
    auto writer = login();
    for (int round = 1; round <= 3; ++round) {
        writer.send(msg::query("SELECT pg_sleep(0.05)") +
                    msg::parse("", "UPDATE split SET v = v + 1 WHERE n = 1") + msg::bind("", ""));
        writer.read_until('Z');
        CHECK(becomes_cached(reader, sum));
        writer.send(msg::execute() + msg::sync());
        CHECK(types(writer.read_until('Z')) == "12CZ");
        CHECK(ask(reader, sum) == std::to_string(150 + round));
    }
}

TEST_CASE("a pipeline of several statements hits when all are known, and shows every write") {
    setup("CREATE TABLE piped AS SELECT n, n * 10 AS v FROM generate_series(1, 50) n");
    auto c = login();
    auto direct = RawClient::login(Cluster::shared().port());
    const std::string sql = "SELECT v FROM piped WHERE n = $1";
    const auto item = [&](int n) {
        return msg::bind("", "by_n", {std::to_string(n)}) + msg::describe('P', "") + msg::execute();
    };
    for (auto* each : {&c, &direct}) each->ask(msg::parse("by_n", sql, {23}) + msg::sync());
    CHECK(becomes_cached(c, "SELECT v FROM piped WHERE n = 1"));
    const auto batch = [&](std::initializer_list<int> keys) {
        std::string b;
        for (const int n : keys) b += item(n);
        return b + msg::sync();
    };
    const auto three = batch({3, 4, 5});
    CHECK(c.ask(three) == direct.ask(three));
    CHECK(hits([&] { CHECK(c.ask(three) == direct.ask(three)); }) == 3);
    // Each was stored under its own key, in any order and number.
    const auto other = batch({5, 3});
    CHECK(hits([&] { CHECK(c.ask(other) == direct.ask(other)); }) == 2);
    // One that is missing sends the batch to the server, and is known afterwards.
    const auto one_new = batch({4, 6, 5});
    CHECK(c.ask(one_new) == direct.ask(one_new));
    CHECK(hits([&] { CHECK(c.ask(one_new) == direct.ask(one_new)); }) == 3);
    setup("UPDATE piped SET v = v + 1 WHERE n = 4");
    CHECK(c.ask(three) == direct.ask(three));
    CHECK(c.ask(three) == direct.ask(three));
    // A write in the middle: what was read before and after it is stored nowhere.
    const auto with_write = item(7) +
                            msg::parse("", "UPDATE piped SET v = v + 1 WHERE n IN (7, 8)") +
                            msg::bind("", "", {}) + msg::execute() + item(8) + msg::sync();
    c.ask(with_write);
    const auto after = batch({7, 8});
    CHECK(c.ask(after) == direct.ask(after));
    CHECK(c.ask(after) == direct.ask(after));
    // An error in the middle: nothing behind it is answered, nothing of it is stored.
    setup("INSERT INTO piped VALUES (60, 0)");
    const auto failing = batch({9, 10}).substr(0, batch({9, 10}).size() - msg::sync().size()) +
                         msg::parse("", "SELECT 1 / (v - v) FROM piped WHERE n = 60") +
                         msg::bind("", "", {}) + msg::execute() + item(11) + msg::sync();
    for (int i = 0; i < 2; ++i) CHECK(types(c.ask(failing)) == types(direct.ask(failing)));
    const auto again = batch({9, 10, 11});
    CHECK(c.ask(again) == direct.ask(again));
}

namespace {

/// Of a table of which keys 3 and 4 are known, beside one that is not read before.
struct Front {
    Front() {
        setup(
            "DROP TABLE IF EXISTS front, front_rest, front_written; "
            "CREATE TABLE front AS SELECT n, n * 10 AS v FROM generate_series(1, 50) n; "
            "CREATE TABLE front_rest AS SELECT 1 AS v; CREATE TABLE front_written (v int)");
        know();
    }
    void know() {
        CHECK(becomes_cached(c, "SELECT v FROM front WHERE n = 1"));
        for (int i = 0; i < 3; ++i)
            c.ask(item(3) + item(4) + msg::sync()), c.ask(item(4) + msg::sync());
    }
    static std::string parse(const std::string& name) {
        return msg::parse(name, "SELECT v FROM front WHERE n = $1", {23});
    }
    static std::string bind(int n, const std::string& statement) {
        return msg::bind("", statement, {std::to_string(n)}) + msg::describe('P', "") +
               msg::execute();
    }
    static std::string item(int n) { return parse("") + bind(n, ""); }

    RawClient c = login();
    RawClient direct = RawClient::login(Cluster::shared().port());
};

/// Errors of our own name no place in PostgreSQL's source.
Messages worded(Messages messages) {
    for (auto& m : messages)
        if (m.type == 'E') m.body = error_of({m}).sqlstate + error_of({m}).message;
    return messages;
}

}  // namespace

TEST_CASE("of a pipeline the front that is known is answered while the rest waits for the server") {
    Front f;
    auto& c = f.c;
    auto locker = RawClient::login(Cluster::shared().port());
    for (const bool inside : {false, true}) {
        ask(locker, "BEGIN; LOCK front_rest");
        // In a transaction that has a server, too.
        if (inside) ask(c, "BEGIN"), ask(c, "SELECT 'no answer of the cache', now()");
        c.send(f.item(3) + f.item(4) + msg::unnamed("SELECT v FROM front_rest") + msg::sync());
        CHECK(types(c.read_until('C')) == "12TDC");
        CHECK(types(c.read_until('C')) == "12TDC");
        CHECK(ask(locker, "SELECT count(*) FROM front") == "50");
        ask(locker, "COMMIT");
        CHECK(types(c.read_until('Z')) == "12TDCZ");
    }
    ask(c, "COMMIT");
    // A Close behind the front leaves nothing behind.
    ask(c, "BEGIN"), ask(c, "SELECT 'no answer of the cache', now()");
    const auto closing = f.item(3) + msg::close('P', "") + f.item(9) + msg::sync();
    CHECK(types(c.ask(closing)) == "12TDC312TDCZ");
    ask(c, "COMMIT");
    CHECK(hits([&] { c.ask(f.item(3) + msg::sync()); }) == 1);
    // In a transaction a named portal stays.
    for (auto* each : {&c, &f.direct}) {
        ask(*each, "BEGIN"), ask(*each, "SELECT count(*) FROM front_rest, pg_database");
        each->ask(f.parse("") + msg::bind("stays", "", {"3"}) + msg::execute("stays") + f.item(14) +
                  msg::sync());
        CHECK(types(each->ask(msg::query("CLOSE stays"))) == "CZ");
        ask(*each, "COMMIT");
    }
    // What follows is stored under its own key.
    const auto both = f.item(3) + f.item(12) + f.item(13) + msg::sync();
    for (int i = 0; i < 3; ++i) CHECK(c.ask(both) == f.direct.ask(both));
    for (const int n : {12, 13}) {
        const auto one = f.item(n) + msg::sync();
        CHECK(hits([&] { CHECK(c.ask(one) == f.direct.ask(one)); }) == 1);
    }
    // Of what a commit has changed, or a write of the same batch, nothing is told as it was.
    setup("UPDATE front SET v = -1 WHERE n = 4");
    const auto read = f.item(3) + f.item(4) + f.item(11) + msg::sync();
    CHECK(c.ask(read) == f.direct.ask(read));
    f.know();
    const auto m = c.ask(f.item(3) + msg::unnamed("UPDATE front SET v = -2 WHERE n = 4") +
                         f.item(4) + msg::sync());
    CHECK(first_value(std::vector(m.end() - 3, m.end())) == "-2");
    CHECK(c.ask(read) == f.direct.ask(read));
}

TEST_CASE("of a pipeline whose front is known the answers are PostgreSQL's, whatever follows") {
    Front f;
    const auto close = [](const std::string& portal) { return msg::close('P', portal); };
    const std::vector<std::pair<std::string, std::string>> batches{
        {"a miss and a hit", f.item(9) + f.item(4)},
        {"a write", msg::unnamed("INSERT INTO front_written VALUES (1)") + f.item(4)},
        {"an error", msg::unnamed("SELECT 1 / (v - 1) FROM front_rest") + f.item(4)},
        {"no syntax", msg::unnamed("SELECT FROM WHERE") + f.item(4)},
        {"no such statement", f.bind(3, "none") + f.item(4)},
        {"a Close of the portal", close("") + f.item(9) + close("")},
        {"its statement", f.bind(9, "") + f.bind(4, "")},
        {"VACUUM", msg::unnamed("VACUUM front_written")},
        {"a transaction", msg::unnamed("BEGIN ISOLATION LEVEL SERIALIZABLE")},
        {"its end", msg::unnamed("ROLLBACK")},
        {"a portal's name again", f.parse("") + msg::bind("p", "", {"3"}) + msg::execute("p") +
                                      f.parse("") + msg::bind("p", "", {"4"}) + msg::execute("p")},
        {"a portal's name again, behind the end of one without",
         f.parse("") + msg::bind("p", "", {"3"}) + msg::execute("p") + f.item(4) + close("") +
             f.parse("") + msg::bind("p", "", {"4"}) + msg::execute("p")},
        {"a name that is used behind it",
         f.parse("front_named") + f.bind(3, "front_named") + f.bind(9, "front_named")},
        {"the same name", f.bind(3, "front_named") + f.bind(9, "front_named") + f.item(10)},
    };
    for (const auto& each : batches)
        for (int i = 0; i < 3; ++i) {
            const auto& [what, rest] = each;
            const auto answer = f.c.ask(f.item(3) + rest + msg::sync());
            const auto wanted = f.direct.ask(f.item(3) + rest + msg::sync());
            CHECK_MESSAGE(worded(answer) == worded(wanted), each.first, ", time ", i, ": ",
                          types(answer), " ", error_of(answer).message, ", wanted ", types(wanted),
                          " ", error_of(wanted).message);
        }
    CHECK(ask(f.c, "SELECT count(*) FROM front_written") == "6");
}

TEST_CASE("Execute with a row limit hits when the limit does not cut the answer") {
    setup("CREATE TABLE limited AS SELECT n FROM generate_series(1, 5) n");
    auto c = login();
    auto direct = RawClient::login(Cluster::shared().port());
    CHECK(becomes_cached(c, "SELECT n FROM limited ORDER BY n"));
    const auto batch = [](std::uint32_t max_rows) {
        return msg::parse("", "SELECT n FROM limited ORDER BY n") + msg::bind("", "", {}) +
               msg::describe('P', "") + msg::execute("", max_rows) + msg::sync();
    };
    for (const std::uint32_t max_rows : {3u, 5u, 6u, 0u})
        for (int i = 0; i < 2; ++i) CHECK(c.ask(batch(max_rows)) == direct.ask(batch(max_rows)));
    CHECK(hits([&] { c.ask(batch(6)); }) == 1);
}

namespace {

/// Takes some tenths of a second.
const std::string kSlow = "SELECT count(*) FROM many a, many b WHERE a.n + b.n = 7";
const std::string kSlowBatch = msg::unnamed(kSlow) + msg::sync();

/// Everything about it is known, and its entry is outdated.
void slow_query_to_be_fetched() {
    static bool made = false;
    if (!made) {
        setup("CREATE TABLE many AS SELECT n FROM generate_series(1, 1500) n; ANALYZE many");
        auto c = login();
        REQUIRE(becomes_cached(c, kSlow));
    }
    made = true;
    setup("UPDATE many SET n = n WHERE n = 1");
}

/// Its lookup has been counted, so it has the server or waits for who has.
void send_and_look(RawClient& c, const std::string& bytes) {
    const auto before = proxy().cache_counter("misses");
    c.send(bytes);
    REQUIRE(eventually([&] { return proxy().cache_counter("misses") > before; }));
}

}  // namespace

TEST_CASE("A10: many who miss the same answer ask the server once") {
    slow_query_to_be_fetched();
    // A second catalog read may come between, and then there are two; but never one for each.
    std::int64_t fills = 0;
    CHECK(eventually([&] {
        setup("UPDATE many SET n = n WHERE n = 1");
        const auto before = proxy().cache_counter("fills");
        std::vector<RawClient> all;
        for (int i = 0; i < 8; ++i) all.push_back(login());
        for (std::size_t i = 0; i < all.size(); ++i)
            all[i].send(i % 2 == 0 ? msg::query(kSlow) : kSlowBatch);
        for (auto& c : all) CHECK(first_value(c.read_until('Z')) == "6");
        fills = proxy().cache_counter("fills") - before;
        return fills <= 2;  // the key of a batch that Describe names is the simple query's
    }));
}

TEST_CASE("A10: a leader that leaves, is cancelled or fails leaves the others an answer") {
    for (const bool batch : {false, true}) {
        slow_query_to_be_fetched();
        auto leader = login();
        auto first = login(), second = login();
        const auto bytes = batch ? kSlowBatch : msg::query(kSlow);
        send_and_look(leader, bytes);
        send_and_look(first, bytes);
        send_and_look(second, bytes);
        leader.reset();
        CHECK(first_value(first.read_until('Z')) == "6");
        CHECK(first_value(second.read_until('Z')) == "6");
        CHECK(hits([&] { CHECK(ask(first, kSlow) == "6"); }) == 1);
    }
    slow_query_to_be_fetched();
    auto leader = login(), waiter = login();
    send_and_look(leader, msg::query(kSlow));
    send_and_look(waiter, msg::query(kSlow));
    RawClient(proxy().port()).send(msg::cancel_request(leader.backend_pid(), leader.backend_key()));
    const auto told = error_of(leader.read_until('Z')).sqlstate;
    CHECK((told == "57014" || told.empty()));  // it may have been done
    CHECK(first_value(waiter.read_until('Z')) == "6");
}

TEST_CASE("A10: who waits for another's answer can be cancelled, and can leave") {
    slow_query_to_be_fetched();
    auto leader = login(), cancelled = login(), leaves = login();
    send_and_look(leader, msg::query(kSlow));
    send_and_look(cancelled, msg::query(kSlow) + msg::query("SELECT 'next'"));
    send_and_look(leaves, kSlowBatch);
    RawClient(proxy().port())
        .send(msg::cancel_request(cancelled.backend_pid(), cancelled.backend_key()));
    leaves.reset();
    const auto answer = cancelled.read_until('Z');
    const auto told = error_of(answer).sqlstate;
    CHECK((told == "57014" || first_value(answer) == "6"));
    CHECK(first_value(cancelled.read_until('Z')) == "next");
    CHECK(first_value(leader.read_until('Z')) == "6");
}

TEST_CASE("A10: who joins after a write does not get what was fetched before it") {
    slow_query_to_be_fetched();
    auto leader = login(), writer = login(), reader = login();
    send_and_look(leader, msg::query(kSlow));
    // 6 pairs that sum to 7; without n = 6 there are 4.
    CHECK(error_of(writer.ask(msg::query("DELETE FROM many WHERE n = 6"))).sqlstate.empty());
    CHECK(ask(reader, kSlow) == "4");
    leader.read_until('Z');
    CHECK(ask(reader, kSlow) == "4");
    setup("INSERT INTO many VALUES (6)");
}
