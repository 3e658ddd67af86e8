// Builds an entry in one allocation and gives its bytes back when the last reference goes.
#include "pgweir/cache/entry.hpp"

#include <array>
#include <cstring>
#include <new>

namespace pgweir::cache {

namespace {
/// All bytes behind the dependencies, in order.
std::array<std::string_view, 6> texts(const EntryParts& p) noexcept {
    const bool framed = p.parameter_description.empty();
    return {p.key,
            framed ? Entry::kLead : std::string_view(),
            p.parameter_description,
            p.row_description,
            p.data,
            framed ? Entry::kReady : std::string_view()};
}

std::uint64_t payload_bytes(const EntryParts& p) noexcept {
    std::uint64_t sum = p.dependencies.size() * sizeof(Dependency);
    for (const auto text : texts(p)) sum += text.size();
    return sum;
}
}  // namespace

std::uint64_t Entry::bytes_for(const EntryParts& parts) noexcept {
    return allocation_bytes(sizeof(Entry) + payload_bytes(parts)) + kIndexBytes;
}

EntryPtr Entry::make(const EntryParts& parts, Charge charge) {
    static_assert(sizeof(Entry) % alignof(Dependency) == 0);
    void* memory = ::operator new(sizeof(Entry) + payload_bytes(parts));
    return EntryPtr(new (memory) Entry(parts, std::move(charge)));
}

Entry::Entry(const EntryParts& parts, Charge charge) noexcept
    : dependency_count_(static_cast<std::uint32_t>(parts.dependencies.size())),
      hash_(parts.hash),
      key_size_(parts.key.size()),
      parameter_size_(parts.parameter_description.size()),
      row_size_(parts.row_description.size()),
      data_size_(parts.data.size()),
      expires_(parts.expires),
      filled_(parts.filled),
      cost_(parts.cost),
      database_(parts.database),
      rows_(parts.rows),
      shape_(parts.shape),
      bytes_(bytes_for(parts)),
      charge_(std::move(charge)) {
    auto* dependency = reinterpret_cast<Dependency*>(this + 1);
    for (const auto& d : parts.dependencies) new (dependency++) Dependency(d);
    auto* to = reinterpret_cast<char*>(dependency);
    for (const auto part : texts(parts)) {
        if (!part.empty()) std::memcpy(to, part.data(), part.size());
        to += part.size();
    }
}

void Entry::release() noexcept {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    // The account learns of it only when the memory is really free.
    const Charge charge = std::move(charge_);
    this->~Entry();
    ::operator delete(this);
}

}  // namespace pgweir::cache
