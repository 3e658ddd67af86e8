// What a console command is: a row of the table in commands.cpp, and the functions that make its
// rows. Thread: any; commands keep nothing.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "pgweir/admin/console.hpp"
#include "pgweir/wire/writer.hpp"

namespace pgweir::admin {

/// Encodes DataRows, value by value. Text from outside leaves as valid UTF-8 without control bytes.
class RowWriter {
  public:
    explicit RowWriter(std::string& out) noexcept : out_(out) {}
    RowWriter& text(std::string_view value);
    RowWriter& text_or_null(std::string_view value) { return value.empty() ? null() : text(value); }
    /// int4: what does not fit is shown as the largest number that does.
    RowWriter& int4(std::int64_t value);
    RowWriter& number(std::uint64_t value);  // int8 and numeric
    RowWriter& null();
    void end();

  private:
    RowWriter& raw(std::string_view value);
    std::string& out_;
    std::string values_;
    std::uint16_t count_ = 0;
};

struct CommandInput {
    const Snapshot& snapshot;  // empty for commands that need none
    const config::Config& config;
    const StatsHistory& history;
    base::Nanos now;                           // monotonic
    const auth::HbaRules* hba = nullptr;       // the rules in force, if there are any
    std::span<const std::string> arguments{};  // what stands behind the topic
    CacheAdmin* cache = nullptr;
};

using Columns = std::span<const wire::Column>;
using MakeRows = void (*)(const CommandInput&, RowWriter&);

enum class Verb : std::uint8_t { show, set, reload, reset, invalidate };

/// Whom the console lets do something. Who is in neither list has no console.
enum class Right : std::uint8_t { stats, admin };

struct Command {
    Verb verb;
    std::string_view topic;  // of SHOW and INVALIDATE, in lower case
    std::string_view help;
    bool needs_snapshot = false;
    Right right = Right::admin;  // unless the table says otherwise
    Columns columns = {};
    MakeRows rows = nullptr;  // null: no rows, and Describe says NoData
    bool takes_arguments = false;
    /// What is wrong with the arguments, or empty. Null: whatever they are, the rows say.
    std::string (*check)(std::span<const std::string> arguments) = nullptr;
};

std::span<const Command> commands() noexcept;
/// Null: there is none.
const Command* find_command(Verb verb, std::string_view topic) noexcept;
inline const Command* find_show(std::string_view topic) noexcept {
    return find_command(Verb::show, topic);
}

/// A setting of a real server that drivers ask for after they have connected.
struct FakedSetting {
    std::string_view name;  // as PostgreSQL writes it
    std::string_view value;
    bool told = false;  // at login, as ParameterStatus
};
std::span<const FakedSetting> faked_settings() noexcept;
const FakedSetting* find_faked(std::string_view lower_case_name) noexcept;

inline constexpr std::uint32_t kTextType = wire::kOidText;
inline constexpr std::uint32_t kInt4Type = wire::kOidInt4;
inline constexpr std::uint32_t kInt8Type = wire::kOidInt8;
inline constexpr std::uint32_t kNumericType = wire::kOidNumeric;

// One of each per file in this folder.
extern const std::array<wire::Column, 17> kPoolsColumns;
void show_pools(const CommandInput& input, RowWriter& row);
extern const std::array<wire::Column, 23> kStatsColumns;
void show_stats(const CommandInput& input, RowWriter& row);
extern const std::array<wire::Column, 12> kStatsTotalsColumns;
void show_stats_totals(const CommandInput& input, RowWriter& row);
extern const std::array<wire::Column, 12> kStatsAveragesColumns;
void show_stats_averages(const CommandInput& input, RowWriter& row);
extern const std::array<wire::Column, 2> kTotalsColumns;
void show_totals(const CommandInput& input, RowWriter& row);
extern const std::array<wire::Column, 22> kConnectionColumns;
void show_clients(const CommandInput& input, RowWriter& row);
void show_servers(const CommandInput& input, RowWriter& row);
extern const std::array<wire::Column, 17> kDatabasesColumns;
void show_databases(const CommandInput& input, RowWriter& row);
extern const std::array<wire::Column, 8> kUsersColumns;
void show_users(const CommandInput& input, RowWriter& row);
extern const std::array<wire::Column, 2> kListsColumns;
void show_lists(const CommandInput& input, RowWriter& row);
extern const std::array<wire::Column, 4> kConfigColumns;
void show_config(const CommandInput& input, RowWriter& row);
extern const std::array<wire::Column, 1> kVersionColumns;
void show_version(const CommandInput& input, RowWriter& row);
extern const std::array<wire::Column, 2> kStateColumns;
void show_state(const CommandInput& input, RowWriter& row);
extern const std::array<wire::Column, 9> kHbaColumns;
void show_hba(const CommandInput& input, RowWriter& row);
extern const std::array<wire::Column, 12> kCacheColumns;
void show_cache(const CommandInput& input, RowWriter& row);
extern const std::array<wire::Column, 11> kCacheQueriesColumns;
void show_cache_queries(const CommandInput& input, RowWriter& row);
extern const std::array<wire::Column, 6> kCacheRelationsColumns;
void show_cache_relations(const CommandInput& input, RowWriter& row);
extern const std::array<wire::Column, 7> kCacheGuaranteeColumns;
void show_cache_guarantee(const CommandInput& input, RowWriter& row);
std::string check_invalidate_table(std::span<const std::string> arguments);
std::string check_invalidate_query(std::span<const std::string> arguments);
/// Does what INVALIDATE <topic> says; the error, or empty. The arguments were checked.
std::string invalidate(std::string_view topic, std::span<const std::string> arguments,
                       CacheAdmin& cache);
extern const std::array<wire::Column, 5> kMemColumns;
void show_mem(const CommandInput& input, RowWriter& row);

extern const std::array<wire::Column, 28> kQueriesColumns;
extern const std::array<wire::Column, 6> kAdviceColumns;
void show_advice(const CommandInput& input, RowWriter& row);
void show_queries(const CommandInput& input, RowWriter& row);
std::string check_queries(std::span<const std::string> arguments);

/// The lists and counts behind SHOW LISTS, which /metrics shows, too.
struct ListCounts {
    std::size_t databases = 0, users = 0, pools = 0, used_clients = 0, login_clients = 0;
    std::size_t free_servers = 0, used_servers = 0, dns_names = 0, dns_queries = 0;
};
ListCounts list_counts(const Snapshot& snapshot);
/// Server connections of a pool.
std::uint32_t server_count(const PoolRow& pool) noexcept;

/// Usage for SHOW HELP and for hints.
std::string usage();

}  // namespace pgweir::admin
