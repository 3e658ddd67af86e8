// Settings that drivers expect of any server they connect to: SHOW gives these, SET of any name is
// accepted without effect, and some are told at login.
// server_version names a PostgreSQL version first, as drivers read a number there and go by it.
#include "command.hpp"

namespace pgweir::admin {

namespace {

constexpr std::array<FakedSetting, 16> kFaked{{
    {"server_version", "15.0 (pgweir " PGWEIR_VERSION ")", true},
    {"server_version_num", "150000"},
    {"server_encoding", "UTF8", true},
    {"client_encoding", "UTF8", true},
    {"standard_conforming_strings", "on", true},
    {"integer_datetimes", "on", true},
    {"DateStyle", "ISO, MDY", true},
    {"IntervalStyle", "postgres", true},
    {"TimeZone", "UTC", true},
    {"application_name", ""},
    {"default_transaction_isolation", "read committed"},
    {"transaction_isolation", "read committed"},
    {"default_transaction_read_only", "off", true},
    {"transaction_read_only", "off"},
    {"in_hot_standby", "off", true},
    {"extra_float_digits", "1"},
}};

bool equal_lower(std::string_view name, std::string_view lower) noexcept {
    return std::equal(name.begin(), name.end(), lower.begin(), lower.end(), [](char a, char b) {
        return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
    });
}

}  // namespace

std::span<const FakedSetting> faked_settings() noexcept { return kFaked; }

const FakedSetting* find_faked(std::string_view lower_case_name) noexcept {
    for (const auto& setting : kFaked)
        if (equal_lower(setting.name, lower_case_name)) return &setting;
    return nullptr;
}

std::vector<GreetingParameter> console_parameters() {
    std::vector<GreetingParameter> told;
    for (const auto& setting : kFaked)
        if (setting.told) told.push_back({setting.name, setting.value});
    return told;
}

}  // namespace pgweir::admin
