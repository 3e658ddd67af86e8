// What tells a database's StreamState of changes, as a machine of the streams' thread: a logical
// change stream (stream_link.hpp), or notices of triggers (notice_link.hpp). Here is the life both
// have: dormant until the database is wanted, at work, lost, and tried again. Invariants: none of
// these functions waits; whatever ends it ends the StreamState before anything else, so that no hit
// rests on it any longer. Thread: the streams' thread.
#pragma once

#include <poll.h>

#include <memory>
#include <string>
#include <vector>

#include "pgweir/base/clock.hpp"
#include "pgweir/control/change_streams.hpp"
#include "pgweir/control/connection.hpp"
#include "retry_pace.hpp"

namespace pgweir::control {

class ChangeSource {
  public:
    /// What is pointed to outlives this.
    struct Context {
        const StreamOptions* options;
        const ChangeStreams::OnEvent* on_event;
        int stop_fd;
    };

    virtual ~ChangeSource() = default;
    ChangeSource(const ChangeSource&) = delete;
    ChangeSource& operator=(const ChangeSource&) = delete;

    /// Does what is due at `now`.
    void step(base::Nanos now);
    /// When step() is to be called again at the latest, with no event on what is polled.
    base::Nanos due() const noexcept;
    virtual void add_polls(std::vector<pollfd>& to) const = 0;
    const Target& target() const noexcept { return target_; }
    virtual bool has_slot() const noexcept = 0;

  protected:
    /// A connection that has not answered for this long is given up.
    static constexpr base::Nanos kAnswerLimit = 12 * base::kSecond;

    ChangeSource(StreamId id, Target target, cache::DatabaseState& database, Context context)
        : target_(std::move(target)), database_(database), context_(context), id_(id) {}

    // Of the kind; all but drop() only while it is at work.
    virtual void begin_connect(base::Nanos now) = 0;
    virtual void work(base::Nanos now) = 0;
    virtual base::Nanos work_due() const noexcept = 0;
    /// Gives its connections up; may be called at any time.
    virtual void drop() = 0;
    /// What is said when nothing has been cached for a while.
    virtual std::string_view release_text() const noexcept = 0;

    std::unique_ptr<Connection> connection_to(const Target& target) const;
    /// To be called where an answer is not there yet: since since_ for too long?
    void look_at_limit(base::Nanos now, base::Nanos since);
    /// When a fence that waits is given up; far away where none does.
    base::Nanos fence_due() const noexcept;
    /// All that was visible at `sent` has been told of.
    void told_up_to(base::Nanos sent);
    /// The catalog in force may be an old one.
    void defined();
    /// It is tried again after `retry`; 0: when what was before says so.
    void lose(const std::string& reason, base::Nanos retry = 0);
    /// To be called by the destructor of the kind.
    void close();
    void publish(bool live, const std::string& reason);
    /// There is no sign of life from StreamState::begin() to the first told_up_to().
    bool told_live() const noexcept { return told_live_; }

    const Target target_;
    cache::DatabaseState& database_;
    const Context context_;
    base::Nanos since_ = 0;  // of the present state of the kind
    bool begun_ = false;     // StreamState::begin() or begin_by_notice() was called

  private:
    enum class Phase : std::uint8_t {
        dormant,  // nobody wants it
        waiting,  // until retry_at_
        working,
    };

    const StreamId id_;
    Phase phase_ = Phase::dormant;
    bool told_live_ = false;
    base::Nanos retry_at_ = 0;
    RetryPace pace_;
    std::string reason_;
    bool published_live_ = false;
};

}  // namespace pgweir::control
