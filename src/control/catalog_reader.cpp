// See catalog_reader.hpp. The statements stand in sql/; what their columns mean is said there.
#include "pgweir/control/catalog_reader.hpp"

#include <algorithm>
#include <charconv>
#include <unordered_set>

#include "builtins.hpp"
#include "call_graph.hpp"
#include "catalog_text.hpp"
#include "function_trust.hpp"
#include "partitions.hpp"
#include "pgweir/query/body_words.hpp"
#include "pgweir/query/verdict.hpp"
#include "publication.hpp"
#include "sql.hpp"
#include "view_query.hpp"
#include "write_sets.hpp"

namespace pgweir::control {

namespace {

using query::Oid;
constexpr Oid kFirstUserOid = 16384;
constexpr std::uint32_t kMaxEdges = 2'000'000;  // of calls.sql and relation_links.sql

/// A node that stands for built-in functions with one effect; no function has such an OID.
constexpr Oid stand_in(Effect effect) noexcept { return 0xffffffffu - static_cast<Oid>(effect); }

class Reader {
  public:
    Reader(Connection& connection, std::uint64_t version, const ReadLimits& limits,
           const std::string& publication)
        : connection_(connection),
          limits_(limits),
          publication_(publication),
          deadline_(base::monotonic_now() + limits.time),
          catalog_(std::make_shared<query::Catalog>()) {
        catalog_->version = version;
        catalog_->server_version_num = connection.server_version_num();
    }

    std::optional<std::string> read(std::string* fingerprint) {
        // The stored default is looked at before the session gets a search_path of its own.
        if (auto e = run("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")) return e;
        if (fingerprint != nullptr) {
            auto now = catalog_fingerprint(connection_, publication_);
            if (!now) return now.error();
            *fingerprint = *std::move(now);
        }
        if (auto e = read_search_paths()) return e;
        if (auto e = read_login_settings()) return e;
        if (auto e = run("SET LOCAL search_path = pg_catalog")) return e;
        for (const auto step :
             {&Reader::read_identity, &Reader::read_relations, &Reader::read_identities,
              &Reader::read_functions, &Reader::read_calls, &Reader::read_hidden_calls,
              &Reader::read_links, &Reader::read_view_queries, &Reader::read_triggers,
              &Reader::read_bodies, &Reader::read_names, &Reader::read_published}) {
            if (auto e = (this->*step)()) return e;
        }
        if (auto e = run("COMMIT")) return e;
        conclude();
        return std::nullopt;
    }

    query::CatalogPtr take() { return std::move(catalog_); }

  private:
    using RelationNames = std::unordered_multimap<std::string_view, Oid>;

    std::optional<std::string> each(std::string_view sql, const RowCallback& row) {
        const auto left = deadline_ - base::monotonic_now();
        if (left <= 0) return "reading the catalog took too long";
        return connection_.query(sql, row, left);
    }
    std::optional<std::string> run(std::string_view sql) { return each(sql, nullptr); }

    std::optional<std::string> read_search_paths() {
        return each(sql::search_paths, [&](const Row& r) {
            if (r.flag(2))
                catalog_->role_search_path[std::string(r.text(0))] = r.text(1);
            else
                catalog_->other_at_login[std::string(r.text(0))] = true;
            return true;
        });
    }

    std::optional<std::string> read_login_settings() {
        return each(sql::login_settings, [&](const Row& r) {
            catalog_->read_committed = r.flag(0);
            catalog_->login_settings = r.text(1);
            return true;
        });
    }

    std::optional<std::string> read_identity();
    std::optional<std::string> read_relations();
    std::optional<std::string> read_identities();
    std::optional<std::string> read_functions();
    void add_function(const Row& r);
    std::optional<std::string> read_calls();
    void add_call(char kind, Oid owner, Node callee);
    std::optional<std::string> read_hidden_calls();
    void add_hidden_call(char kind, Oid owner, Effect effect);
    std::optional<std::string> read_links();
    void add_link(char kind, Oid from, Oid to);
    std::optional<std::string> read_view_queries();
    std::optional<std::string> read_triggers();
    std::optional<std::string> read_bodies();
    void add_body(Oid function, std::string_view body, const RelationNames& relation_names);
    std::optional<std::string> read_names();
    std::optional<std::string> read_published();
    void conclude();
    void conclude_relation(query::Relation& relation);
    void conclude_sequences(query::Relation& relation);
    void conclude_writes(query::Relation& relation);

    Connection& connection_;
    const ReadLimits& limits_;
    const std::string& publication_;
    base::Nanos deadline_;
    std::shared_ptr<query::Catalog> catalog_;
    CallGraph graph_;
    WriteSets write_sets_;
    std::unordered_set<Oid> plain_types_;
    FunctionTrust trust_;
    std::unordered_set<Oid> sql_functions_;   // of the users, in language sql
    std::unordered_set<Oid> unknown_writes_;  // relations whose rules or defaults may write
    Parents parents_;
    Published published_;
    RelationsByOid relations_;
    std::unordered_set<Oid> bodies_due_;
    std::unordered_set<Oid> default_calls_;  // relations whose defaults ... call users' code
    std::vector<Oid> builtin_writers_, builtin_state_, builtin_movers_, builtin_askers_;
    std::unordered_map<Oid, std::vector<Node>> own_triggers_;  // of a relation: their functions
    /// Names that matter in a body: users' functions and built-in ones with an effect.
    query::Catalog::NameMap<std::vector<Oid>> callable_;
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
    const auto take = [&](const Row& r) {
        catalog_->system_identifier = r.text(0);
        return true;
    };
    if (auto e = may_ask ? each(sql::system_identifier, take) : std::nullopt) return e;
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
    if (auto e = each(with_plain_types("$1"), [&](const Row& r) {
            plain_types_.insert(r.number(0));
            return true;
        }))
        return e;
    catalog_->casts_proven = !plain_types_.empty();
    return each(with_plain_types(sql::relations), [&](const Row& r) {
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
        rel.tells_writes = r.flag(12);
        if (rel.kind == 'f') graph_.mark_unknown(rel.oid);  // what a wrapper does
        auto name = rel.name;
        const auto [it, added] =
            catalog_->relations[rel.schema].try_emplace(std::move(name), std::move(rel));
        relations_[it->second.oid] = &it->second;
        catalog_->relations_by_oid[it->second.oid] = &it->second;
        return true;
    });
}

std::optional<std::string> Reader::read_identities() {
    return each(sql::identity_columns, [&](const Row& r) {
        const auto at = relations_.find(r.number(0));
        const auto type = query::key_type(r.number(6));
        if (at == relations_.end() || !type) return true;
        auto& relation = *at->second;
        relation.identity_full = r.letter(1) == 'f';
        if (relation.identity.size() == query::kMostKeyColumns) {
            relation.conflicts_by_identity = false;
            return true;
        }
        relation.identity.push_back({static_cast<std::int16_t>(r.number(4)),
                                     static_cast<std::int16_t>(r.number(5)), *type,
                                     std::string(r.text(7))});
        relation.conflicts_by_identity = r.flag(3) && relation.identity.size() == r.number(2);
        return true;
    });
}

std::optional<std::string> Reader::read_functions() {
    std::uint32_t count = 0;
    bool too_many = false;
    auto error = each(with_plain_types(sql::functions), [&](const Row& r) {
        too_many = ++count > limits_.functions;
        if (!too_many) add_function(r);
        return !too_many;
    });
    return too_many ? "the catalog has too many functions to keep in memory" : error;
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
        if (moves_sequence(name)) builtin_movers_.push_back(f.oid);
        if (asks_sequence(name)) builtin_askers_.push_back(f.oid);
        trust_.builtin(f, name);
    } else if (r.letter(4) == 'a') {
        effects = {false, false};
        f.known_code = trust_.aggregate(f, r.text(8), r.flag(9));
        each_oid(r.text(8), [&](Oid part) {
            if (part != 0) graph_.call(node, graph_.function(part));
            if (part != 0) write_sets_.calls(f.oid, part);
        });
    } else if (language == "sql" || language == "plpgsql") {
        // Its body says what it does, whatever it is declared as.
        effects = {false, false};
        bodies_due_.insert(f.oid);
        if (language == "sql") sql_functions_.insert(f.oid);
    } else {
        effects = code_effects(language, r.letter(3), r.text(6), name);
        const bool c = language == "c" || language == "internal";
        f.known_code = c && trust_.code(f, name, r.flag(9));
    }
    if (effects.hides_state) graph_.mark(node, Effect::hides);
    if (effects.may_write) graph_.mark_writer(node);
    if (effects.may_write) write_sets_.unknown(f.oid);
    if (effects.leaves_state) graph_.mark(node, Effect::state);
    // What may do anything may ask sequences, too: of the built-in ones, what runs SQL text.
    const bool anything = f.builtin ? effects.may_write && effects.leaves_state
                                    : effects.may_write || effects.leaves_state;
    const bool moves = f.builtin && moves_sequence(name), asks = f.builtin && asks_sequence(name);
    if (moves || anything) graph_.mark(node, Effect::moves);
    if (asks || anything) graph_.mark(node, Effect::may_ask);
    if (asks) graph_.mark(node, Effect::asks);
    if (!f.builtin || effects.may_write || effects.leaves_state || moves || asks)
        callable_[std::string(name)].push_back(f.oid);
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
        case 'x': graph_.call(graph_.reading(owner), callee); [[fallthrough]];
        case 'd':
            default_calls_.insert(owner);
            graph_.call(graph_.writing(owner), callee);
            graph_.call(graph_.any_write(), callee);
            break;
        case 'p': graph_.call(graph_.function(owner), callee); break;
        case 'o': graph_.call(graph_.domain_defaults(), callee); break;
        default: graph_.call(graph_.ambient(), callee); break;
    }
}

std::optional<std::string> Reader::read_calls() {
    auto error = each(sql::calls, [&](const Row& r) {
        const char kind = r.letter(0);
        const Oid function = r.number(2);
        if (function == 0) return true;  // a shell operator, or a cast without a function
        if (!graph_.knows_function(function)) return false;  // not of this snapshot
        if (kind != 't' || !trust_.stable_code(function))
            add_call(kind, r.number(1), graph_.function(function));
        if (kind == 'd' || kind == 'x' || kind == 'g') write_sets_.behind(r.number(1), function);
        if (kind == 'p') write_sets_.calls(r.number(1), function);
        return ++edges_ <= kMaxEdges;
    });
    if (edges_ > kMaxEdges) return "the catalog has too many dependencies to keep in memory";
    return error;
}

std::optional<std::string> Reader::read_hidden_calls() {
    auto text = replaced(sql::hidden, "$1", call_pattern(builtin_writers_));
    text = replaced(text, "$2", call_pattern(builtin_state_));
    text = replaced(text, "$3", call_pattern(builtin_movers_));
    text = replaced(text, "$4", call_pattern(builtin_askers_));
    for (const auto effect : {Effect::writes, Effect::state, Effect::moves, Effect::asks})
        graph_.mark(graph_.function(stand_in(effect)), effect);
    graph_.mark_writer(graph_.function(stand_in(Effect::writes)));
    graph_.mark(graph_.function(stand_in(Effect::asks)), Effect::may_ask);
    return each(text, [&](const Row& r) {
        const char kind = r.letter(0);
        const Oid owner = r.number(1);
        if (r.flag(2)) {
            add_call(kind, owner, graph_.function(stand_in(Effect::writes)));
            if (kind == 'p') write_sets_.unknown(owner);
            if (kind != 'p') unknown_writes_.insert(owner);
        }
        if (r.flag(3)) add_call(kind, owner, graph_.function(stand_in(Effect::state)));
        if (r.flag(4)) add_hidden_call(kind, owner, Effect::moves);
        if (r.flag(5)) add_hidden_call(kind, owner, Effect::asks);
        return ++edges_ <= kMaxEdges;
    });
}

/// Beside add_call: a default of nextval says nothing against a table.
void Reader::add_hidden_call(char kind, Oid owner, Effect effect) {
    const bool counted = default_calls_.contains(owner);
    add_call(kind, owner, graph_.function(stand_in(effect)));
    if (kind == 'd' && !counted) default_calls_.erase(owner);
}

std::optional<std::string> Reader::read_links() {
    auto error = each(sql::relation_links, [&](const Row& r) {
        const Oid from = r.number(1);
        const Oid to = r.number(2);
        if (relations_.contains(from)) add_link(r.letter(0), from, to);
        return ++edges_ <= kMaxEdges;
    });
    if (edges_ > kMaxEdges) return "the catalog has too many dependencies to keep in memory";
    return error;
}

/// See relation_links.sql for the kinds.
void Reader::add_link(char kind, Oid from, Oid to) {
    auto& relation = *relations_.at(from);
    if (kind == 'f' || kind == 'k') {
        relation.truncates_also.push_back(to);
        if (kind == 'f') relation.writes_also.push_back(to);
        return;
    }
    if (kind == 's') {
        for (const auto e : {Effect::defines, Effect::shared}) graph_.mark(graph_.writing(from), e);
        unknown_writes_.insert(from);
        return;
    }
    const bool partition = kind == 'p';
    const Oid upper = partition ? to : from;
    const Oid lower = partition ? from : to;
    graph_.call(graph_.reading(upper), graph_.reading(lower));
    graph_.call(graph_.writing(upper), graph_.writing(lower));
    if (kind == 'w') graph_.call(graph_.writing(from), graph_.any_write());
    if (partition) parents_[from] = to;
    if (kind == 'v' || kind == 'i') {
        relation.reads_also.push_back(to);
        relation.writes_also.push_back(to);
    }
}

std::optional<std::string> Reader::read_view_queries() {
    const ViewKnowledge known{[this](Oid f) { return trust_.constant(f); },
                              [this](Oid f) { return trust_.quiet(f); },
                              [this](Oid t) { return plain_types_.contains(t); }};
    return each(replaced(sql::view_queries, "$1", std::to_string(limits_.body_bytes)),
                [&](const Row& r) {
                    const auto at = relations_.find(r.number(0));
                    if (at == relations_.end() || r.is_null(1)) return true;
                    auto found = scan_view_query(r.text(1), known);
                    auto& view = *at->second;
                    view.query_proven = found.proven;
                    // pg_depend has told of these; a query names its own view, too.
                    std::erase(found.relations, view.oid);
                    add_unique(view.reads_also, found.relations);
                    return true;
                });
}

std::optional<std::string> Reader::read_triggers() {
    return each(sql::trigger_functions, [&](const Row& r) {
        graph_.call(graph_.triggers(), graph_.function(r.number(0)));
        own_triggers_[r.number(1)].push_back(graph_.function(r.number(0)));
        write_sets_.behind(r.number(1), r.number(0));
        return true;
    });
}

std::optional<std::string> Reader::read_bodies() {
    RelationNames relation_names;
    for (const auto& [oid, relation] : relations_)
        if (relation->kind != 'S') relation_names.emplace(relation->name, oid);
    const auto& text = connection_.server_version_num() >= 140000 ? sql::bodies : sql::bodies_13;
    auto error = each(replaced(text, "$1", std::to_string(limits_.body_bytes)), [&](const Row& r) {
        if (r.is_null(1)) return true;
        bodies_due_.erase(r.number(0));
        add_body(r.number(0), r.text(1), relation_names);
        return true;
    });
    for (const Oid f : bodies_due_) {
        for (const auto e : {Effect::state, Effect::any_text}) graph_.mark(graph_.function(f), e);
        graph_.mark_anything(graph_.function(f));
        write_sets_.unknown(f);
    }
    return error;
}

void Reader::add_body(Oid oid, std::string_view body, const RelationNames& relation_names) {
    const Node function = graph_.function(oid);
    query::DefiningWords words(*catalog_, sql_functions_.contains(oid));
    const auto facts = query::scan_body(body, [&](std::string_view name) {
        words.add(name);
        if (const auto it = callable_.find(name); it != callable_.end()) {
            for (const Oid callee : it->second) {
                graph_.call(function, graph_.function(callee));
                write_sets_.calls(oid, callee);
            }
        }
        const auto [first, last] = relation_names.equal_range(name);
        for (auto it = first; it != last; ++it) {
            write_sets_.mentions(oid, it->second);
            if (!graph_.knows_relation(it->second)) continue;
            graph_.call(function, graph_.reading(it->second));
            graph_.call(function, graph_.writing(it->second));
        }
    });
    if (facts.leaves_state || facts.runs_text || words.makes) graph_.mark(function, Effect::state);
    if (facts.runs_text) graph_.mark(function, Effect::any_text);
    if (facts.runs_text) words.add_strings(body);
    if (words.defines) graph_.mark_definer(function);
    if (words.defines && words.shared) graph_.mark(function, Effect::shared);
    if (facts.runs_text || words.defines) {
        graph_.mark_anything(function);
        write_sets_.unknown(oid);
    }
    if (facts.writes_rows) {
        graph_.mark(function, Effect::writes);
        graph_.call(function, graph_.any_write());
        write_sets_.writes(oid);
        // TRUNCATE ... CASCADE: more than the words say, and more than other writes lead to.
        if (words.cascades) write_sets_.unknown(oid);
    }
}

std::optional<std::string> Reader::read_names() {
    if (auto e = each(sql::operators, [&](const Row& r) {
            catalog_->operators[std::string(r.text(0))].push_back(
                {r.number(1), trust_.known(r.text(3)), volatility_of(r.letter(2))});
            return true;
        }))
        return e;
    return each(sql::types, [&](const Row& r) {
        bool& plain = catalog_->types.try_emplace(std::string(r.text(0)), true).first->second;
        plain = plain && r.flag(2) && plain_types_.contains(r.number(1));
        return true;
    });
}

void Reader::conclude() {
    graph_.settle();
    const bool ambient_state = graph_.has(graph_.ambient(), Effect::state);
    const bool ambient_writes = graph_.has(graph_.ambient(), Effect::writes);
    catalog_->functions_define_shared = catalog_->ddl_defines_shared = false;
    for (auto& [name, candidates] : catalog_->functions) {
        for (auto& f : candidates) {
            const Node node = graph_.function(f.oid);
            f.session_harmless = !graph_.has(node, Effect::state) && (f.builtin || !ambient_state);
            f.may_write = graph_.has(node, Effect::writes) || (!f.builtin && ambient_writes);
            f.may_define = f.may_write && (ambient_writes || graph_.may_define(node));
            f.may_define_shared = f.may_write && graph_.may_define_shared(node);
            catalog_->functions_define_shared |= !f.builtin && f.may_define_shared;
            f.sequences = graph_.sequences(node);
            if (!f.builtin) f.sequences |= graph_.ambient_sequences();
        }
    }
    for (auto& [oid, relation] : relations_) {
        conclude_relation(*relation);
        conclude_writes(*relation);
        conclude_sequences(*relation);
        if (ambient_state) relation->session_harmless = false;
        if (ambient_writes && relation->kind != 'S')
            relation->reading_may_write = relation->reading_may_define = true;
    }
    conclude_published(relations_, parents_, published_);
    conclude_partitions(relations_, parents_);
    auto& c = *catalog_;
    c.code_may_define = ambient_writes || graph_.may_define(graph_.any_write());
    c.code_may_define_shared = graph_.may_define_shared(graph_.any_write());
    for (const Node f : own_triggers_[0]) c.ddl_defines_shared |= graph_.may_define_shared(f);
    c.any_harmful_trigger = graph_.has(graph_.triggers(), Effect::state);
}

void Reader::conclude_relation(query::Relation& relation) {
    relation.generated_or_default_functions = default_calls_.contains(relation.oid);
    if (relation.kind == 'f') return;
    if (!graph_.knows_relation(relation.oid)) {
        relation.reading_may_write = relation.reading_may_define =
            relation.reading_may_define_shared = false;
        relation.session_harmless = relation.writing_harmless = true;
        return;
    }
    const Node reading = graph_.reading(relation.oid);
    relation.reading_may_write = graph_.has(reading, Effect::writes);
    relation.reading_may_define = graph_.may_define(reading);
    relation.reading_may_define_shared = graph_.may_define_shared(reading);
    relation.session_harmless = !graph_.has(reading, Effect::state);
    relation.writing_harmless = !graph_.has(graph_.writing(relation.oid), Effect::state);
}

void Reader::conclude_sequences(query::Relation& relation) {
    if (relation.kind == 'f') return;
    relation.reading_sequences = relation.writing_sequences = graph_.ambient_sequences();
    if (graph_.knows_relation(relation.oid)) {
        relation.reading_sequences |= graph_.sequences(graph_.reading(relation.oid));
        relation.writing_sequences |= graph_.sequences(graph_.writing(relation.oid));
    }
    if (const auto own = own_triggers_.find(relation.oid); own != own_triggers_.end())
        for (const Node function : own->second) {
            relation.writing_sequences |= graph_.sequences(function);
            relation.triggers_hide_state |= graph_.has(function, Effect::hides);
        }
}

void Reader::conclude_writes(query::Relation& relation) {
    const auto code = write_sets_.of(relation.oid, [this](Oid r) {
        return graph_.knows_relation(r) && graph_.has(graph_.reading(r), Effect::writes);
    });
    relation.writes_unknown = !code || relation.kind == 'f' || relation.system ||
                              relation.has_rules || unknown_writes_.contains(relation.oid);
    if (code) add_unique(relation.writes_also, *code);
    // By the words of what writing it runs, strings too; what comes from elsewhere is not guessed.
    const auto told = [&](Node node) {
        relation.writing_defines |= graph_.has(node, Effect::defines);
        relation.writing_defines_shared |= graph_.has(node, Effect::shared);
    };
    if (graph_.knows_relation(relation.oid)) told(graph_.writing(relation.oid));
    if (const auto own = own_triggers_.find(relation.oid); own != own_triggers_.end())
        for (const Node function : own->second) told(function);
}

std::optional<std::string> Reader::read_published() {
    if (publication_.empty()) return std::nullopt;
    const auto version = connection_.server_version_num();
    if (auto e = each(publication_state(publication_, version), [&](const Row& r) {
            catalog_->publication = r.text(0);
            return true;
        }))
        return e;
    return each(published_tables(publication_, version), [&](const Row& r) {
        published_.add(r.number(0), r.flag(1), r.flag(2));
        return true;
    });
}

}  // namespace

base::Result<query::CatalogPtr> read_catalog(Connection& connection, std::uint64_t version,
                                             const ReadLimits& limits,
                                             const std::string& publication,
                                             std::string* fingerprint) {
    Reader reader(connection, version, limits, publication);
    if (auto error = reader.read(fingerprint)) return base::Error{*error};
    return reader.take();
}

}  // namespace pgweir::control
