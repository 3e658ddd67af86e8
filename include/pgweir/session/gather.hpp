// Collects what goes out to one peer during one event and sends it with one system call: views of
// bytes that stay where they are, and short pieces copied into room of its own. Lives on the stack
// of the event; when it is full it sends what it has and goes on. No allocation. Invariant: a view
// must stay valid until flush(), which the destructor does not call for you.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstring>
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
    void view(std::string_view bytes) {
        if (count_ > 0 && bytes.data() == end_)  // the last part goes on
            extend(bytes.size());
        else
            view_apart(bytes);
    }
    /// The same for what something will follow: one short part is sent by a shorter way through the
    /// kernel than two.
    void join(std::string_view bytes) {
        if (bytes.size() <= kJoinBelow)
            copy(bytes);
        else
            view(bytes);
    }
    /// `bytes` may change after the call.
    void copy(std::string_view bytes) {
        if (bytes.size() > kRoom) return send(bytes);
        if (!bytes.empty()) std::memcpy(place(bytes.size()), bytes.data(), bytes.size());
    }
    void flush() {
        if (count_ > 0) send_all();
    }
    /// With what is collected in front of it.
    void send(std::string_view bytes) {
        flush();
        const iovec part{const_cast<char*>(bytes.data()), bytes.size()};
        sink_.gather_send({&part, 1});
    }
    bool empty() const noexcept { return count_ == 0; }

  private:
    static constexpr std::size_t kParts = 32;
    static constexpr std::size_t kRoom = 4096;
    /// Copying this much is cheaper than one more part for the kernel to walk.
    static constexpr std::size_t kCopyBelow = 192;
    static constexpr std::size_t kJoinBelow = 1024;

    void extend(std::size_t size) noexcept {
        parts_[count_ - 1].iov_len += size;
        end_ += size;
    }
    /// Room for `size` bytes, at most kRoom, to be written before anything else is called.
    char* place(std::size_t size) {
        if (used_ + size > kRoom) flush();
        if (count_ == 0 || end_ != room_ + used_) begin_copied();
        auto* const at = room_ + used_;
        used_ += size;
        extend(size);
        return at;
    }
    void view_apart(std::string_view bytes);
    void begin_copied();
    void send_all();

    GatherSink& sink_;
    std::size_t count_ = 0;
    std::size_t used_ = 0;
    const char* end_ = nullptr;  // of the last part
    iovec parts_[kParts];
    char room_[kRoom];
};

}  // namespace pgweir::session
