// The unit in which cores share memory. What two threads write is kept this far apart.
#pragma once

#include <cstddef>

namespace pgweir::base {

/// Bytes; the line of x86-64 and of most ARM64.
///
/// g++ before 14 lays an object out on AddressSanitizer's fake stack with at most 32 bytes of
/// alignment (GCC bug 110027), so that the sanitised build asks for no more; it needs the bug
/// finding, not the speed.
#if defined(__SANITIZE_ADDRESS__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 14
inline constexpr std::size_t kCacheLine = 32;
#else
inline constexpr std::size_t kCacheLine = 64;
#endif

}  // namespace pgweir::base
