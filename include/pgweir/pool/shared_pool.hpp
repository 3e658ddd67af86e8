// What the workers share of one pool: the budget of server connections, who waits and since when,
// and what a login has shown. A pool is (database, user); each worker has its own half (pool.hpp)
// with its own connections.
// Invariant: permits in use never exceed max_size, nor a host's limit. While nobody waits, nothing
// here is written when a connection is taken or given back.
// Thread: any; atomics, and a mutex for what changes at logins only.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "pgweir/auth/scram.hpp"
#include "pgweir/base/clock.hpp"
#include "pgweir/config/config.hpp"
#include "pgweir/pool/profile.hpp"
#include "pgweir/pool/sender_names.hpp"

namespace pgweir::io {
class TlsContext;
}

namespace pgweir::pool {

using Parameters = std::vector<std::pair<std::string, std::string>>;

/// The limit of one server host, over all pools on it. 0: not known yet, no limit.
class HostBudget {
  public:
    explicit HostBudget(std::uint32_t limit) noexcept : limit_(limit) {}
    void set_limit(std::uint32_t limit) noexcept { limit_ = limit; }
    std::uint32_t limit() const noexcept { return limit_; }
    std::uint32_t used() const noexcept { return used_; }
    bool full() const noexcept { return limit_ != 0 && used_ >= limit_; }
    bool take() noexcept;
    void give() noexcept { used_.fetch_sub(1); }

  private:
    std::atomic<std::uint32_t> limit_;
    std::atomic<std::uint32_t> used_{0};
};

struct PoolKey {
    std::string database;  // as the client named it
    std::string user;      // of the server connections
    friend bool operator==(const PoolKey&, const PoolKey&) = default;
};

/// Where and how the pool's connections are made; replaced whole at reload.
struct PoolConfig {
    config::Database database;
    std::string dbname;  // on the server
    base::Nanos connect_timeout = 5 * base::kSecond;
    std::uint32_t prepared_per_server = 500;
    std::shared_ptr<io::TlsContext> tls;  // none: never encrypted
    std::string tls_error;                // why there is none though one was asked for
    std::uint64_t generation = 0;         // connections of an older one are not reused
};
using PoolConfigPtr = std::shared_ptr<const PoolConfig>;
inline bool same_place(const PoolConfig& a, const PoolConfig& b) noexcept {
    return a.database.host == b.database.host && a.database.port == b.database.port &&
           a.dbname == b.dbname;
}

/// What logging in to the server has shown about this pool's user.
struct Credentials {
    enum class State : std::uint8_t { unknown, no_password_needed, password };
    State state = State::unknown;
    std::string password;
    base::Nanos proven_at = 0;  // 0: never, or not to the server of now
    std::string md5;            // the stored form, where the password itself is not known
    std::optional<auth::ClientKeys> keys;  // derived from the password, for SCRAM
};

class SharedPool {
  public:
    SharedPool(PoolKey key, PoolConfigPtr config, std::shared_ptr<HostBudget> host,
               unsigned workers);

    const PoolKey key;
    const std::string name;  // "database/user"

    PoolConfigPtr config() const;
    /// Of another generation it names another server, or other ways to it: nothing that was proven
    /// or told before counts there.
    void set_config(PoolConfigPtr config);
    /// Connections opened from here on take from `host`.
    void move_to(std::shared_ptr<HostBudget> host);

    std::uint32_t permits_used() const noexcept { return used_; }
    bool full() const noexcept { return used_ >= max_size_; }
    /// Whether a connection of this pool less is one that `other` can open.
    bool holds_place_of(const SharedPool& other) const;
    /// Connections that sessions keep to themselves, or may be about to.
    std::uint32_t pinned() const noexcept { return pinned_; }
    std::uint32_t max_pinned() const noexcept { return max_pinned_; }

    Credentials credentials() const;
    void set_credentials(Credentials credentials);
    /// What a login by `config` has just proven. False, and nothing is kept, where that is not of
    /// the generation of now.
    bool set_proven(const PoolConfig& config, Credentials credentials);

    /// ParameterStatus values a client with this profile is told; nullopt: not known yet.
    std::optional<Parameters> parameters(std::uint64_t profile_id) const;
    /// Likewise; nullopt also while no server connection was opened since the settings changed that
    /// logins are given.
    std::optional<Parameters> parameters_at_login(std::uint64_t profile_id) const;
    /// What a connection made by `config` has told, here and below; nothing where that is not of
    /// the generation of now.
    void set_parameters(const PoolConfig& config, std::uint64_t profile_id, Parameters parameters);
    /// What a server connection opened then was given at its login: the latest is told to clients
    /// without settings, and where it is other than before, all else is unknown again.
    void note_login(const PoolConfig& config, base::Nanos opened, const Parameters& parameters);
    /// The server was reconfigured: what clients without settings are told changes, the rest is
    /// unknown.
    void note_parameter(const PoolConfig& config, std::string_view parameter,
                        std::string_view value);

    /// Where it is told when the settings changed that logins are given; outlives this.
    void follow_logins(const std::atomic<base::Nanos>& changed) noexcept { changed_ = &changed; }
    /// Connections opened before may have been given other settings; 0: not known.
    base::Nanos logins_changed() const noexcept {
        const auto* changed = changed_.load(std::memory_order_relaxed);
        return changed == nullptr ? 0 : changed->load();
    }

    /// Since when the oldest session of a worker waits for a connection; 0: none waits there.
    std::vector<std::atomic<base::Nanos>> oldest_wait;
    /// Idle connections a worker holds.
    std::vector<std::atomic<std::uint32_t>> idle;
    /// Workers with waiting sessions; read at each release, written only when one starts or ends.
    std::atomic<std::uint32_t> waiting_workers{0};
    std::atomic<std::uint32_t> clients{0};
    SenderNames senders;
    /// The last try to connect failed.
    std::atomic<bool> failing{false};

    /// The worker whose session has waited longest, other than `self`; nullopt: none.
    std::optional<unsigned> longest_waiting(unsigned self) const noexcept;

  private:
    friend class Permit;
    friend class PinPermit;
    /// Of whose host a place was taken, too; null: there was none.
    std::shared_ptr<HostBudget> take() noexcept;
    void give(HostBudget& host) noexcept;
    /// Of this profile; under the mutex.
    std::optional<Parameters> known(std::uint64_t profile_id) const;

    mutable std::mutex mutex_;
    PoolConfigPtr config_;
    std::atomic<std::uint32_t> max_size_;
    std::atomic<std::uint32_t> used_{0};
    std::atomic<std::uint32_t> max_pinned_;
    std::atomic<std::uint32_t> pinned_{0};
    std::shared_ptr<HostBudget> host_;
    Credentials credentials_;
    std::vector<std::pair<std::uint64_t, Parameters>> parameters_;
    base::Nanos parameters_of_ = 0;  // when the connection was opened that was given them
    std::atomic<const std::atomic<base::Nanos>*> changed_{nullptr};
};

/// The right to one server connection, held from before connect until close.
class Permit {
  public:
    Permit() = default;
    /// Empty when a limit is reached.
    static Permit take(const std::shared_ptr<SharedPool>& pool);
    Permit(Permit&& o) noexcept : pool_(std::move(o.pool_)), host_(std::move(o.host_)) {}
    Permit& operator=(Permit&& o) noexcept {
        std::swap(pool_, o.pool_);
        std::swap(host_, o.host_);
        return *this;
    }
    ~Permit() {
        if (pool_) pool_->give(*host_);
    }
    explicit operator bool() const noexcept { return pool_ != nullptr; }

  private:
    std::shared_ptr<SharedPool> pool_;
    std::shared_ptr<HostBudget> host_;  // the pool's at that time
};

/// The right to keep a server connection for what cannot be carried, asked for before that is made.
class PinPermit {
  public:
    PinPermit() = default;
    /// Empty when as many are pinned as may be.
    static PinPermit take(const std::shared_ptr<SharedPool>& pool);
    /// For what was not foreseen: it is there, so it counts, above the limit if need be.
    static PinPermit force(const std::shared_ptr<SharedPool>& pool);
    PinPermit(PinPermit&& o) noexcept : pool_(std::move(o.pool_)) {}
    PinPermit& operator=(PinPermit&& o) noexcept {
        std::swap(pool_, o.pool_);
        return *this;
    }
    ~PinPermit() {
        if (pool_) --pool_->pinned_;
    }
    explicit operator bool() const noexcept { return pool_ != nullptr; }

  private:
    std::shared_ptr<SharedPool> pool_;
};

}  // namespace pgweir::pool
