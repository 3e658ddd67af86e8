// See query_figures.hpp.
#include "pgweir/admin/query_figures.hpp"

#include <algorithm>

namespace pgweir::admin {

/// Makes the range hold `bucket`; room grows by four, so that it is not made anew each time.
void Histogram::reach(std::size_t bucket) {
    constexpr std::size_t kStep = 4;
    if (buckets_.empty()) {
        first_ = bucket / kStep * kStep;
        buckets_.resize(kStep);
    }
    if (bucket < first_) {
        const auto first = bucket / kStep * kStep;
        buckets_.insert(buckets_.begin(), first_ - first, 0);
        first_ = first;
    }
    if (bucket >= first_ + buckets_.size())
        buckets_.resize((bucket - first_) / kStep * kStep + kStep);
}

void Histogram::merge(const Histogram& other) {
    if (other.buckets_.empty()) return;
    reach(other.first_);
    reach(other.first_ + other.buckets_.size() - 1);
    for (std::size_t i = 0; i < other.buckets_.size(); ++i)
        buckets_[other.first_ + i - first_] += other.buckets_[i];
    count_ += other.count_;
}

std::uint64_t Histogram::quantile(double share) const noexcept {
    if (count_ == 0) return 0;
    const auto rank = std::clamp<std::uint64_t>(
        static_cast<std::uint64_t>(share * static_cast<double>(count_) + 0.999999), 1, count_);
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
        seen += buckets_[i];
        if (seen < rank) continue;
        const auto at = first_ + i;
        if (at < 8) return at;
        const auto exponent = (at - 8) / 8;
        const auto low = static_cast<std::uint64_t>(8 + (at & 7)) << exponent;
        return low + ((std::uint64_t{1} << exponent) >> 1);
    }
    return 0;
}

void Span::merge(const Span& other) {
    sum += other.sum;
    least = std::min(least, other.least);
    most = std::max(most, other.most);
    histogram.merge(other.histogram);
}

std::uint64_t Span::quantile(double share) const noexcept {
    return std::clamp(histogram.quantile(share), min(), most);
}

void QueryFigures::merge(const QueryFigures& o) {
    calls += o.calls;
    errors += o.errors;
    rows += o.rows;
    bytes += o.bytes;
    hits += o.hits;
    fills += o.fills;
    saved_us += o.saved_us;
    total.merge(o.total);
    wait.merge(o.wait);
    server.merge(o.server);
}

}  // namespace pgweir::admin
