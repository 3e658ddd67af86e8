// What clients of the leak checker do: each script is sent step by step, and knows what PostgreSQL
// would answer a session of its own. See client.hpp.
#include <array>

#include "leak/client.hpp"

namespace pgweir::leak {

using namespace testing;

namespace {

constexpr std::array<std::string_view, kRoles> kRoleNames{"app", "alice", "bob", "carol"};
constexpr std::array<std::string_view, kPaths> kPathNames{"s0", "s1", "s2", "s3", "s4"};
constexpr std::array<std::string_view, kZones> kZoneNames{"UTC", "Europe/Paris", "Asia/Tokyo",
                                                          "America/Lima", "Africa/Cairo"};

std::string text(std::string_view s) { return std::string(s); }

}  // namespace

std::string zone_name(int zone) { return text(kZoneNames[static_cast<std::size_t>(zone)]); }

msg::Parameters login(const State& state) {
    std::string options =
        "-c search_path=" + text(kPathNames[static_cast<std::size_t>(state.path)]);
    if (!state.custom.empty()) options += " -c leak.tag=" + state.custom;
    return {{"user", "app"},
            {"database", "app"},
            {"TimeZone", zone_name(state.zone)},
            {"options", options}};
}

std::string schema() {
    std::string sql = "CREATE SEQUENCE public.counter; GRANT ALL ON SEQUENCE counter TO public;";
    for (std::size_t i = 1; i < kRoleNames.size(); ++i)
        sql += "CREATE ROLE " + text(kRoleNames[i]) + "; GRANT " + text(kRoleNames[i]) + " TO app;";
    for (const auto path : kPathNames) {
        const auto s = text(path);
        sql += "CREATE SCHEMA " + s + "; GRANT USAGE ON SCHEMA " + s + " TO public;";
        sql += "CREATE TABLE " + s + ".here AS SELECT '" + s + "'::text AS name;";
        sql += "GRANT SELECT ON " + s + ".here TO public;";
    }
    return sql + "GRANT TEMPORARY ON DATABASE app TO public;";
}

/// Writes the script of one client.
class Scripts {
  public:
    explicit Scripts(Client& c) : c_(c), s_(c.state_) {}
    void plan();

  private:
    struct Asked {
        std::string sql, rows;
    };
    Asked probe(const std::string& from = "");
    Asked who() const;
    Answer answer(std::string rows, char status = 'I', std::string sqlstate = "") const;
    Step& add(std::string bytes, std::vector<Answer> answers);
    void simple(const Asked& asked, char status = 'I') {
        add(msg::query(asked.sql), {answer(asked.rows, status)});
    }
    void command(const std::string& sql, char status = 'I') {
        add(msg::query(sql), {answer("", status)});
    }
    std::string tag() { return c_.tag_ + "-" + std::to_string(++c_.nonce_); }

    void unnamed();
    void named();
    void sql_prepared();
    void copy_out();
    void several_queries();
    void pipeline();
    void change(char status, bool local);
    void transaction();
    void failed_transaction();
    void discard();
    void temporary();
    void sequence();
    void canceled();
    void leave();
    void terminated();
    void malformed();

    Client& c_;
    State& s_;
};

/// All a session can see of itself, under a tag that no other answer has.
Scripts::Asked Scripts::probe(const std::string& from) {
    const auto t = tag();
    return {
        "SELECT '" + t +
            "', current_user, current_setting('search_path'), current_setting('TimeZone'), "
            "coalesce(current_setting('leak.tag', true), ''), (SELECT name FROM here), "
            "to_regclass('pg_temp.mine') IS NULL" +
            from,
        t + "|" + who().rows.substr(0, who().rows.size() - 1) + "|" + (s_.temporary ? "f;" : "t;")};
}

/// The same text for everybody.
Scripts::Asked Scripts::who() const {
    const auto path = text(kPathNames[static_cast<std::size_t>(s_.path)]);
    return {
        "SELECT current_user, current_setting('search_path'), current_setting('TimeZone'), "
        "coalesce(current_setting('leak.tag', true), ''), (SELECT name FROM here)",
        text(kRoleNames[static_cast<std::size_t>(s_.role)]) + "|" + path + "|" +
            zone_name(s_.zone) + "|" + s_.custom + "|" + path + ";"};
}

Answer Scripts::answer(std::string rows, char status, std::string sqlstate) const {
    return {.rows = std::move(rows),
            .sqlstate = std::move(sqlstate),
            .status = status,
            .zone = s_.zone};
}

Step& Scripts::add(std::string bytes, std::vector<Answer> answers) {
    c_.script_.push_back({.bytes = std::move(bytes), .answers = std::move(answers)});
    return c_.script_.back();
}

void Scripts::unnamed() {
    const auto p = probe();
    add(msg::unnamed(p.sql) + msg::sync(), {answer(p.rows)});
}

/// Everybody's statement has the same name.
void Scripts::named() {
    std::string bytes;
    if (c_.statement_row_.empty() || c_.dice(4) == 0) {
        if (!c_.statement_row_.empty()) bytes += msg::close('S', "s");
        c_.statement_row_ = tag();
        bytes += msg::parse("s", "SELECT '" + c_.statement_row_ + "', name FROM here");
    }
    bytes += msg::bind("", "s") + msg::execute() + msg::sync();
    add(bytes, {answer(c_.statement_row_ + "|" +
                       text(kPathNames[static_cast<std::size_t>(s_.path)]) + ";")});
}

/// By SQL, of the same name for everybody, too. Its tag has no digits: a text with digits could be
/// a date, and would pin.
void Scripts::sql_prepared() {
    if (c_.sql_row_.empty() || c_.dice(4) == 0) {
        if (!c_.sql_row_.empty()) command("DEALLOCATE sqls");
        c_.sql_row_ = tag();
        for (auto& c : c_.sql_row_)
            if (c >= '0' && c <= '9') c = static_cast<char>(c - '0' + 'a');
        command("PREPARE sqls AS SELECT '" + c_.sql_row_ + "', name FROM here");
    }
    add(msg::query("EXECUTE sqls"),
        {answer(c_.sql_row_ + "|" + text(kPathNames[static_cast<std::size_t>(s_.path)]) + ";")});
}

void Scripts::copy_out() {
    const auto t = tag();
    add(msg::query("COPY (SELECT '" + t + "', name FROM here) TO STDOUT"),
        {answer("copy " + t + "\t" + text(kPathNames[static_cast<std::size_t>(s_.path)]) + "\n")});
}

void Scripts::several_queries() {
    std::string bytes;
    std::vector<Answer> answers;
    for (unsigned n = 2 + c_.dice(4); n > 0; --n) {
        const auto p = probe(c_.dice(3) == 0 ? " FROM pg_sleep(0.001)" : "");
        bytes += msg::query(p.sql);
        answers.push_back(answer(p.rows));
    }
    add(std::move(bytes), std::move(answers));
}

/// Batches behind each other, some with an error that skips the rest of theirs.
void Scripts::pipeline() {
    std::string bytes;
    std::vector<Answer> answers;
    for (unsigned n = 2 + c_.dice(3); n > 0; --n) {
        const auto p = probe();
        bytes += msg::unnamed(p.sql);
        const bool fails = c_.dice(3) == 0;
        if (fails) bytes += msg::unnamed("SELECT 1/0") + msg::unnamed(probe().sql);
        bytes += msg::sync();
        answers.push_back(answer(p.rows, 'I', fails ? "22012" : ""));
    }
    add(std::move(bytes), std::move(answers));
}

void Scripts::change(char status, bool local) {
    const std::string set = local ? "SET LOCAL " : "SET ";
    switch (c_.dice(4)) {
        case 0:
            s_.zone = static_cast<int>(c_.dice(kZones));
            return command(set + "TimeZone = '" + zone_name(s_.zone) + "'", status);
        case 1:
            s_.path = static_cast<int>(c_.dice(kPaths));
            return command(
                set + "search_path = " + text(kPathNames[static_cast<std::size_t>(s_.path)]),
                status);
        case 2:
            s_.role = static_cast<int>(c_.dice(kRoles));
            return command(
                set + "ROLE " +
                    (s_.role == 0 ? "NONE" : text(kRoleNames[static_cast<std::size_t>(s_.role)])),
                status);
        default: s_.custom = tag(); return command(set + "leak.tag = '" + s_.custom + "'", status);
    }
}

void Scripts::transaction() {
    const State before = s_;
    State after = s_;
    command("BEGIN", 'T');
    const bool commits = c_.dice(2) == 0;
    for (unsigned n = 1 + c_.dice(3); n > 0; --n) {
        const bool local = c_.dice(2) == 0;
        const State kept = after;
        change('T', local);
        // What a LOCAL one overlays comes back at the end; a later one that is not, stays.
        if (local)
            after = kept;
        else
            after = s_;
        if (local) break;
        simple(probe(), 'T');
    }
    simple(probe(), 'T');
    s_ = commits ? after : before;
    command(commits ? "COMMIT" : "ROLLBACK");
    simple(probe());
}

void Scripts::failed_transaction() {
    command("BEGIN", 'T');
    simple(probe(), 'T');
    add(msg::query("SELECT 1/0"), {answer("", 'E', "22012")});
    add(msg::query(probe().sql), {answer("", 'E', "25P02")});
    if (c_.dice(4) == 0) {
        add(msg::query(probe().sql), {}).leave = true;
        return;
    }
    command("ROLLBACK");
    simple(probe());
}

void Scripts::discard() {
    s_ = c_.start_;
    c_.statement_row_.clear();
    c_.sql_row_.clear();
    command("DISCARD ALL");
    simple(probe());
}

/// Keeps its server connection while the table is there.
void Scripts::temporary() {
    if (c_.pinned_ || !c_.common_.take_pin()) return unnamed();
    c_.pinned_ = true;
    s_.temporary = true;
    const auto t = tag();
    command("CREATE TEMP TABLE mine AS SELECT '" + t + "'::text AS tag");
    add(msg::query("SELECT tag FROM mine"), {answer(t + ";")});
    simple(probe());
    add(msg::query("SELECT tag FROM mine"), {answer(t + ";")});
    if (c_.dice(4) == 0) {
        add(msg::query("SELECT tag FROM mine"), {}).leave = true;
        return;
    }
    s_.temporary = false;
    command("DROP TABLE mine");
    simple(probe());
    c_.script_.back().unpins = true;
}

/// A session may be told that it has no value yet, never another's; once it has asked inside a
/// transaction it keeps its own.
void Scripts::sequence() {
    if (c_.pinned_ || !c_.common_.take_pin()) return unnamed();
    c_.pinned_ = true;
    const auto own = std::to_string(c_.number_ * 1'000'000 + ++c_.nonce_);
    const auto set = msg::query("SELECT setval('public.counter', " + own + ")");
    const auto get = msg::query("SELECT currval('public.counter')");
    add(set, {answer(own + ";")});
    auto due = answer(own + ";");
    due.or_error = "55000";
    add(get, {std::move(due)});
    command("BEGIN", 'T');
    add(set, {answer(own + ";", 'T')});
    add(get, {answer(own + ";", 'T')});
    command("COMMIT");
    add(get, {answer(own + ";")});
    add(msg::terminate(), {}).leave = true;
}

void Scripts::canceled() {
    const auto p = probe(" FROM pg_sleep(0.00" + std::to_string(c_.dice(4)) + ")");
    auto due = answer(p.rows);
    due.or_error = "57014";
    add(msg::query(p.sql), {std::move(due)}).cancel = true;
    simple(probe());
}

void Scripts::leave() {
    switch (c_.dice(4)) {
        case 0: add(msg::query(probe(" FROM pg_sleep(0.002)").sql), {}).leave = true; return;
        case 1: add(msg::unnamed(probe().sql), {}).leave = true; return;
        case 2: add(msg::terminate(), {}).leave = true; return;
        default:
            command("BEGIN", 'T');
            change('T', false);
            add(msg::query(probe().sql), {}).leave = true;
    }
}

/// Only a member of the role it logged in as may end its server process.
void Scripts::terminated() {
    if (s_.role != 0) command("SET ROLE NONE");
    s_.role = 0;
    auto due = answer("", 'I', "57P01");
    due.ends = true;
    add(msg::query("SELECT pg_terminate_backend(pg_backend_pid())"), {std::move(due)});
}

/// The server must never see it, also where the client holds one: BEGIN alone is kept back.
void Scripts::malformed() {
    const bool inside = c_.dice(2) == 0;
    if (inside) {
        command("BEGIN", 'T');
        simple(probe(), 'T');
    }
    auto due = answer("", 'I', "08P01");
    due.ends = true;
    add(c_.dice(2) == 0 ? std::string("Q\0\0\0\2", 5) : std::string("!\0\0\0\4", 5),
        {std::move(due)});
}

void Scripts::plan() {
    const auto dice = c_.dice(1000);
    if (dice < 250) return simple(probe());
    if (dice < 330) return simple(who());
    if (dice < 430) return unnamed();
    if (dice < 520) return named();
    if (dice < 560) return sql_prepared();
    if (dice < 600) return copy_out();
    if (dice < 680) return several_queries();
    if (dice < 740) return pipeline();
    if (dice < 840) return change('I', false);
    if (dice < 890) return transaction();
    if (dice < 920) return failed_transaction();
    if (dice < 935) return discard();
    if (dice < 950) return temporary();
    if (dice < 955) return sequence();
    if (dice < 975) return canceled();
    if (dice < 990) return leave();
    if (dice < 995) return terminated();
    malformed();
}

void plan(Client& client) { Scripts(client).plan(); }

}  // namespace pgweir::leak
