// The settings a client asked for when it connected (start-up parameters and `options`), interned:
// equal sets are one object with one number, so "does this server connection already have them" is
// a comparison of two numbers. application_name is kept apart, because it differs between clients
// that are otherwise alike and changes nothing but what monitoring shows.
// Thread: interning takes a process-wide lock; it happens once per login. Profiles are immutable.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pgweir::pool {

using Settings = std::vector<std::pair<std::string, std::string>>;

struct Profile {
    std::uint64_t id = 0;  // 0: nothing asked for
    Settings settings;     // names in lower case, sorted, the last of equal names
    std::string_view find(std::string_view name) const noexcept;
};

using ProfilePtr = std::shared_ptr<const Profile>;

ProfilePtr intern_profile(Settings settings);
ProfilePtr empty_profile();

/// Appends the SQL that takes a server session from the settings of `from` to those of `to`;
/// nothing when there is no difference. The identity (session_authorization, role) comes last, so
/// that no setting needs a right that the session has given up. set_config() is used rather than
/// SET, because SET would read the value of a list such as search_path as one quoted name.
void append_settings_sql(std::string& sql, const Profile& from, const Profile& to);
/// A string literal that means the same under every setting.
void append_literal(std::string& sql, std::string_view value);
/// A quoted identifier.
void append_identifier(std::string& sql, std::string_view name);
/// Whether under this setting the server may read a text otherwise than the judgement does, so that
/// a text could hide what it does: a backslash in a plain string, or half of a character.
bool hides_text(std::string_view name, std::string_view value);
/// Whether names beyond ASCII may be other bytes than in UTF-8, or cut or folded by other rules: by
/// client_encoding or server_encoding.
bool other_encoding(std::string_view name, std::string_view value);
void append_application_name_sql(std::string& sql, std::string_view name);
/// Statements that give `settings`, one each, the identity last. They are SETs, which take no
/// snapshot in the client's transaction, wherever a value can be said so.
std::vector<std::string> restoring_sql(const Settings& settings);

}  // namespace pgweir::pool
