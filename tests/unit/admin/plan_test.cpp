#include "pgweir/admin/plan.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "pgweir/admin/advisor.hpp"

using namespace pgweir;
using namespace pgweir::admin;
using nlohmann::json;

namespace {

json seq_scan(const std::string& filter, double rows = 100) {
    return {{"Node Type", "Seq Scan"},
            {"Parallel Aware", false},
            {"Schema", "public"},
            {"Relation Name", "orders"},
            {"Alias", "o"},
            {"Startup Cost", 0.0},
            {"Total Cost", 1234.5},
            {"Plan Rows", rows},
            {"Plan Width", 8},
            {"Filter", filter}};
}

std::string plan_of(const json& node) { return json::array({{{"Plan", node}}}).dump(); }

control::RelationFacts orders() {
    control::RelationFacts r;
    r.schema = "public";
    r.name = "orders";
    r.rows = 1'000'000;
    r.bytes = 64 << 20;
    r.ordinary = true;
    r.columns = {{"id", "integer"},
                 {"customer", "integer"},
                 {"name", "character varying"},
                 {"state", "text"},
                 {"at", "timestamp with time zone"},
                 {"doc", "jsonb"},
                 {"Odd \"One\"", "integer"}};
    r.indexes = {{"orders_pkey", "id"}, {"orders_name", "name"}, {"orders_at", "at"}};
    return r;
}

using Notes = std::vector<metrics::PlanNote>;
Notes notes_of(const std::string& filter, double rows = 100,
               const control::RelationFacts& relation = orders(),
               const std::string& statement = "SELECT 1") {
    const auto plan = read_plan_json(plan_of(seq_scan(filter, rows)));
    REQUIRE(plan);
    return plan_notes(*plan, {relation}, statement);
}

/// "rule: advice" of the only note, or what else there is.
std::string only(const Notes& notes) {
    if (notes.empty()) return "";
    if (notes.size() > 1) return "several";
    return notes[0].rule + ": " + notes[0].advice;
}

const std::string kIndexOn = "sequential_scan: CREATE INDEX CONCURRENTLY ON public.orders ";
bool advises(const std::string& filter, const std::string& columns) {
    return only(notes_of(filter)).starts_with(kIndexOn + columns + ";");
}

}  // namespace

TEST_CASE("a plan is shown as a tree, without the statement's constants") {
    auto scan = seq_scan("((o.customer = 4711) AND (o.state = 'secret'::text))");
    scan["Parallel Aware"] = true;
    json gather = {{"Node Type", "Gather"},
                   {"Workers Planned", 2},
                   {"Plan Rows", 300},
                   {"Plans", json::array({scan})}};
    json sort = {{"Node Type", "Sort"},
                 {"Sort Key", {"o.id DESC", "(o.customer + 9)"}},
                 {"Output", {"'secret'"}},
                 {"Plans", json::array({gather})}};
    const auto plan = read_plan_json(plan_of(sort));
    REQUIRE(plan);
    CHECK(
        plan->text ==
        "Sort  (cost=0.00..0.00 rows=0 width=0)\n"
        "  Sort Key: o.id DESC, (o.customer + $1)\n"
        "  ->  Gather  (cost=0.00..0.00 rows=300 width=0)\n"
        "        ->  Parallel Seq Scan on public.orders o  (cost=0.00..1234.50 rows=100 width=8)\n"
        "              Filter: ((o.customer = $1) AND (o.state = $2::text))");
    REQUIRE(plan->scans.size() == 1);
    CHECK(plan->scans[0].rows == 300);  // of three processes
}

TEST_CASE("a plan's shape stays with other costs and constants, and changes with the plan") {
    const auto shape = [](const json& node) {
        const auto plan = read_plan_json(plan_of(node));
        return plan ? plan->shape : 0;
    };
    const auto first = shape(seq_scan("(o.customer = 1)"));
    CHECK(first != 0);
    CHECK(shape(seq_scan("(o.customer = 22)", 7)) == first);
    CHECK(shape(seq_scan("(o.id = 1)")) != first);
    auto index = seq_scan("");
    index["Node Type"] = "Index Scan";
    index["Index Name"] = "orders_pkey";
    CHECK(shape(index) != first);
}

TEST_CASE("what is no plan gives none, however deep or long it is") {
    for (const std::string text : {"", "[", "{}", "[]", "[1]", "[{\"Plan\": 1}]",
                                   "[{\"Plan\": {}}]", "[{\"Plan\": {\"Node Type\": 5}}]"})
        CHECK(!read_plan_json(text));
    // Put together as text: writing a deep value takes a deep stack.
    std::string deep = seq_scan("(o.id = 1)").dump();
    for (int i = 0; i < 2000; ++i) deep = R"({"Node Type": "Limit", "Plans": [)" + deep + "]}";
    const auto plan = read_plan_json(R"([{"Plan": )" + deep + "}]");
    REQUIRE(plan);
    CHECK(plan->text.size() < 20'000);
}

TEST_CASE("sequential_scan names the index that the filter could use") {
    CHECK(advises("(o.customer = 5)", "(customer)"));
    CHECK(advises("(5 = o.customer)", "(customer)"));
    CHECK(advises("((o.state)::text = 'x'::text)", "(state)"));
    CHECK(advises("(o.customer = ANY ('{1,2}'::integer[]))", "(customer)"));
    CHECK(advises("((o.state > 'a'::text) AND (o.customer = 5))", "(customer, state)"));
    CHECK(advises("((o.customer >= 1) AND (o.customer <= 5))", "(customer)"));
    CHECK(advises("(o.\"Odd \"\"One\"\"\" = 5)", "(\"Odd \"\"One\"\"\")"));
    CHECK(advises("((o.customer = 5) AND (o.doc @> '{}'::jsonb))", "(customer)"));
    const auto notes = notes_of("(o.customer = 4711)");
    REQUIRE(notes.size() == 1);
    CHECK(notes[0].evidence ==
          "a sequential scan of public.orders (about 1000000 rows, 64 MiB) for about 100 of them, "
          "by (o.customer = $1)");
}

TEST_CASE("sequential_scan is silent where an index might not help") {
    CHECK(only(notes_of("(o.id = 5)")).empty());                             // there is one
    CHECK(only(notes_of("((o.customer = 5) AND (o.id = 7))")).empty());      // it was not taken
    CHECK(only(notes_of("((o.customer = 5) OR (o.state = 'x'))")).empty());  // OR
    CHECK(only(notes_of("(o.customer <> 5)")).empty());
    CHECK(only(notes_of("(o.doc = '{}'::jsonb)")).empty());  // no B-tree of its own accord
    CHECK(only(notes_of("(o.state ~~ '%x'::text)")).empty());
    CHECK(only(notes_of("(o.customer = o.id)")).empty());
    CHECK(only(notes_of("(p.customer = 5)")).empty());  // somebody else's column
    CHECK(only(notes_of("(o.customer = (SubPlan 1))")).empty());
    CHECK(only(notes_of("(hashed SubPlan 1)")).empty());
    CHECK(only(notes_of("(o.customer < ALL ('{1,2}'::integer[]))")).empty());
    CHECK(only(notes_of("")).empty());
    CHECK(only(notes_of("(o.customer = 'x")).empty());          // cannot be read
    CHECK(only(notes_of("(o.customer = 5)", 60'000)).empty());  // most of it is wanted
    for (const auto& change : {+[](control::RelationFacts& r) { r.rows = 9'999; },
                               +[](control::RelationFacts& r) { r.bytes = 4 << 20; },
                               +[](control::RelationFacts& r) { r.ordinary = false; },
                               +[](control::RelationFacts& r) { r.name = "other"; }}) {
        auto relation = orders();
        change(relation);
        CHECK(only(notes_of("(o.customer = 5)", 100, relation)).empty());
    }
}

TEST_CASE("function_on_column fires where an index begins with the column inside it") {
    for (const std::string filter :
         {"(lower((o.name)::text) = 'x'::text)", "((o.id + 1) = 5)",
          "(date_trunc('day'::text, o.at) = '2026-01-01 00:00:00+00'::timestamp with time zone)"}) {
        const auto notes = notes_of(filter);
        REQUIRE(notes.size() == 1);
        CHECK(notes[0].rule == "function_on_column");
    }
    CHECK(notes_of("((o.id + 41) = 5)")[0].evidence.starts_with(
        "index orders_pkey begins with id, but the filter asks for something computed from it: a "
        "sequential scan of public.orders "));
    CHECK(only(notes_of("(lower(o.state) = 'x'::text)")).empty());  // no index on it
    CHECK(only(notes_of("(o.id = (5 + 1))")).empty());
    CHECK(only(notes_of("((o.id + o.customer) = 5)")).empty());
    auto relation = orders();
    relation.indexes.push_back({"orders_lower", ""});
    CHECK(only(notes_of("(lower((o.name)::text) = 'x'::text)", 100, relation)).empty());
}

TEST_CASE("a scan of a whole index is one of the table, and no index is advised instead of it") {
    const auto notes = [](const std::string& filter, bool condition) {
        auto node = seq_scan(filter);
        node["Node Type"] = "Index Only Scan";
        node["Index Name"] = "orders_pkey";
        if (condition) node["Index Cond"] = "(o.id > 1)";
        const auto plan = read_plan_json(plan_of(node));
        REQUIRE(plan);
        return plan_notes(*plan, {orders()}, "SELECT 1");
    };
    const auto found = notes("(abs(o.id) = 5)", false);
    REQUIRE(found.size() == 1);
    CHECK(found[0].rule == "function_on_column");
    CHECK(found[0].evidence.find("a scan of all of orders_pkey of public.orders (") !=
          std::string::npos);
    CHECK(only(notes("((o.id)::numeric = 5.0)", false)).starts_with("implicit_cast"));
    CHECK(notes("(abs(o.id) = 5)", true).empty());
    CHECK(notes("(o.customer = 5)", false).empty());
}

TEST_CASE("implicit_cast fires where the other side's type casts an indexed column") {
    const auto notes =
        notes_of("((o.id)::numeric = 5.0)", 100, orders(), "SELECT * FROM orders o WHERE id = 5.0");
    REQUIRE(notes.size() == 1);
    CHECK(notes[0].rule == "implicit_cast");
    CHECK(notes[0].evidence.starts_with(
        "index orders_pkey begins with id (integer), which is compared as numeric: a sequential "));
    CHECK(notes[0].advice.starts_with("send the value as integer"));
    CHECK(only(notes_of("((o.id)::double precision = '5'::double precision)"))
              .starts_with("implicit_cast"));
    CHECK(only(notes_of("((o.id)::numeric = 5.0)", 100, orders(), "SELECT id::numeric FROM orders"))
              .empty());
    CHECK(only(notes_of("((o.id)::numeric = 5.0)", 100, orders(),
                        "SELECT CAST(id AS numeric) FROM orders"))
              .empty());
    CHECK(only(notes_of("((o.customer)::numeric = 5.0)")).empty());  // no index on it
    CHECK(only(notes_of("((o.name)::text = 'x'::text)")).empty());   // changes nothing
}

TEST_CASE("notes are lines of text, and read back") {
    const Notes notes{{"a", "b: c", "d"}, {"e", "f | g", "h"}};
    CHECK(read_notes(notes_text(notes)) == notes);
    CHECK(read_notes("").empty());
    CHECK(read_notes("nothing\nof: this kind\n | advice: x\n").empty());
}

TEST_CASE("the rules that need a plan fire with one, for what takes its time, and never without") {
    for (const std::string rule : {"sequential_scan", "function_on_column", "implicit_cast"}) {
        QueryRow row;
        row.sample = "SELECT a FROM t WHERE b = 1 LIMIT 1";
        metrics::QueryRecord record;
        record.total_us = record.server_us = 5'000;
        row.figures.add(record, 0);
        CHECK(advise({row}).empty());
        auto plan = std::make_shared<Plan>();
        plan->notes = {{rule, "seen", "do"}};
        row.plan = plan;
        const auto found = advise({row});
        REQUIRE(found.size() == 1);
        CHECK(found[0].rule == rule);
        CHECK(found[0].evidence == "seen");
        CHECK(found[0].advice == "do");
        auto fast = row;
        fast.figures = {};
        record.server_us = 4'999;
        fast.figures.add(record, 0);
        CHECK(advise({fast}).empty());
    }
}
