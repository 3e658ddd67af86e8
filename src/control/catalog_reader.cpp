// See catalog_reader.hpp. The statements stand in sql/; what their columns mean is said there.
#include "pgweir/control/catalog_reader.hpp"

#include <charconv>
#include <unordered_set>

#include "body_words.hpp"
#include "builtins.hpp"
#include "call_graph.hpp"
#include "sql.hpp"

namespace pgweir::control {

namespace {

using query::Oid;

constexpr Oid kFirstUserOid = 16384;
constexpr std::uint32_t kMaxEdges =
    2'000'000;  // bound of what calls.sql and view_bases.sql may give

query::Volatility volatility_of(char c) noexcept {
    switch (c) {
        case 'i': return query::Volatility::immutable_;
        case 's': return query::Volatility::stable;
        default: return query::Volatility::volatile_;
    }
}

std::string replaced(std::string_view text, std::string_view what, std::string_view by) {
    std::string out;
    for (auto at = text.find(what); at != text.npos; at = text.find(what)) {
        out.append(text.substr(0, at)).append(by);
        text.remove_prefix(at + what.size());
    }
    return out.append(text);
}

/// A quoted regular expression that finds a call of one of the functions in a stored parse tree.
std::string call_pattern(const std::vector<Oid>& functions) {
    std::string p = "':(funcid|opfuncid|aggfnoid|winfnoid) (0";
    for (const Oid f : functions) p += "|" + std::to_string(f);
    return p + ") '";
}

class Reader {
  public:
    Reader(Connection& connection, std::uint64_t version, const ReadLimits& limits)
        : connection_(connection),
          limits_(limits),
          deadline_(base::monotonic_now() + limits.time),
          catalog_(std::make_shared<query::Catalog>()) {
        catalog_->version = version;
        catalog_->server_version_num = connection.server_version_num();
    }

    std::optional<std::string> read() {
        // The stored default is looked at before the session gets a search_path of its own.
        if (auto e = run("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")) return e;
        if (auto e = read_search_paths()) return e;
        if (auto e = run("SET LOCAL search_path = pg_catalog")) return e;
        for (const auto step :
             {&Reader::read_identity, &Reader::read_relations, &Reader::read_functions,
              &Reader::read_calls, &Reader::read_hidden_calls, &Reader::read_view_bases,
              &Reader::read_triggers, &Reader::read_bodies, &Reader::read_names}) {
            if (auto e = (this->*step)()) return e;
        }
        if (auto e = run("COMMIT")) return e;
        conclude();
        return std::nullopt;
    }

    query::CatalogPtr take() { return std::move(catalog_); }

  private:
    std::optional<std::string> each(std::string_view sql, const RowCallback& row) {
        const auto left = deadline_ - base::monotonic_now();
        if (left <= 0) return "reading the catalog took too long";
        return connection_.query(sql, row, left);
    }
    std::optional<std::string> run(std::string_view sql) { return each(sql, nullptr); }

    std::optional<std::string> read_search_paths() {
        return each(sql::search_paths, [&](const Row& r) {
            catalog_->role_search_path[std::string(r.text(0))] = r.text(1);
            return true;
        });
    }

    std::optional<std::string> read_identity();
    std::optional<std::string> read_relations();
    std::optional<std::string> read_functions();
    void add_function(const Row& r);
    std::optional<std::string> read_calls();
    void add_call(char kind, Oid owner, Node callee);
    std::optional<std::string> read_hidden_calls();
    std::optional<std::string> read_view_bases();
    std::optional<std::string> read_triggers();
    std::optional<std::string> read_bodies();
    void add_body(Node function, std::string_view body,
                  const std::unordered_multimap<std::string_view, Oid>& relation_names);
    std::optional<std::string> read_names();
    void conclude();
    void conclude_relation(query::Relation& relation);

    Connection& connection_;
    const ReadLimits& limits_;
    base::Nanos deadline_;
    std::shared_ptr<query::Catalog> catalog_;
    CallGraph graph_;
    std::unordered_map<Oid, query::Relation*> relations_;
    std::unordered_set<Oid> trusted_code_;  // functions in C that are not volatile
    std::unordered_set<Oid> bodies_due_;
    std::unordered_set<Oid>
        default_calls_;  // relations whose defaults, checks, indexes call users' functions
    std::vector<Oid> builtin_writers_, builtin_state_;
    /// Names that matter in a body: users' functions and built-in ones with an effect.
    query::Catalog::NameMap<std::vector<Node>> callable_;
    std::uint32_t edges_ = 0;
};

std::optional<std::string> Reader::read_identity() {
    bool may_ask = false;
    if (auto e = each(sql::identity, [&](const Row& r) {
            catalog_->database_oid = r.number(0);
            may_ask = r.flag(1);
            catalog_->system_identifier = r.text(2);
            return true;
        }))
        return e;
    if (may_ask) {
        if (auto e = each(sql::system_identifier, [&](const Row& r) {
                catalog_->system_identifier = r.text(0);
                return true;
            }))
            return e;
    }
    if (catalog_->database_oid == 0 || catalog_->system_identifier.empty())
        return "the database does not say which it is";
    return each(sql::schemas, [&](const Row& r) {
        catalog_->schemas.emplace(r.text(1), r.number(0));
        return true;
    });
}

std::optional<std::string> Reader::read_relations() {
    std::uint32_t count = 0;
    if (auto e = each(sql::relation_count, [&](const Row& r) {
            count = r.number(0);
            return true;
        }))
        return e;
    const auto too_many = "the catalog has more than " + std::to_string(limits_.relations) +
                          " relations, which is more than is kept in memory";
    if (count > limits_.relations) return too_many;
    return each(sql::relations, [&](const Row& r) {
        query::Relation rel;
        rel.oid = r.number(0);
        rel.schema = r.number(1);
        rel.name = r.text(2);
        rel.kind = r.letter(3);
        rel.persistence = r.letter(4);
        rel.system = r.flag(5);
        rel.row_security = r.flag(6);
        rel.has_user_triggers = r.flag(7);
        rel.has_rules = r.flag(8);
        rel.inherits = r.flag(9);
        rel.referenced_cascade = r.flag(10);
        rel.has_triggers = rel.has_user_triggers || rel.referenced_cascade;
        rel.plain_types = r.flag(11);
        auto name = rel.name;
        const auto [it, added] =
            catalog_->relations[rel.schema].try_emplace(std::move(name), std::move(rel));
        relations_[it->second.oid] = &it->second;
        catalog_->relations_by_oid[it->second.oid] = &it->second;
        return true;
    });
}

std::optional<std::string> Reader::read_functions() {
    std::uint32_t count = 0;
    bool too_many = false;
    auto error = each(sql::functions, [&](const Row& r) {
        too_many = ++count > limits_.functions;
        if (!too_many) add_function(r);
        return !too_many;
    });
    if (too_many) return "the catalog has too many functions to keep in memory";
    return error;
}

void Reader::add_function(const Row& r) {
    query::Function f;
    f.oid = r.number(0);
    f.schema = r.number(1);
    const auto name = r.text(2);
    const auto language = r.text(5);
    f.volatility = volatility_of(r.letter(3));
    f.builtin = r.flag(7);
    const Node node = graph_.function(f.oid);
    Effects effects;
    if (f.builtin) {
        effects = builtin_effects(name, r.letter(3));
        if (effects.may_write) builtin_writers_.push_back(f.oid);
        if (effects.leaves_state) builtin_state_.push_back(f.oid);
    } else if (r.letter(4) == 'a') {
        effects = {false, false};
        for (auto parts = r.text(8); !parts.empty();) {
            const auto comma = std::min(parts.find(','), parts.size());
            Oid part = 0;
            std::from_chars(parts.data(), parts.data() + comma, part);
            if (part != 0) graph_.call(node, graph_.function(part));
            parts.remove_prefix(std::min(comma + 1, parts.size()));
        }
    } else if (language == "sql" || language == "plpgsql") {
        effects = {f.volatility == query::Volatility::volatile_, false};
        bodies_due_.insert(f.oid);
    } else if (language == "c") {
        if (f.volatility != query::Volatility::volatile_) trusted_code_.insert(f.oid);
        // What a stable one does with SQL text that it is given is not known.
        effects = {f.volatility != query::Volatility::immutable_, true};
        if (known_extension_function(r.text(6), name)) effects = {false, false};
    }
    if (effects.may_write) graph_.mark(node, Effect::writes);
    if (effects.leaves_state) graph_.mark(node, Effect::state);
    if (!f.builtin || effects.may_write || effects.leaves_state)
        callable_[std::string(name)].push_back(node);
    catalog_->functions[std::string(name)].push_back(f);
}

/// Files a call that is no function body's under what makes it happen; see calls.sql for the kinds.
void Reader::add_call(char kind, Oid owner, Node callee) {
    switch (kind) {
        case 'q': graph_.call(graph_.reading(owner), callee); break;
        case 'w':
            graph_.call(graph_.writing(owner), callee);
            // Not the rules of pg_settings: only a statement that names it gets there.
            if (owner >= kFirstUserOid) graph_.call(graph_.any_write(), callee);
            break;
        case 'g': graph_.call(graph_.triggers(), callee); break;
        case 'd':
            default_calls_.insert(owner);
            graph_.call(graph_.writing(owner), callee);
            graph_.call(graph_.any_write(), callee);
            break;
        case 'p': graph_.call(graph_.function(owner), callee); break;
        default: graph_.call(graph_.ambient(), callee); break;
    }
}

std::optional<std::string> Reader::read_calls() {
    auto error = each(sql::calls, [&](const Row& r) {
        const char kind = r.letter(0);
        const Oid function = r.number(2);
        if (function == 0) return true;  // a shell operator, or a cast without a function
        if (!graph_.knows_function(function)) return false;  // not of this snapshot
        if (kind != 't' || !trusted_code_.contains(function))
            add_call(kind, r.number(1), graph_.function(function));
        return ++edges_ <= kMaxEdges;
    });
    if (edges_ > kMaxEdges) return "the catalog has too many dependencies to keep in memory";
    return error;
}

std::optional<std::string> Reader::read_hidden_calls() {
    auto text = replaced(sql::hidden, "$1", call_pattern(builtin_writers_));
    text = replaced(text, "$2", call_pattern(builtin_state_));
    // Two nodes that stand for built-in functions with one effect; no function has such an OID.
    const Node writer = graph_.function(0xffffffff);
    const Node setter = graph_.function(0xfffffffe);
    graph_.mark(writer, Effect::writes);
    graph_.mark(setter, Effect::state);
    return each(text, [&](const Row& r) {
        if (r.flag(2)) add_call(r.letter(0), r.number(1), writer);
        if (r.flag(3)) add_call(r.letter(0), r.number(1), setter);
        return ++edges_ <= kMaxEdges;
    });
}

std::optional<std::string> Reader::read_view_bases() {
    std::unordered_set<Oid> written;
    auto error = each(sql::view_bases, [&](const Row& r) {
        const Oid view = r.number(0);
        const Oid base = r.number(1);
        graph_.call(graph_.reading(view), graph_.reading(base));
        graph_.call(graph_.writing(view), graph_.writing(base));
        if (written.insert(view).second && relations_.contains(view) &&
            relations_.at(view)->has_rules)
            graph_.call(graph_.writing(view), graph_.any_write());
        return ++edges_ <= kMaxEdges;
    });
    if (edges_ > kMaxEdges) return "the catalog has too many dependencies to keep in memory";
    return error;
}

std::optional<std::string> Reader::read_triggers() {
    return each(sql::trigger_functions, [&](const Row& r) {
        graph_.call(graph_.triggers(), graph_.function(r.number(0)));
        return true;
    });
}

std::optional<std::string> Reader::read_bodies() {
    std::unordered_multimap<std::string_view, Oid> relation_names;
    for (const auto& [oid, relation] : relations_)
        if (graph_.knows_relation(oid)) relation_names.emplace(relation->name, oid);
    const auto& text = connection_.server_version_num() >= 140000 ? sql::bodies : sql::bodies_13;
    const auto error =
        each(replaced(text, "$1", std::to_string(limits_.body_bytes)), [&](const Row& r) {
            if (r.is_null(1)) return true;
            bodies_due_.erase(r.number(0));
            add_body(graph_.function(r.number(0)), r.text(1), relation_names);
            return true;
        });
    for (const Oid f : bodies_due_) {
        graph_.mark(graph_.function(f), Effect::state);
        graph_.mark(graph_.function(f), Effect::writes);
    }
    return error;
}

void Reader::add_body(Node function, std::string_view body,
                      const std::unordered_multimap<std::string_view, Oid>& relation_names) {
    const auto facts = scan_body(body, [&](std::string_view name) {
        if (const auto it = callable_.find(name); it != callable_.end())
            for (const Node callee : it->second) graph_.call(function, callee);
        const auto [first, last] = relation_names.equal_range(name);
        for (auto it = first; it != last; ++it) {
            graph_.call(function, graph_.reading(it->second));
            graph_.call(function, graph_.writing(it->second));
        }
    });
    if (facts.leaves_state || facts.runs_text) graph_.mark(function, Effect::state);
    if (facts.runs_text) graph_.mark(function, Effect::writes);
    if (facts.writes_rows) graph_.call(function, graph_.any_write());
}

std::optional<std::string> Reader::read_names() {
    if (auto e = each(sql::operators, [&](const Row& r) {
            catalog_->operators[std::string(r.text(0))].push_back(
                {r.number(1), r.flag(2), volatility_of(r.letter(3))});
            return true;
        }))
        return e;
    return each(sql::types, [&](const Row& r) {
        catalog_->types[std::string(r.text(0))] = r.flag(1);
        return true;
    });
}

void Reader::conclude() {
    graph_.settle();
    const bool ambient_state = graph_.has(graph_.ambient(), Effect::state);
    const bool ambient_writes = graph_.has(graph_.ambient(), Effect::writes);
    for (auto& [name, candidates] : catalog_->functions) {
        for (auto& f : candidates) {
            const Node node = graph_.function(f.oid);
            f.session_harmless = !graph_.has(node, Effect::state) && (f.builtin || !ambient_state);
            f.may_write = graph_.has(node, Effect::writes) || (!f.builtin && ambient_writes);
        }
    }
    for (auto& [oid, relation] : relations_) {
        conclude_relation(*relation);
        if (ambient_state) relation->session_harmless = false;
        if (ambient_writes && relation->kind != 'S') relation->reading_may_write = true;
    }
    catalog_->any_harmful_trigger = graph_.has(graph_.triggers(), Effect::state);
}

void Reader::conclude_relation(query::Relation& relation) {
    relation.generated_or_default_functions = default_calls_.contains(relation.oid);
    if (relation.kind == 'f') return;  // what a wrapper does is not known
    if (!graph_.knows_relation(relation.oid)) {
        relation.reading_may_write = false;
        relation.session_harmless = true;
        return;
    }
    const Node reading = graph_.reading(relation.oid);
    relation.reading_may_write = graph_.has(reading, Effect::writes);
    relation.session_harmless = !graph_.has(reading, Effect::state) &&
                                !graph_.has(graph_.writing(relation.oid), Effect::state);
}

}  // namespace

base::Result<query::CatalogPtr> read_catalog(Connection& connection, std::uint64_t version,
                                             const ReadLimits& limits) {
    Reader reader(connection, version, limits);
    if (auto error = reader.read()) return base::Error{*error};
    return reader.take();
}

base::Result<std::string> catalog_fingerprint(Connection& connection) {
    return connection.value(sql::fingerprint);
}

}  // namespace pgweir::control
