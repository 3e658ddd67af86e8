// Buffers for the bytes of clients that wait: with more clients than servers nearly every query
// waits, and would pay for an allocation. Invariant: what is kept is bounded in number and size.
// Thread: the worker's.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pgweir::session {

class TextStore {
  public:
    std::unique_ptr<std::string> take(std::string_view text) {
        if (free_.empty()) return std::make_unique<std::string>(text);
        auto buffer = std::move(free_.back());
        free_.pop_back();
        buffer->assign(text);
        return buffer;
    }
    /// The buffer must exist.
    void give(std::unique_ptr<std::string> buffer) {
        if (free_.size() < kKept && buffer->capacity() <= kKeptSize)
            free_.push_back(std::move(buffer));
    }

  private:
    static constexpr std::size_t kKept = 256;
    static constexpr std::size_t kKeptSize = 2048;
    std::vector<std::unique_ptr<std::string>> free_;
};

}  // namespace pgweir::session
