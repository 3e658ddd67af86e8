// RESET, SET TO DEFAULT and DISCARD ALL go back to what the session itself began with, at once.
#include <doctest/doctest.h>

#include "support/proxy.hpp"
#include "support/raw_client.hpp"

using namespace pgweir::testing;

namespace {

Proxy& proxy() {
    static Proxy p(Cluster::shared(),
                   {{{"pool", "{min_size: 0, max_size: 3, max_pinned: 20}"}}, {}, {}, 0});
    return p;
}
RawClient login(const msg::Parameters& more = {}) {
    return RawClient::login(proxy().port(), "app", "app", more);
}

}  // namespace

TEST_CASE("RESET goes back to what the session began with") {
    auto c = login({{"options", "-c work_mem=31MB"}, {"DateStyle", "German"}});
    c.ask(msg::query("SET work_mem = '32MB'"));
    c.ask(msg::query("RESET work_mem"));
    CHECK(value_of(c, "SHOW work_mem") == "31MB");
    c.ask(msg::query("SET DateStyle = 'SQL'"));
    c.ask(msg::query("DISCARD ALL"));
    CHECK(value_of(c, "SHOW DateStyle") == "German, DMY");
    CHECK(value_of(c, "SHOW work_mem") == "31MB");
    c.ask(msg::query("SET DateStyle = 'SQL'; RESET ALL"));
    CHECK(value_of(c, "SHOW DateStyle") == "German, DMY");
}

TEST_CASE("what comes behind RESET runs under what the session began with") {
    auto c = login({{"options", "-c work_mem=31MB"}});
    const auto by_message = [](const std::string& sql) {
        return msg::parse("", sql) + msg::bind("", "") + msg::execute();
    };
    const std::string shown = "SELECT current_setting('work_mem')";
    const auto show = msg::query(shown);
    const auto sync = msg::sync();
    const std::string named =
        msg::parse("", "RESET ALL") + msg::bind("r", "") + by_message(shown) + msg::execute("r");
    const std::vector<std::pair<std::string, std::string>> cases{
        {msg::query("RESET ALL") + show, "31MB"},
        {msg::query("/* x */ reset Work_Mem") + show, "31MB"},
        {msg::query("SET work_mem TO DEFAULT") + show, "31MB"},
        {msg::query("SET SESSION work_mem = DEFAULT") + show, "31MB"},
        {msg::query("DISCARD ALL") + show, "31MB"},
        {msg::query("SET work_mem = '8MB'; RESET ALL") + show, "31MB"},
        {msg::query("RESET ALL; SET work_mem = '8MB'") + show, "8MB"},
        {msg::query("RESET ALL; CLOSE ALL; SELECT pg_advisory_unlock_all()") + show, "31MB"},
        {msg::query("RESET DateStyle; SELECT 1") + show, "9MB"},
        {by_message("RESET ALL") + by_message(shown) + sync, "31MB"},
        {by_message("RESET work_mem") + by_message(shown) + sync, "31MB"},
        {by_message("DISCARD ALL") + by_message(shown) + sync, "31MB"},
        {named + by_message(shown) + sync, "31MB"},
        {by_message("RESET ALL") + by_message("SET work_mem = '8MB'") + sync + show, "8MB"},
        {by_message("RESET ALL") + sync + by_message(shown) + sync, "31MB"},
        {msg::query("BEGIN") + msg::query("RESET ALL") + show + msg::query("COMMIT"), "31MB"},
    };
    for (const auto& each : cases) {
        const auto& [bytes, wanted] = each;
        INFO(each.first);
        c.ask(msg::query("SET work_mem = '9MB'"));
        c.send(bytes + msg::query("SELECT 'end'"));
        std::string seen, last;
        do {
            for (const auto& row : rows(c.read_until('Z'))) {
                if (!row[0].empty()) last = row[0];
                if (row[0].ends_with("MB")) seen = row[0];
            }
        } while (last != "end");
        CHECK(seen == wanted);
        CHECK(value_of(c, shown) == wanted);
    }
}

TEST_CASE("what is not reset in the end, or not run, takes nothing away") {
    const std::string show = msg::query("SHOW work_mem"), sync = msg::sync();
    const auto by_message = [&](const std::string& sql) { return msg::unnamed(sql) + sync; };
    const std::string error = msg::query("SELECT 1/0");
    struct Case {
        std::string bytes, wanted;
    };
    const std::string bound = msg::parse("", "DISCARD ALL") + msg::bind("", "") + sync;
    for (const auto& each : std::vector<Case>{
             {error + msg::query("RESET work_mem") + show, "31MB"},
             {error + msg::query("DISCARD ALL") + show, "31MB"},
             {by_message("SELECT 1/0") + by_message("DISCARD ALL") + show, "31MB"},
             {by_message("SELECT 1/0") + by_message("RESET ALL") + show, "31MB"},
             {msg::bind("", "none") + sync + msg::query("RESET work_mem") + show, "31MB"},
             {msg::query("BEGIN") + msg::query("SAVEPOINT a") + error +
                  msg::query("ROLLBACK TO a") + msg::query("RESET work_mem") + show +
                  msg::query("COMMIT"),
              "31MB"},
             {bound + show, "9MB"},
             {msg::query("BEGIN") + bound + show + msg::query("COMMIT"), "9MB"},
             {msg::query("SELECT 1") + msg::query("RESET work_mem; RESET nosuch") + show, "9MB"},
             {msg::query("BEGIN") + msg::parse("", "RESET work_mem") + msg::bind("o", "") +
                  msg::execute("o") + sync + msg::query("COMMIT") +
                  msg::query("SET work_mem = '9MB'") + msg::query("BEGIN") +
                  msg::query("DECLARE o CURSOR FOR SELECT 1") + msg::execute("o") + sync + show +
                  msg::query("COMMIT"),
              "9MB"},
         }) {
        const auto& [bytes, wanted] = each;
        INFO(each.bytes);
        auto c = login({{"options", "-c work_mem=31MB"}});
        c.ask(msg::query("CREATE TEMP TABLE stays (n int); SET work_mem = '9MB'"));
        c.send(bytes + msg::query("SELECT 'end'"));
        std::string seen, last;
        do {
            for (const auto& row : rows(c.read_until('Z'))) {
                last = row[0];
                if (row[0].ends_with("MB")) seen = row[0];
            }
        } while (last != "end");
        CHECK(seen == wanted);
        CHECK(value_of(c, "SHOW work_mem") == wanted);
    }
}

TEST_CASE("what comes back behind RESET takes no snapshot, and is said as it was given") {
    const std::string path = R"("$user", "a ""b", Public,c)";
    auto c = login({{"search_path", path}, {"my.tenant", "x\\y'z"}, {"application_name", "me"}});
    auto other = login();
    for (const std::string how : {"RESET ALL", "RESET search_path", "RESET application_name"}) {
        INFO(how);
        for (const bool by_message : {false, true}) {
            c.ask(msg::query("BEGIN"));
            c.ask(by_message ? msg::unnamed(how) + msg::sync() : msg::query(how));
            const auto m = c.ask(msg::query("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"));
            CHECK(error_of(m).message.empty());
            value_of(other, "CREATE TABLE IF NOT EXISTS public.later (n int)");
            value_of(other, "INSERT INTO public.later VALUES (1)");
            CHECK(value_of(c, "SELECT count(*) FROM public.later") ==
                  value_of(other, "SELECT count(*) FROM public.later"));
            CHECK(value_of(c, "SELECT array_to_string(current_schemas(false), ' ')") == "public");
            CHECK(value_of(c, "SHOW my.tenant") == "x\\y'z");
            CHECK(value_of(c, "SHOW application_name") == "me");
            c.ask(msg::query("COMMIT"));
        }
    }
}

TEST_CASE("RESET of start-up settings is refused in front of what would run without them" *
          doctest::skip(Proxy::direct())) {
    auto c = login({{"options", "-c work_mem=31MB"}});
    for (const std::string sql : {"RESET ALL; SELECT current_setting('work_mem')",
                                  "SELECT 1; SET work_mem TO DEFAULT; SELECT 2"}) {
        const auto m = c.ask(msg::query(sql));
        CHECK(error_of(m).sqlstate == "0A000");
        CHECK(count_type(m, 'C') == 0);
        CHECK(value_of(c, "SHOW work_mem") == "31MB");
    }
    c.ask(msg::query("BEGIN"));
    CHECK(ready_status(c.ask(msg::query("RESET ALL; SELECT 1"))) == 'E');
    c.ask(msg::query("ROLLBACK"));
    auto plain = login();
    CHECK(first_value(plain.ask(msg::query("RESET ALL; SELECT 1"))) == "1");
}

TEST_CASE("DISCARD ALL in a batch that fails behind it leaves nobody another's settings" *
          doctest::skip(Proxy::direct())) {
    Proxy one(Cluster::shared(), {{{"pool", "{min_size: 0, max_size: 1}"}}, {}, {}, 0});
    const msg::Parameters own = {{"work_mem", "33MB"}};
    auto c = RawClient::login(one.port(), "app", "app", own);
    auto like = RawClient::login(one.port(), "app", "app", own);
    for (const std::string& batch :
         {msg::unnamed("DISCARD ALL") + msg::unnamed("SELECT 1 / 0") + msg::sync(),
          msg::unnamed("SELECT 1 / 0") + msg::unnamed("DISCARD ALL") + msg::sync(),
          msg::unnamed("RESET work_mem") + msg::unnamed("SELECT 1 / 0") + msg::sync()}) {
        CHECK(error_of(c.ask(batch)).sqlstate == "22012");
        CHECK(value_of(like, "SHOW work_mem") == "33MB");
        CHECK(value_of(c, "SHOW work_mem") == "33MB");
    }
    c.send(msg::query("SELECT 1 / 0") + msg::query("DISCARD ALL"));
    c.read_until('Z'), c.read_until('Z');
    CHECK(value_of(like, "SHOW work_mem") == "33MB");
    CHECK(value_of(c, "SHOW work_mem") == "33MB");
}

TEST_CASE("a client is told of its own settings before RESET is over, and at login always") {
    Proxy one(Cluster::shared(), {{{"pool", "{min_size: 0, max_size: 1}"}}, {}, {}, 0});
    const auto zone = [](const Messages& m) {
        return parameter_status(m, "TimeZone").value_or("");
    };
    const auto tokyo = [&](const std::string& memory) {
        return RawClient::login(one.port(), "app", "app",
                                {{"TimeZone", "Asia/Tokyo"}, {"work_mem", memory}});
    };
    CHECK(zone(tokyo("5MB").greeting()) == "Asia/Tokyo");
    // The server has that zone already when this one's other setting is tried.
    auto c = tokyo("6MB");
    CHECK(zone(c.greeting()) == "Asia/Tokyo");
    for (const auto* sql : {"DISCARD ALL", "RESET ALL", "RESET TimeZone"}) {
        CAPTURE(sql);
        CHECK(zone(c.ask(msg::query("SET TimeZone = 'UTC'"))) == "UTC");
        const auto m = c.ask(msg::query(sql));
        CHECK(zone(m) == "Asia/Tokyo");
        CHECK(count_type(m, 'Z') == 1);
        CHECK(value_of(c, "SHOW work_mem") == "6MB");
    }
}
