// See http_token.hpp.
#include "pgweir/auth/http_token.hpp"

#include <algorithm>

#include "crypto.hpp"
#include "pgweir/base/random.hpp"

namespace pgweir::auth {

namespace {
constexpr std::size_t kMaxHeader = 8192;

bool is_scheme(std::string_view given, std::string_view lower) noexcept {
    return std::equal(given.begin(), given.end(), lower.begin(), lower.end(), [](char a, char b) {
        return (a >= 'A' && a <= 'Z' ? static_cast<char>(a + 32) : a) == b;
    });
}
}  // namespace

bool shows_token(std::string_view header, std::string_view token) {
    const auto space = header.find(' ');
    if (token.empty() || space == std::string_view::npos || header.size() > kMaxHeader)
        return false;
    const auto scheme = header.substr(0, space);
    const auto value = header.substr(space + 1);
    if (is_scheme(scheme, "bearer")) return base::equal_constant_time(value, token);
    if (!is_scheme(scheme, "basic")) return false;
    const auto decoded = decode_base64(value);
    const auto colon = decoded ? decoded->find(':') : std::string::npos;
    return colon != std::string::npos &&
           base::equal_constant_time(std::string_view(*decoded).substr(colon + 1), token);
}

}  // namespace pgweir::auth
