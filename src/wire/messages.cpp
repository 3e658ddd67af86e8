// The table of message types and which side may send each.
#include "pgweir/wire/messages.hpp"

#include <array>
#include <string_view>

namespace pgweir::wire {

namespace {
constexpr std::array<bool, 256> table_of(std::string_view types) {
    std::array<bool, 256> t{};
    for (const char c : types) t[static_cast<unsigned char>(c)] = true;
    return t;
}
constexpr auto kClient = table_of("BCDEFHPQSXcdfp");
constexpr auto kServer = table_of("123ACDEGHIKNRSTVWZcdnstv");
}  // namespace

bool is_client_message(char type) noexcept { return kClient[static_cast<unsigned char>(type)]; }
bool is_server_message(char type) noexcept { return kServer[static_cast<unsigned char>(type)]; }

}  // namespace pgweir::wire
