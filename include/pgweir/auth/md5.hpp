// MD5 password authentication (manual, "Message Flow: Start-up", AuthenticationMD5Password).
// Kept for old servers and clients; SCRAM is to be preferred.
// Thread: pure functions. Errors: an OpenSSL that refuses MD5 (FIPS) gives empty results, which
// match nothing.
#pragma once

#include <string>
#include <string_view>

namespace pgweir::auth {

inline constexpr std::size_t kMd5SaltSize = 4;

/// "md5" and 32 hexadecimal digits in lower case.
bool is_md5_secret(std::string_view text) noexcept;
/// The stored form: "md5" + hex(md5(password + user)).
std::string md5_secret(std::string_view password, std::string_view user);
/// What a client answers to `salt`, from the stored form: "md5" + hex(md5(digits + salt)).
std::string md5_answer(std::string_view secret, std::string_view salt);
/// Constant in time for answers of the right length.
bool md5_answer_matches(std::string_view secret, std::string_view salt, std::string_view answer);

}  // namespace pgweir::auth
