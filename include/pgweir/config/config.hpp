// The configuration as the program uses it: plain values, immutable once loaded, shared by
// std::shared_ptr<const Config> and swapped whole at reload. Names, defaults and help live in the
// table of options (options.hpp); this struct has one field for each.
// Units: durations in nanoseconds (0: off), sizes in bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pgweir/base/clock.hpp"

namespace pgweir::config {

enum class PoolMode : std::uint8_t { session, transaction, statement };
enum class PoolReuse : std::uint8_t { always, never, in_turn };
/// libpq's sslmode.
enum class TlsMode : std::uint8_t { disable, allow, prefer, require, verify_ca, verify_full };
enum class AuthMethod : std::uint8_t { forward, trust, scram_sha_256, md5, hba };
enum class Consistency : std::uint8_t { automatic, strict, bounded, in_band, ttl, off };
enum class SlowLogFormat : std::uint8_t { json, csv, stderr_, pgbouncer };
enum class LogLevelOption : std::uint8_t { debug, info, warning, error };

/// libpq's channel_binding and sslnegotiation.
enum class ChannelBindingOption : std::uint8_t { disable, prefer, require };
enum class TlsNegotiation : std::uint8_t { postgres, direct };

struct TlsServerSide {  // towards clients
    TlsMode mode = TlsMode::disable;
    std::string cert_file, key_file, ca_file, crl_file;
    std::string ciphers, suites;  // of TLS 1.2, of TLS 1.3; empty: OpenSSL's choice
};

struct TlsClientSide {  // towards servers
    TlsMode mode = TlsMode::prefer;
    std::string ca_file, crl_file, cert_file, key_file;
    TlsNegotiation negotiation = TlsNegotiation::postgres;
    ChannelBindingOption channel_binding = ChannelBindingOption::prefer;
    friend bool operator==(const TlsClientSide&, const TlsClientSide&) = default;
};

struct Listen {
    std::string host = "127.0.0.1";  // "*" or empty: all addresses
    std::uint16_t port = 6432;
    std::string unix_socket_dir;              // empty: none
    std::vector<std::string> proxy_protocol;  // networks whose peers speak for others
    TlsServerSide tls;
};

struct PoolSettings {
    PoolMode mode = PoolMode::transaction;
    PoolReuse reuse = PoolReuse::always;  // never: session mode only
    bool lazy_begin = true;               // transaction mode only
    std::uint32_t min_size = 5;
    std::uint32_t max_size = 20;
    std::uint32_t max_pinned = 0;  // 0: auto
    base::Nanos idle_timeout = 30 * base::kSecond;
    base::Nanos wait_timeout = 5 * base::kSecond;
    base::Nanos lifetime = 3600 * base::kSecond;
    std::string validation_query = "SELECT 1";
    base::Nanos validation_after = 30 * base::kSecond;
};

struct Credentials {
    std::string user;           // empty: not given
    std::string password_file;  // as configured; the password itself:
    std::string password;       // read from password_file at load; never logged or shown
};

struct Database {
    std::string name;                // key in the file; "*" is every other name
    std::string host = "127.0.0.1";  // a leading '/' is a Unix socket directory
    std::uint16_t port = 5432;
    std::string dbname;  // empty: as the client gave it
    Credentials login;   // user and password of the pool; user empty: the client's own
    TlsClientSide tls;
    PoolSettings pool;    // the global settings with this database's own laid over
    Credentials control;  // the same, for the proxy's own connections
};

struct Cache {
    bool enabled = true;
    std::uint64_t max_size = 256ull << 20;
    std::uint64_t max_entry = 1ull << 20;
    base::Nanos default_ttl = 3600 * base::kSecond;
    Consistency consistency = Consistency::automatic;
    bool exclusive_writer = false;
    base::Nanos max_staleness = 200 * base::kMillisecond;
    base::Nanos catalog_poll = 5 * base::kSecond;
    std::uint32_t stream_max_slots = 2;
    std::string stream_publication;
    bool row_level = true;
    double verify_ratio = 0;
};

/// A threshold of the slow log for some statements. What is empty matches everything.
struct SlowRule {
    std::string database, user, application;
    std::optional<std::uint64_t> fingerprint;
    base::Nanos threshold = -1;  // negative: never
};

struct Config {
    std::string file;  // where it was read from; empty: defaults
    Listen listen;
    std::uint32_t workers = 0;                     // 0: auto
    std::vector<Database> databases;               // in the file's order
    std::vector<std::uint32_t> databases_by_name;  // their indexes; empty: not sorted
    Credentials control;
    struct {
        AuthMethod method = AuthMethod::forward;
        std::string users_file, hba_file, ident_file;
        Credentials query_login;  // who looks up other users' secrets; user empty: nobody does
        std::string query, query_database;
        base::Nanos query_ttl = 60 * base::kSecond;
        bool allow_remote_trust = false;
    } auth;
    PoolSettings pool;
    struct {
        base::Nanos query = 0;
        base::Nanos connect = 5 * base::kSecond;
        base::Nanos shutdown = 30 * base::kSecond;
        base::Nanos login = 60 * base::kSecond;  // a client must have logged in by then
    } timeouts;
    struct {
        std::uint32_t max_clients = 10000;
        std::uint32_t max_logins = 1000;                // connections that have not logged in yet
        std::uint32_t connections_per_address = 0;      // a second; 0: no limit
        std::uint32_t failed_logins_per_address = 300;  // a minute; 0: no limit
        std::uint32_t max_server_connections = 0;       // per host; 0: auto
        std::uint32_t prepared_statements_per_client = 10000;
        std::uint32_t prepared_statements_per_server = 500;
        std::uint64_t prepared_memory_per_client = 32ull << 20;  // bytes of names and texts
        std::uint64_t max_message = 0x3fffffff;       // bytes of one message from a client
        std::uint64_t statement_buffer = 1ull << 20;  // longest statement text that is analysed
    } limits;
    Cache cache;
    struct {
        base::Nanos threshold = base::kSecond;  // negative: off
        std::string file = "slow.log";          // empty: standard error
        SlowLogFormat format = SlowLogFormat::json;
        std::uint64_t max_file_size = 100ull << 20;
        std::uint32_t max_files = 10;
        base::Nanos max_age = 0;               // 0: not rotated by age
        std::vector<std::string> thresholds;   // as written
        std::vector<SlowRule> rules;           // the same, read; the first that matches decides
        double sample = 1;                     // share of the statements over the threshold
        bool errors = false;                   // statements that failed, however fast
        base::Nanos wait_threshold = -1;       // negative: off
        base::Nanos idle_in_transaction = -1;  // negative: off
        bool parameters = false;               // values of Bind are logged
        bool explain = false;                  // plans of slow SELECTs are asked for
        base::Nanos explain_interval = base::kSecond;     // between two plans
        base::Nanos explain_again = 600 * base::kSecond;  // between two of one query
        bool literals = true;  // false: texts are logged without their constants
        std::vector<std::string> redact{"password"};
        std::string line_prefix = "%m [%p]: user=%u,db=%d,app=%a,client=%h ";
    } slow_log;
    struct {
        bool enabled = true;
        std::uint64_t max_memory = 32ull << 20;
        bool advice = true;  // findings are written to the log
    } queries;
    struct {
        LogLevelOption level = LogLevelOption::info;
        std::string file;
    } log;
    struct {
        std::string database = "pgweir";
        std::vector<std::string> users{"postgres"}, stats_users;
    } admin;
    struct {
        std::string listen = "127.0.0.1:9930";  // empty: no HTTP
        std::string token_file, token;          // the token is in no SHOW and no log
        bool allow_remote_open = false;
    } http;

    /// The database a client's name selects: its own entry, else "*", else none.
    const Database* find_database(std::string_view name) const noexcept;
};

using ConfigPtr = std::shared_ptr<const Config>;

}  // namespace pgweir::config
