// What the streams' thread does in each turn: every link.
#include "pgweir/control/change_streams.hpp"

#include <algorithm>
#include <map>
#include <mutex>

#include "job_thread.hpp"
#include "notice_link.hpp"
#include "stream_link.hpp"

namespace pgweir::control {

class ChangeStreams::Impl {
  public:
    Impl(StreamOptions options, OnEvent on_event)
        : options_(std::move(options)),
          on_event_([this, callback = std::move(on_event)](const auto& event) {
              if (!thread_.stopped() && callback) callback(event);
          }),
          thread_([this](std::vector<pollfd>& polls) { return step(polls); }) {}
    ~Impl() { stop(); }
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    void start() { thread_.start(); }

    void stop() {
        thread_.stop();
        for (auto& [id, database] : databases_) database->stream().on_demand(nullptr);
        databases_.clear();
        links_.clear();
    }

    StreamId add(Target target, cache::DatabaseState& database, ChangesBy by) {
        StreamId id = 0;
        {
            const std::scoped_lock lock(mutex_);
            id = ++last_id_;
            databases_[id] = &database;
        }
        database.stream().on_demand([this] { thread_.wake(); });
        thread_.post([this, id, by, target = std::move(target), &database] {
            links_.emplace(id, make(id, by, target, database));
        });
        return id;
    }

    void remove(StreamId id) {
        {
            const std::scoped_lock lock(mutex_);
            const auto found = databases_.find(id);
            if (found == databases_.end()) return;
            found->second->stream().on_demand(nullptr);
            databases_.erase(found);
        }
        thread_.post([this, id] { links_.erase(id); });
    }

    void set_options(StreamOptions options) {
        thread_.post([this, options = std::move(options)] { options_ = options; });
    }

  private:
    std::unique_ptr<ChangeSource> make(StreamId id, ChangesBy by, const Target& target,
                                       cache::DatabaseState& database) {
        const ChangeSource::Context context{&options_, &on_event_, thread_.stop_fd()};
        if (by == ChangesBy::notices)
            return std::make_unique<NoticeLink>(id, target, database, context);
        return std::make_unique<StreamLink>(
            id, target, database, context,
            [this](const StreamLink& link) { return slots_at_server_of(link); });
    }

    unsigned slots_at_server_of(const StreamLink& link) const {
        unsigned n = 0;
        for (const auto& [id, other] : links_)
            if (other.get() != &link && other->has_slot() &&
                other->target().host == link.target().host &&
                other->target().port == link.target().port)
                ++n;
        return n;
    }

    base::Nanos step(std::vector<pollfd>& polls) {
        for (const auto& [id, link] : links_) {
            if (thread_.stopped()) return 0;
            link->step(base::monotonic_now());
        }
        // Not for ever: an idle stream is to be released.
        base::Nanos due = base::monotonic_now() + 5 * base::kSecond;
        for (const auto& [id, link] : links_) {
            due = std::min(due, link->due());
            link->add_polls(polls);
        }
        return due;
    }

    StreamOptions options_;
    OnEvent on_event_;
    JobThread thread_;

    std::mutex mutex_;  // of the next two
    std::map<StreamId, cache::DatabaseState*> databases_;
    StreamId last_id_ = 0;

    std::map<StreamId, std::unique_ptr<ChangeSource>> links_;  // of the thread
};

ChangeStreams::ChangeStreams(StreamOptions options, OnEvent on_event)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(on_event))) {}
ChangeStreams::~ChangeStreams() = default;

void ChangeStreams::start() { impl_->start(); }
void ChangeStreams::stop() { impl_->stop(); }
StreamId ChangeStreams::add(Target target, cache::DatabaseState& database, ChangesBy by) {
    return impl_->add(std::move(target), database, by);
}
void ChangeStreams::remove(StreamId id) { impl_->remove(id); }
void ChangeStreams::set_options(StreamOptions options) { impl_->set_options(std::move(options)); }

}  // namespace pgweir::control
