// The catalog's fingerprint: what must change it, what must not, and what it costs.
#include <doctest/doctest.h>

#include "control_fixture.hpp"
#include "pgweir/base/clock.hpp"

using namespace pgweir;
using namespace pgweir::testing;

namespace {

class Probe {
  public:
    explicit Probe(const std::string& db) : connection_(target_of(Cluster::shared(), db), {}) {
        if (auto error = connection_.wait_connected()) throw std::runtime_error(*error);
    }
    std::string now() {
        auto f = control::catalog_fingerprint(connection_);
        if (!f) throw std::runtime_error(f.error());
        return *f;
    }
    control::Connection& connection() { return connection_; }

  private:
    control::Connection connection_;
};

constexpr const char* kSetUp = R"(
    CREATE TABLE t(a int, b varchar(10)); CREATE TABLE u(a int); CREATE TABLE pk(a int PRIMARY KEY);
    CREATE TABLE parts(a int) PARTITION BY LIST (a);
    CREATE TABLE p1 PARTITION OF parts FOR VALUES IN (1);
    CREATE VIEW v AS SELECT a FROM t; CREATE MATERIALIZED VIEW m AS SELECT a FROM t;
    CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE FUNCTION trig() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TYPE mood AS ENUM ('a'); CREATE TYPE pair AS (x int); CREATE DOMAIN dom AS int;
    CREATE SCHEMA s; CREATE ROLE fp_role; CREATE ROLE fp_member;
    CREATE ACCESS METHOD heap2 TYPE TABLE HANDLER heap_tableam_handler;)";

constexpr const char* kChanges[] = {
    "CREATE TABLE n(a int)",
    "DROP TABLE n",
    "ALTER TABLE t ADD COLUMN c int",
    "ALTER TABLE t DROP COLUMN c",
    "ALTER TABLE t RENAME COLUMN a TO z",
    "ALTER TABLE t ALTER COLUMN b TYPE varchar(20)",
    "ALTER TABLE u ALTER COLUMN a TYPE int USING a + 1",
    "ALTER TABLE t ALTER COLUMN z SET DEFAULT 3",
    "ALTER TABLE t ALTER COLUMN z DROP DEFAULT",
    "ALTER TABLE u RENAME TO uu",
    "ALTER TABLE uu SET SCHEMA s",
    "ALTER TABLE s.uu SET UNLOGGED",
    "ALTER TABLE s.uu SET ACCESS METHOD heap2",
    "ALTER TABLE s.uu ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY p ON s.uu USING (true)",
    "ALTER POLICY p ON s.uu USING (false)",
    "DROP POLICY p ON s.uu",
    "ALTER TABLE t ADD CHECK (z > 0)",
    "CREATE STATISTICS st ON z, b FROM t",
    "ALTER TABLE t ADD FOREIGN KEY (z) REFERENCES pk ON DELETE CASCADE",
    "CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION trig()",
    "ALTER TABLE t DISABLE TRIGGER x",
    "DROP TRIGGER x ON t",
    "CREATE RULE r AS ON INSERT TO s.uu DO NOTHING",
    "DROP RULE r ON s.uu",
    "CREATE OR REPLACE VIEW v AS SELECT z + 1 AS a FROM t",
    "ALTER VIEW v SET (security_barrier)",
    "REFRESH MATERIALIZED VIEW m",
    "ALTER TABLE parts DETACH PARTITION p1",
    "ALTER TABLE parts ATTACH PARTITION p1 FOR VALUES IN (2)",
    "ALTER TABLE pk INHERIT s.uu",
    "ALTER TABLE pk NO INHERIT s.uu",
    "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 2'",
    "ALTER FUNCTION f() STABLE",
    "CREATE OPERATOR <#> (LEFTARG = int, RIGHTARG = int, FUNCTION = int4pl)",
    "CREATE CAST (mood AS int) WITH FUNCTION cast_it(mood)",
    "ALTER TYPE mood ADD VALUE 'b'",
    "ALTER TYPE pair ADD ATTRIBUTE y int",
    "ALTER DOMAIN dom ADD CHECK (VALUE > 0)",
    "CREATE INDEX ON t ((f2(z)))",
    "CREATE SCHEMA s2",
    "ALTER SCHEMA s2 RENAME TO s3",
    "GRANT SELECT ON t TO fp_role",
    "REVOKE SELECT ON t FROM fp_role",
    "GRANT SELECT (z) ON t TO fp_role",
    "GRANT USAGE ON SCHEMA s TO fp_role",
    "REVOKE EXECUTE ON FUNCTION f() FROM PUBLIC",
    "GRANT fp_role TO fp_member",
    "REVOKE fp_role FROM fp_member",
    "ALTER ROLE fp_role BYPASSRLS",
    "ALTER ROLE fp_role SET search_path = s",
    "ALTER ROLE fp_role IN DATABASE fp SET search_path = s",
    "ALTER DATABASE fp SET search_path = s",
    "ALTER TABLE t OWNER TO fp_role",
    "CREATE TEXT SEARCH CONFIGURATION tc (COPY = english)",
    "ALTER TEXT SEARCH CONFIGURATION tc DROP MAPPING FOR word",
    "CREATE COLLATION co FROM \"C\"",
    "CREATE EVENT TRIGGER et ON ddl_command_end EXECUTE FUNCTION ev()",
    "DROP EVENT TRIGGER et",
    "CREATE EXTENSION pgcrypto",
    "ALTER TABLE pk REPLICA IDENTITY FULL",
    "CREATE UNIQUE INDEX one ON pk(a)",
    "CREATE UNIQUE INDEX two ON pk(a) INCLUDE (a)",
    "ALTER TABLE pk REPLICA IDENTITY USING INDEX one",
    "ALTER TABLE pk REPLICA IDENTITY USING INDEX pk_pkey",
    "DROP INDEX two",
    "DROP TABLE t CASCADE",
};

constexpr const char* kNoChanges[] = {
    "INSERT INTO t SELECT 1, 'x' FROM generate_series(1, 5000)",
    "UPDATE t SET a = 2",
    "DELETE FROM t WHERE b = 'y'",
    "ANALYZE",
    "VACUUM t",
    "DELETE FROM t",
    "VACUUM t",
    "VACUUM FREEZE",
    "TRUNCATE t",
    "VACUUM FULL t",
    "REINDEX TABLE pk",
    "CLUSTER pk USING pk_pkey",
    "CREATE INDEX plain_index ON t (a)",
    "CREATE TEMP TABLE tmp(a serial PRIMARY KEY CHECK (a > 0), b text DEFAULT 'x')",
    "CREATE TEMP VIEW tmpv AS SELECT * FROM t",
    "SELECT nextval('sq')",
    "SELECT setval('sq', 100)",
    "SET work_mem = 64",
    "CHECKPOINT",
    "BEGIN; CREATE TABLE undone(a int); ROLLBACK",
};

}  // namespace

TEST_CASE("every kind of DDL, GRANT and setting changes the fingerprint") {
    create_database("fp");
    auto db = Cluster::shared().connect("postgres", "fp");
    db.run(kSetUp);
    db.run(
        "CREATE FUNCTION cast_it(mood) RETURNS int LANGUAGE sql AS 'SELECT 1';"
        "CREATE FUNCTION f2(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1';"
        "CREATE FUNCTION ev() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'");
    Probe probe("fp");
    auto before = probe.now();
    CHECK(before == probe.now());
    for (const auto* change : kChanges) {
        db.run(change);
        const auto after = probe.now();
        CHECK_MESSAGE(after != before, std::string(change));
        before = after;
    }
    MESSAGE(std::size(kChanges), " kinds of change seen");
}

TEST_CASE("DML, maintenance, plain indexes and temporary objects leave the fingerprint alone") {
    create_database("fp_still");
    auto db = Cluster::shared().connect("postgres", "fp_still");
    db.run("CREATE TABLE t(a int, b text); CREATE TABLE pk(a int PRIMARY KEY); CREATE SEQUENCE sq");
    db.run("CREATE TEMP TABLE first(a int)");
    db.run("VACUUM");
    Probe probe("fp_still");
    auto before = probe.now();
    for (const auto* change : kNoChanges) {
        db.run(change);
        const auto after = probe.now();
        CHECK_MESSAGE(after == before, std::string(change));
        before = after;
    }
}

TEST_CASE("a change of the cluster's search_path is seen after a reload") {
    create_database("fp_setting");
    Probe probe("fp_setting");
    const auto before = probe.now();
    auto db = Cluster::shared().connect("postgres", "postgres");
    db.run("ALTER SYSTEM SET search_path = 'elsewhere'");
    Cluster::shared().reload();
    CHECK(eventually([&] { return probe.now() != before; }));
    CHECK(catalog_of("fp_setting")->role_search_path.find("")->second == "elsewhere");
    db.run("ALTER SYSTEM RESET search_path");
    Cluster::shared().reload();
    CHECK(eventually([&] { return probe.now() == before; }));
}

TEST_CASE("a catalog comes with the fingerprint of its own snapshot") {
    create_database("own_snapshot");
    auto db = Cluster::shared().connect("postgres", "own_snapshot");
    db.run("CREATE TABLE t(a int); ALTER TABLE t ENABLE ROW LEVEL SECURITY");
    Probe probe("own_snapshot");
    const auto before = probe.now();
    db.run("ALTER TABLE t DISABLE ROW LEVEL SECURITY");
    std::string read;
    const auto catalog = control::read_catalog(probe.connection(), 1, {}, {}, &read);
    REQUIRE(catalog);
    CHECK(!relation_of(**catalog, "t").row_security);
    CHECK(read != before);
    CHECK(read == probe.now());
    // A state that comes back looks as it did: one from before the reading would say unchanged.
    db.run("ALTER TABLE t ENABLE ROW LEVEL SECURITY");
    CHECK(probe.now() == before);
}

TEST_CASE("20,000 tables are read, and polled, within the control connection's time limit") {
    create_database("many");
    auto db = Cluster::shared().connect("postgres", "many");
    for (int i = 0; i < 40; ++i)
        db.run(
            "DO $$ BEGIN FOR i IN " + std::to_string(i * 500) + ".." +
            std::to_string(i * 500 + 499) +
            " LOOP EXECUTE format('CREATE TABLE t%s(id bigint NOT NULL, a int NOT NULL DEFAULT 0, "
            "b text, c timestamptz DEFAULT now(), d numeric, e varchar(20), f uuid, g jsonb)', i);"
            " END LOOP; END $$");
    Probe probe("many");
    probe.now();
    const auto t0 = base::monotonic_now();
    const auto before = probe.now();
    const auto t1 = base::monotonic_now();
    const auto catalog = control::read_catalog(probe.connection(), 1);
    const auto t2 = base::monotonic_now();
    REQUIRE(catalog);
    CHECK((*catalog)->relations.at((*catalog)->schemas.find("public")->second).size() == 20'000);
    CHECK(t1 - t0 < 5 * base::kSecond);
    MESSAGE("20,000 tables: fingerprint ", (t1 - t0) / 1'000'000, " ms, catalog ",
            (t2 - t1) / 1'000'000, " ms");
    db.run("ALTER TABLE t19999 ALTER COLUMN e TYPE varchar(30)");
    CHECK(probe.now() != before);
}
