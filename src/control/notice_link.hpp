// Stands in for a change stream where the server refuses logical decoding: hears what the triggers
// of sql/watch_writes.sql tell by NOTIFY. It is exact, because of what the server keeps to: a
// transaction's notices stand in the server's queue before it is visible to anybody, are read in
// the order of commits, and are handed out only when it is visible. So when a notice of our own
// comes back, everything that was visible when it was sent has been heard: that is the watermark.
// And a snapshot taken after something was heard sees it, so fills need no stamps. Invariant: as
// StreamLink's. Thread: the streams' thread.
#pragma once

#include <string>

#include "change_source.hpp"
#include "pgweir/control/change_streams.hpp"

namespace pgweir::control {

class NoticeLink final : public ChangeSource {
  public:
    struct Context {
        const StreamOptions* options;
        const ChangeStreams::OnEvent* on_event;
        int stop_fd;
    };

    NoticeLink(StreamId id, Target target, cache::DatabaseState& database, Context context)
        : id_(id), target_(std::move(target)), database_(database), context_(context) {}
    ~NoticeLink() override;
    NoticeLink(const NoticeLink&) = delete;
    NoticeLink& operator=(const NoticeLink&) = delete;

    void step(base::Nanos now) override;
    base::Nanos due() const noexcept override;
    void add_polls(std::vector<pollfd>& to) const override;
    const Target& target() const noexcept override { return target_; }
    bool has_slot() const noexcept override { return false; }

  private:
    enum class State : std::uint8_t { dormant, waiting, connecting, asking, live };

    void begin_connect(base::Nanos now);
    void connect_further();
    void hear_facts();
    void listen(base::Nanos now);
    void hear(const Connection::Notice& notice);
    void written(std::string_view relation);
    void defined();
    base::Nanos next_probe() const;
    void probe();
    void lose(std::string reason, base::Nanos retry = 0);
    void close();
    void publish(bool live, const std::string& reason);

    const StreamId id_;
    const Target target_;
    cache::DatabaseState& database_;
    const Context context_;
    State state_ = State::dormant;
    std::unique_ptr<Connection> connection_;
    bool installed_ = false, subscribes_ = false, tells_ddl_ = false;
    bool begun_ = false;  // StreamState::begin_by_notice() was called
    bool told_live_ = false;

    std::string probe_text_;      // empty: none is on its way
    bool probe_answered_ = true;  // the statement that sent it is over
    base::Nanos probe_sent_ = 0;

    base::Nanos since_ = 0;  // of the present state
    base::Nanos retry_at_ = 0, retry_delay_ = 0;
    std::string reason_;
    bool published_live_ = false;
};

}  // namespace pgweir::control
