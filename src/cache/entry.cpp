// Builds an entry in one allocation and gives its bytes back when the last reference goes.
#include "pgweir/cache/entry.hpp"

#include <cstring>
#include <new>

namespace pgweir::cache {

namespace {
std::uint64_t payload_bytes(const EntryParts& p) noexcept {
    return p.dependencies.size() * sizeof(Dependency) + p.key.size() +
           p.parameter_description.size() + p.row_description.size() + p.data.size();
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
    for (const auto part :
         {parts.key, parts.parameter_description, parts.row_description, parts.data}) {
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
