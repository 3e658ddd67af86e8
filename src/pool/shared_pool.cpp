// See shared_pool.hpp.
#include "pgweir/pool/shared_pool.hpp"

#include <algorithm>

#include "pgweir/base/plants.hpp"

namespace pgweir::pool {

namespace {
/// Profiles whose parameters are remembered per pool; the oldest is forgotten first.
constexpr std::size_t kMaxKnownProfiles = 256;

bool take_below(std::atomic<std::uint32_t>& used, std::uint32_t limit) noexcept {
    auto n = used.load();
    while (n < limit)
        if (used.compare_exchange_weak(n, n + 1)) return true;
    return false;
}

std::uint32_t most_pinned(const config::PoolSettings& pool) noexcept {
    return pool.max_pinned != 0 ? pool.max_pinned : std::max(pool.max_size, 2U) - 1;
}
}  // namespace

bool HostBudget::take() noexcept {
    const auto limit = limit_.load();
    if (limit == 0) {
        used_.fetch_add(1);
        return true;
    }
    return take_below(used_, limit);
}

SharedPool::SharedPool(PoolKey k, PoolConfigPtr config, std::shared_ptr<HostBudget> host,
                       unsigned workers)
    : key(std::move(k)),
      name(key.database + "/" + key.user),
      oldest_wait(workers),
      idle(workers),
      config_(std::move(config)),
      max_size_(config_->database.pool.max_size),
      max_pinned_(most_pinned(config_->database.pool)),
      host_(std::move(host)) {}

PoolConfigPtr SharedPool::config() const {
    const std::scoped_lock lock(mutex_);
    return config_;
}

void SharedPool::set_config(PoolConfigPtr config) {
    const std::scoped_lock lock(mutex_);
    max_size_ = config->database.pool.max_size;
    max_pinned_ = most_pinned(config->database.pool);
    if (config->generation != config_->generation) {
        credentials_.proven_at = 0;
        parameters_.clear();
        parameters_of_ = base::monotonic_now();
    }
    config_ = std::move(config);
}

void SharedPool::move_to(std::shared_ptr<HostBudget> host) {
    const std::scoped_lock lock(mutex_);
    host_ = std::move(host);
}

bool SharedPool::holds_place_of(const SharedPool& other) const {
    if (other.full()) return this == &other;
    const auto host_of = [](const SharedPool& pool) {
        const std::scoped_lock lock(pool.mutex_);
        return pool.host_;
    };
    const auto host = host_of(other);
    return host->full() && host_of(*this) == host;
}

PinPermit PinPermit::take(const std::shared_ptr<SharedPool>& pool) {
    PinPermit permit;
    if (take_below(pool->pinned_, pool->max_pinned_)) permit.pool_ = pool;
    return permit;
}

PinPermit PinPermit::force(const std::shared_ptr<SharedPool>& pool) {
    PinPermit permit;
    ++pool->pinned_;
    permit.pool_ = pool;
    return permit;
}

Credentials SharedPool::credentials() const {
    const std::scoped_lock lock(mutex_);
    return credentials_;
}

void SharedPool::set_credentials(Credentials credentials) {
    const std::scoped_lock lock(mutex_);
    credentials_ = std::move(credentials);
}

bool SharedPool::set_proven(const PoolConfig& config, Credentials credentials) {
    const std::scoped_lock lock(mutex_);
    if (config.generation != config_->generation) return false;
    credentials_ = std::move(credentials);
    return true;
}

std::optional<Parameters> SharedPool::known(std::uint64_t profile_id) const {
    for (const auto& [id, p] : parameters_)
        if (id == profile_id) return p;
    return std::nullopt;
}

std::optional<Parameters> SharedPool::parameters(std::uint64_t profile_id) const {
    const std::scoped_lock lock(mutex_);
    return known(profile_id);
}

std::optional<Parameters> SharedPool::parameters_at_login(std::uint64_t profile_id) const {
    const std::scoped_lock lock(mutex_);
    if (parameters_of_ < logins_changed()) return std::nullopt;
    return known(profile_id);
}

void SharedPool::set_parameters(const PoolConfig& config, std::uint64_t profile_id,
                                Parameters parameters) {
    const std::scoped_lock lock(mutex_);
    if (config.generation != config_->generation) return;
    for (auto& [id, p] : parameters_)
        if (id == profile_id) {
            p = std::move(parameters);
            return;
        }
    if (parameters_.size() >= kMaxKnownProfiles) parameters_.erase(parameters_.begin());
    parameters_.emplace_back(profile_id, std::move(parameters));
}

void SharedPool::note_login(const PoolConfig& config, base::Nanos opened,
                            const Parameters& parameters) {
    const std::scoped_lock lock(mutex_);
    if (config.generation != config_->generation || opened < parameters_of_) return;
    parameters_of_ = opened;
    for (const auto& [id, known] : parameters_)
        if (id == 0 && known == parameters) return;
    parameters_.clear();
    parameters_.emplace_back(0, parameters);
}

void SharedPool::note_parameter(const PoolConfig& config, std::string_view parameter,
                                std::string_view value) {
    const std::scoped_lock lock(mutex_);
    if (config.generation != config_->generation) return;
    std::erase_if(parameters_, [](const auto& known) { return known.first != 0; });
    for (auto& [id, known] : parameters_)
        for (auto& [n, v] : known)
            if (n == parameter) v = value;
}

std::optional<unsigned> SharedPool::longest_waiting(unsigned self) const noexcept {
    std::optional<unsigned> found;
    base::Nanos oldest = 0;
    for (unsigned w = 0; w < oldest_wait.size(); ++w) {
        const auto since = oldest_wait[w].load();
        if (w == self || since == 0 || (found && since >= oldest)) continue;
        found = w;
        oldest = since;
    }
    return found;
}

std::shared_ptr<HostBudget> SharedPool::take() noexcept {
    if (!take_below(used_, max_size_.load())) return nullptr;
    auto host = [this] {
        const std::scoped_lock lock(mutex_);
        return host_;
    }();
    if (host->take()) return host;
    used_.fetch_sub(1);
    return nullptr;
}

void SharedPool::give(HostBudget& host) noexcept {
    host.give();
    used_.fetch_sub(base::planted(base::Plant::closing_not_counted) ? 2 : 1);
}

Permit Permit::take(const std::shared_ptr<SharedPool>& pool) {
    Permit p;
    p.host_ = pool->take();
    if (p.host_) p.pool_ = pool;
    return p;
}

}  // namespace pgweir::pool
