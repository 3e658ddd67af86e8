// See query_record.hpp.
#include "pgweir/metrics/query_record.hpp"

#include <exception>

namespace pgweir::metrics {

void QueryRecorder::use(QuerySink* sink) noexcept {
    if (sink_ != nullptr) flush();
    sink_ = sink;
    if (sink_ == nullptr) batch_.reset();
}

bool QueryRecorder::introduce(std::uint64_t fingerprint, std::string_view text) noexcept {
    if (batch_ == nullptr || batch_->size == QueryBatch::kRecords ||
        batch_->texts.size() >= QueryBatch::kTexts)
        flush();
    if (batch_ == nullptr) return false;
    try {
        batch_->texts.push_back({fingerprint, std::string(text.substr(0, QueryBatch::kTextBytes))});
    } catch (const std::exception&) {  // no memory
        return false;
    }
    return true;
}

bool QueryRecorder::renew() noexcept {
    flush();
    if (batch_ != nullptr) return true;
    sink_->count_dropped(1);
    return false;
}

void QueryRecorder::flush() noexcept {
    if (sink_ == nullptr) return;
    if (batch_ != nullptr) {
        if (batch_->size == 0 && batch_->texts.empty()) return;
        batch_->at = base::monotonic_now();
        batch_->wall_us = base::wall_now_us();
    }
    batch_ = sink_->exchange(std::move(batch_));
}

}  // namespace pgweir::metrics
