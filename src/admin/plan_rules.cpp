// What speaks against a scan that reads a whole table or index: no index that its filter could use,
// an indexed column inside a function, an indexed column that is cast because of what it is
// compared with. The filter is read as tokens; whatever is not of a plain form (OR, subplans, a
// comparison with another column) counts as not seen.
#include <algorithm>
#include <cstdio>
#include <optional>

#include "pgweir/admin/plan.hpp"
#include "pgweir/query/tokens.hpp"
#include "pgweir/query/verdict.hpp"

namespace pgweir::admin {

namespace {

using query::TextToken;
using Kind = TextToken::Kind;
using Tokens = std::vector<TextToken>;
using control::RelationFacts;

constexpr double kManyRows = 10'000;
constexpr std::uint64_t kManyBytes = 8 << 20;
constexpr double kFew = 20;  // the scan throws away all but one in so many
constexpr std::size_t kMaxColumns = 3;
constexpr std::size_t kMaxNotes = 4;

/// Types of which a B-tree is made without a word about operator classes.
constexpr std::string_view kIndexed[] = {"smallint",
                                         "integer",
                                         "bigint",
                                         "numeric",
                                         "real",
                                         "double precision",
                                         "text",
                                         "character varying",
                                         "character",
                                         "date",
                                         "timestamp without time zone",
                                         "timestamp with time zone",
                                         "uuid",
                                         "oid",
                                         "inet",
                                         "bytea"};

std::string unquoted(const TextToken& t) {
    if (t.kind != Kind::quoted || t.text.size() < 2) return t.text;
    std::string name;
    for (std::size_t i = 1; i + 1 < t.text.size(); ++i) {
        name += t.text[i];
        if (t.text[i] == '"') ++i;
    }
    return name;
}

/// As SQL needs it: quoted unless it is a plain word in lower case.
std::string identifier(std::string_view name) {
    const bool plain = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
    }) && !(name[0] >= '0' && name[0] <= '9');
    if (plain) return std::string(name);
    std::string out = "\"";
    for (const char c : name) {
        if (c == '"') out += c;
        out += c;
    }
    return out + '"';
}

/// Calls f(index) for the tokens outside all brackets.
template <class F>
void each_outer(const Tokens& t, F f) {
    int depth = 0;
    for (std::size_t i = 0; i < t.size(); ++i) {
        if (t[i].is(")") || t[i].is("]")) --depth;
        if (depth == 0) f(i);
        if (t[i].is("(") || t[i].is("[")) ++depth;
    }
}

Tokens part(const Tokens& t, std::size_t begin, std::size_t end) {
    return {t.begin() + static_cast<std::ptrdiff_t>(begin),
            t.begin() + static_cast<std::ptrdiff_t>(end)};
}

/// Without brackets around all of it.
Tokens bare(Tokens t) {
    while (t.size() > 2 && t.front().is("(")) {
        int depth = 0;
        std::size_t closed = 0;
        for (std::size_t i = 0; i < t.size() && closed == 0; ++i) {
            depth += t[i].is("(") ? 1 : t[i].is(")") ? -1 : 0;
            if (depth == 0) closed = i;
        }
        if (closed + 1 != t.size()) break;
        t = part(t, 1, t.size() - 1);
    }
    return t;
}

/// What AND joins; nothing where OR does.
std::vector<Tokens> conjuncts(const Tokens& filter) {
    const auto t = bare(filter);
    std::vector<Tokens> all;
    std::size_t begin = 0;
    bool either = false;
    each_outer(t, [&](std::size_t i) {
        either = either || t[i].is("or");
        if (!t[i].is("and")) return;
        all.push_back(bare(part(t, begin, i)));
        begin = i + 1;
    });
    all.push_back(bare(part(t, begin, t.size())));
    return either ? std::vector<Tokens>() : all;
}

bool names_column(const Tokens& t) {
    return std::any_of(t.begin(), t.end(), [](const TextToken& x) { return x.is("."); });
}

struct Comparison {
    Tokens column_side;
    bool equal = false;  // = or = ANY
};

std::optional<Comparison> comparison(const Tokens& t) {
    auto at = t.size();
    std::size_t operators = 0;
    each_outer(t, [&](std::size_t i) {
        for (const auto* op : {"=", "<", ">", "<=", ">="})
            if (t[i].is(op)) at = i;
        if (t[i].kind == Kind::symbol &&
            t[i].text.find_first_of("=<>~!@#%^&|?*/+-") != std::string::npos)
            ++operators;
    });
    if (operators != 1 || at == 0 || at + 1 >= t.size()) return std::nullopt;
    auto left = part(t, 0, at), right = part(t, at + 1, t.size());
    const bool list = right.front().is("any");
    if (right.front().is("all") || (list && !t[at].is("="))) return std::nullopt;
    if (names_column(left) == names_column(right)) return std::nullopt;
    if (names_column(right)) {
        if (list) return std::nullopt;
        std::swap(left, right);
    }
    const auto subplan = [](const TextToken& x) { return x.is("subplan") || x.is("hashed"); };
    if (std::any_of(left.begin(), left.end(), subplan) ||
        std::any_of(right.begin(), right.end(), subplan))
        return std::nullopt;
    return Comparison{std::move(left), t[at].is("=")};
}

/// The one column a side is about, and what is done to it.
struct Use {
    const control::ColumnFacts* column = nullptr;
    enum class How { bare, cast, computed } how = How::bare;
    std::string cast_to;
};

std::string joined(const Tokens& t) {
    std::string out;
    for (const auto& x : t) {
        const bool tight = x.is("(") || x.is(")") || x.is(",") || x.is("[") || x.is("]");
        if (!out.empty() && !tight && out.back() != '(') out += ' ';
        out += x.text;
    }
    return out;
}

/// A cast that changes nothing but the name of the type.
bool relabels(std::string_view from, std::string_view to) {
    return from == to || (from == "character varying" && to == "text");
}

std::optional<Use> use_of(const Tokens& side, const PlanScan& scan, const RelationFacts& relation) {
    const auto t = bare(side);
    Use use;
    std::size_t dots = 0, at = 0;
    for (std::size_t i = 0; i < t.size(); ++i)
        if (t[i].is(".")) {
            ++dots;
            at = i;
        }
    if (dots != 1 || at == 0 || at + 1 >= t.size()) return std::nullopt;
    if (unquoted(t[at - 1]) != scan.alias) return std::nullopt;
    const auto name = unquoted(t[at + 1]);
    for (const auto& column : relation.columns)
        if (column.name == name) use.column = &column;
    if (use.column == nullptr) return std::nullopt;
    if (t.size() == 3) return use;
    // "(alias.column)::type", which the server writes with its brackets.
    const bool cast =
        t.size() > 7 && t[0].is("(") && at == 2 && t[4].is(")") && t[5].is(":") && t[6].is(":");
    if (!cast) {
        use.how = Use::How::computed;
        return use;
    }
    use.cast_to = joined(part(t, 7, t.size()));
    if (const auto bracket = use.cast_to.find('('); bracket != std::string::npos)
        use.cast_to.resize(bracket);
    const auto& words = part(t, 7, t.size());
    const bool only_type = std::all_of(words.begin(), words.end(), [](const TextToken& x) {
        return x.kind == Kind::word || x.is("[") || x.is("]") || x.is("(") || x.is(")") ||
               x.kind == Kind::constant || x.kind == Kind::quoted;
    });
    use.how = !only_type                                ? Use::How::computed
              : relabels(use.column->type, use.cast_to) ? Use::How::bare
                                                        : Use::How::cast;
    return use;
}

const control::IndexFacts* index_on(const RelationFacts& relation, const std::string& column) {
    for (const auto& index : relation.indexes)
        if (index.first_column == column) return &index;
    return nullptr;
}

bool casts_itself(std::string_view statement) {
    const auto t = query::text_tokens(statement);
    for (std::size_t i = 0; i < t.size(); ++i)
        if (t[i].is("cast") || (t[i].is(":") && i + 1 < t.size() && t[i + 1].is(":"))) return true;
    return t.empty();
}

std::string count_text(double n) {
    char text[32];
    std::snprintf(text, sizeof text, "%.0f", n);
    return text;
}

class Looker {
  public:
    Looker(const PlanScan& scan, const RelationFacts& relation, std::string_view statement,
           std::vector<metrics::PlanNote>& notes)
        : scan_(scan), relation_(relation), statement_(statement), notes_(notes) {}

    void look() {
        for (const auto& t : conjuncts(query::text_tokens(scan_.filter)))
            if (const auto c = comparison(t))
                if (const auto use = use_of(c->column_side, scan_, relation_)) consider(*c, *use);
        advise_index();
    }

  private:
    std::string table() const {
        return identifier(relation_.schema) + "." + identifier(relation_.name);
    }
    std::string seen() const {
        const auto what = scan_.index.empty()
                              ? "a sequential scan of "
                              : "a scan of all of " + identifier(scan_.index) + " of ";
        return what + table() + " (about " + count_text(relation_.rows) + " rows, " +
               std::to_string(relation_.bytes >> 20) + " MiB) for about " + count_text(scan_.rows) +
               " of them, by " + query::normalise(scan_.filter, 300);
    }
    void note(std::string rule, std::string evidence, std::string advice) {
        const auto again = [&](const metrics::PlanNote& n) {
            return n.rule == rule && n.advice == advice;
        };
        if (notes_.size() < kMaxNotes && std::none_of(notes_.begin(), notes_.end(), again))
            notes_.push_back({std::move(rule), std::move(evidence), std::move(advice)});
    }

    void consider(const Comparison& c, const Use& use) {
        const auto& name = use.column->name;
        const auto* index = index_on(relation_, name);
        if (use.how == Use::How::bare) {
            if (index != nullptr) served_ = true;
            const bool fit = std::find(std::begin(kIndexed), std::end(kIndexed),
                                       use.column->type) != std::end(kIndexed);
            auto& list = c.equal ? equal_ : range_;
            if (fit && std::find(list.begin(), list.end(), name) == list.end())
                list.push_back(name);
            return;
        }
        if (index == nullptr) return;
        if (use.how == Use::How::cast && !casts_itself(statement_)) {
            note("implicit_cast",
                 "index " + identifier(index->name) + " begins with " + identifier(name) + " (" +
                     use.column->type + "), which is compared as " + use.cast_to + ": " + seen(),
                 "send the value as " + use.column->type +
                     ", so that the column need not be cast and its index can be used");
            return;
        }
        const bool expressions =
            std::any_of(relation_.indexes.begin(), relation_.indexes.end(),
                        [](const control::IndexFacts& i) { return i.first_column.empty(); });
        if (use.how != Use::How::computed || expressions) return;
        note("function_on_column",
             "index " + identifier(index->name) + " begins with " + identifier(name) +
                 ", but the filter asks for something computed from it: " + seen(),
             "compare the column itself (a range instead of a function of it), or make an index "
             "on the expression if its functions are immutable");
    }

    /// Columns compared for equality first, then one range.
    void advise_index() {
        auto columns = equal_;
        if (!range_.empty()) columns.push_back(range_.front());
        // Who reads an index whole may want its order.
        if (columns.empty() || served_ || !scan_.index.empty()) return;
        std::string list;
        for (std::size_t i = 0; i < std::min(columns.size(), kMaxColumns); ++i)
            list += (i > 0 ? ", " : "") + identifier(columns[i]);
        note("sequential_scan", seen(),
             "CREATE INDEX CONCURRENTLY ON " + table() + " (" + list +
                 "); each write of the table has to keep it up");
    }

    const PlanScan& scan_;
    const RelationFacts& relation_;
    std::string_view statement_;
    std::vector<metrics::PlanNote>& notes_;
    std::vector<std::string> equal_, range_;
    bool served_ = false;  // an index begins with a column of the filter, and was not taken
};

}  // namespace

std::vector<metrics::PlanNote> plan_notes(const Plan& plan,
                                          const std::vector<RelationFacts>& relations,
                                          std::string_view statement) {
    std::vector<metrics::PlanNote> notes;
    for (const auto& scan : plan.scans)
        for (const auto& relation : relations) {
            if (relation.schema != scan.schema || relation.name != scan.relation) continue;
            const bool large =
                relation.ordinary && relation.rows >= kManyRows && relation.bytes >= kManyBytes;
            if (large && scan.rows * kFew <= relation.rows)
                Looker(scan, relation, statement, notes).look();
        }
    return notes;
}

}  // namespace pgweir::admin
