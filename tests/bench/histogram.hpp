// Latencies in fixed memory: 64 steps per power of two, so that a quantile is right to 1.6 %.
// One thread.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

namespace bench {

class Histogram {
  public:
    void add(std::uint64_t ns) {
        counts_[slot(ns)]++;
        total_++;
        max_ = std::max(max_, ns);
    }

    /// Microseconds below which the given share of what was added lies; 0 when there is nothing.
    double quantile_us(double share) const {
        auto rank = static_cast<std::uint64_t>(share * static_cast<double>(total_));
        std::uint64_t seen = 0;
        for (std::size_t i = 0; i < counts_.size(); i++) {
            seen += counts_[i];
            if (seen > rank) return static_cast<double>(lowest(i)) / 1e3;
        }
        return max_us();
    }

    double max_us() const { return static_cast<double>(max_) / 1e3; }

  private:
    static constexpr unsigned kBits = 6;
    static constexpr std::uint64_t kSteps = 1u << kBits;

    static std::size_t slot(std::uint64_t v) {
        if (v < kSteps) return v;
        unsigned shift = static_cast<unsigned>(std::bit_width(v)) - kBits - 1;
        return (shift + 1) * kSteps + ((v >> shift) - kSteps);
    }
    static std::uint64_t lowest(std::size_t i) {
        if (i < kSteps) return i;
        std::uint64_t shift = i / kSteps - 1;
        return (i % kSteps + kSteps) << shift;
    }

    std::array<std::uint64_t, (64 - kBits + 1) * kSteps> counts_{};
    std::uint64_t total_ = 0, max_ = 0;
};

}  // namespace bench
