// What pgoutput may say, right and wrong.
#include "../../../src/control/pgoutput.hpp"

#include <doctest/doctest.h>

#include <memory>

#include "../../../src/control/publication.hpp"
#include "pgweir/base/bytes.hpp"

using namespace pgweir;
using namespace pgweir::control;
using Found = Gatherer::Found;
using Result = Gatherer::Result;

namespace {

constexpr query::Oid kInt4 = 23, kInt8 = 20, kText = 25, kNumeric = 1700;

std::string u16(std::uint16_t v) {
    std::string s;
    base::append_u16(s, v);
    return s;
}
std::string u32(std::uint32_t v) {
    std::string s;
    base::append_u32(s, v);
    return s;
}
std::string u64(std::uint64_t v) {
    return u32(static_cast<std::uint32_t>(v >> 32)) + u32(static_cast<std::uint32_t>(v));
}
std::string z(const std::string& s) { return s + '\0'; }

std::string begin(std::uint32_t xid) { return "B" + u64(1) + u64(2) + u32(xid); }
std::string commit() { return "C" + std::string(1, '\0') + u64(1) + u64(2) + u64(3); }
std::string told(const std::string& content, char flags = '\1',
                 const std::string& prefix = "pgweir_ddl") {
    return "M" + std::string(1, flags) + u64(1) + z(prefix) +
           u32(static_cast<std::uint32_t>(content.size())) + content;
}

struct Column {
    std::string name;
    query::Oid type;
    bool key;
};
std::string described(query::Oid oid, const std::vector<Column>& columns) {
    auto m =
        "R" + u32(oid) + z("s") + z("t") + "d" + u16(static_cast<std::uint16_t>(columns.size()));
    for (const auto& c : columns)
        m += std::string(1, c.key ? '\1' : '\0') + z(c.name) + u32(c.type) + u32(0xffffffff);
    return m;
}

/// "~" is null, "^" a long value that is as before.
std::string tuple(char kind, const std::vector<std::string>& values) {
    auto t = kind + u16(static_cast<std::uint16_t>(values.size()));
    for (const auto& v : values) {
        if (v == "~" || v == "^")
            t += v == "~" ? 'n' : 'u';
        else
            t += "t" + u32(static_cast<std::uint32_t>(v.size())) + v;
    }
    return t;
}
std::string row(char operation, query::Oid oid, const std::string& tuples) {
    return operation + u32(oid) + tuples;
}
std::string truncated(const std::vector<query::Oid>& oids) {
    auto m = "T" + u32(static_cast<std::uint32_t>(oids.size())) + '\0';
    for (const auto oid : oids) m += u32(oid);
    return m;
}

/// Knows relations 1 and 2, as a whole.
struct Tables {
    cache::RelationState a, b;
    PublicationGatherer gatherer{[this](const ToldChange& change, auto& states) {
        if (change.relation != 1 && change.relation != 2) return Found::nothing;
        states.push_back(change.relation == 1 ? &a : &b);
        return Found::relation;
    }};
};

const query::IdentityColumn kId{1, 1, query::KeyType::integer, "id"};
const query::IdentityColumn kName{2, 2, query::KeyType::text, "name"};

/// The identities that a change tells, as number=value, rows apart; "?": not known.
struct Rows {
    query::Relation relation;
    std::string told;
    PublicationGatherer gatherer{[this](const ToldChange& change, auto&) {
        std::vector<std::vector<query::RowValue>> rows;
        told.clear();
        if (!identities(change, relation, rows)) return told = "?", Found::nothing;
        for (const auto& values : rows) {
            if (!told.empty()) told += " -> ";
            for (const auto& v : values) {
                if (&v != values.data()) told += ",";
                const bool number = v.number == 1;
                told +=
                    std::to_string(v.number) + "=" +
                    (number ? std::to_string(static_cast<int>(base::load_u32(v.value.data() + 4)))
                            : v.value);
            }
        }
        return Found::rows;
    }};

    explicit Rows(std::vector<query::IdentityColumn> identity,
                  const std::vector<Column>& columns = {
                      {"id", kInt4, true}, {"v", kText, false}, {"name", kText, true}}) {
        relation.identity = std::move(identity);
        gatherer.take(described(1, columns));
    }
    std::string of(char operation, const std::string& tuples) {
        told = "-";
        gatherer.reset();
        gatherer.take(begin(7));
        gatherer.take(row(operation, 1, tuples));
        return told;
    }
};

}  // namespace

TEST_CASE("pgoutput: a transaction is what it changed, each relation once") {
    Tables t;
    auto& g = t.gatherer;
    CHECK(g.take(begin(7)) == Result::more);
    CHECK(g.take("O" + u64(1) + z("elsewhere")) == Result::more);
    CHECK(g.take(described(1, {{"id", kInt4, true}})) == Result::more);
    for (int i = 0; i < 3; ++i) {
        CHECK(g.take(row('I', 1, tuple('N', {"1"}))) == Result::more);
        CHECK(g.take(row('D', 2, tuple('K', {"1"}))) == Result::more);
    }
    CHECK(g.take(truncated({2, 1})) == Result::more);
    CHECK(g.inside());
    CHECK(g.take(commit()) == Result::transaction);
    const auto change = g.take_change();
    CHECK(g.xid() == 7);
    CHECK_FALSE(change.everything);
    CHECK(change.states == std::vector<cache::State*>{&t.a, &t.b});
    // One of which nothing is published changes nothing, and nothing is left for it.
    CHECK(g.take(begin(8)) == Result::more);
    CHECK(g.take(commit()) == Result::transaction);
    CHECK(g.take_change().states.empty());
    CHECK_FALSE(g.take_change().everything);
}

TEST_CASE("pgoutput: what is not known or not understood changes everything") {
    for (const auto& message :
         {row('I', 3, tuple('N', {"1"})), truncated({1, 3}), std::string("I"), "I" + u32(0),
          "T" + u32(2) + '\0' + u32(1), "T" + u32(0x40000000) + '\0', std::string("S") + u32(7),
          std::string("?"), std::string(), "R" + u32(1) + "s", told("742").substr(0, 12)}) {
        Tables t;
        t.gatherer.take(begin(7));
        t.gatherer.take(row('I', 1, tuple('N', {"1"})));
        CHECK(t.gatherer.take(message) == Result::more);
        t.gatherer.take(row('I', 2, tuple('N', {"1"})));
        CHECK(t.gatherer.take(commit()) == Result::transaction);
        const auto change = t.gatherer.take_change();
        CHECK(change.everything);
        CHECK(change.states.empty());
    }
}

TEST_CASE("pgoutput: a relation without a number is not known, also as the first of all") {
    for (const auto& message :
         {truncated({0}), truncated({1, 0}), row('I', 0, tuple('N', {"1"}))}) {
        Tables t;
        t.gatherer.take(begin(7));
        CHECK(t.gatherer.take(message) == Result::more);
        CHECK(t.gatherer.take(commit()) == Result::transaction);
        CHECK(t.gatherer.take_change().everything);
    }
}

TEST_CASE("pgoutput: what is out of order, or begins or ends as nothing does, is malformed") {
    Tables t;
    auto& g = t.gatherer;
    for (const auto& message : {commit(), row('I', 1, tuple('N', {"1"})), truncated({1}),
                                std::string("S"), std::string(), begin(0), begin(7) + "x"})
        CHECK(g.take(message) == Result::malformed);
    for (std::size_t n = 0; n < begin(7).size(); ++n)
        CHECK(g.take(begin(7).substr(0, n)) == Result::malformed);
    CHECK(g.take(begin(7)) == Result::more);
    CHECK(g.take(begin(8)) == Result::malformed);
    for (std::size_t n = 1; n < commit().size(); ++n)
        CHECK(g.take(commit().substr(0, n)) == Result::malformed);
    CHECK(g.take(commit()) == Result::transaction);
}

TEST_CASE("pgoutput: a message of the DDL watch says that the catalog changes") {
    Tables t;
    auto& g = t.gatherer;
    CHECK(g.take(told("742")) == Result::definition);
    auto change = g.take_change();
    CHECK(change.xid == 742);
    CHECK(change.defines);
    CHECK(change.everything);
    g.take(begin(7));
    g.take(row('I', 1, tuple('N', {"1"})));
    CHECK(g.take(told("742")) == Result::more);
    CHECK(g.take(commit()) == Result::transaction);
    change = g.take_change();
    CHECK(change.defines);
    CHECK(change.states.empty());
    // Not one without a transaction, of another name, or one that anybody may have written.
    CHECK(g.take(told("742", '\0')) == Result::more);
    CHECK(g.take(told("742", '\1', "pgweir")) == Result::more);
    CHECK(g.take(told("742x")) == Result::definition);
    CHECK(g.take_change().xid == 0);
}

TEST_CASE("pgoutput: a change tells the identity of its rows, old and new") {
    Rows one({kId});
    CHECK(one.of('I', tuple('N', {"5", "x", "y"})) == "1=5");
    CHECK(one.of('U', tuple('N', {"-5", "~", "y"})) == "1=-5");
    CHECK(one.of('U', tuple('K', {"5", "~", "y"}) + tuple('N', {"6", "^", "z"})) == "1=5 -> 1=6");
    CHECK(one.of('U', tuple('O', {"5", "x", "y"}) + tuple('N', {"6", "x", "y"})) == "1=5 -> 1=6");
    CHECK(one.of('D', tuple('K', {"5", "~", "y"})) == "1=5");
    CHECK(one.of('D', tuple('O', {"5", "x", "y"})) == "1=5");
    Rows two({kId, kName});
    CHECK(two.of('I', tuple('N', {"5", "x", "it's"})) == "1=5,2=it's");
    // The columns as they are called, in whatever order the stream has them.
    Rows turned({kId, kName}, {{"name", kText, true}, {"id", kInt8, true}});
    CHECK(turned.of('I', tuple('N', {"", "5"})) == "1=5,2=");
}

TEST_CASE("pgoutput: an identity that is not shown whole, or not as expected, is not known") {
    Rows one({kId});
    for (const auto& change :
         {tuple('N', {}), tuple('N', {"~", "x", "y"}), tuple('N', {"^", "x", "y"}),
          tuple('N', {"five", "x", "y"}), tuple('K', {"5", "x", "y"}),
          tuple('N', {"5", "x", "y"}) + "x", std::string("N"), std::string(), std::string("N\0", 2),
          "N" + u16(3) + "t" + u32(0xffffffff) + "5", "N" + u16(1) + "b" + u32(4) + u32(5)})
        CHECK(one.of('I', change) == "?");
    for (const auto& change : {tuple('N', {"5", "x", "y"}), std::string(),
                               tuple('K', {"5", "~", "y"}) + tuple('N', {"5", "x", "y"})})
        CHECK(one.of('D', change) == "?");
    for (const auto& change : {tuple('K', {"5", "~", "y"}), tuple('O', {"5", "~", "y"}) + "N",
                               tuple('K', {"5", "~", "y"}) + tuple('K', {"5", "~", "y"}),
                               tuple('N', {"5", "~", "y"}) + tuple('N', {"5", "~", "y"})})
        CHECK(one.of('U', change) == "?");
    const auto whole = tuple('N', {"5", "x", "y"});
    for (std::size_t n = 0; n < whole.size(); ++n) CHECK(one.of('I', whole.substr(0, n)) == "?");
    const std::string ok = tuple('N', {"5", "x"});
    // A column that the server has no old values of, of another name, or of another type.
    for (const std::vector<Column>& columns :
         {std::vector<Column>{{"id", kInt4, false}, {"v", kText, true}},
          std::vector<Column>{{"ID", kInt4, true}, {"v", kText, true}},
          std::vector<Column>{{"id", kNumeric, true}, {"v", kText, true}}})
        CHECK(Rows({kId}, columns).of('I', ok) == "?");
    CHECK(Rows({kId}, {{"id", kInt4, true}, {"v", kText, true}}).of('I', ok) == "1=5");
    CHECK(Rows({}, {{"id", kInt4, true}, {"v", kText, true}}).of('I', ok) == "?");
}

TEST_CASE("pgoutput: of a relation described anew only the new description counts") {
    Rows rows({kId});
    REQUIRE(rows.of('I', tuple('N', {"5", "6", "7"})) == "1=5");
    rows.gatherer.take(described(1, {{"v", kInt4, false}, {"id", kInt4, true}}));
    CHECK(rows.of('I', tuple('N', {"5", "6"})) == "1=6");
    // Even one that is not understood.
    rows.gatherer.take(begin(7));
    rows.gatherer.take("R" + u32(1) + z("s") + z("t") + "d" + u16(7));
    rows.gatherer.reset();
    CHECK(rows.of('I', tuple('N', {"5", "6"})) == "?");
}

TEST_CASE("pgoutput: descriptions take bounded memory, whatever is described") {
    Rows rows({kId});
    std::vector<Column> many(PublicationGatherer::kMaxColumnsEach, {"c", kInt4, true});
    const auto most = static_cast<query::Oid>(PublicationGatherer::kMaxColumns / many.size());
    for (query::Oid oid = 2; oid < 2 * most; ++oid) rows.gatherer.take(described(oid, many));
    // What is known stays so; what is too much concerns any row, also once it is described anew.
    CHECK(rows.of('I', tuple('N', {"5", "6", "7"})) == "1=5");
    rows.gatherer.take(described(1, {{"id", kInt4, true}}));
    CHECK(rows.of('I', tuple('N', {"5"})) == "1=5");
    many.insert(many.begin(), {"id", kInt4, true});
    rows.gatherer.take(described(1, many));
    CHECK(rows.of('I', tuple('N', std::vector<std::string>(many.size(), "5"))) == "?");
}

TEST_CASE("pgoutput: many relations or rows in one commit stay in bounded memory") {
    std::vector<std::unique_ptr<cache::RelationState>> states;
    PublicationGatherer g([&](const ToldChange& change, auto& out) {
        // Only the first can be told by their rows.
        CHECK((change.operation == 'T' || change.tuples.empty() == (out.size() >= 96)));
        out.push_back(states.emplace_back(std::make_unique<cache::RelationState>()).get());
        return change.tuples.empty() ? Found::relation : Found::rows;
    });
    g.take(begin(7));
    for (int i = 0; i < 10'000; ++i) g.take(row('I', 1, tuple('N', {std::to_string(i)})));
    CHECK(g.take(commit()) == Result::transaction);
    CHECK_FALSE(g.take_change().everything);
    CHECK(states.size() == 97);
    g.take(begin(8));
    std::vector<query::Oid> all(10'000);
    for (query::Oid i = 0; i < all.size(); ++i) all[i] = i + 1;
    g.take(truncated(all));
    CHECK(g.take(commit()) == Result::transaction);
    CHECK(g.take_change().everything);
    CHECK(states.size() < 5'000);
}

TEST_CASE("a publication is asked for by its name, whatever that is") {
    CHECK(pgoutput_options("p", 130005) == R"(("proto_version" '1', "publication_names" '"p"'))");
    CHECK(pgoutput_options("it's \"x\"", 150000) ==
          R"(("proto_version" '1', "publication_names" '"it''s ""x"""', "messages" 'true'))");
    CHECK(publication_state("it's", 150000).find("(E'it''s')") != std::string::npos);
    CHECK(publication_state("p", 150000).find("pg_publication_namespace") != std::string::npos);
    CHECK(publication_state("p", 140000).find("pg_publication_namespace") == std::string::npos);
    CHECK(published_tables("p", 140000).find("prqual") == std::string::npos);
    CHECK(publication_obstacle("p", "all:1:2").empty());
    CHECK(publication_obstacle("p", "some:1:2").find("leaves some") != std::string::npos);
    CHECK(publication_obstacle("p", "").find("does not exist") != std::string::npos);
}
