// Stands in for a change stream where the server refuses logical decoding: hears what the triggers
// of sql/watch_writes.sql tell by NOTIFY. It is exact, because of what the server keeps to: a
// transaction's notices stand in the server's queue before it is visible to anybody, are read in
// the order of commits, and are handed out only when it is visible. So when a notice of our own
// comes back, everything that was visible when it was sent has been heard: that is the watermark.
// And a snapshot taken after something was heard sees it, so fills need no stamps. Invariant: as
// ChangeSource's. Thread: the streams' thread.
#pragma once

#include <string>

#include "change_source.hpp"

namespace pgweir::control {

class NoticeLink final : public ChangeSource {
  public:
    NoticeLink(StreamId id, Target target, cache::DatabaseState& database, Context context)
        : ChangeSource(id, std::move(target), database, context) {}
    ~NoticeLink() override { close(); }

    void add_polls(std::vector<pollfd>& to) const override;
    bool has_slot() const noexcept override { return false; }

  private:
    enum class State : std::uint8_t { connecting, asking, live };

    void begin_connect(base::Nanos now) override;
    void work(base::Nanos now) override;
    base::Nanos work_due() const noexcept override;
    void drop() override;
    std::string_view release_text() const noexcept override {
        return "notices of writes were released, as nothing was cached for a while";
    }

    void connect_further();
    void hear_facts();
    void listen(base::Nanos now);
    void hear(const Connection::Notice& notice);
    void written(std::string_view relation);
    base::Nanos next_probe() const;
    void probe();

    State state_ = State::connecting;
    std::unique_ptr<Connection> connection_;
    bool installed_ = false, subscribes_ = false, tells_ddl_ = false;

    std::string probe_text_;      // empty: none is on its way
    bool probe_answered_ = true;  // the statement that sent it is over
    base::Nanos probe_sent_ = 0;
};

}  // namespace pgweir::control
