// getrandom(2) and a comparison that does not tell where two secrets differ.
#include "pgweir/base/random.hpp"

#include <sys/random.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace pgweir::base {

namespace {

void from_kernel(std::span<char> out) noexcept {
    std::size_t done = 0;
    while (done < out.size()) {
        const auto n = getrandom(out.data() + done, out.size() - done, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) std::abort();
        done += static_cast<std::size_t>(n);
    }
}

/// The kernel's bytes, fetched for several small wishes at once. What is given is wiped here, so
/// no key can be read from the store afterwards.
struct Store {
    char bytes[256];
    std::size_t left = 0;
};
thread_local Store g_store;

}  // namespace

void random_bytes(std::span<char> out) noexcept {
    auto& s = g_store;
    if (out.size() > sizeof s.bytes / 4) return from_kernel(out);
    if (s.left < out.size()) {
        from_kernel(s.bytes);
        s.left = sizeof s.bytes;
    }
    s.left -= out.size();
    std::memcpy(out.data(), s.bytes + s.left, out.size());
    explicit_bzero(s.bytes + s.left, out.size());
}

std::uint64_t random_u64() noexcept {
    std::uint64_t v = 0;
    random_bytes({reinterpret_cast<char*>(&v), sizeof v});
    return v;
}

std::uint32_t random_u32() noexcept { return static_cast<std::uint32_t>(random_u64()); }

std::string random_string(std::size_t size) {
    std::string s(size, '\0');
    random_bytes(s);
    return s;
}

bool equal_constant_time(std::string_view a, std::string_view b) noexcept {
    if (a.size() != b.size()) return false;
    unsigned char different = 0;
    for (std::size_t i = 0; i < a.size(); ++i)
        different = static_cast<unsigned char>(different | (a[i] ^ b[i]));
    return different == 0;
}

}  // namespace pgweir::base
