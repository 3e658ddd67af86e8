// SHOW CONFIG: our options by their own names, and the two of PgBouncer's that its exporter reads.
#include "command.hpp"

#include "pgweir/config/options.hpp"

namespace pgweir::admin {

const std::array<wire::Column, 4> kConfigColumns{{
    {"key", kTextType},
    {"value", kTextType},
    {"default", kTextType},
    {"changeable", kTextType},
}};

void show_config(const CommandInput& input, RowWriter& row) {
    auto options = config::shown_options(input.config);
    const auto clients = std::to_string(input.config.limits.max_clients);
    const auto default_clients = std::to_string(config::Config{}.limits.max_clients);
    options.push_back({"max_client_conn", clients, default_clients, true});
    options.push_back(
        {"max_user_connections", "0", "0", false});  // users have no limit of their own
    std::sort(options.begin(), options.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
    for (const auto& option : options) {
        row.text(option.name).text(option.value).text(option.default_value);
        row.text(option.changeable ? "yes" : "no").end();
    }
}

}  // namespace pgweir::admin
