// The table against the struct: every option sets exactly one field, every field has one option,
// and the defaults agree. The structured bindings fail to compile when a struct gets another field.
#include "pgweir/config/options.hpp"

#include <algorithm>
#include <set>

#include "../../../src/config/scalar.hpp"
#include "support.hpp"

using namespace pgweir::config;
using namespace pgweir::config::testing;

namespace {

/// Every field of a struct as text, in one order.
struct Fields {
    std::vector<std::string> texts;
    void add(const std::string& text) { texts.push_back(text); }
    void add(const std::vector<std::string>& list) {
        std::string all;
        for (const auto& item : list) all += item + ",";
        texts.push_back(all);
    }
    template <class Number>
    requires std::is_arithmetic_v<Number> || std::is_enum_v<Number>
    void add(Number number) { texts.push_back(std::to_string(static_cast<double>(number))); }
    template <class... T>
    void all(const T&... fields) {
        (add(fields), ...);
    }
    void add(const Credentials& credentials) {
        const auto& [user, file, password] = credentials;
        all(user, file + "|" + password);  // one option sets both
    }
    void add(const PoolSettings& pool) {
        const auto& [mode, reuse, lazy, min, max, pinned, idle, wait, lifetime, query, after] =
            pool;
        all(mode, reuse, lazy, min, max, pinned, idle, wait, lifetime, query, after);
    }
};

std::vector<std::string> fields_of(const Config& c) {
    Fields f;
    const auto& [file, listen, workers, databases, by_name, control, auth, pool, timeouts, limits,
                 cache, slow_log, queries, log, admin, http] = c;
    const auto& [host, port, unix_dir, balancers, tls] = listen;
    const auto& [mode, cert, key, ca, crl, ciphers, suites] = tls;
    f.all(host, port, unix_dir, balancers, mode, cert, key, ca, crl, ciphers, suites, workers,
          control);
    const auto& [method, users_file, hba_file, ident_file, query_login, question, query_database,
                 query_ttl, remote_trust] = auth;
    const auto& [query_user, query_file, query_password] = query_login;
    f.all(method, users_file, hba_file, ident_file, query_user, query_file + "|" + query_password,
          question, query_database, query_ttl, remote_trust, pool);
    const auto& [query, connect, shutdown, login] = timeouts;
    f.all(query, connect, shutdown, login);
    const auto& [clients, logins, rate, failures, servers, per_client, per_server, texts, message,
                 buffer] = limits;
    f.all(clients, logins, rate, failures, servers, per_client, per_server, texts, message, buffer);
    const auto& [on, size, entry, ttl, consistency, exclusive, staleness, poll, slots, publication,
                 rows, verify] = cache;
    f.all(on, size, entry, ttl, consistency, exclusive, staleness, poll, slots, publication, rows,
          verify);
    const auto& [threshold, slow_file, format, max_size, max_files, max_age, thresholds, rules,
                 sample, errors, wait, idle, parameters, explain, interval, again, literals, redact,
                 prefix] = slow_log;
    f.all(threshold, slow_file, format, max_size, max_files, max_age, thresholds, sample, errors,
          wait, idle, parameters, explain, interval, again, literals, redact, prefix);
    CHECK(rules.size() <= thresholds.size());  // the same, read
    const auto& [statistics, max_memory, advice] = queries;
    f.all(statistics, max_memory, advice);
    const auto& [level, log_file] = log;
    const auto& [admin_database, users, stats_users] = admin;
    const auto& [http_listen, token_file, token, remote_open] = http;
    f.all(level, log_file, admin_database, users, stats_users, http_listen,
          token_file + "|" + token, remote_open);
    return f.texts;
}

std::vector<std::string> fields_of(const Database& d) {
    Fields f;
    const auto& [name, host, port, dbname, login, tls, pool, control] = d;
    const auto& [mode, ca, crl, cert, key, negotiation, binding] = tls;
    f.all(host, port, dbname, login, mode, ca, crl, cert, key, negotiation, binding, pool, control);
    return f.texts;
}

OptionTarget target_of(Config& c) { return {&c, nullptr, &c.pool, &c.control}; }
OptionTarget target_of(Config& c, Database& d) { return {&c, &d, &d.pool, &d.control}; }

OptionValue read(const Option& option, const std::string& text) {
    OptionValue value;
    if (option.type == OptionType::names) {
        const bool list = text.starts_with('[');
        const auto name = list ? text.substr(1, text.size() - 2) : text;
        if (!name.empty()) value.names = {name};
        return value;
    }
    const auto problem = read_value(option, text, "", "", value);
    CHECK_MESSAGE(!problem, option.name, " = ", text, ": ", problem.value_or(""));
    return value;
}

/// A good value that is not the default.
OptionValue other_value(const Option& option) {
    switch (option.type) {
        case OptionType::boolean: return read(option, option.standard == "true" ? "false" : "true");
        case OptionType::integer: return read(option, "7");
        case OptionType::fraction: return read(option, "0.25");
        case OptionType::duration:
        case OptionType::threshold: return read(option, "17ms");
        case OptionType::size: return read(option, "77KiB");
        case OptionType::choice: {
            const auto bar = option.words.rfind('|');
            return read(option, std::string(option.words.substr(bar + 1)));  // never a default
        }
        case OptionType::file: return read(option, "/dev/../etc/passwd");
        case OptionType::secret: return read(option, "/etc/passwd");
        default: return read(option, "other");
    }
}

std::set<std::size_t> changed(const std::vector<std::string>& a,
                              const std::vector<std::string>& b) {
    std::set<std::size_t> indexes;
    for (std::size_t i = 0; i < a.size(); ++i)
        if (a[i] != b[i]) indexes.insert(i);
    return indexes;
}

}  // namespace

TEST_CASE("every option sets exactly one field, and every field has an option") {
    std::set<std::size_t> global, of_database;
    for (const auto& option : options()) {
        for (const bool in_database : {false, true}) {
            if (local_name(option, in_database).empty()) continue;
            Config c;
            Database d;
            option.set(in_database ? target_of(c, d) : target_of(c), other_value(option));
            const auto top = changed(fields_of(Config{}), fields_of(c));
            const auto own = changed(fields_of(Database{}), fields_of(d));
            CHECK_MESSAGE(top.size() == (in_database ? 0 : 1), option.name);
            CHECK_MESSAGE(own.size() == (in_database ? 1 : 0), option.name);
            for (const auto i : top) CHECK_MESSAGE(global.insert(i).second, option.name);
            for (const auto i : own) CHECK_MESSAGE(of_database.insert(i).second, option.name);
        }
    }
    CHECK(global.size() == fields_of(Config{}).size());
    CHECK(of_database.size() == fields_of(Database{}).size());
}

TEST_CASE("the defaults of the table are those of the struct") {
    Config c;
    Database d;
    for (const auto& option : options()) {
        const auto value = read(option, std::string(option.standard));
        if (!local_name(option, false).empty()) option.set(target_of(c), value);
        if (!local_name(option, true).empty()) option.set(target_of(c, d), value);
        CHECK_MESSAGE(option.get(target_of(c, d)) == option.standard, option.name);
    }
    CHECK(fields_of(c) == fields_of(Config{}));
    CHECK(fields_of(d) == fields_of(Database{}));
}

TEST_CASE("the table is well formed") {
    std::set<std::string_view> names, variables;
    for (const auto& option : options()) {
        CHECK_MESSAGE(names.insert(option.name).second, option.name);
        CHECK(option.help.ends_with('.'));
        const bool ranged = option.type == OptionType::integer ||
                            option.type == OptionType::duration ||
                            option.type == OptionType::threshold || option.type == OptionType::size;
        CHECK_MESSAGE(ranged == (option.words.find("..") != std::string_view::npos), option.name);
        CHECK_MESSAGE((option.type == OptionType::choice || ranged) == !option.words.empty(),
                      option.name);
        if (!option.variables.empty())
            CHECK_MESSAGE(variables.insert(option.variables).second, option.name);
        CHECK_MESSAGE(option.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_.*") ==
                          std::string_view::npos,
                      option.name);
    }
}

TEST_CASE("the names of the contract are there") {
    const std::set<std::string_view> wanted{"listen.host",
                                            "listen.port",
                                            "listen.unix_socket_dir",
                                            "listen.tls.mode",
                                            "listen.tls.cert_file",
                                            "listen.tls.key_file",
                                            "listen.tls.ca_file",
                                            "workers",
                                            "databases.*.host",
                                            "databases.*.port",
                                            "databases.*.dbname",
                                            "databases.*.user",
                                            "databases.*.password_file",
                                            "databases.*.tls.mode",
                                            "databases.*.tls.ca_file",
                                            "control.user",
                                            "control.password_file",
                                            "auth.method",
                                            "auth.users_file",
                                            "auth.hba_file",
                                            "pool.mode",
                                            "pool.min_size",
                                            "pool.max_size",
                                            "pool.idle_timeout",
                                            "pool.wait_timeout",
                                            "pool.lifetime",
                                            "pool.validation_query",
                                            "pool.validation_after",
                                            "timeouts.query",
                                            "timeouts.connect",
                                            "timeouts.shutdown",
                                            "limits.max_clients",
                                            "limits.max_server_connections",
                                            "cache.enabled",
                                            "cache.max_size",
                                            "cache.max_entry",
                                            "cache.default_ttl",
                                            "cache.consistency",
                                            "cache.exclusive_writer",
                                            "cache.max_staleness",
                                            "cache.catalog_poll",
                                            "cache.stream.max_slots",
                                            "cache.stream.publication",
                                            "cache.verify_ratio",
                                            "slow_log.threshold",
                                            "slow_log.file",
                                            "slow_log.format",
                                            "log.level",
                                            "log.file",
                                            "admin.database",
                                            "admin.users",
                                            "http.listen"};
    std::set<std::string_view> have;
    for (const auto& option : options()) have.insert(option.name);
    CHECK(std::includes(have.begin(), have.end(), wanted.begin(), wanted.end()));
}

TEST_CASE("pool and control may stand in a database, other groups may not") {
    const auto named = [](std::string_view name) {
        return std::find_if(options().begin(), options().end(),
                            [name](const Option& o) { return o.name == name; });
    };
    CHECK(local_name(*named("pool.mode"), true) == "pool.mode");
    CHECK(local_name(*named("control.user"), true) == "control.user");
    CHECK(local_name(*named("databases.*.tls.mode"), true) == "tls.mode");
    CHECK(local_name(*named("databases.*.tls.mode"), false).empty());
    CHECK(local_name(*named("cache.enabled"), true).empty());
}

TEST_CASE("what is shown has values, defaults and what a reload changes, and no secret") {
    const Folder folder;
    const auto file = folder.write("secret", "hunter2\n");
    const auto config = good(
        "pool: {max_size: 30}\nlisten: {port: 7000}\nslow_log: {threshold: off}\n"
        "control: {user: c, password_file: " +
        file +
        "}\n"
        "databases:\n  app: {user: u, password_file: " +
        file + ", pool: {mode: session}}\n  other: {}\n");
    CHECK(config->control.password == "hunter2");
    std::map<std::string, ShownOption> shown;
    for (const auto& option : shown_options(*config)) {
        CHECK(!has(option.value + option.default_value, "hunter2"));
        CHECK_MESSAGE(shown.emplace(option.name, option).second, option.name);
    }
    CHECK(shown.at("pool.max_size").value == "30");
    CHECK(shown.at("pool.max_size").default_value == "20");
    CHECK(shown.at("pool.max_size").changeable);
    CHECK(shown.at("pool.idle_timeout").value == "30s");
    CHECK(shown.at("cache.max_size").value == "256MiB");
    CHECK(shown.at("cache.verify_ratio").value == "0");
    CHECK(shown.at("slow_log.threshold").value == "off");
    CHECK(shown.at("workers").value == "auto");
    CHECK(shown.at("admin.users").value == "[postgres]");
    CHECK(!shown.at("listen.port").changeable);
    CHECK(shown.at("control.password_file").value == file);
    CHECK(shown.at("databases.app.pool.mode").value == "session");
    CHECK(shown.at("databases.app.pool.mode").default_value == "transaction");
    CHECK(shown.at("databases.app.port").value == "5432");
    CHECK(shown.contains("databases.other.host"));
    CHECK(!shown.contains("databases.other.pool.mode"));
    CHECK(!shown.contains("databases.other.pool.max_size"));  // inherited: shown once
}

TEST_CASE("what restarts are needed for is what is bound at the start") {
    for (const auto& option : options()) {
        const bool bound = option.name == "listen.host" || option.name == "listen.port" ||
                           option.name == "listen.unix_socket_dir" || option.name == "workers" ||
                           option.name == "http.listen";
        CHECK_MESSAGE(option.needs_restart == bound, option.name);
    }
}

TEST_CASE("the distance of words counts what a hand gets wrong") {
    CHECK(edit_distance("", "") == 0);
    CHECK(edit_distance("", "abc") == 3);
    CHECK(edit_distance("abc", "") == 3);
    CHECK(edit_distance("port", "port") == 0);
    CHECK(edit_distance("prot", "port") == 1);
    CHECK(edit_distance("pot", "port") == 1);
    CHECK(edit_distance("poort", "port") == 1);
    CHECK(edit_distance("kitten", "sitting") == 3);
}
