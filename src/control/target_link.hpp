// One target of the control thread as a machine: waiting to connect, connecting, ready. It is
// stepped when a time or its descriptor is due. Invariant: an event with a catalog is given only
// while ready, and the fingerprint held is of the snapshot that the catalog held was read from.
// Thread: the control thread, but for `requested`, which any thread may raise.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "pgweir/control/control_thread.hpp"

namespace pgweir::control {

class TargetLink {
  public:
    using Requests = std::shared_ptr<std::atomic<std::uint64_t>>;

    struct Context {
        const ControlOptions* options;
        const ControlThread::OnCatalog* on_catalog;
        std::uint64_t* last_version;
        int stop_fd;
    };

    TargetLink(TargetId id, Target target, Requests requests, Context context)
        : id_(id), target_(std::move(target)), requests_(std::move(requests)), context_(context) {}

    /// Does what is due at `now`, answering to statements included: may take as long as they.
    void step(base::Nanos now);
    /// When step() is to be called again at the latest, with no event on fd().
    base::Nanos due() const noexcept;
    /// To be polled for events() while it is not -1.
    int fd() const noexcept;
    short events() const noexcept;
    void watch(std::int32_t pid, ControlThread::OnGone gone);
    /// Another login to the same database; connects anew at once.
    void set_target(Target target);
    /// Takes no snapshot for a moment.
    void pause() noexcept;
    /// Leaves the database for some seconds, or until end_rest().
    void rest();
    void end_rest() noexcept;

  private:
    enum class State : std::uint8_t { waiting, connecting, ready };
    struct Watch {
        std::int32_t pid;
        std::string began;
        bool seen;
        ControlThread::OnGone gone;
        base::Nanos since;
    };

    void begin_connect();
    void connected();
    void refresh(bool force);
    void look_for_processes();
    static bool is_there(Watch& watch, const Row& process, base::Nanos now);
    bool asked() const noexcept { return requests_->load(std::memory_order_acquire) > covers_; }
    /// By the interval as it is now.
    base::Nanos poll_due() const noexcept { return polled_at_ + context_.options->catalog_poll; }
    void lose(const std::string& reason);
    void publish(const std::string& reason);
    std::optional<std::string> read_facts();
    std::optional<std::string> read_watches();
    std::optional<std::string> read_login_triggers();

    TargetId id_;
    Target target_;
    Requests requests_;
    Context context_;
    State state_ = State::waiting;
    std::unique_ptr<Connection> connection_;
    std::string fingerprint_, publication_;  // what the catalog was read with
    query::CatalogPtr catalog_;
    bool tells_ddl_ = false, tells_writes_ = false;  // read before the catalog
    bool logins_run_code_ = false;                   // read after it: none is missed
    std::string reason_;                             // of the last event without a catalog
    ServerFacts facts_;
    std::uint64_t covers_ = 0;
    base::Nanos retry_at_ = 0;
    base::Nanos retry_delay_ = 0;
    bool resting_ = false;
    base::Nanos polled_at_ = 0;
    base::Nanos paused_until_ = 0;
    base::Nanos due_since_ = 0;   // and paused; 0: not so
    bool unread_ = false;         // since it was connected
    base::Nanos not_before_ = 0;  // of the next refresh: they take at most half the time
    base::Nanos look_at_ = 0;
    std::vector<Watch> watches_;
};

}  // namespace pgweir::control
