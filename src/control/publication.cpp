// See publication.hpp.
#include "publication.hpp"

#include "catalog_text.hpp"
#include "pgweir/base/log.hpp"
#include "pgweir/control/catalog_reader.hpp"
#include "pgweir/pool/profile.hpp"
#include "sql.hpp"

namespace pgweir::control {

namespace {

std::string with_name(std::string_view sql, std::string_view name) {
    std::string literal;
    pool::append_literal(literal, name);
    return replaced(sql, "$1", literal);
}

bool has_schemas(std::uint32_t server_version_num) noexcept { return server_version_num >= 150000; }

/// As the replication protocol quotes: nothing but the quote itself is special.
std::string quoted(std::string_view text) {
    std::string out = "'";
    for (const char c : text) out.append(c == '\'' ? 2 : 1, c);
    return out + "'";
}

}  // namespace

std::string publication_state(std::string_view name, std::uint32_t server_version_num) {
    const auto schemas = has_schemas(server_version_num) ? sql::published_schemas : "NULL";
    return with_name(replaced(sql::publication, "$2", schemas), name);
}

std::string published_tables(std::string_view name, std::uint32_t server_version_num) {
    return with_name(has_schemas(server_version_num) ? sql::published : sql::published_13, name);
}

std::string publication_obstacle(std::string_view name, std::string_view state) {
    const auto shown = "the publication " + base::printable(name, 63);
    if (state.empty()) return shown + " does not exist in this database: create it";
    if (!state.starts_with("all:"))
        return shown + " leaves some of insert, update, delete and truncate out: publish all four";
    return {};
}

bool passes_messages(std::string_view publication, std::uint32_t server_version_num) noexcept {
    return publication.empty() || server_version_num >= 140000;
}

std::string pgoutput_options(std::string_view name, std::uint32_t server_version_num) {
    std::string names;
    pool::append_identifier(names, name);
    auto options = "(\"proto_version\" '1', \"publication_names\" " + quoted(names);
    if (passes_messages(name, server_version_num)) options += ", \"messages\" 'true'";
    return options + ")";
}

base::Result<std::string> catalog_fingerprint(Connection& connection,
                                              const std::string& publication) {
    auto fingerprint = connection.value(sql::fingerprint);
    if (!fingerprint || publication.empty()) return fingerprint;
    auto state = connection.value(publication_state(publication, connection.server_version_num()));
    if (state) state = *fingerprint + " " + *state;
    return state;
}

}  // namespace pgweir::control
