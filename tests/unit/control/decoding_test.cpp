// What a walsender may say, right and wrong.
#include "../../../src/control/decoding.hpp"

#include <doctest/doctest.h>

using namespace pgweir;
using namespace pgweir::control;
using Line = DecodedLine::Kind;
using Result = TransactionGatherer::Result;

namespace {

/// Knows tables of schema "s" only.
struct Tables {
    cache::RelationState a, b;
    TransactionGatherer gatherer{[this](std::string_view schema, std::string_view table,
                                        std::vector<cache::RelationState*>& states) {
        if (schema != "s") return false;
        states.push_back(table == "a" ? &a : &b);
        return true;
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
    CHECK(change.relations == std::vector{&t.a, &t.b});
    // Nothing is left for the next one.
    CHECK(t.gatherer.take("BEGIN 8") == Result::more);
    CHECK(t.gatherer.take("COMMIT 8") == Result::transaction);
    CHECK(t.gatherer.take_change().relations.empty());
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
        CHECK(change.relations.empty());
    }
}

TEST_CASE("ten thousand relations in one commit are everything, in bounded memory") {
    std::vector<std::unique_ptr<cache::RelationState>> states;
    TransactionGatherer g([&](std::string_view, std::string_view, auto& out) {
        out.push_back(states.emplace_back(std::make_unique<cache::RelationState>()).get());
        return true;
    });
    g.take("BEGIN 7");
    for (int i = 0; i < 10'000; ++i)
        g.take("table s.t" + std::to_string(i) + ": INSERT: id[integer]:1");
    CHECK(g.take("COMMIT 7") == Result::transaction);
    const auto change = g.take_change();
    CHECK(change.everything);
    CHECK(states.size() <= TransactionGatherer::kMaxRelations + 1);
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
