// See gather.hpp.
#include "pgweir/session/gather.hpp"

namespace pgweir::session {

/// An empty part behind what was copied last, to be extended.
void Gather::begin_copied() {
    if (count_ == kParts) flush();
    end_ = room_ + used_;
    parts_[count_++] = {room_ + used_, 0};
}

void Gather::view_apart(std::string_view bytes) {
    if (bytes.empty()) return;
    if (bytes.size() < kCopyBelow && count_ > 0 && used_ + bytes.size() <= kRoom)
        return copy(bytes);  // joins copied pieces, or starts one
    if (count_ == kParts) flush();
    parts_[count_++] = {const_cast<char*>(bytes.data()), bytes.size()};
    end_ = bytes.data() + bytes.size();
}

void Gather::send_all() {
    sink_.gather_send({parts_, count_});
    count_ = 0;
    used_ = 0;
}

}  // namespace pgweir::session
