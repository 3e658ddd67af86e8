// See registers.hpp.
#include "checker/registers.hpp"

namespace pgweir::checker {

std::string schema() {
    std::string sql =
        "CREATE TABLE reg (id int PRIMARY KEY, ver bigint);"
        "INSERT INTO reg SELECT n, 0 FROM generate_series(0, 9) n;";
    for (const char* table :
         {"ra", "rb", "trig_t", "papa", "vbase", "fn_t", "tr", "cp", "mg", "tp", "def_t", "ddl_t",
          "do_t", "cut_t", "ttl_t", "here_t", "huge_t", "other"})
        sql += std::string("CREATE TABLE ") + table + " AS SELECT 0::bigint AS ver;";
    sql +=
        "CREATE TABLE shape_t (v0 int); CREATE FUNCTION shape(v bigint) RETURNS void LANGUAGE "
        "plpgsql AS $$BEGIN EXECUTE 'DROP TABLE shape_t; CREATE TABLE shape_t (v' || v || ' int)'; "
        "END$$;"
        "CREATE TABLE cmd (ver bigint); CREATE FUNCTION by_cmd() RETURNS trigger LANGUAGE plpgsql "
        "AS $$BEGIN UPDATE trig_t SET ver = NEW.ver; RETURN NULL; END$$;"
        "CREATE TRIGGER t AFTER INSERT ON cmd FOR EACH ROW EXECUTE FUNCTION by_cmd();"
        "CREATE TABLE casc_p (ver bigint PRIMARY KEY); INSERT INTO casc_p VALUES (0);"
        "CREATE TABLE casc_c (ver bigint REFERENCES casc_p ON UPDATE CASCADE);"
        "INSERT INTO casc_c VALUES (0);"
        "CREATE TABLE part_root (id int, ver bigint) PARTITION BY RANGE (id);"
        "CREATE TABLE part_low PARTITION OF part_root FOR VALUES FROM (0) TO (10);"
        "CREATE TABLE part_high PARTITION OF part_root FOR VALUES FROM (10) TO (20);"
        "INSERT INTO part_root VALUES (0, 0);"
        "CREATE TABLE kid () INHERITS (papa); DELETE FROM papa; INSERT INTO kid VALUES (0);"
        "CREATE VIEW vview AS SELECT ver FROM vbase; CREATE VIEW vview2 AS TABLE vview;"
        "CREATE FUNCTION wf(v bigint) RETURNS bigint LANGUAGE sql AS 'UPDATE fn_t SET ver = v "
        "RETURNING ver';"
        "CREATE FUNCTION wh(v bigint) RETURNS bigint LANGUAGE sql AS 'UPDATE here_t SET ver = v "
        "RETURNING ver';"
        "CREATE TABLE late (ver bigint); CREATE FUNCTION by_late() RETURNS trigger LANGUAGE "
        "plpgsql AS $$BEGIN UPDATE def_t SET ver = NEW.ver; RETURN NULL; END$$;"
        "CREATE CONSTRAINT TRIGGER t AFTER INSERT ON late DEFERRABLE INITIALLY DEFERRED FOR EACH "
        "ROW EXECUTE FUNCTION by_late();"
        "CREATE TABLE slow (ver bigint); CREATE FUNCTION by_slow() RETURNS trigger LANGUAGE "
        "plpgsql AS $$BEGIN UPDATE cut_t SET ver = NEW.ver; PERFORM pg_sleep(0.25); RETURN NULL; "
        "END$$; CREATE CONSTRAINT TRIGGER t AFTER INSERT ON slow DEFERRABLE INITIALLY DEFERRED FOR "
        "EACH ROW EXECUTE FUNCTION by_slow();"
        "CREATE TABLE lst (k int PRIMARY KEY, a bigint[]); INSERT INTO lst VALUES (0, '{}');"
        "CREATE TABLE accounts (id int PRIMARY KEY, v bigint);"
        "INSERT INTO accounts SELECT n, 100 FROM generate_series(0, 9) n;"
        "CREATE TABLE counter AS SELECT 0::bigint AS n;"
        "CREATE TABLE moved (grp int, n bigint, ver bigint, PRIMARY KEY (grp, n));"
        "INSERT INTO moved VALUES (1, 0, 0);"
        "CREATE TABLE blank (k char(6) PRIMARY KEY, ver bigint); INSERT INTO blank VALUES ('a', 0);"
        "CREATE TABLE ups (id int PRIMARY KEY, ver bigint); INSERT INTO ups VALUES (1, 0);";
    return sql;
}

namespace {

/// A row of table reg, with the ways that matter for it.
Register row(int id, std::string name, std::vector<Way> ways) {
    const auto where = " WHERE id = " + std::to_string(id);
    for (auto& way : ways) {
        for (auto& step : way.steps) {
            if (step == "write") step = "UPDATE reg SET ver = %v" + where;
            if (step == "=read") step = "=SELECT ver FROM reg" + where;
        }
    }
    return {std::move(name),
            {"SELECT ver FROM reg" + where, "SELECT ver AS v FROM public.reg" + where,
             "SELECT max(ver) FROM reg" + where},
            std::move(ways)};
}

Register table(const std::string& name, std::vector<Way> ways, bool disturbs = false) {
    return {name,
            {"SELECT ver FROM " + name, "SELECT max(ver) FROM " + name},
            std::move(ways),
            disturbs};
}

/// The row with the new version comes to what is read by a change of its key.
Register moved() {
    return {"moved",
            {"SELECT max(ver) FROM moved WHERE grp = 1"},
            {{{"INSERT INTO moved VALUES (2, %v, %v)",
               "UPDATE moved SET grp = 1 WHERE grp = 2 AND n = %v"}}}};
}

std::vector<Register> plain_registers() {
    return {
        row(0, "direct", {{{"write"}}}),
        row(1, "transaction",
            {{{"BEGIN", "write", "=read", "COMMIT"}}, {{"BEGIN", "write", "SELECT 1", "COMMIT"}}}),
        row(2, "rollback",
            {{{"BEGIN", "write", "=read", "ROLLBACK"}, Outcome::aborted},
             {{"BEGIN", "write", "!SELECT 1/0", "COMMIT"}, Outcome::aborted},
             {{"BEGIN", "write", "=read", "COMMIT"}}}),
        row(3, "savepoint",
            {{{"BEGIN", "write", "SAVEPOINT s", "UPDATE other SET ver = %v", "ROLLBACK TO s",
               "COMMIT"}},
             {{"BEGIN", "SAVEPOINT s", "write", "ROLLBACK TO s", "COMMIT"}, Outcome::aborted}}),
        row(4, "failed statement",
            {{{"BEGIN", "write", "SAVEPOINT s", "!SELECT 1/0", "ROLLBACK TO s", "COMMIT"}}}),
        {"join a", {"SELECT ra.ver FROM ra, rb"}, {{{"UPDATE ra SET ver = %v"}}}},
        {"join b",
         {"SELECT rb.ver FROM ra, rb", "SELECT (SELECT ver FROM rb) + 0 * ver FROM ra"},
         {{{"UPDATE rb SET ver = %v"}}}},
    };
}

}  // namespace

std::vector<Register> registers() {
    auto all = plain_registers();
    const std::vector<Register> more{
        table("trig_t", {{{"INSERT INTO cmd VALUES (%v)"}}}),
        table("casc_c", {{{"UPDATE casc_p SET ver = %v"}}}),
        {"partition",
         {"SELECT ver FROM part_root", "SELECT ver FROM part_low",
          "SELECT ver FROM part_root WHERE id = 0"},
         {{{"UPDATE part_low SET ver = %v"}}, {{"UPDATE part_root SET ver = %v"}}}},
        {"heir",
         {"SELECT ver FROM papa", "SELECT ver FROM kid"},
         {{{"UPDATE kid SET ver = %v"}}, {{"UPDATE papa SET ver = %v"}}}},
        {"view",
         {"SELECT ver FROM vview", "SELECT ver FROM vview2", "SELECT ver FROM vbase"},
         {{{"UPDATE vbase SET ver = %v"}}, {{"UPDATE vview SET ver = %v"}}}},
        {"tr",
         {"SELECT max(ver) FROM tr"},
         {{{"BEGIN", "TRUNCATE tr", "INSERT INTO tr VALUES (%v)", "COMMIT"}}}},
        {"cp", {"SELECT max(ver) FROM cp"}, {{{"copy:COPY cp FROM STDIN\n%v"}}}},
        table("mg", {{{"MERGE INTO mg USING (VALUES (%v)) s (v) ON true WHEN MATCHED THEN UPDATE "
                       "SET ver = s.v"}}}),
        table("def_t", {{{"BEGIN", "INSERT INTO late VALUES (%v)", "COMMIT"}}}),
        // Many answers: who reads one that was stored before the commit and one stored behind it.
        {"cut_t",
         {"SELECT ver FROM cut_t", "SELECT max(ver) FROM cut_t", "SELECT min(ver) FROM cut_t",
          "SELECT sum(ver) FROM cut_t", "SELECT ver + 0 FROM cut_t", "SELECT 0 + ver FROM cut_t",
          "SELECT ver * 1 FROM cut_t", "SELECT DISTINCT ver FROM cut_t"},
         {{{"BEGIN", "INSERT INTO slow VALUES (%v)", "COMMIT /*cut*/"}, Outcome::unknown}}},
        table("tp",
              {{{"BEGIN", "UPDATE tp SET ver = %v", "PREPARE TRANSACTION 'p%v'",
                 "SELECT pg_sleep(0.03)", "COMMIT PREPARED 'p%v'"}}},
              true),
        table("fn_t", {{{"SELECT wf(%v)"}}}, true),
        table("do_t", {{{"DO $$BEGIN UPDATE do_t SET ver = %v; END$$"}}}, true),
        table("ddl_t",
              {{{"BEGIN", "DROP TABLE IF EXISTS ddl_t",
                 "CREATE TABLE ddl_t AS SELECT %v::bigint AS ver", "COMMIT"}}},
              true),
        {"described",
         {"?SELECT * FROM shape_t"},
         {{{"BEGIN", "DROP TABLE shape_t", "CREATE TABLE shape_t (v%v int)", "COMMIT"}},
          {{"BEGIN", "DROP TABLE shape_t", "CREATE TABLE shape_t (v%v int)", "ROLLBACK"},
           Outcome::aborted},
          {{"SELECT shape(%v)"}}},
         true},
        moved(),
        {"blank",
         {"SELECT ver FROM blank WHERE k = 'a'"},
         {{{"UPDATE blank SET ver = %v WHERE k = 'a  '"}}}},
        {"upsert",
         {"SELECT ver FROM ups WHERE id = 1"},
         {{{"INSERT INTO ups VALUES (1, %v) ON CONFLICT (id) DO UPDATE SET ver = excluded.ver"}}}},
        {"outside", {"SELECT ver FROM ttl_t"}, {{{"UPDATE ttl_t SET ver = %v"}}}, false, true},
    };
    all.insert(all.end(), more.begin(), more.end());
    return all;
}

std::vector<Register> outside_registers() {
    auto through = table("ra", {{{"UPDATE ra SET ver = %v"}}});
    auto around = table("rb", {{{"UPDATE rb SET ver = %v"}},
                               {{"BEGIN", "UPDATE rb SET ver = %v", "SAVEPOINT s",
                                 "UPDATE other SET ver = %v", "ROLLBACK TO s", "COMMIT"}}});
    auto function = table("fn_t", {{{"SELECT wf(%v)"}}});
    auto here = table("here_t", {{{"SELECT wh(%v)"}}, {{"BEGIN", "SELECT wh(%v)", "COMMIT"}}});
    auto part = Register{"partition",
                         {"SELECT ver FROM part_root", "SELECT ver FROM part_low"},
                         {{{"UPDATE part_low SET ver = %v"}}, {{"UPDATE part_root SET ver = %v"}}}};
    auto trigger = table("trig_t", {{{"INSERT INTO cmd VALUES (%v)"}}});
    auto emptied = Register{"tr",
                            {"SELECT max(ver) FROM tr"},
                            {{{"BEGIN", "TRUNCATE tr", "INSERT INTO tr VALUES (%v)", "COMMIT"}}}};
    auto join = Register{"join", {"SELECT mg.ver FROM mg, cp"}, {{{"UPDATE mg SET ver = %v"}}}};
    auto second = table(
        "do_t", {{{"UPDATE do_t SET ver = %v"}}, {{"DO $$BEGIN UPDATE do_t SET ver = %v; END$$"}}});
    auto by_key = row(5, "row", {{{"write"}}});
    auto key_around = row(6, "row around", {{{"write"}}});
    auto new_key = moved();
    for (auto* r : {&around, &function, &part, &trigger, &emptied, &join, &key_around, &new_key})
        r->outside = true;
    second.second = true;
    return {through, around, function, part,       trigger, emptied,
            join,    second, by_key,   key_around, new_key, here};
}

Register huge_register() {
    auto r = table("huge_t", {});
    r.outside = true;
    return r;
}

}  // namespace pgweir::checker
