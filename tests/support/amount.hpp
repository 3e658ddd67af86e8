// How much of a thing a test does. Its size, its time and its memory are for the build as it is
// shipped; sanitised, which takes some twenty times as long, a tenth of it shows what sanitisers
// see.
#pragma once

namespace pgweir::testing {

/// Built with a sanitiser, whose own memory is no measure of the program's.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

template <class T>
constexpr T amount(T whole) noexcept {
    return kSanitized ? whole / 10 : whole;
}

}  // namespace pgweir::testing
