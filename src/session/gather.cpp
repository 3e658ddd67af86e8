// See gather.hpp.
#include "pgweir/session/gather.hpp"

#include <cstring>

namespace pgweir::session {

void Gather::add(const char* data, std::size_t size) {
    if (count_ > 0) {
        auto& last = parts_[count_ - 1];
        if (static_cast<const char*>(last.iov_base) + last.iov_len == data) {
            last.iov_len += size;
            return;
        }
    }
    if (count_ == kParts) flush();
    parts_[count_++] = {const_cast<char*>(data), size};
}

void Gather::view(std::string_view bytes) {
    if (bytes.empty()) return;
    if (bytes.size() < kCopyBelow && count_ > 0 && used_ + bytes.size() <= kRoom) {
        const auto& last = parts_[count_ - 1];
        const char* end = static_cast<const char*>(last.iov_base) + last.iov_len;
        if (end == room_ + used_ || end != bytes.data()) {  // joins copied pieces, or starts one
            copy(bytes);
            return;
        }
    }
    add(bytes.data(), bytes.size());
}

void Gather::copy(std::string_view bytes) {
    if (bytes.empty()) return;
    if (bytes.size() > kRoom) {
        flush();
        const iovec part{const_cast<char*>(bytes.data()), bytes.size()};
        sink_.gather_send({&part, 1});
        return;
    }
    if (used_ + bytes.size() > kRoom) flush();
    if (count_ == kParts) flush();
    std::memcpy(room_ + used_, bytes.data(), bytes.size());
    const char* at = room_ + used_;
    used_ += bytes.size();
    add(at, bytes.size());
}

void Gather::send_all() {
    sink_.gather_send({parts_, count_});
    count_ = 0;
    used_ = 0;
}

}  // namespace pgweir::session
