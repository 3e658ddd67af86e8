// What a walsender may say, right and wrong.
#include "../../../src/control/decoding.hpp"

#include <doctest/doctest.h>

#include "pgweir/base/bytes.hpp"

using namespace pgweir;
using namespace pgweir::control;
using Line = DecodedLine::Kind;
using Result = TransactionGatherer::Result;

namespace {

/// Knows tables of schema "s" only.
struct Tables {
    using Found = TransactionGatherer::Found;
    cache::RelationState a, b;
    TransactionGatherer gatherer{
        [this](const TransactionGatherer::Table& table, std::vector<cache::State*>& states) {
            if (table.schema != "s") return Found::nothing;
            states.push_back(table.name == "a" ? &a : &b);
            return Found::relation;
        }};
};

std::string u64(std::uint64_t v) {
    std::string s;
    for (int i = 7; i >= 0; --i) s.push_back(static_cast<char>(v >> (8 * i)));
    return s;
}

}  // namespace

TEST_CASE("a position is two hexadecimal numbers and nothing else") {
    CHECK(parse_lsn("0/0") == 0);
    CHECK(parse_lsn("16/B374D848") == 0x16B374D848);
    CHECK(parse_lsn("FFFFFFFF/FFFFFFFF") == 0xFFFFFFFFFFFFFFFF);
    for (const auto* text :
         {"", "/", "1/", "/1", "1/2/3", "1/2 ", "1 /2", "100000000/0", "g/1", "-1/1", "1/0x2"})
        CHECK_MESSAGE(!parse_lsn(text), text);
}

TEST_CASE("replication messages are taken apart, and cut anywhere they are malformed") {
    const auto data = "w" + u64(7) + u64(8) + u64(9) + "BEGIN 5";
    const auto m = parse_replication(data);
    CHECK(m.kind == ReplicationMessage::Kind::data);
    CHECK(m.position == 7);
    CHECK(m.data == "BEGIN 5");
    const auto alive = "k" + u64(0x1122334455667788) + u64(1) + std::string(1, '\1');
    const auto k = parse_replication(alive);
    CHECK(k.kind == ReplicationMessage::Kind::keepalive);
    CHECK(k.position == 0x1122334455667788);
    CHECK(k.reply_wanted);
    for (std::size_t n = 0; n < alive.size(); ++n)
        CHECK(parse_replication(alive.substr(0, n)).kind == ReplicationMessage::Kind::malformed);
    for (std::size_t n = 0; n < 25; ++n)
        CHECK(parse_replication(data.substr(0, n)).kind == ReplicationMessage::Kind::malformed);
    CHECK(parse_replication(alive + "x").kind == ReplicationMessage::Kind::malformed);
    CHECK(parse_replication("x" + u64(1)).kind == ReplicationMessage::Kind::malformed);
}

TEST_CASE("a status update names one position three times") {
    CHECK(status_update(5, true) == "r" + u64(5) + u64(5) + u64(5) + u64(0) + '\1');
    CHECK(status_update(5, false).back() == '\0');
}

TEST_CASE("lines are told apart, whatever a table is called") {
    CHECK(parse_line("BEGIN 4294967295").xid == 4294967295u);
    CHECK(parse_line("COMMIT 3").kind == Line::commit);
    CHECK(parse_line("message: transactional: 1 prefix: x, sz: 0 content:").kind == Line::message);
    CHECK(parse_line("table public.t: INSERT: id[integer]:1").names == "public.t");
    CHECK(parse_line("table s.a: DELETE: (no-tuple-data)").kind == Line::change);
    CHECK(parse_line("table s.a, s.b: TRUNCATE: (no-flags)").names == "s.a, s.b");
    const auto odd = parse_line(R"(table "a.b: INSERT: x"."c, ""d""": UPDATE: id[integer]:1)");
    CHECK(odd.kind == Line::change);
    CHECK(odd.names == R"("a.b: INSERT: x"."c, ""d""")");
    for (const auto* line :
         {"", "BEGIN", "BEGIN ", "BEGIN 0", "BEGIN x", "BEGIN 4294967296", "COMMIT 1 ", "table ",
          "table a: INSERT:", "table a.b INSERT:", "table a.b: MERGE:", "table a.b, : INSERT:",
          "table \"a.b: INSERT:", "table a.\"b: INSERT:", "table A.b: INSERT:", "opening a block"})
        CHECK_MESSAGE(parse_line(line).kind == Line::other, line);
}

TEST_CASE("names are unquoted, and what is no name ends the list") {
    std::string_view names = R"("a.b"."c, ""d""", s.t)";
    std::string schema, table;
    REQUIRE(next_table(names, schema, table));
    CHECK(schema == "a.b");
    CHECK(table == "c, \"d\"");
    REQUIRE(next_table(names, schema, table));
    CHECK(schema == "s");
    CHECK(table == "t");
    CHECK_FALSE(next_table(names, schema, table));
    CHECK(names.empty());
    for (std::string_view bad : {"s", "s.", ".t", "s.t,", "s.t, ", "s.t,x", "s.\"t"}) {
        CHECK_FALSE(next_table(bad, schema, table));
        CHECK_FALSE(bad.empty());
    }
}

TEST_CASE("a transaction is what it changed, each relation once") {
    Tables t;
    CHECK(t.gatherer.take("BEGIN 7") == Result::more);
    for (int i = 0; i < 3; ++i) {
        CHECK(t.gatherer.take("table s.a: INSERT: id[integer]:1") == Result::more);
        CHECK(t.gatherer.take("table s.b: DELETE: (no-tuple-data)") == Result::more);
    }
    CHECK(t.gatherer.take("COMMIT 7") == Result::transaction);
    const auto change = t.gatherer.take_change();
    CHECK(t.gatherer.xid() == 7);
    CHECK_FALSE(change.everything);
    CHECK(change.states == std::vector<cache::State*>{&t.a, &t.b});
    // Nothing is left for the next one.
    CHECK(t.gatherer.take("BEGIN 8") == Result::more);
    CHECK(t.gatherer.take("COMMIT 8") == Result::transaction);
    CHECK(t.gatherer.take_change().states.empty());
}

TEST_CASE("an unknown table, or a line that is not understood, changes everything") {
    for (const auto* line : {"table x.a: INSERT: id[integer]:1", "table s.a, x.b: TRUNCATE: ()",
                             "what is this", "table s.a: MERGE: x"}) {
        Tables t;
        t.gatherer.take("BEGIN 7");
        t.gatherer.take("table s.a: INSERT: id[integer]:1");
        CHECK(t.gatherer.take(line) == Result::more);
        t.gatherer.take("table s.b: INSERT: id[integer]:1");
        CHECK(t.gatherer.take("COMMIT 7") == Result::transaction);
        const auto change = t.gatherer.take_change();
        CHECK(change.everything);
        CHECK(change.states.empty());
    }
}

TEST_CASE("ten thousand relations in one commit are everything, in bounded memory") {
    std::vector<std::unique_ptr<cache::RelationState>> states;
    TransactionGatherer g([&](const TransactionGatherer::Table&, auto& out) {
        out.push_back(states.emplace_back(std::make_unique<cache::RelationState>()).get());
        return TransactionGatherer::Found::relation;
    });
    g.take("BEGIN 7");
    for (int i = 0; i < 10'000; ++i)
        g.take("table s.t" + std::to_string(i) + ": INSERT: id[integer]:1");
    CHECK(g.take("COMMIT 7") == Result::transaction);
    const auto change = g.take_change();
    CHECK(change.everything);
    CHECK(states.size() <= TransactionGatherer::kMaxStates + 1);
}

TEST_CASE(
    "a message of the DDL watch says that the catalog changes, with or without its transaction") {
    const std::string told = "message: transactional: 1 prefix: pgweir_ddl, sz: 3 content:742";
    Tables t;
    CHECK(t.gatherer.take(told) == Result::definition);
    auto change = t.gatherer.take_change();
    CHECK(change.xid == 742);
    CHECK(change.defines);
    CHECK(change.everything);
    CHECK(t.gatherer.take("BEGIN 7") == Result::more);
    CHECK(t.gatherer.take("table s.a: INSERT: id[integer]:1") == Result::more);
    CHECK(t.gatherer.take(told) == Result::more);
    CHECK(t.gatherer.take("table s.b: INSERT: id[integer]:1") == Result::more);
    CHECK(t.gatherer.take("COMMIT 7") == Result::transaction);
    change = t.gatherer.take_change();
    CHECK(change.defines);
    CHECK(change.everything);
    CHECK(change.states.empty());
    // The next one is as if it had not been.
    t.gatherer.take("BEGIN 8");
    t.gatherer.take("COMMIT 8");
    CHECK_FALSE(t.gatherer.take_change().defines);
}

TEST_CASE("only a message of a transaction, of that name, says that the catalog changes") {
    for (const auto* line : {"message: transactional: 0 prefix: pgweir_ddl, sz: 3 content:742",
                             "message: transactional: 1 prefix: pgweir, sz: 0 content:",
                             "message: transactional: 1 prefix: pgweir_ddlx, sz: 3 content:742"})
        CHECK(parse_line(line).kind == Line::message);
    for (const std::string content : {"", "x", "7x", "-1", "99999999999999999999"}) {
        const auto d =
            parse_line("message: transactional: 1 prefix: pgweir_ddl, sz: 1 content:" + content);
        CHECK(d.kind == Line::definition);
        CHECK(d.full_xid == 0);
    }
}

TEST_CASE("what is out of order is malformed") {
    Tables t;
    CHECK(t.gatherer.take("COMMIT 7") == Result::malformed);
    CHECK(t.gatherer.take("table s.a: INSERT: id[integer]:1") == Result::malformed);
    CHECK(t.gatherer.take("what is this") == Result::malformed);
    CHECK(t.gatherer.take("BEGIN 7") == Result::more);
    CHECK(t.gatherer.take("BEGIN 8") == Result::malformed);
    CHECK(t.gatherer.take("COMMIT 8") == Result::malformed);
}

namespace {

query::Relation relation(std::vector<query::IdentityColumn> identity, bool full = false) {
    query::Relation r;
    r.identity = std::move(identity);
    r.identity_full = full;
    return r;
}

/// number=value of each, rows apart; "?" where it is not known. Numbers as one hexadecimal digit.
std::string identities_of(const std::string& row, const query::Relation& r) {
    std::vector<std::vector<query::RowValue>> rows;
    if (!identities(row, r, rows)) return "?";
    std::string all;
    for (const auto& values : rows) {
        if (!all.empty()) all += " -> ";
        for (const auto& v : values) {
            if (&v != values.data()) all += ",";
            all += std::to_string(v.number) + "=";
            const bool number = v.value.size() == 8 && v.value[0] <= 0;
            all += number ? std::to_string(static_cast<int>(base::load_u32(v.value.data() + 4)))
                          : v.value;
        }
    }
    return all;
}

const query::IdentityColumn kId{1, 1, query::KeyType::integer, "id"};
const query::IdentityColumn kName{2, 2, query::KeyType::text, "Na me"};

}  // namespace

TEST_CASE("a change tells the identity of its rows, old and new") {
    const auto one = relation({kId});
    CHECK(identities_of(": INSERT: id[integer]:5 v[text]:'x'", one) == "1=5");
    CHECK(identities_of(": INSERT: v[text]:'id[integer]:6' id[bigint]:5", one) == "1=5");
    CHECK(identities_of(": UPDATE: id[integer]:-5 v[text]:null", one) == "1=-5");
    CHECK(identities_of(": UPDATE: old-key: id[integer]:5 new-tuple: id[integer]:6", one) ==
          "1=5 -> 1=6");
    CHECK(identities_of(": UPDATE: old-key: id[smallint]:5 v[text]:' new-tuple: id[integer]:7' "
                        "w[integer]:1 new-tuple: w[integer]:1 id[integer]:6",
                        one) == "1=5 -> 1=6");
    CHECK(identities_of(": DELETE: id[integer]:5", one) == "1=5");
    const auto two = relation({kId, kName});
    CHECK(identities_of(": INSERT: \"Na me\"[text]:'it''s' \"i\"\"d\"[\"]:x\"]:'' id[integer]:5",
                        two) == "1=5,2=it's");
    CHECK(identities_of(": INSERT: a[integer[]]:'{1,2}' id[integer]:5 \"Na me\"[character "
                        "varying]:''",
                        two) == "1=5,2=");
}

TEST_CASE("an identity that is not shown whole, or not as expected, is not known") {
    const auto one = relation({kId});
    const auto two = relation({kId, kName});
    for (const auto* row :
         {": DELETE: (no-tuple-data)", ": TRUNCATE: (no-flags)", ": TRUNCATE: id[integer]:5",
          ": INSERT: v[text]:'x'", ": INSERT: id[numeric]:5", ": INSERT: id[text]:'5'",
          ": INSERT: id[integer]:'5'", ": INSERT: id[integer]:null", ": INSERT: id[integer]:",
          ": INSERT: id[integer]", ": INSERT: id[integer:5", ": INSERT:id[integer]:5",
          ": INSERT:", ": INSERT: v[text]:'x id[integer]:5", ": INSERT: ID[integer]:5", "",
          ": UPDATE: old-key: id[integer]:5", ": UPDATE: old-key: id[integer]:5 id[integer]:6",
          ": UPDATE: old-key: v[text]:'x' new-tuple: id[integer]:5"})
        CHECK_MESSAGE(identities_of(row, one) == "?", row);
    for (const auto* row :
         {": DELETE: id[integer]:5", ": INSERT: id[integer]:5 \"Na me\"[text]:null",
          ": INSERT: id[integer]:5 \"Na me\"[text]:unchanged-toast-datum",
          ": INSERT: id[integer]:5 \"Na me\"[text]:'\xc3\xa9'",
          ": INSERT: id[integer]:5 \"Na me\"[character]:'x'"})
        CHECK_MESSAGE(identities_of(row, two) == "?", row);
    // Where whole old rows are logged one without them is not what is expected.
    CHECK(identities_of(": UPDATE: id[integer]:5", relation({kId}, true)) == "?");
    CHECK(identities_of(": INSERT: id[integer]:5", relation({})) == "?");
}

TEST_CASE("rows of one transaction that are too many become their relation, once") {
    cache::RelationState table;
    std::vector<std::unique_ptr<cache::State>> rows;
    int asked = 0;
    using Found = TransactionGatherer::Found;
    TransactionGatherer g([&](const TransactionGatherer::Table& t, auto& out) {
        ++asked;
        if (t.row.empty()) return out.push_back(&table), Found::relation;
        CHECK(t.row.starts_with(": INSERT: id"));
        out.push_back(rows.emplace_back(std::make_unique<cache::State>()).get());
        return Found::rows;
    });
    g.take("BEGIN 7");
    for (int i = 0; i < 10'000; ++i) g.take("table s.t: INSERT: id[integer]:" + std::to_string(i));
    CHECK(g.take("COMMIT 7") == Result::transaction);
    const auto change = g.take_change();
    CHECK_FALSE(change.everything);
    CHECK(change.states.back() == &table);
    CHECK(change.states.size() == rows.size() + 1);
    CHECK(asked < 200);
}
