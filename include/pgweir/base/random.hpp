// Random bytes from the kernel's CSPRNG: cancel keys, salts, nonces, the hash seed.
// Thread: any. Errors: none; the process ends if the kernel has no randomness to give.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace pgweir::base {

void random_bytes(std::span<char> out) noexcept;
std::uint64_t random_u64() noexcept;
std::uint32_t random_u32() noexcept;
std::string random_string(std::size_t size);

/// Compares two secrets in a time that depends on their lengths only.
bool equal_constant_time(std::string_view a, std::string_view b) noexcept;

}  // namespace pgweir::base
