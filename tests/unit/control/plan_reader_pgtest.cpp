// Plans over a connection of their own, against PostgreSQL.
#include "pgweir/control/plan_reader.hpp"

#include <doctest/doctest.h>

#include <mutex>

#include "control_fixture.hpp"
#include "pgweir/base/bytes.hpp"

using namespace pgweir;
using namespace pgweir::testing;
using control::PlanAnswer;
using control::PlanQuestion;
using control::PlanReader;

namespace {

PlanQuestion question(const std::string& text, pool::Settings settings = {}) {
    PlanQuestion q;
    q.target = target_of(Cluster::shared(), "app", "app");
    q.profile = pool::intern_profile(std::move(settings));
    q.text = text;
    return q;
}

std::string bound(const std::vector<std::string>& values) {
    std::string body;
    base::append_u16(body, 0);
    base::append_u16(body, static_cast<std::uint16_t>(values.size()));
    for (const auto& v : values) {
        base::append_u32(body, static_cast<std::uint32_t>(v.size()));
        body += v;
    }
    base::append_u16(body, 0);
    return body;
}

std::string error_of(const PlanQuestion& q, PlanAnswer& answer) {
    return control::read_plan(q, {}, answer).value_or("");
}

void make_tables() {
    auto db = Cluster::shared().connect("app");
    db.run("DROP TABLE IF EXISTS planned, whole");
    db.run("CREATE TABLE planned (id int PRIMARY KEY, name varchar(20), \"Odd\" text)");
    db.run("CREATE INDEX planned_lower ON planned (lower(name))");
    db.run("CREATE TABLE whole (a int) PARTITION BY LIST (a)");
    db.run("CREATE TABLE one PARTITION OF whole FOR VALUES IN (1)");
    db.run("INSERT INTO planned SELECT g, g, g FROM generate_series(1, 1000) g");
    db.run("ANALYZE planned");
}

}  // namespace

TEST_CASE("a plan comes with what is known of its relations") {
    make_tables();
    PlanAnswer a;
    REQUIRE(error_of(question("SELECT * FROM planned JOIN whole ON a = id"), a) == "");
    CHECK(a.json.find("\"Relation Name\": \"planned\"") != std::string::npos);
    REQUIRE(a.relations.size() == 2);
    const auto& planned = a.relations[a.relations[0].name == "planned" ? 0 : 1];
    const auto& one = a.relations[a.relations[0].name == "planned" ? 1 : 0];
    CHECK(planned.schema == "public");
    CHECK(planned.rows == 1000);
    CHECK(planned.bytes > 8192);
    CHECK(planned.ordinary);
    REQUIRE(planned.columns.size() == 3);
    CHECK(planned.columns[0].name == "Odd");
    CHECK(planned.columns[2].type == "character varying");
    REQUIRE(planned.indexes.size() == 2);
    CHECK(planned.indexes[0].first_column.empty());
    CHECK(planned.indexes[1].first_column == "id");
    CHECK(one.name == "one");
    CHECK(!one.ordinary);  // a partition
}

TEST_CASE("bound values are planned with as they were bound") {
    make_tables();
    auto q = question("SELECT * FROM planned WHERE id < $1");
    q.types = {23};
    q.bind = bound({"2"});
    PlanAnswer few, all;
    REQUIRE(error_of(q, few) == "");
    CHECK(few.json.find("(planned.id < 2)") != std::string::npos);
    CHECK(few.json.find("Index") != std::string::npos);
    q.bind = bound({"999999"});
    REQUIRE(error_of(q, all) == "");
    CHECK(all.json.find("Seq Scan") != std::string::npos);
    q.bind = std::string("\0\1\0\1\0\5\0\0", 8);
    CHECK(error_of(q, all) == "parameters that cannot be read");
}

TEST_CASE("a text that is more than one statement, writes or runs is refused") {
    make_tables();
    PlanAnswer a;
    CHECK(error_of(question("SELECT 1; DROP TABLE planned"), a) != "");
    // Planned, not run.
    CHECK(error_of(question("DELETE FROM planned"), a) == "");
    CHECK(Cluster::shared().value("SELECT count(*) FROM planned") == "1000");
    CHECK(error_of(question("SELECT * FROM nowhere"), a).find("nowhere") != std::string::npos);
}

TEST_CASE("a plan that would wait for a lock is given up") {
    make_tables();
    auto owner = Cluster::shared().connect("app");
    owner.run("BEGIN");
    owner.run("LOCK TABLE planned");
    PlanAnswer a;
    CHECK(error_of(question("SELECT * FROM planned"), a).find("lock timeout") != std::string::npos);
}

TEST_CASE("settings of the session hold, and those of ours hold against them") {
    make_tables();
    PlanAnswer a;
    REQUIRE(error_of(question("SELECT * FROM planned WHERE id = 5",
                              {{"enable_indexscan", "off"},
                               {"enable_bitmapscan", "off"},
                               {"statement_timeout", "0"},
                               {"search_path", "\"$user\", public"}}),
                     a) == "");
    CHECK(a.json.find("Seq Scan") != std::string::npos);
    CHECK(error_of(question("SELECT 1", {{"role", "postgres"}}), a) != "");
}

TEST_CASE("one plan at a time, not too often, and not of one query again too soon") {
    make_tables();
    std::mutex mutex;
    std::vector<std::string> answers;
    PlanReader::Options options{true, base::kSecond, 60 * base::kSecond, 5 * base::kSecond};
    PlanReader reader(options, [&](const PlanQuestion& q, const PlanAnswer&) {
        const std::scoped_lock lock(mutex);
        answers.push_back(q.text);
    });
    const auto count = [&] {
        const std::scoped_lock lock(mutex);
        return answers.size();
    };
    base::Nanos now = 1000 * base::kSecond;
    CHECK(reader.claim(1, now));
    CHECK(!reader.claim(2, now + 10 * base::kSecond));  // the first is not answered
    reader.ask(question("SELECT * FROM planned"));
    CHECK(eventually([&] { return reader.read() == 1 && count() == 1; }));
    CHECK(!reader.claim(2, now + base::kSecond - 1));
    CHECK(eventually([&] { return reader.claim(2, now + base::kSecond); }));
    reader.abandon();
    CHECK(!reader.claim(1, now + 59 * base::kSecond));
    CHECK(reader.claim(1, now + 60 * base::kSecond));
    reader.ask(question("SELECT * FROM nowhere"));
    CHECK(eventually([&] { return reader.failed() == 1; }));
    CHECK(reader.problem().find("nowhere") != std::string::npos);
    CHECK(count() == 1);
    options.enabled = false;
    reader.configure(options);
    CHECK(!reader.claim(3, now + 1000 * base::kSecond));
}

TEST_CASE("a reader that waits for a server ends at once") {
    PlanReader reader({true, 0, 0, 60 * base::kSecond}, [](const auto&, const auto&) {});
    REQUIRE(reader.claim(1, base::kSecond));
    auto q = question("SELECT 1");
    q.target.host = "192.0.2.1";  // nobody's: RFC 5737
    reader.ask(std::move(q));
}
