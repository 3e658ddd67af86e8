// Whether an HTTP request shows the token it has to (RFC 9110, 11.6.2; RFC 6750; RFC 7617).
// Thread: pure function. The token is compared in constant time.
#pragma once

#include <string_view>

namespace pgweir::auth {

/// `header` is the value of Authorization: Bearer <token>, or Basic <user:token in base64> for
/// scrapers that know no other way. An empty token is shown by nobody.
bool shows_token(std::string_view header, std::string_view token);

}  // namespace pgweir::auth
