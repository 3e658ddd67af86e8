// See view_query.hpp. Tokens end at white space and at unescaped braces and parentheses; a field's
// label is a token that begins with a colon. A value may look like a label (a column named
// ":opno"): that only adds to what is looked at, since a real label's value is never skipped for
// it.
#include "view_query.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace pgweir::control {

namespace {

using query::Oid;
using std::string_view;

constexpr Oid kFirstUserRelation = 16384;

constexpr auto kNodes = std::to_array<string_view>({
    "AGGREF",
    "ALIAS",
    "ARRAY",
    "ARRAYCOERCEEXPR",
    "ARRAYEXPR",
    "BOOLEANTEST",
    "BOOLEXPR",
    "CASE",
    "CASEEXPR",
    "CASETESTEXPR",
    "CASEWHEN",
    "COALESCE",
    "COALESCEEXPR",
    "COERCEVIAIO",
    "COLLATE",
    "COLLATEEXPR",
    "COMMONTABLEEXPR",
    "CONST",
    "DISTINCTEXPR",
    "FROMEXPR",
    "FUNCEXPR",
    "GROUPINGFUNC",
    "GROUPINGSET",
    "JOINEXPR",
    "MINMAX",
    "MINMAXEXPR",
    "NAMEDARGEXPR",
    "NULLIFEXPR",
    "NULLTEST",
    "OPEXPR",
    "PARAM",
    "QUERY",
    "RANGETBLENTRY",
    "RANGETBLFUNCTION",
    "RANGETBLREF",
    "RELABELTYPE",
    "RTE",
    "RTEPERMISSIONINFO",
    "SCALARARRAYOPEXPR",
    "SETOPERATIONSTMT",
    "SORTGROUPCLAUSE",
    "SUBLINK",
    "SUBSCRIPTINGREF",
    "TARGETENTRY",
    "VAR",
    "WHEN",
    "WINDOWCLAUSE",
    "WINDOWFUNC",
});
constexpr auto kFunctionFields = std::to_array<string_view>({
    ":aggfnoid",
    ":endInRangeFunc",
    ":funcid",
    ":startInRangeFunc",
    ":winfnoid",
});
constexpr auto kOperatorFunctionFields = std::to_array<string_view>({
    ":hashfuncid",
    ":negfuncid",
    ":opfuncid",
});
constexpr auto kOperatorFields = std::to_array<string_view>({":eqop", ":opno", ":sortop"});
constexpr auto kTypeFields = std::to_array<string_view>({
    ":aggargtypes",    ":aggtranstype",     ":aggtype",        ":array_typeid", ":casetype",
    ":coalescetype",   ":colTypes",         ":coltypes",       ":consttype",    ":ctecoltypes",
    ":element_typeid", ":funccoltypes",     ":funcresulttype", ":minmaxtype",   ":opresulttype",
    ":paramtype",      ":refcontainertype", ":refelemtype",    ":refrestype",   ":resulttype",
    ":typeId",         ":vartype",          ":wintype",
});
static_assert(std::is_sorted(kNodes.begin(), kNodes.end()));
static_assert(std::is_sorted(kFunctionFields.begin(), kFunctionFields.end()));
static_assert(std::is_sorted(kOperatorFields.begin(), kOperatorFields.end()));
static_assert(std::is_sorted(kTypeFields.begin(), kTypeFields.end()));

/// date, time, timetz, timestamp, timestamptz, the ranges and multiranges of date, timestamp and
/// timestamptz, and arrays of all these: text read as one may say 'today'.
constexpr std::array<Oid, 22> kDatetimes{1082, 1083, 1114, 1115, 1182, 1183, 1184, 1185,
                                         1266, 1270, 3908, 3909, 3910, 3911, 3912, 3913,
                                         4533, 4534, 4535, 6152, 6153, 6155};

template <class List>
bool in(const List& list, string_view word) noexcept {
    return std::binary_search(list.begin(), list.end(), word);
}

bool is_space(char c) noexcept { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }
bool is_bracket(char c) noexcept { return c == '{' || c == '}' || c == '(' || c == ')'; }

std::optional<long> number(string_view token) noexcept {
    long value = 0;
    const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), value);
    if (error != std::errc() || end != token.data() + token.size()) return std::nullopt;
    return value;
}

class Scanner {
  public:
    Scanner(string_view tree, const ViewKnowledge& known) : rest_(tree), known_(known) {}

    ViewQuery run() {
        result_.proven = true;
        string_view token = next();
        if (token.empty()) fail();
        for (; !token.empty(); token = next()) {
            if (token == "{")
                open_node();
            else if (token == "}")
                close_node();
            else if (token.front() == ':')
                field(token);
        }
        if (!nodes_.empty()) fail();
        return std::move(result_);
    }

  private:
    void fail() noexcept { result_.proven = false; }

    string_view next() noexcept {
        while (!rest_.empty() && is_space(rest_.front())) rest_.remove_prefix(1);
        if (rest_.empty()) return {};
        std::size_t size = is_bracket(rest_.front()) ? 1 : 0;
        while (size == 0 || !is_bracket(rest_.front())) {
            if (size >= rest_.size() || is_space(rest_[size]) || is_bracket(rest_[size])) break;
            size += rest_[size] == '\\' ? 2 : 1;
        }
        const auto token = rest_.substr(0, std::min(size, rest_.size()));
        rest_.remove_prefix(token.size());
        return token;
    }
    string_view peek() noexcept {
        const auto before = rest_;
        const auto token = next();
        rest_ = before;
        return token;
    }

    void open_node() {
        const auto name = next();
        if (!in(kNodes, name)) fail();
        nodes_.push_back(name);
    }
    void close_node() {
        if (nodes_.empty()) return fail();
        nodes_.pop_back();
    }

    void field(string_view label) {
        if (in(kFunctionFields, label))
            return each_number([this](Oid f) {
                if (f != 0 && !known_.constant_function(f)) fail();
            });
        if (in(kOperatorFunctionFields, label))
            return each_number([this](Oid f) {
                if (f != 0 && !known_.constant_operator(f)) fail();
            });
        if (in(kOperatorFields, label))
            return each_number([this](Oid o) {
                if (o >= kFirstUserRelation) fail();
            });
        if (in(kTypeFields, label)) return each_number([this, label](Oid t) { type(label, t); });
        if (label == ":relid")
            return each_number([this](Oid r) {
                if (r == 0) return;
                if (r < kFirstUserRelation) fail();
                result_.relations.push_back(r);
            });
        other_field(label);
    }

    void other_field(string_view label) {
        if (label == ":hasForUpdate" || label == ":hasModifyingCTE" || label == ":hasRowSecurity") {
            if (peek() != "false") fail();
        } else if (label == ":commandType") {
            if (peek() != "1") fail();
        } else if (label == ":varattno") {
            const auto n = number(peek());
            constexpr long kTableOid = -6;
            if (!n || (*n < 0 && *n != kTableOid)) fail();
        }
    }

    void type(string_view label, Oid type) {
        if (type != 0 && !known_.plain_type(type)) fail();
        const bool from_text =
            label == ":resulttype" && !nodes_.empty() && nodes_.back() == "COERCEVIAIO";
        if (from_text && std::find(kDatetimes.begin(), kDatetimes.end(), type) != kDatetimes.end())
            fail();
    }

    /// The value: one number, or a list of them; "<>" is an empty one.
    template <class F>
    void each_number(F&& f) {
        const auto first = peek();
        if (first == "<>") return;
        if (first != "(") return one_number(first, f);
        next();
        for (auto token = next(); token != ")"; token = next()) {
            if (token.empty()) return fail();
            if (token != "o" && token != "i") one_number(token, f);
        }
    }
    template <class F>
    void one_number(string_view token, F&& f) {
        const auto n = number(token);
        if (!n || *n < 0) return fail();
        f(static_cast<Oid>(*n));
    }

    string_view rest_;
    const ViewKnowledge& known_;
    ViewQuery result_;
    std::vector<string_view> nodes_;  // the open ones
};

}  // namespace

ViewQuery scan_view_query(string_view tree, const ViewKnowledge& known) {
    return Scanner(tree, known).run();
}

}  // namespace pgweir::control
