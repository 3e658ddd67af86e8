// What workers tell the statistics per query: one record of 64 bytes for each execution, written
// into a batch that the worker owns and handed over whole when it is full or some time has passed.
// Invariant: recording takes no lock, makes no allocation and never waits; when nobody takes the
// batches, records are dropped and counted. Texts go along once per statement that a worker meets,
// and again when the statistics may have forgotten them.
// Thread: a QueryRecorder is its worker's; a QuerySink is anybody's.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pgweir/base/clock.hpp"

namespace pgweir::metrics {

/// One execution. Times in microseconds.
struct QueryRecord {
    enum Flag : std::uint8_t {
        failed = 1,
        hit = 2,             // answered from the cache
        filled = 4,          // its answer was to be stored
        in_transaction = 8,  // of several statements
        in_batch = 16,       // not the first of its batch
    };
    std::uint64_t fingerprint = 0;
    std::uint64_t session = 0;
    std::uint64_t total_us = 0;
    std::uint64_t wait_us = 0;
    std::uint64_t server_us = 0;
    std::uint64_t rows = 0;
    std::uint64_t bytes = 0;
    std::uint32_t group = 0;  // QuerySink::group()
    std::uint8_t flags = 0;
    std::uint8_t not_cached = 0;  // a query::NotCached
    std::uint16_t idle_cs = 0;    // hundredths of a second of silence in its transaction before it
};
static_assert(sizeof(QueryRecord) == 64);

struct QueryText {
    std::uint64_t fingerprint = 0;
    std::string text;  // cut
};

struct QueryBatch {
    static constexpr std::size_t kRecords = 512;
    static constexpr std::size_t kTexts = 512;
    static constexpr std::size_t kTextBytes = 4096;  // of one text
    std::array<QueryRecord, kRecords> records;
    std::size_t size = 0;
    std::vector<QueryText> texts;
    base::Nanos at = 0;        // monotonic, when it was handed over
    std::int64_t wall_us = 0;  // the same for people
    void clear() noexcept {
        size = 0;
        texts.clear();
    }
};
using QueryBatchPtr = std::unique_ptr<QueryBatch>;

class QuerySink {
  public:
    /// A number for who asks; the same for the same three. Takes a mutex: once per session.
    virtual std::uint32_t group(std::string_view database, std::string_view user,
                                std::string_view application) = 0;
    /// Takes a full batch and gives an empty one; null: too many are on their way.
    virtual QueryBatchPtr exchange(QueryBatchPtr full) noexcept = 0;
    virtual void count_dropped(std::uint64_t records) noexcept = 0;
    /// Changes when texts may have been forgotten. Never 0.
    std::uint32_t generation() const noexcept {
        return generation_.load(std::memory_order_relaxed);
    }

  protected:
    ~QuerySink() = default;
    std::atomic<std::uint32_t> generation_{1};
};

class QueryRecorder {
  public:
    /// Null: nothing is recorded from now on.
    void use(QuerySink* sink) noexcept;
    bool on() const noexcept { return sink_ != nullptr; }
    QuerySink* sink() noexcept { return sink_; }
    std::uint32_t generation() const noexcept { return sink_->generation(); }

    void record(const QueryRecord& record) noexcept {
        if (auto* place = next()) *place = record;
    }
    /// Where the next record is to be written, all of it; null: it is dropped, and counted.
    QueryRecord* next() noexcept {
        if (batch_ == nullptr || batch_->size == QueryBatch::kRecords) [[unlikely]]
            if (!renew()) return nullptr;
        return &batch_->records[batch_->size++];
    }
    /// Of the statement recorded next. False: there is no room now.
    bool introduce(std::uint64_t fingerprint, std::string_view text) noexcept;
    /// Hands over what there is.
    void flush() noexcept;

  private:
    bool renew() noexcept;
    QuerySink* sink_ = nullptr;
    QueryBatchPtr batch_;
};

}  // namespace pgweir::metrics
