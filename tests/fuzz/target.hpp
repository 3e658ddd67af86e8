// Fuzz targets: functions of bytes, one file each, for every parser that faces a stranger. In a
// build with -Dfuzz=true each becomes a libFuzzer program; in every other build all of them are
// linked into one test that replays their corpora (tests/fuzz/corpus/<name>/) as ordinary cases.
// A target ends the process when something that must always hold does not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace pgweir::fuzz {

using Target = void (*)(std::string_view input);

struct Named {
    const char* name;
    Target run;
};
/// Registered by FUZZ_TARGET; read by the replay.
void add_target(Named target);

inline void must(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "does not hold: %s\n", what);
    std::abort();
}

/// Takes pieces of an input: sizes are part of it, so mutations move the cuts.
class Pieces {
  public:
    explicit Pieces(std::string_view input) noexcept : rest_(input) {}
    bool done() const noexcept { return rest_.empty(); }
    std::uint8_t byte() noexcept {
        if (rest_.empty()) return 0;
        const auto b = static_cast<std::uint8_t>(rest_[0]);
        rest_.remove_prefix(1);
        return b;
    }
    /// Up to 65535 bytes, their number in front.
    std::string_view piece() noexcept {
        const std::size_t high = byte();
        const auto size = high << 8 | byte();
        const auto p = rest_.substr(0, size);
        rest_.remove_prefix(p.size());
        return p;
    }
    std::string_view rest() const noexcept { return rest_; }

  private:
    std::string_view rest_;
};

}  // namespace pgweir::fuzz

#ifdef PGWEIR_LIBFUZZER
#define FUZZ_TARGET(name)                                                               \
    static void name##_target(std::string_view input);                                  \
    extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) { \
        name##_target({reinterpret_cast<const char*>(data), size});                     \
        return 0;                                                                       \
    }                                                                                   \
    static void name##_target(std::string_view input)
#else
#define FUZZ_TARGET(name)                                                                        \
    static void name##_target(std::string_view input);                                           \
    static const bool name##_added = (::pgweir::fuzz::add_target({#name, name##_target}), true); \
    static void name##_target(std::string_view input)
#endif
