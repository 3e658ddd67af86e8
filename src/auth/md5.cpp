// See md5.hpp.
#include "pgweir/auth/md5.hpp"

#include "crypto.hpp"
#include "pgweir/base/random.hpp"

namespace pgweir::auth {

namespace {

constexpr std::string_view kPrefix = "md5";
constexpr std::size_t kSecretSize = 35;

std::string hashed(std::string_view first, std::string_view second) {
    std::string text;
    text.reserve(first.size() + second.size());
    text.append(first).append(second);
    auto digits = md5_hex(text);
    wipe(text);
    return digits.empty() ? std::string{} : std::string(kPrefix) + digits;
}

}  // namespace

bool is_md5_secret(std::string_view text) noexcept {
    if (text.size() != kSecretSize || !text.starts_with(kPrefix)) return false;
    return text.substr(kPrefix.size()).find_first_not_of("0123456789abcdef") ==
           std::string_view::npos;
}

std::string md5_secret(std::string_view password, std::string_view user) {
    return hashed(password, user);
}

std::string md5_answer(std::string_view secret, std::string_view salt) {
    if (!is_md5_secret(secret)) return {};
    return hashed(secret.substr(kPrefix.size()), salt);
}

bool md5_answer_matches(std::string_view secret, std::string_view salt, std::string_view answer) {
    const auto expected = md5_answer(secret, salt);
    return !expected.empty() && base::equal_constant_time(expected, answer);
}

}  // namespace pgweir::auth
