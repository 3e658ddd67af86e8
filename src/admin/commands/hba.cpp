// SHOW HBA: the rules in force, in the columns of PostgreSQL's pg_hba_file_rules. With arguments,
// SHOW HBA <address or local> <database> <user> [ssl], only the one such a client would meet.
#include <netinet/in.h>

#include <cstring>

#include "command.hpp"

namespace pgweir::admin {

const std::array<wire::Column, 9> kHbaColumns{{{"line_number", kInt4Type},
                                               {"type", kTextType},
                                               {"database", kTextType},
                                               {"user_name", kTextType},
                                               {"address", kTextType},
                                               {"netmask", kTextType},
                                               {"auth_method", kTextType},
                                               {"options", kTextType},
                                               {"file_name", kTextType}}};

namespace {

std::string listed(const std::vector<auth::HbaName>& names) {
    std::string out;
    for (const auto& n : names) out += (out.empty() ? "" : ",") + n.text;
    return out;
}

void write_rule(const auth::HbaRule& rule, RowWriter& row) {
    row.int4(static_cast<std::int64_t>(rule.line)).text(name(rule.kind));
    row.text(listed(rule.databases)).text(listed(rule.users));
    row.text_or_null(rule.address).text_or_null(rule.mask).text(name(rule.method));
    row.text_or_null(rule.options_text()).text(rule.file).end();
}

/// An address as the rules take it; false: it is none.
bool address_of(const std::string& text, sockaddr_in6& out) {
    const auto network = auth::parse_network(text);
    if (!network || network->prefix != 128) return false;
    out.sin6_family = AF_INET6;
    std::memcpy(&out.sin6_addr, network->address.data(), network->address.size());
    return true;
}

}  // namespace

void show_hba(const CommandInput& input, RowWriter& row) {
    if (input.hba == nullptr) return;
    if (input.arguments.empty()) {
        for (const auto& rule : input.hba->rules()) write_rule(rule, row);
        return;
    }
    const auto& a = input.arguments;
    if (a.size() < 3) return;
    sockaddr_in6 v6{};
    const bool local = a[0] == "local";
    if (!local && !address_of(a[0], v6)) return;
    auth::HbaQuery query;
    query.address = local ? nullptr : reinterpret_cast<const sockaddr*>(&v6);
    query.database = a[1];
    query.user = a[2];
    query.encrypted = a.size() > 3 && a[3] == "ssl";
    if (const auto* rule = input.hba->find(query)) write_rule(*rule, row);
}

}  // namespace pgweir::admin
