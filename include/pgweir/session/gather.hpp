// Collects what goes out to one peer during one event and sends it with one system call: views of
// bytes that stay where they are, and short pieces copied into room of its own. Lives on the stack
// of the event; when it is full it sends what it has and goes on. No allocation. Invariant: a view
// must stay valid until flush(), which the destructor does not call for you.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <span>
#include <string_view>

namespace pgweir::session {

/// Where a Gather sends: both links have it.
class GatherSink {
  public:
    virtual void gather_send(std::span<const iovec> parts) = 0;

  protected:
    ~GatherSink() = default;
};

class Gather {
  public:
    explicit Gather(GatherSink& sink) noexcept : sink_(sink) {}
    Gather(const Gather&) = delete;
    Gather& operator=(const Gather&) = delete;

    /// `bytes` stay where they are until flush().
    void view(std::string_view bytes);
    /// `bytes` may change after the call.
    void copy(std::string_view bytes);
    void flush() {
        if (count_ > 0) send_all();
    }
    bool empty() const noexcept { return count_ == 0; }

  private:
    static constexpr std::size_t kParts = 32;
    static constexpr std::size_t kRoom = 4096;
    /// Copying this much is cheaper than one more part for the kernel to walk.
    static constexpr std::size_t kCopyBelow = 192;

    void add(const char* data, std::size_t size);
    void send_all();

    GatherSink& sink_;
    std::size_t count_ = 0;
    std::size_t used_ = 0;
    iovec parts_[kParts];
    char room_[kRoom];
};

}  // namespace pgweir::session
