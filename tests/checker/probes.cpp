// See probes.hpp.
#include "checker/probes.hpp"

namespace pgweir::checker {

using namespace testing;

std::string probe_schema() {
    return "CREATE ROLE bob LOGIN; CREATE ROLE eve LOGIN;"
           "CREATE SCHEMA one AUTHORIZATION app; CREATE SCHEMA two AUTHORIZATION app;"
           "GRANT USAGE ON SCHEMA one, two TO bob, eve; SET ROLE app;"
           "CREATE TABLE one.ctx AS SELECT n, 'one' AS tag, timestamptz '2024-03-01 12:00+00' AS "
           "t, "
           "0.1::float4 AS f, '\\x41'::bytea AS b, interval '1 day 2 hours' AS i "
           "FROM generate_series(1, 3) n;"
           "CREATE TABLE two.ctx AS SELECT n + 10 AS n, 'two' AS tag, t, f, b, i FROM one.ctx;"
           "GRANT SELECT ON one.ctx, two.ctx TO bob;"
           "CREATE TABLE granted AS SELECT 7 AS n; CREATE TABLE numbers AS SELECT n, n * 2 AS d "
           "FROM generate_series(1, 20) n; CREATE TABLE touched AS SELECT 0 AS n;"
           "CREATE TABLE owned (owner text, n int); INSERT INTO owned VALUES ('app', 1), "
           "('bob', 2); GRANT SELECT ON owned TO bob, eve;"
           "ALTER TABLE owned ENABLE ROW LEVEL SECURITY; ALTER TABLE owned FORCE ROW LEVEL "
           "SECURITY; CREATE POLICY own ON owned USING (owner = current_user)";
}

namespace {

/// The same questions for every context.
std::vector<std::string> questions() {
    const std::string read = "SELECT n, tag, t, f, b, i FROM ctx ORDER BY n";
    std::vector<std::string> all{msg::query(read), msg::query("SELECT sum(n) FROM owned")};
    for (const int format : {0, 1}) {
        all.push_back(msg::parse("", read) + msg::bind("", "", {}, format) +
                      msg::describe('P', "") + msg::execute() + msg::sync());
        all.push_back(msg::parse("", "SELECT n, f FROM ctx WHERE n > $1::int ORDER BY n") +
                      msg::bind("", "", {"1"}, format) + msg::describe('P', "") + msg::execute() +
                      msg::sync());
    }
    all.push_back(msg::parse("", "SELECT $1", {23}) + msg::bind("", "", {"5"}) +
                  msg::describe('P', "") + msg::execute() + msg::sync());
    all.push_back(msg::parse("", "SELECT $1", {25}) + msg::bind("", "", {"5"}) +
                  msg::describe('P', "") + msg::execute() + msg::sync());
    return all;
}

}  // namespace

struct Probes::Context {
    Context(std::uint16_t port, std::uint16_t direct_port, std::string context_user,
            const msg::Parameters& settings)
        : user(std::move(context_user)), client(port, user, settings) {
        Client direct(direct_port, user, settings);
        for (const auto& question : questions()) wanted.push_back(direct.send(question));
    }
    std::string user;
    Client client;
    std::vector<Messages> wanted;
};

Probes::~Probes() = default;

Probes::Probes(std::uint16_t port, std::uint16_t direct_port, std::uint64_t seed,
               Complaints& complaints)
    : owner_(port),
      bob_(port, "bob"),
      random_(static_cast<unsigned>(seed)),
      complaints_(complaints),
      privileges_at_(now() + 2'000'000'000) {
    const std::vector<msg::Parameters> settings{
        {{"search_path", "one"}},
        {{"search_path", "two"}},
        {{"search_path", "one"}, {"TimeZone", "Asia/Tokyo"}},
        {{"search_path", "one"}, {"DateStyle", "German"}},
        {{"search_path", "one"}, {"IntervalStyle", "iso_8601"}},
        {{"search_path", "one"}, {"extra_float_digits", "0"}},
        {{"search_path", "one"}, {"bytea_output", "escape"}},
        {{"search_path", "one"}, {"client_encoding", "LATIN1"}}};
    for (const auto& s : settings)
        contexts_.push_back(std::make_unique<Context>(port, direct_port, "app", s));
    for (const char* user : {"bob", "eve"})
        contexts_.push_back(std::make_unique<Context>(port, direct_port, user, settings[0]));
}

void Probes::compare(const std::string& what, const Messages& got, const Messages& wanted) {
    ++asked_;
    if (got == wanted) return;
    const auto shown = [](const Messages& m) {
        const auto error = error_of(m);
        return types(m) + " " + (error.sqlstate.empty() ? first_value(m) : error.message);
    };
    complaints_.add("CONTEXT " + what + ": " + shown(got) + " instead of " + shown(wanted));
}

void Probes::contexts() {
    static const auto all = questions();
    for (int i = 0; i < 20; ++i) {
        auto& context = *contexts_[random_() % contexts_.size()];
        const auto q = random_() % all.size();
        compare("of " + context.user + ", question " + std::to_string(q),
                context.client.send(all[q]), context.wanted[q]);
    }
}

/// A name that was closed means another statement now.
void Probes::statement_names() {
    const auto run = [&](const std::string& text) {
        const auto answer = owner_.send(msg::parse("w8", text) + msg::bind("", "w8") +
                                        msg::execute() + msg::sync());
        ++asked_;
        return first_value(answer);
    };
    for (const char* wanted : {"2", "4", "6"}) {
        const auto n = std::to_string(std::stoi(wanted) / 2);
        const auto value = run("SELECT d FROM numbers WHERE n = " + n);
        const auto again =
            first_value(owner_.send(msg::bind("", "w8") + msg::execute() + msg::sync()));
        if (value != wanted || again != wanted)
            complaints_.add("WRONG-QUERY " + value + ", " + again + " instead of " + wanted);
        owner_.send(msg::close('S', "w8") + msg::sync());
    }
}

void Probes::row_limits() {
    const auto batch = [](unsigned limit) {
        return msg::parse("", "SELECT n FROM numbers WHERE n < 9 ORDER BY n") + msg::bind("", "") +
               msg::execute("", limit) + msg::sync();
    };
    const auto few = owner_.send(batch(2));
    const auto all = owner_.send(batch(0));
    asked_ += 2;
    if (count_type(few, 'D') != 2 || count_type(all, 'D') != 8)
        complaints_.add("ROWS " + std::to_string(count_type(few, 'D')) + " of 2 and " +
                        std::to_string(count_type(all, 'D')) + " of 8");
}

void Probes::several_statements() {
    const auto answer = owner_.send(
        msg::query("SELECT n FROM numbers WHERE n = 1; SELECT d FROM numbers WHERE n = 3"));
    ++asked_;
    if (types(answer) != "TDCTDCZ") complaints_.add("SEVERAL answered by " + types(answer));
}

/// What was granted is read, what was revoked is refused, from the next statement on.
void Probes::privileges() {
    const std::string read = "SELECT n FROM granted";
    owner_.send(msg::query("GRANT SELECT ON granted TO bob"));
    const auto allowed =
        eventually([&] { return first_value(bob_.send(msg::query(read))) == "7"; }, Seconds(5));
    if (!allowed) complaints_.add("PRIVILEGE granted and refused");
    // Until it is cached, if it comes to be.
    for (int i = 0; i < 100; ++i, ++asked_) bob_.send(msg::query(read)), sleep_for(Seconds(0.005));
    privileges_at_ = now() + 15'000'000'000;
    owner_.send(msg::query("REVOKE SELECT ON granted FROM bob"));
    const auto answer = bob_.send(msg::query(read));
    if (error_of(answer).sqlstate != "42501")
        complaints_.add("PRIVILEGE revoked and read: " + first_value(answer));
}

/// Entries of the contexts are made anew, each time by another.
void Probes::touch() {
    owner_.send(msg::query("UPDATE one.ctx SET tag = tag; UPDATE two.ctx SET tag = tag"));
}

std::int64_t Probes::round() {
    asked_ = 0;
    for (int i = 0; i < 20; ++i) {
        contexts();
        statement_names();
        row_limits();
        several_statements();
    }
    if (random_() % 4 == 0) touch();
    // Seldom: each has the proxy read its catalog again.
    if (now() > privileges_at_) privileges();
    return asked_;
}

}  // namespace pgweir::checker
