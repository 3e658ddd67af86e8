// The table. See options.hpp.
#include "pgweir/config/options.hpp"

#include <charconv>

#include "pgweir/base/units.hpp"
#include "slow_rules.hpp"
#include "target.hpp"

namespace pgweir::config {

namespace {

using T = OptionTarget;
using V = OptionValue;
using enum OptionType;

constexpr std::string_view kOfDatabase = "databases.*.";

std::string yes_no(bool b) { return b ? "true" : "false"; }

std::string word(std::string_view words, std::size_t index) {
    for (; index > 0; --index) words.remove_prefix(words.find('|') + 1);
    return std::string(words.substr(0, words.find('|')));
}

constexpr std::string_view kTls = "disable|allow|prefer|require|verify-ca|verify-full";
constexpr std::string_view kReuse = "always|never|in_turn";
constexpr std::string_view kModes = "session|transaction|statement";
constexpr std::string_view kMethods = "forward|trust|scram-sha-256|md5|hba";
constexpr std::string_view kNegotiations = "postgres|direct";
constexpr std::string_view kBindings = "disable|prefer|require";
constexpr std::string_view kConsistency = "auto|strict|bounded|in_band|ttl|off";
constexpr std::string_view kLevels = "debug|info|warning|error";
constexpr std::string_view kSlowFormats = "json|csv|stderr|pgbouncer";

std::string joined(const std::vector<std::string>& names) {
    std::string out = "[";
    for (const auto& n : names) out += (out.size() > 1 ? ", " : "") + n;
    return out + "]";
}

/// The shortest text that reads back the same.
std::string plain(double number) {
    char text[400];  // the smallest double takes 341
    const auto end = std::to_chars(text, text + sizeof text, number, std::chars_format::fixed).ptr;
    return {text, end};
}

template <class E>
E choice_of(const V& v) {
    return static_cast<E>(v.number);
}

#define TEXT(field)                                   \
    [](const T& t, const V& v) { (field) = v.text; }, \
        [](const T& t) -> std::string { return (field); }
#define FLAG(field) \
    [](const T& t, const V& v) { (field) = v.flag; }, [](const T& t) { return yes_no(field); }
#define COUNT(field, type)                                                 \
    [](const T& t, const V& v) { (field) = static_cast<type>(v.number); }, \
        [](const T& t) { return std::to_string(field); }
#define AUTO_COUNT(field)                                                           \
    [](const T& t, const V& v) { (field) = static_cast<std::uint32_t>(v.number); }, \
        [](const T& t) { return (field) == 0 ? std::string("auto") : std::to_string(field); }
#define TIME(field)                                    \
    [](const T& t, const V& v) { (field) = v.nanos; }, \
        [](const T& t) { return base::duration_text(field); }
#define BYTES(field)                                    \
    [](const T& t, const V& v) { (field) = v.number; }, \
        [](const T& t) { return base::size_text(field); }
#define WORD(field, type, words)                                  \
    [](const T& t, const V& v) { (field) = choice_of<type>(v); }, \
        [](const T& t) { return word(words, static_cast<std::size_t>(field)); }
#define SECRET(holder)                   \
    [](const T& t, const V& v) {         \
        (holder).password_file = v.text; \
        (holder).password = v.secret;    \
    },                                   \
        [](const T& t) -> std::string { return (holder).password_file; }

constexpr Option kOptions[] = {
    {"listen.host", text, "127.0.0.1", "", true, "",
     "Address to listen on, or localhost; \"*\" is every IPv4 address.",
     TEXT(t.config->listen.host)},
    {"listen.port", integer, "6432", "", true, "1..65535",
     "Port to listen on; also names the Unix socket.", COUNT(t.config->listen.port, std::uint16_t)},
    {"listen.unix_socket_dir", path, "", "", true, "",
     "Directory for a Unix socket .s.PGSQL.<port>; empty: none.",
     TEXT(t.config->listen.unix_socket_dir)},
    {"listen.proxy_protocol", names, "[]", "", false, "",
     "Addresses or networks of load balancers; who connects from there has to begin with a PROXY "
     "protocol header, version 1 or 2.",
     [](const T& t, const V& v) { t.config->listen.proxy_protocol = v.names; },
     [](const T& t) { return joined(t.config->listen.proxy_protocol); }},
    {"listen.tls.mode", choice, "disable", "", false, kTls,
     "TLS towards clients, in libpq's names: disable refuses it, allow and prefer offer it, "
     "require and above insist.",
     WORD(t.config->listen.tls.mode, TlsMode, kTls)},
    {"listen.tls.cert_file", file, "", "", false, "", "Certificate chain (PEM).",
     TEXT(t.config->listen.tls.cert_file)},
    {"listen.tls.key_file", file, "", "", false, "", "Private key (PEM), not readable by others.",
     TEXT(t.config->listen.tls.key_file)},
    {"listen.tls.ca_file", file, "", "", false, "",
     "Authorities whose client certificates are believed.", TEXT(t.config->listen.tls.ca_file)},
    {"listen.tls.crl_file", file, "", "", false, "",
     "Lists of their revoked certificates (PEM), one by each authority.",
     TEXT(t.config->listen.tls.crl_file)},
    {"listen.tls.ciphers", text, "", "", false, "",
     "Ciphers of TLS 1.2, as openssl ciphers(1) has them; empty: OpenSSL's choice.",
     TEXT(t.config->listen.tls.ciphers)},
    {"listen.tls.suites", text, "", "", false, "",
     "Cipher suites of TLS 1.3, such as TLS_AES_256_GCM_SHA384, with colons between; empty: "
     "OpenSSL's choice.",
     TEXT(t.config->listen.tls.suites)},
    {"workers", integer, "auto", "", true, "auto|1..64",
     "Worker threads; auto: one per core, at most 4.", AUTO_COUNT(t.config->workers)},
    {"databases.*.host", text, "127.0.0.1", "", false, "",
     "Server's name or address; one that begins with / is a Unix socket directory.",
     TEXT(t.database->host)},
    {"databases.*.port", integer, "5432", "", false, "1..65535", "Server's port.",
     COUNT(t.database->port, std::uint16_t)},
    {"databases.*.dbname", text, "", "", false, "",
     "Database on the server; empty: the name the client gave.", TEXT(t.database->dbname)},
    {"databases.*.user", text, "", "", false, "",
     "User of the server connections; empty: the client's own.", TEXT(t.database->login.user)},
    {"databases.*.password_file", secret, "", "", false, "",
     "File that holds that user's password.", SECRET(t.database->login)},
    {"databases.*.tls.mode", choice, "prefer", "", false, kTls,
     "TLS towards the server, as libpq's sslmode.", WORD(t.database->tls.mode, TlsMode, kTls)},
    {"databases.*.tls.ca_file", file, "", "", false, "",
     "Authorities believed about the server's certificate; where it is given, require verifies as "
     "verify-ca does. Empty: the system's.",
     TEXT(t.database->tls.ca_file)},
    {"databases.*.tls.crl_file", file, "", "", false, "",
     "Lists of revoked servers' certificates (PEM), one by each authority; looked at where "
     "certificates are verified.",
     TEXT(t.database->tls.crl_file)},
    {"databases.*.tls.cert_file", file, "", "", false, "",
     "Certificate chain shown to the server (PEM).", TEXT(t.database->tls.cert_file)},
    {"databases.*.tls.key_file", file, "", "", false, "",
     "Its private key (PEM), not readable by others.", TEXT(t.database->tls.key_file)},
    {"databases.*.tls.negotiation", choice, "postgres", "", false, kNegotiations,
     "postgres asks for TLS first; direct begins with it, as PostgreSQL 17 and later understand; "
     "it needs mode require or above.",
     WORD(t.database->tls.negotiation, TlsNegotiation, kNegotiations)},
    {"databases.*.tls.channel_binding", choice, "prefer", "", false, kBindings,
     "SCRAM's binding to the server's certificate; require accepts no login without it.",
     WORD(t.database->tls.channel_binding, ChannelBindingOption, kBindings)},
    {"control.user", text, "", "", false, "",
     "User of the proxy's own connections; empty: the pool's user, where it can log in.",
     TEXT(t.control->user)},
    {"control.password_file", secret, "", "", false, "", "File that holds that user's password.",
     SECRET((*t.control))},
    {"auth.method", choice, "forward", "", false, kMethods,
     "How clients log in. forward: the server decides.",
     WORD(t.config->auth.method, AuthMethod, kMethods)},
    {"auth.users_file", file, "", "", false, "",
     "Users and secrets in the form of PgBouncer's userlist.txt, for scram-sha-256 and md5.",
     TEXT(t.config->auth.users_file)},
    {"auth.hba_file", file, "", "", false, "", "Rules in the form of pg_hba.conf, for method hba.",
     TEXT(t.config->auth.hba_file)},
    {"auth.ident_file", file, "", "", false, "",
     "Name maps in the form of pg_ident.conf, for methods cert and peer.",
     TEXT(t.config->auth.ident_file)},
    {"auth.query_user", text, "", "", false, "",
     "User of the proxy's own connections that ask the server for the secrets of users who are not "
     "in users_file; empty: nobody is asked for.",
     TEXT(t.config->auth.query_login.user)},
    {"auth.query_password_file", secret, "", "", false, "", "File that holds that user's password.",
     SECRET(t.config->auth.query_login)},
    {"auth.query", statement, "", "", false, "",
     "The question: $1 is the user; name, secret and perhaps the seconds it is still valid come "
     "back. Empty: pg_authid is asked, VALID UNTIL heeded.",
     TEXT(t.config->auth.query)},
    {"auth.query_database", text, "", "", false, "",
     "Database that is asked; empty: the one the client wants.",
     TEXT(t.config->auth.query_database)},
    {"auth.query_ttl", duration, "1min", "", false, "0..1d",
     "How long an answer is remembered; that there is no such user, at most 5 s.",
     TIME(t.config->auth.query_ttl)},
    {"auth.allow_remote_trust", boolean, "false", "", false, "",
     "Lets trust, as method or in a rule, be used on addresses beyond loopback: whoever connects "
     "is believed.",
     FLAG(t.config->auth.allow_remote_trust)},
    {"pool.mode", choice, "transaction", "", false, kModes,
     "When a server connection goes back to the pool.", WORD(t.pool->mode, PoolMode, kModes)},
    {"pool.reuse", choice, "always", "", false, kReuse,
     "Which server connection is used again: the latest used (always), or the one that has been "
     "idle for longest (in_turn). Session mode: never closes it with its session, so that each "
     "session gets one nobody has used.",
     WORD(t.pool->reuse, PoolReuse, kReuse)},
    {"pool.lazy_begin", boolean, "true", "", false, "",
     "Transaction mode: BEGIN is kept back until a statement needs a server connection; now() is "
     "then the time of the first statement.",
     FLAG(t.pool->lazy_begin)},
    {"pool.min_size", integer, "5", "DB_POOL_MIN", false, "0..100000",
     "Server connections kept open.", COUNT(t.pool->min_size, std::uint32_t)},
    {"pool.max_size", integer, "20", "DB_POOL_SIZE DB_POOL_MAX", false, "1..100000",
     "Most server connections per database and user, over all workers.",
     COUNT(t.pool->max_size, std::uint32_t)},
    {"pool.max_pinned", integer, "auto", "", false, "auto|1..100000",
     "Most of them that sessions may keep to themselves for what cannot be carried; auto: one less "
     "than max_size, at least 1. Beyond it a statement that would pin fails with 53300.",
     AUTO_COUNT(t.pool->max_pinned)},
    {"pool.idle_timeout", duration, "30s", "DB_POOL_IDLE_TIMEOUT", false, "0..365d",
     "Idle connections beyond min_size are closed after this; 0: never.",
     TIME(t.pool->idle_timeout)},
    {"pool.wait_timeout", duration, "5s", "DB_POOL_CONN_TIMEOUT", false, "0..365d",
     "Longest wait for a server connection; 0: no limit.", TIME(t.pool->wait_timeout)},
    {"pool.lifetime", duration, "1h", "", false, "0..365d",
     "Connections are replaced after this, give or take a fifth; 0: never.",
     TIME(t.pool->lifetime)},
    {"pool.validation_query", statement, "SELECT 1", "DB_POOL_VALIDATION_QUERY", false, "",
     "Run before a connection is used that was idle for validation_after; empty: none.",
     TEXT(t.pool->validation_query)},
    {"pool.validation_after", duration, "30s", "", false, "0..365d",
     "See validation_query; 0: never.", TIME(t.pool->validation_after)},
    {"timeouts.query", duration, "0", "DB_QUERY_TIMEOUT", false, "0..365d",
     "Longest time a plain statement may take on the server before it is cancelled; 0: no limit.",
     TIME(t.config->timeouts.query)},
    {"timeouts.connect", duration, "5s", "", false, "1ms..1h",
     "Longest time to connect and log in to a server.", TIME(t.config->timeouts.connect)},
    {"timeouts.shutdown", duration, "30s", "", false, "0..1d",
     "Time transactions have to finish after SIGTERM.", TIME(t.config->timeouts.shutdown)},
    {"timeouts.login", duration, "1min", "", false, "0..1d",
     "Time a client has to log in; 0: no limit.", TIME(t.config->timeouts.login)},
    {"limits.max_clients", integer, "10000", "", false, "1..1000000",
     "Most client connections at once.", COUNT(t.config->limits.max_clients, std::uint32_t)},
    {"limits.max_logins", integer, "1000", "", false, "1..1000000",
     "Most connections that have not logged in; the one that is silent for longest makes room.",
     COUNT(t.config->limits.max_logins, std::uint32_t)},
    {"limits.connections_per_address", integer, "0", "", false, "0..1000000",
     "Most new connections per second from one address; 0: no limit.",
     COUNT(t.config->limits.connections_per_address, std::uint32_t)},
    {"limits.failed_logins_per_address", integer, "300", "", false, "0..1000000",
     "Most wrong passwords and wrong cancel keys per minute from one address, before it is turned "
     "away for a while; 0: no limit.",
     COUNT(t.config->limits.failed_logins_per_address, std::uint32_t)},
    {"limits.max_server_connections", integer, "auto", "", false, "auto|1..1000000",
     "Most server connections at once per host; auto: the server's own limit less its reserve and "
     "10 %.",
     AUTO_COUNT(t.config->limits.max_server_connections)},
    {"limits.prepared_statements_per_client", integer, "10000", "", false, "1..1000000",
     "Prepared statements one client may name.",
     COUNT(t.config->limits.prepared_statements_per_client, std::uint32_t)},
    {"limits.prepared_statements_per_server", integer, "500", "", false, "1..1000000",
     "Prepared statements kept on one server connection.",
     COUNT(t.config->limits.prepared_statements_per_server, std::uint32_t)},
    {"limits.prepared_memory_per_client", size, "32MiB", "", false, "64KiB..64GiB",
     "Memory for the texts of the prepared statements one client may name.",
     BYTES(t.config->limits.prepared_memory_per_client)},
    {"limits.max_message", size, "1073741823B", "", false, "64KiB..1073741823B",
     "Longest message a client may send.", BYTES(t.config->limits.max_message)},
    {"limits.statement_buffer", size, "1MiB", "", false, "1KiB..1GiB",
     "Longest statement that is looked at; a longer one passes through and pins its session.",
     BYTES(t.config->limits.statement_buffer)},
    {"cache.enabled", boolean, "true", "", false, "", "Answer repeated reads from the cache.",
     FLAG(t.config->cache.enabled)},
    {"cache.max_size", size, "256MiB", "", false, "64KiB..64TiB",
     "Memory of the cache, everything counted.", BYTES(t.config->cache.max_size)},
    {"cache.max_entry", size, "1MiB", "", false, "1KiB..1GiB", "Largest result that is stored.",
     BYTES(t.config->cache.max_entry)},
    {"cache.default_ttl", duration, "1h", "CACHE_DEFAULT_TTL", false, "0..365d",
     "Results are dropped after this even when nothing changed; 0: never.",
     TIME(t.config->cache.default_ttl)},
    {"cache.consistency", choice, "auto", "", false, kConsistency,
     "The guarantee asked for. auto: in_band with exclusive_writer, else bounded where the server "
     "lets its changes be read, else off; see ARCHITECTURE.md for what each promises.",
     WORD(t.config->cache.consistency, Consistency, kConsistency)},
    {"cache.exclusive_writer", boolean, "false", "", false, "",
     "Declares that nobody writes to the databases but through this proxy.",
     FLAG(t.config->cache.exclusive_writer)},
    {"cache.max_staleness", duration, "200ms", "", false, "1ms..1h",
     "bounded: how long a write from elsewhere may go unseen. Hits stop by themselves when the "
     "change stream is further behind.",
     TIME(t.config->cache.max_staleness)},
    {"cache.stream.max_slots", integer, "2", "", false, "0..100",
     "Replication slots this proxy takes at one server, one for each database whose changes it "
     "reads; 0: none. The last three free ones of a server are never taken.",
     COUNT(t.config->cache.stream_max_slots, std::uint32_t)},
    {"cache.stream.publication", text, "", "", false, "",
     "Name of a publication, the same in each database, whose tables the change stream is to show; "
     "queries of other tables are not cached then. Empty: all tables, which needs no publication.",
     TEXT(t.config->cache.stream_publication)},
    {"cache.catalog_poll", duration, "5s", "", false, "10ms..1h",
     "How often the catalog is looked at for changes from elsewhere.",
     TIME(t.config->cache.catalog_poll)},
    {"cache.row_level", boolean, "true", "", false, "",
     "Answers to queries that name rows by their key end with a write to those rows only, where "
     "the "
     "write names them, too, or the change stream does. false: with any write to the table.",
     FLAG(t.config->cache.row_level)},
    {"cache.verify_ratio", fraction, "0", "", false, "",
     "Share of hits that are run again on the server and compared.",
     [](const T& t, const V& v) { t.config->cache.verify_ratio = v.fraction; },
     [](const T& t) { return plain(t.config->cache.verify_ratio); }},
    {"slow_log.threshold", threshold, "1s", "SLOW_QUERY_THRESHOLD", false, "0..365d",
     "Statements that take at least this long are logged; 0: all, off: none.",
     TIME(t.config->slow_log.threshold)},
    {"slow_log.thresholds", names, "[]", "", false, "",
     "Thresholds of some statements, the first that matches decides: \"database=app, user=joe, "
     "application=psql, fingerprint=0123456789abcdef, 200ms\", of which any part may be missing.",
     [](const T& t, const V& v) {
         t.config->slow_log.thresholds = v.names;
         t.config->slow_log.rules = read_slow_rules(v.names);
     },
     [](const T& t) { return joined(t.config->slow_log.thresholds); }},
    {"slow_log.sample", fraction, "1", "", false, "",
     "Share of the statements over the threshold that is logged.",
     [](const T& t, const V& v) { t.config->slow_log.sample = v.fraction; },
     [](const T& t) { return plain(t.config->slow_log.sample); }},
    {"slow_log.errors", boolean, "false", "", false, "",
     "Statements that failed are logged, however fast.", FLAG(t.config->slow_log.errors)},
    {"slow_log.wait_threshold", threshold, "off", "", false, "0..365d",
     "Statements that waited at least this long for a server connection are logged.",
     TIME(t.config->slow_log.wait_threshold)},
    {"slow_log.idle_in_transaction", threshold, "off", "", false, "1ms..365d",
     "Sessions that do nothing inside a transaction for this long are logged.",
     TIME(t.config->slow_log.idle_in_transaction)},
    {"slow_log.parameters", boolean, "false", "", false, "", "Values of parameters are logged.",
     FLAG(t.config->slow_log.parameters)},
    {"slow_log.explain", boolean, "false", "", false, "",
     "Plans of slow SELECTs are asked for by EXPLAIN, never ANALYZE, over a connection of the "
     "proxy's own that logs in as the session did, and are logged when they are new or changed.",
     FLAG(t.config->slow_log.explain)},
    {"slow_log.explain_interval", duration, "1s", "", false, "10ms..1h",
     "Two plans are asked for at least this far apart.", TIME(t.config->slow_log.explain_interval)},
    {"slow_log.explain_again", duration, "10min", "", false, "10ms..365d",
     "The plan of a query is asked for again after this time, if it is slow still.",
     TIME(t.config->slow_log.explain_again)},
    {"slow_log.literals", boolean, "true", "", false, "",
     "Statements are logged with their constants; false: with $1, $2 ... in their place.",
     FLAG(t.config->slow_log.literals)},
    {"slow_log.redact", names, "[password]", "", false, "",
     "Statements in which one of these occurs, in any case, are logged without constants and "
     "parameters.",
     [](const T& t, const V& v) { t.config->slow_log.redact = v.names; },
     [](const T& t) { return joined(t.config->slow_log.redact); }},
    {"slow_log.file", path, "slow.log", "", false, "",
     "The slow log; empty or stderr: standard error; journald: systemd's journal.",
     TEXT(t.config->slow_log.file)},
    {"slow_log.format", choice, "json", "", false, kSlowFormats,
     "PostgreSQL's jsonlog, csvlog or stderr, or PgBouncer's lines.",
     WORD(t.config->slow_log.format, SlowLogFormat, kSlowFormats)},
    {"slow_log.line_prefix", text, "%m [%p]: user=%u,db=%d,app=%a,client=%h ", "", false, "",
     "Before each line of format stderr, as PostgreSQL's log_line_prefix.",
     TEXT(t.config->slow_log.line_prefix)},
    {"slow_log.max_age", duration, "0", "", false, "0..365d",
     "The file is rotated at this age; 0: never.", TIME(t.config->slow_log.max_age)},
    {"slow_log.max_file_size", size, "100MiB", "", false, "0..64TiB",
     "The file is rotated at this size; 0: never.", BYTES(t.config->slow_log.max_file_size)},
    {"slow_log.max_files", integer, "10", "", false, "0..1000", "Rotated files kept.",
     COUNT(t.config->slow_log.max_files, std::uint32_t)},
    {"queries.enabled", boolean, "true", "", false, "",
     "Statistics per query, for SHOW QUERIES and SHOW ADVICE.", FLAG(t.config->queries.enabled)},
    {"queries.max_memory", size, "32MiB", "", false, "64KiB..1TiB",
     "Most memory of the statistics; the least valuable queries are forgotten.",
     BYTES(t.config->queries.max_memory)},
    {"queries.advice", boolean, "true", "", false, "",
     "New findings of SHOW ADVICE are written to the program's log.",
     FLAG(t.config->queries.advice)},
    {"log.level", choice, "info", "", false, kLevels, "Least important lines that are logged.",
     WORD(t.config->log.level, LogLevelOption, kLevels)},
    {"log.file", path, "", "", false, "", "The program's log; empty: standard error.",
     TEXT(t.config->log.file)},
    {"admin.database", text, "pgweir", "", false, "",
     "Name of the console's database; pgbouncer always works, too.",
     TEXT(t.config->admin.database)},
    {"admin.users", names, "[postgres]", "", false, "", "Users who may use the console.",
     [](const T& t, const V& v) { t.config->admin.users = v.names; },
     [](const T& t) { return joined(t.config->admin.users); }},
    {"admin.stats_users", names, "[]", "", false, "",
     "Users who may look at the console's figures, and change nothing.",
     [](const T& t, const V& v) { t.config->admin.stats_users = v.names; },
     [](const T& t) { return joined(t.config->admin.stats_users); }},
    {"http.listen", text, "127.0.0.1:9930", "", true, "",
     "Address and port of /metrics, /livez, /healthz, /readyz; empty: none.",
     TEXT(t.config->http.listen)},
    {"http.token_file", secret, "", "", false, "",
     "File that holds the token or password without which /metrics and /healthz are not told "
     "(Authorization: Bearer, or Basic with any user).",
     [](const T& t, const V& v) {
         t.config->http.token_file = v.text;
         t.config->http.token = v.secret;
     },
     [](const T& t) -> std::string { return t.config->http.token_file; }},
    {"http.allow_remote_open", boolean, "false", "", false, "",
     "Lets http.listen be beyond loopback without http.token_file: whoever connects may read.",
     FLAG(t.config->http.allow_remote_open)},
};

#undef TEXT
#undef FLAG
#undef COUNT
#undef AUTO_COUNT
#undef TIME
#undef BYTES
#undef WORD
#undef SECRET

}  // namespace

std::span<const Option> options() { return kOptions; }

std::string_view local_name(const Option& option, bool in_database) noexcept {
    const bool own = option.name.starts_with(kOfDatabase);
    if (!in_database) return own ? std::string_view{} : option.name;
    if (own) return option.name.substr(kOfDatabase.size());
    const bool both = option.name.starts_with("pool.") || option.name.starts_with("control.");
    return both ? option.name : std::string_view{};
}

std::vector<ShownOption> shown_options(const Config& config) {
    std::vector<ShownOption> shown;
    const auto top = read_only(config);
    for (const auto& o : kOptions)
        if (const auto name = local_name(o, false); !name.empty())
            shown.push_back(
                {std::string(name), o.get(top), std::string(o.standard), !o.needs_restart});
    for (const auto& database : config.databases) {
        const auto target = read_only(config, database);
        for (const auto& o : kOptions) {
            const auto name = local_name(o, true);
            if (name.empty()) continue;
            auto value = o.get(target);
            auto inherited = o.name == name ? o.get(top) : std::string(o.standard);
            if (value == inherited && name != "host" && name != "port") continue;
            shown.push_back({"databases." + database.name + "." + std::string(name),
                             std::move(value), std::move(inherited), !o.needs_restart});
        }
    }
    return shown;
}

}  // namespace pgweir::config
