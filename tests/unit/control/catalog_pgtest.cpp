// The catalog as read from PostgreSQL: each flag with the things that must set it and those that
// must not.
#include <doctest/doctest.h>

#include <set>

#include "control_fixture.hpp"

using namespace pgweir;
using namespace pgweir::testing;

namespace {

/// A database with the given DDL, and its catalog.
query::CatalogPtr after(const std::string& db, const std::string& ddl,
                        const std::string& user = "postgres") {
    create_database(db);
    Cluster::shared().connect("postgres", db).run(ddl);
    return catalog_of(db, user);
}

std::string flags(const query::Relation& r) {
    std::string s{r.kind, r.persistence};
    for (const auto& [on, letter] :
         std::initializer_list<std::pair<bool, char>>{{r.system, 'S'},
                                                      {r.row_security, 'R'},
                                                      {r.has_triggers, 'T'},
                                                      {r.has_user_triggers, 'U'},
                                                      {r.has_rules, 'L'},
                                                      {r.inherits, 'I'},
                                                      {r.referenced_cascade, 'C'},
                                                      {!r.plain_types, 'X'},
                                                      {r.generated_or_default_functions, 'G'},
                                                      {r.reading_may_write, 'W'},
                                                      {!r.session_harmless, 'H'},
                                                      {!r.writing_harmless, 'h'}})
        if (on) s += letter;
    return s;
}

std::string flags(const query::Function& f) {
    return std::string(1, static_cast<char>(f.volatility)) + (f.builtin ? "b" : "") +
           (f.may_write ? "W" : "") + (f.may_define ? "D" : "") + (f.session_harmless ? "" : "H");
}

/// m: may move a sequence, a: may ask for its value, p: is known to.
std::string flags(query::SequenceUse use) {
    return std::string(use.moves ? "m" : "") + (use.may_ask ? "a" : "") + (use.asks ? "p" : "");
}

/// Their names, sorted.
std::string linked(const query::Catalog& c, const std::vector<query::Oid>& oids) {
    std::set<std::string> names;
    for (const auto oid : oids) names.insert(c.relations_by_oid.at(oid)->name);
    std::string all;
    for (const auto& name : names) all += (all.empty() ? "" : " ") + name;
    return all;
}

const std::string kLinks = R"(
        CREATE TABLE top(id int PRIMARY KEY);
        CREATE TABLE falls(id int PRIMARY KEY, t int REFERENCES top ON DELETE CASCADE);
        CREATE TABLE checks(t int REFERENCES top); CREATE TABLE other(a int);
        CREATE VIEW over AS SELECT * FROM top;
        CREATE TABLE base(id int); CREATE TABLE heir() INHERITS (base);
        CREATE TABLE parts(id int) PARTITION BY RANGE (id);
        CREATE TABLE low PARTITION OF parts FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (id);
        CREATE TABLE lower PARTITION OF low FOR VALUES FROM (0) TO (5);
        CREATE TABLE odd(id int) PARTITION BY RANGE (id);
        CREATE UNLOGGED TABLE odd1 PARTITION OF odd FOR VALUES FROM (0) TO (5);
        CREATE TABLE audit(a int); CREATE TABLE stamped(a int, at timestamptz);
        CREATE TABLE audited(a int); CREATE TABLE dynamic(a int); CREATE TABLE defines(a int);
        CREATE TABLE calls(a int); CREATE TABLE defaulted(a int); CREATE TABLE when_writes(a int);
        CREATE FUNCTION log(int) RETURNS int LANGUAGE sql AS
            'INSERT INTO audit VALUES ($1) RETURNING 1';
        CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN NEW.at := now(); SELECT max(a) INTO NEW.a FROM other; RETURN NEW; END';
        CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN INSERT INTO public."audit" VALUES (NEW.a); RETURN NEW; END';
        CREATE FUNCTION run() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN EXECUTE 'delete from top'; RETURN NEW; END$$;
        CREATE FUNCTION define() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN REFRESH MATERIALIZED VIEW nothing; RETURN NEW; END$$;
        CREATE FUNCTION call() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN PERFORM log(NEW.a); RETURN NEW; END$$;
        CREATE FUNCTION noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER t BEFORE INSERT ON stamped FOR EACH ROW EXECUTE FUNCTION stamp();
        CREATE TRIGGER t AFTER INSERT ON audited FOR EACH ROW EXECUTE FUNCTION keep();
        CREATE TRIGGER t AFTER INSERT ON lower FOR EACH ROW EXECUTE FUNCTION keep();
        CREATE TRIGGER t AFTER INSERT ON dynamic FOR EACH ROW EXECUTE FUNCTION run();
        CREATE TRIGGER t AFTER INSERT ON defines FOR EACH ROW EXECUTE FUNCTION define();
        CREATE TRIGGER t AFTER INSERT ON calls FOR EACH ROW EXECUTE FUNCTION call();
        CREATE TRIGGER t AFTER INSERT ON when_writes FOR EACH ROW WHEN (log(NEW.a) = 1)
            EXECUTE FUNCTION noop();
        ALTER TABLE defaulted ALTER a SET DEFAULT log(1);
        CREATE TABLE ruled(a int); CREATE RULE r AS ON INSERT TO ruled DO ALSO DELETE FROM base;)";

const std::string kFunctions = R"(
        CREATE TABLE t(a int); CREATE VIEW v AS SELECT set_config('x.y', 'z', false) AS s;
        CREATE VIEW vv AS SELECT * FROM v;
        SET check_function_bodies = off;
        CREATE FUNCTION adds() RETURNS int LANGUAGE sql AS 'INSERT INTO t VALUES (1) RETURNING a';
        CREATE FUNCTION updates() RETURNS void LANGUAGE plpgsql AS 'BEGIN UPDATE t SET a = 2; END';
        CREATE FUNCTION pure(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 + 1';
        CREATE FUNCTION sets() RETURNS void LANGUAGE plpgsql AS 'BEGIN SET work_mem = 64; END';
        CREATE FUNCTION calls_sets() RETURNS void LANGUAGE plpgsql AS 'BEGIN PERFORM Sets(); END';
        CREATE FUNCTION calls_calls() RETURNS void STABLE LANGUAGE sql AS 'SELECT calls_sets()';
        CREATE FUNCTION reads_view() RETURNS text STABLE LANGUAGE sql AS 'SELECT s FROM vv';
        CREATE FUNCTION reads_settings() RETURNS text STABLE LANGUAGE sql AS
            'SELECT setting FROM pg_settings';
        CREATE FUNCTION dynamic() RETURNS void STABLE LANGUAGE plpgsql AS
            $$BEGIN EXECUTE 'select 1'; END$$;
        CREATE FUNCTION with_default(a text DEFAULT set_config('x.y','z',false)) RETURNS text STABLE
            LANGUAGE sql AS 'SELECT a';
        CREATE FUNCTION sneaky() RETURNS int STABLE LANGUAGE sql AS 'SELECT adds()';
        CREATE FUNCTION standard() RETURNS int STABLE LANGUAGE sql RETURN pure(1);
        CREATE FUNCTION standard_set() RETURNS text LANGUAGE sql
            BEGIN ATOMIC SELECT set_config('x.y','z',false); END;
        CREATE FUNCTION own_setting() RETURNS int STABLE LANGUAGE sql SET work_mem = 64
            AS 'SELECT 1';
        CREATE FUNCTION even(int) RETURNS bool STABLE LANGUAGE sql AS 'SELECT odd($1 - 1)';
        CREATE FUNCTION odd(int) RETURNS bool STABLE LANGUAGE sql AS 'SELECT even($1 - 1)';
        CREATE PROCEDURE proc() LANGUAGE plpgsql AS 'BEGIN COMMIT; END';
        CREATE AGGREGATE total(int) (sfunc = int4pl, stype = int, initcond = '0');
        CREATE FUNCTION step(int, int) RETURNS int LANGUAGE plpgsql AS
            'BEGIN PERFORM sets(); RETURN 1; END';
        CREATE AGGREGATE bad_total(int) (sfunc = step, stype = int, initcond = '0');
        CREATE FUNCTION locks() RETURNS void LANGUAGE sql AS 'SELECT pg_advisory_lock(1)';
        CREATE FUNCTION long_one() RETURNS int STABLE LANGUAGE sql AS $$SELECT 1 -- )" +
                               std::string(300'000, 'x') + R"($$;
        CREATE EXTENSION pgcrypto; CREATE EXTENSION pg_trgm; CREATE EXTENSION dblink;)";

}  // namespace

TEST_CASE("relations show what makes a read or write of them less than simple") {
    const auto c = after("relations", R"(
        CREATE TABLE plain(id serial PRIMARY KEY, a text DEFAULT 'x', b timestamptz DEFAULT now(),
                           c int[], d numeric CHECK (d > 0),
                           e daterange, f varchar(9), g jsonb, h uuid[]);
        CREATE TABLE child_of_plain(plain int REFERENCES plain);
        CREATE TABLE parent(id int PRIMARY KEY);
        CREATE TABLE cascades(p int REFERENCES parent ON DELETE CASCADE);
        CREATE TABLE parent2(id int PRIMARY KEY);
        CREATE TABLE sets_null(p int REFERENCES parent2 ON UPDATE SET NULL);
        CREATE TABLE parts(id int) PARTITION BY RANGE (id);
        CREATE TABLE part1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
        CREATE TABLE base(id int); CREATE TABLE heir() INHERITS (base);
        CREATE TABLE secured(id int); ALTER TABLE secured ENABLE ROW LEVEL SECURITY;
        CREATE TABLE ruled(id int); CREATE RULE r AS ON INSERT TO ruled DO ALSO DELETE FROM base;
        CREATE UNLOGGED TABLE unlogged(id int);
        CREATE VIEW seen AS SELECT * FROM plain;
        CREATE MATERIALIZED VIEW mat AS SELECT 1 AS one;
        CREATE FUNCTION trig() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TABLE triggered(id int);
        CREATE TRIGGER t BEFORE INSERT ON triggered FOR EACH ROW EXECUTE FUNCTION trig();
        ALTER TABLE triggered DISABLE TRIGGER t;
        CREATE TABLE unique_later(id int UNIQUE DEFERRABLE INITIALLY DEFERRED);
        CREATE TYPE mood AS ENUM ('a'); CREATE DOMAIN dom AS int;
        CREATE TYPE pair AS (a int, b int);
        CREATE TABLE t_enum(a mood); CREATE TABLE t_domain(a dom); CREATE TABLE t_pair(a pair);
        CREATE TABLE t_enums(a mood[]); CREATE TABLE t_class(a regclass);
        CREATE TABLE t_money(a money);
        CREATE TABLE t_timetz(a timetz); CREATE TABLE t_dropped(a mood, b int);
        ALTER TABLE t_dropped DROP COLUMN a;
        CREATE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1';
        CREATE TABLE d_default(a int DEFAULT f(1)); CREATE TABLE d_check(a int CHECK (f(a) > 0));
        CREATE TABLE d_generated(a int, b int GENERATED ALWAYS AS (f(a)) STORED);
        CREATE TABLE d_index(a int); CREATE INDEX ON d_index (f(a));
        CREATE TABLE d_predicate(a int); CREATE INDEX ON d_predicate (a) WHERE f(a) > 1;
        CREATE TABLE d_builtin(a text, b text GENERATED ALWAYS AS (lower(a)) STORED);
        CREATE SEQUENCE seq; CREATE TEMP TABLE temporary(a int);)");
    for (const auto& [name, expected] : std::initializer_list<std::pair<const char*, const char*>>{
             {"plain", "rp"},        {"child_of_plain", "rp"},
             {"parent", "rpTC"},     {"cascades", "rp"},
             {"parent2", "rpTC"},    {"sets_null", "rp"},
             {"parts", "ppI"},       {"part1", "rpI"},
             {"base", "rpI"},        {"heir", "rpI"},
             {"secured", "rpR"},     {"ruled", "rpL"},
             {"unlogged", "ru"},     {"seen", "vp"},
             {"mat", "mp"},          {"triggered", "rpTU"},
             {"unique_later", "rp"}, {"t_enum", "rp"},
             {"t_domain", "rp"},     {"t_pair", "rpX"},
             {"t_enums", "rp"},      {"t_class", "rpX"},
             {"t_money", "rpX"},     {"t_timetz", "rpX"},
             {"t_dropped", "rp"},    {"d_default", "rpG"},
             {"d_check", "rpG"},     {"d_generated", "rpG"},
             {"d_index", "rpG"},     {"d_predicate", "rpG"},
             {"d_builtin", "rp"},    {"seq", "Sp"},
             {"plain_id_seq", "Sp"}})
        CHECK(name + (" " + flags(relation_of(*c, name))) == name + std::string(" ") + expected);
    CHECK(!c->relations.at(c->schemas.find("public")->second).contains("temporary"));
    CHECK(!c->relations.at(c->schemas.find("public")->second).contains("plain_pkey"));
    CHECK(relation_of(*c, "pg_class", "pg_catalog").system);
    CHECK(relation_of(*c, "tables", "information_schema").system);
    CHECK(flags(relation_of(*c, "pg_settings", "pg_catalog")).find('H') != std::string::npos);
    const auto& plain = relation_of(*c, "plain");
    CHECK(c->relations_by_oid.at(plain.oid) == &plain);
    CHECK(std::to_string(plain.oid) ==
          Cluster::shared().value("SELECT 'plain'::regclass::oid", "relations"));
    CHECK(!c->any_harmful_trigger);
}

TEST_CASE("a table's rows are kept apart by the columns of the identity the server itself uses") {
    const auto c = after("identities", R"(
        CREATE TABLE a(gone int, v text, id bigint PRIMARY KEY); ALTER TABLE a DROP gone;
        CREATE TABLE b(z text, y uuid, x date, w oid, PRIMARY KEY (w, x, y, z));
        CREATE TABLE c(k varchar(9), n numeric, f char(3), PRIMARY KEY (n, k, f));
        CREATE TABLE d(id int PRIMARY KEY, other smallint NOT NULL, third int);
        CREATE UNIQUE INDEX d2 ON d(other) INCLUDE (third);
        ALTER TABLE d REPLICA IDENTITY USING INDEX d2;
        CREATE TABLE e(id int PRIMARY KEY, v int UNIQUE); ALTER TABLE e REPLICA IDENTITY FULL;
        CREATE TABLE none1(id int); CREATE TABLE none2(id int UNIQUE);
        CREATE TABLE none3(id int PRIMARY KEY); ALTER TABLE none3 REPLICA IDENTITY NOTHING;
        CREATE TABLE none4(id int, PRIMARY KEY (id) DEFERRABLE);
        CREATE TABLE none5(x int, id int GENERATED ALWAYS AS (x + 1) STORED PRIMARY KEY);
        CREATE UNLOGGED TABLE none6(id int PRIMARY KEY);
        CREATE TABLE none7(id int PRIMARY KEY) PARTITION BY LIST (id);
        CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
        CREATE TABLE none8(id text COLLATE ci PRIMARY KEY);
        CREATE DOMAIN dom AS int; CREATE TABLE none9(id dom PRIMARY KEY);
        CREATE TYPE mood AS ENUM ('a'); CREATE TABLE none10(id mood PRIMARY KEY);
        CREATE TABLE none11(id float8 PRIMARY KEY))");
    const auto identity = [&](const char* table) {
        const auto& r = relation_of(*c, table);
        std::string all;
        for (const auto& column : r.identity)
            all += column.name + std::to_string(column.number) + "/" +
                   std::to_string(column.position) + ":" +
                   std::to_string(static_cast<int>(column.type)) + " ";
        return all + (r.identity_full ? "full" : "") + (r.conflicts_by_identity ? "!" : "");
    };
    CHECK(identity("a") == "id3/2:0 !");
    CHECK(identity("b") == "z1/1:4 y2/2:2 x3/3:3 ");
    CHECK(identity("c") == "k1/1:4 ");
    CHECK(identity("d") == "other2/2:0 ");
    CHECK(identity("e") == "id1/1:0 full");
    for (int i = 1; i <= 11; ++i) {
        const auto name = "none" + std::to_string(i);
        CHECK_MESSAGE(identity(name.c_str()) == "", name);
    }
}

TEST_CASE("a view is proven only when all that its query computes is constant") {
    const auto c = after("proofs", R"(
        CREATE TYPE mood AS ENUM ('a', 'b'); CREATE DOMAIN checked AS int CHECK (VALUE > 0);
        CREATE TABLE t(id int PRIMARY KEY, a text, at timestamptz, m mood, j jsonb, n numeric[],
                       "odd {name :opno 12" text, "\(" text);
        CREATE TABLE u(id int, "x y" int);
        CREATE FUNCTION own(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1';
        CREATE SEQUENCE s;
        CREATE VIEW plain AS SELECT id, lower(a), m = 'a' AS is_a, at, j ->> 'k' AS k, n[1],
            "odd {name :opno 12", "\(" FROM t WHERE id > 5 AND a LIKE 'x%' ORDER BY id DESC LIMIT 3;
        CREATE VIEW wide AS WITH c AS (SELECT id, count(*) AS n FROM t GROUP BY ROLLUP (id))
            SELECT c.id, coalesce(c.n, 0), row_number() OVER (PARTITION BY c.id ORDER BY c.n),
                   CASE WHEN c.n > 1 THEN 'many' ELSE 'one' END, greatest(c.n, 2),
                   ARRAY[c.n, 1], c.id IN (SELECT "x y" FROM u), nullif(c.n, 3)
            FROM c LEFT JOIN LATERAL (SELECT * FROM u WHERE u.id = c.id) x ON true
            UNION ALL SELECT 1, 2, 3, 'x', 5, ARRAY[1::bigint], EXISTS (SELECT 1 FROM t), 1;
        CREATE VIEW nested AS SELECT * FROM plain JOIN u USING (id);
        CREATE VIEW by_settings AS SELECT to_char(at, 'YYYY'), at::date, id || a FROM t;
        CREATE VIEW series AS SELECT * FROM generate_series(1, 3) g;
        CREATE VIEW no_now AS SELECT * FROM t WHERE at > now();
        CREATE VIEW no_date AS SELECT CURRENT_DATE AS d;
        CREATE VIEW no_user AS SELECT CURRENT_USER AS u;
        CREATE VIEW no_random AS SELECT random() AS r;
        CREATE VIEW no_own AS SELECT own(id) FROM t;
        CREATE VIEW no_sequence AS SELECT nextval('s') AS n;
        CREATE VIEW no_catalog AS SELECT relname FROM pg_class;
        CREATE VIEW no_class AS SELECT 'pg_class'::regclass::text AS c;
        CREATE VIEW no_text_date AS SELECT a::timestamptz FROM t;
        CREATE VIEW no_system_column AS SELECT ctid FROM t;
        CREATE VIEW no_sample AS SELECT * FROM t TABLESAMPLE system (10);
        CREATE VIEW no_lock AS SELECT * FROM t FOR UPDATE; CREATE VIEW no_text_range AS SELECT
            a::tsrange FROM t; CREATE VIEW no_text_ranges AS SELECT a::datemultirange[] FROM t;
        CREATE VIEW no_check AS SELECT id::checked AS c FROM t;
        CREATE VIEW no_row AS SELECT t FROM t; CREATE VIEW no_money AS SELECT id::money AS m FROM t;
        CREATE VIEW no_setting AS SELECT current_setting('x.y', true) AS s;
        CREATE VIEW yes_system_table AS SELECT tableoid FROM t;)");
    for (const auto* name :
         {"plain", "wide", "nested", "by_settings", "series", "yes_system_table"})
        CHECK_MESSAGE(relation_of(*c, name).query_proven, std::string(name));
    for (const auto* name :
         {"no_now", "no_date", "no_user", "no_random", "no_own", "no_sequence", "no_catalog",
          "no_class", "no_text_date", "no_system_column", "no_sample", "no_lock", "no_check",
          "no_row", "no_money", "no_setting", "no_text_range", "no_text_ranges"})
        CHECK_MESSAGE(!relation_of(*c, name).query_proven, std::string(name));
    CHECK(linked(*c, relation_of(*c, "wide").reads_also) == "t u");
    CHECK(linked(*c, relation_of(*c, "nested").reads_also) == "plain u");
}

TEST_CASE("C1, C2, C3, C8: relations lead to what reading and writing them reaches") {
    const auto c = after("links", kLinks);
    const auto writes = [&](const char* name) {
        const auto& r = relation_of(*c, name);
        return linked(*c, r.writes_also) + (r.writes_unknown ? "?" : "");
    };
    const auto reads = [&](const char* name) {
        return linked(*c, relation_of(*c, name).reads_also);
    };
    CHECK(writes("top") == "falls");
    CHECK(linked(*c, relation_of(*c, "top").truncates_also) == "checks falls");
    CHECK(writes("falls") == "");
    CHECK(writes("over") == "top");
    CHECK(reads("over") == "top");
    CHECK(writes("base") == "heir");
    CHECK(reads("base") == "heir");
    CHECK(reads("heir") == "");
    CHECK(reads("parts") == "");
    CHECK(reads("lower") == "low");
    CHECK(reads("low") == "parts");
    CHECK(writes("lower") == "audit low");
    CHECK(writes("low") == "audit parts");
    CHECK(writes("parts") == "audit");
    CHECK(!relation_of(*c, "parts").odd_partitions);
    CHECK(relation_of(*c, "odd").odd_partitions);
    CHECK(writes("stamped") == "");
    CHECK(writes("audited") == "audit");
    CHECK(writes("dynamic").ends_with("?"));
    CHECK(writes("defines").ends_with("?"));
    CHECK(writes("calls") == "audit");
    CHECK(writes("when_writes") == "audit");
    CHECK(writes("defaulted") == "audit");
    CHECK(writes("ruled").ends_with("?"));
    CHECK(writes("other") == "");
}

TEST_CASE("functions are harmless only when all that they reach is") {
    const auto c = after("functions", kFunctions);
    for (const auto& [name, expected] :
         std::initializer_list<std::pair<const char*, const char*>>{{"adds", "vW"},
                                                                    {"updates", "vW"},
                                                                    {"pure", "i"},
                                                                    {"sets", "vH"},
                                                                    {"calls_sets", "vH"},
                                                                    {"calls_calls", "sH"},
                                                                    {"reads_view", "sH"},
                                                                    {"dynamic", "sWDH"},
                                                                    {"with_default", "sH"},
                                                                    {"sneaky", "sW"},
                                                                    {"standard", "s"},
                                                                    {"standard_set", "vH"},
                                                                    {"own_setting", "s"},
                                                                    {"even", "s"},
                                                                    {"odd", "s"},
                                                                    {"proc", "v"},
                                                                    {"total", "i"},
                                                                    {"bad_total", "iH"},
                                                                    {"locks", "vH"},
                                                                    {"long_one", "sWDH"},
                                                                    {"gen_salt", "v"},
                                                                    {"similarity", "i"},
                                                                    {"set_limit", "vWDH"},
                                                                    {"dblink", "vWDH"},
                                                                    {"lower", "ib"},
                                                                    {"now", "sb"},
                                                                    {"random", "vb"},
                                                                    {"nextval", "vb"},
                                                                    {"set_config", "vbH"},
                                                                    {"pg_advisory_lock", "vbH"},
                                                                    {"query_to_xml", "vbWDH"},
                                                                    {"table_to_xml", "vbWDH"},
                                                                    {"pg_sleep", "vb"}})
        CHECK(name + (" " + flags(function_of(*c, name))) == name + std::string(" ") + expected);
    CHECK(flags(relation_of(*c, "t")) == "rp");
    CHECK(flags(relation_of(*c, "v")) == "vpH");
    CHECK(flags(relation_of(*c, "vv")) == "vpH");
}

TEST_CASE("a view whose query, or a table whose policy, calls a writer may write when read") {
    const auto c = after("readers", R"(
        CREATE TABLE t(a int); CREATE TABLE secured(a int); CREATE TABLE defaulted(a int);
        CREATE FUNCTION w() RETURNS int LANGUAGE sql AS 'INSERT INTO t VALUES (1) RETURNING a';
        CREATE VIEW v AS SELECT w(); CREATE VIEW vv AS SELECT * FROM v;
        CREATE VIEW fine AS SELECT lower('A');
        CREATE VIEW hidden AS SELECT query_to_xml('select 1', true, true, '');
        CREATE TABLE d_writer(a xml DEFAULT query_to_xml('select 1', true, true, ''));
        CREATE POLICY p ON secured USING (w() > 0);
        ALTER TABLE defaulted ALTER a SET DEFAULT w();)");
    for (const auto* name : {"v", "vv", "hidden", "secured"})
        CHECK_MESSAGE(relation_of(*c, name).reading_may_write, std::string(name));
    CHECK(flags(relation_of(*c, "d_writer")) == "rpGh");
    for (const auto* name : {"t", "fine", "defaulted"})
        CHECK_MESSAGE(!relation_of(*c, name).reading_may_write, std::string(name));
}

TEST_CASE("a trigger in C of no extension may keep what cannot be asked for, and no other may") {
    const std::string ddl = R"(
        CREATE FUNCTION compiled() RETURNS trigger LANGUAGE c
            AS '$libdir/refint', 'check_primary_key';
        CREATE FUNCTION calls() RETURNS trigger LANGUAGE plpgsql
            AS 'BEGIN PERFORM compiled(); RETURN NEW; END';
        CREATE FUNCTION plain() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE FUNCTION fixed() RETURNS trigger LANGUAGE c IMMUTABLE
            AS '$libdir/refint', 'check_primary_key';
        CREATE EXTENSION autoinc;)";
    std::string triggers;
    for (const std::string name : {"compiled", "calls", "plain", "fixed", "autoinc"})
        triggers += "CREATE TABLE " + name + "_t (n int); CREATE TRIGGER x BEFORE INSERT ON " +
                    name + "_t FOR EACH ROW EXECUTE FUNCTION " + name + "();";
    const auto c = after("hidden_state", ddl + triggers);
    CHECK(relation_of(*c, "compiled_t").triggers_hide_state);
    CHECK(relation_of(*c, "calls_t").triggers_hide_state);
    CHECK(!relation_of(*c, "plain_t").triggers_hide_state);
    CHECK(!relation_of(*c, "fixed_t").triggers_hide_state);
    CHECK(!relation_of(*c, "autoinc_t").triggers_hide_state);
}

TEST_CASE("one harmful trigger function makes every function that writes harmful") {
    const std::string ddl = R"(
        CREATE TABLE t(a int);
        CREATE FUNCTION adds() RETURNS void LANGUAGE sql AS 'INSERT INTO t VALUES (1)';
        CREATE FUNCTION reads() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM t';
        CREATE FUNCTION trig() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN PERFORM set_config('x.y', 'z', false); RETURN NEW; END$$;)";
    auto c = after("no_trigger", ddl);
    CHECK(!c->any_harmful_trigger);
    CHECK(function_of(*c, "adds").session_harmless);
    c = after("harmful_trigger", ddl +
                                     "CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW "
                                     "EXECUTE FUNCTION trig();");
    CHECK(c->any_harmful_trigger);
    CHECK(!function_of(*c, "adds").session_harmless);
    CHECK(function_of(*c, "reads").session_harmless);
    c = after("event_trigger", R"(
        CREATE FUNCTION ev() RETURNS event_trigger LANGUAGE plpgsql AS
            'BEGIN SET work_mem = 64; END';
        CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION ev();)");
    CHECK(c->any_harmful_trigger);
    c = after("trigger_condition", R"(
        CREATE TABLE t(a int);
        CREATE FUNCTION trig() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW
            WHEN (set_config('x.y', 'z', false) = 'z') EXECUTE FUNCTION trig();)");
    CHECK(c->any_harmful_trigger);
}

TEST_CASE("a harmful function behind an operator or cast makes every user's function suspect") {
    const auto c = after("ambient", R"(
        CREATE FUNCTION fine() RETURNS int STABLE LANGUAGE sql AS 'SELECT 1';
        CREATE FUNCTION bad(int, int) RETURNS int LANGUAGE plpgsql AS
            'BEGIN SET work_mem = 64; RETURN 1; END';
        CREATE OPERATOR <#> (LEFTARG = int, RIGHTARG = int, FUNCTION = bad);)");
    CHECK(flags(function_of(*c, "fine")) == "sH");
    CHECK(flags(function_of(*c, "lower")) == "ib");
    const auto& op = c->operators.find("<#>")->second.front();
    CHECK(!op.known);
    CHECK(op.volatility == query::Volatility::volatile_);
    const auto& plus = c->operators.find("=")->second.front();
    CHECK(plus.known);
    CHECK(plus.volatility == query::Volatility::stable);  // timestamptz = date
}

TEST_CASE("schemas, types and default search paths come with their precedence") {
    auto db = Cluster::shared().connect("postgres", "postgres");
    for (const auto* role : {"r_none", "r_role", "r_db", "r_both"})
        db.run(std::string("CREATE ROLE ") + role + " LOGIN");
    const std::string ddl =
        R"(CREATE SCHEMA s; CREATE TYPE s.text AS ENUM ('a'); CREATE TYPE s.own AS ENUM ('a');
        CREATE TABLE s.date(a int); CREATE DOMAIN s.due AS pg_catalog.date; CREATE SCHEMA z;
        CREATE TYPE s.both AS ENUM ('a'); CREATE TABLE z.both(a int);
        ALTER ROLE r_role SET search_path = role; ALTER ROLE r_both SET search_path = role, "Q x";
        ALTER ROLE r_db IN DATABASE paths SET search_path = indb;
        ALTER ROLE r_both IN DATABASE paths SET search_path = indb, "Q x";)";
    auto c = after("paths", ddl);
    const auto path = [&](const char* role) { return c->role_search_path.find(role)->second; };
    CHECK(c->schemas.contains("s"));
    CHECK(c->schemas.contains("pg_catalog"));
    CHECK(c->types.find("own")->second);
    for (const auto* name : {"text", "date", "_date", "due", "both"})
        CHECK_FALSE(c->types.find(name)->second);
    CHECK(!c->types.contains("_own"));
    CHECK(!c->types.contains("int4"));
    CHECK(path("r_role") == "role");
    CHECK(path("r_db") == "indb");
    CHECK(path("r_both") == "indb, \"Q x\"");
    CHECK(!c->role_search_path.contains("r_none"));
    CHECK(path("") == "\"$user\", public");
    // A connection that has a default of its own cannot see the cluster's.
    c = catalog_of("paths", "r_role");
    CHECK(!c->role_search_path.contains(""));
    db.run("ALTER DATABASE paths SET search_path = everyone");
    c = catalog_of("paths", "r_role");
    CHECK(path("") == "everyone");
    CHECK(path("r_role") == "role");
    db.run("ALTER DATABASE paths RESET search_path");
    db.run("ALTER ROLE ALL SET search_path = all_roles");
    c = catalog_of("paths");
    CHECK(path("") == "all_roles");
    db.run("ALTER ROLE ALL RESET search_path");
}

TEST_CASE("an ordinary role reads the same catalog, and every one says whose it is") {
    create_database("whose");
    Cluster::shared().connect("postgres", "whose").run("CREATE TABLE t(a int)");
    const auto super = catalog_of("whose", "postgres", 7);
    const auto app = catalog_of("whose", "app");
    CHECK(super->version == 7);
    CHECK(app->relations_by_oid.size() == super->relations_by_oid.size());
    CHECK(app->functions.size() == super->functions.size());
    CHECK(app->database_oid == super->database_oid);
    CHECK(super->system_identifier ==
          Cluster::shared().value("SELECT system_identifier FROM pg_control_system()"));
    CHECK(super->server_version_num >= 150000);
    // The stand-in is told apart from a true identifier and stays as long as the server runs.
    auto db = Cluster::shared().connect("postgres", "whose");
    db.run("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC");
    const auto refused = catalog_of("whose", "app");
    CHECK(refused->system_identifier.starts_with("stand-in"));
    CHECK(catalog_of("whose", "app")->system_identifier == refused->system_identifier);
}

TEST_CASE("a catalog of too many relations or in a wrong place is refused with a reason") {
    control::Connection c(target_of(Cluster::shared()), {});
    REQUIRE(!c.wait_connected());
    control::ReadLimits limits;
    limits.relations = 10;
    const auto catalog = control::read_catalog(c, 1, limits);
    REQUIRE(!catalog);
    CHECK(catalog.error().find("more than 10 relations") != std::string::npos);
    control::Connection none(target_of(Cluster::shared(), "no_such_database"), {});
    CHECK(none.wait_connected().value_or("").find("no_such_database") != std::string::npos);
}

TEST_CASE("objects in the user's schemas that shadow pg_catalog's do not mislead the reader") {
    create_database("shadow");
    auto db = Cluster::shared().connect("postgres", "shadow");
    db.run(
        R"(CREATE SCHEMA evil; CREATE TABLE evil.pg_class(oid oid);
        CREATE TABLE evil.pg_proc(a int);
        CREATE FUNCTION evil.count() RETURNS bigint LANGUAGE sql AS 'SELECT 0::bigint';
        CREATE FUNCTION evil.no(oid, oid) RETURNS bool LANGUAGE sql AS 'SELECT false';
        CREATE OPERATOR evil.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = evil.no);
        CREATE TABLE public.t(a int);
        ALTER DATABASE shadow SET search_path = evil, pg_catalog;)");
    const auto c = catalog_of("shadow");
    CHECK(c->schemas.contains("public"));
    CHECK(relation_of(*c, "t").plain_types);
    CHECK(c->functions.size() > 2000);
    CHECK(c->role_search_path.find("")->second == "evil, pg_catalog");
}

TEST_CASE("what may move a sequence or ask for its value is found behind tables and functions") {
    const auto c = after("sequences", R"(
        CREATE SEQUENCE s; CREATE DOMAIN number AS int DEFAULT nextval('s');
        CREATE TABLE plain(a int); CREATE TABLE numbers(a number);
        CREATE TABLE serial_id(id serial, a int);
        CREATE TABLE identity_id(id int GENERATED ALWAYS AS IDENTITY, a int);
        CREATE TABLE asks(a int DEFAULT -1 * currval('s'));
        CREATE TABLE last(a bigint DEFAULT lastval());
        CREATE VIEW shows AS SELECT currval('s'); CREATE VIEW above AS SELECT * FROM shows;
        CREATE VIEW over AS SELECT * FROM asks;
        CREATE FUNCTION counts() RETURNS bigint LANGUAGE sql AS $$SELECT nextval('s')$$;
        CREATE FUNCTION peeks() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN lastval(); END';
        CREATE FUNCTION peeks_too() RETURNS bigint LANGUAGE sql AS 'SELECT peeks()';
        CREATE FUNCTION adds() RETURNS void LANGUAGE sql AS 'INSERT INTO serial_id(a) VALUES (1)';
        CREATE FUNCTION fills() RETURNS void LANGUAGE sql AS 'INSERT INTO asks VALUES (default)';
        CREATE FUNCTION dynamic() RETURNS void LANGUAGE plpgsql AS
            $$BEGIN EXECUTE 'select 1'; END$$;
        CREATE FUNCTION pure(int) RETURNS int LANGUAGE sql AS 'SELECT $1 + 1';
        CREATE TABLE audited(a int); CREATE TABLE other(a int);
        CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN PERFORM currval('s'); RETURN NEW; END$$;
        CREATE TRIGGER a BEFORE INSERT ON audited FOR EACH ROW EXECUTE FUNCTION audit();
        CREATE TABLE parts(a int) PARTITION BY LIST (a);
        CREATE TABLE low PARTITION OF parts FOR VALUES IN (1);
        CREATE TRIGGER a BEFORE INSERT ON low FOR EACH ROW EXECUTE FUNCTION audit();)");
    const auto reads = [&](const char* name) {
        return flags(relation_of(*c, name).reading_sequences);
    };
    const auto writes = [&](const char* name) {
        return flags(relation_of(*c, name).writing_sequences);
    };
    CHECK(writes("plain") == "");
    CHECK(writes("serial_id") + writes("numbers") == "mm");
    CHECK(reads("serial_id") + reads("numbers") == "");
    CHECK(writes("identity_id") == "m");
    CHECK_FALSE(relation_of(*c, "serial_id").generated_or_default_functions);
    CHECK(writes("asks") == "ap");
    CHECK(reads("asks") == "");
    CHECK(writes("last") == "ap");
    CHECK(reads("shows") == "ap");
    CHECK(reads("above") == "ap");
    CHECK(reads("over") == "");
    CHECK(writes("over") == "ap");
    CHECK(writes("audited") == "ap");
    CHECK(writes("other") == "");
    CHECK(writes("parts") == "ap");
    const auto calls = [&](const char* name) { return flags(function_of(*c, name).sequences); };
    CHECK(calls("counts") == "m");
    CHECK(calls("peeks") == "ap");
    CHECK(calls("peeks_too") == "ap");
    CHECK(calls("adds") == "ma");  // a trigger may ask, of some table
    CHECK(calls("fills") == "map");
    CHECK(calls("dynamic") == "ma");
    CHECK(calls("pure") == "");
    CHECK(calls("nextval") == "m");
    CHECK(calls("lastval") == "ap");
    CHECK(calls("lower") == "");
    CHECK(calls("query_to_xml") == "ma");
}
