// Notifications for sessions that hold no server connection: one connection listens for all of them
// (of one worker, pool and client encoding) and each gets those of its own channels.
// Invariants: a session is served from here from one place in the server's order of notifications
// on, which it has marked with a notification of its own, so that none comes twice or is lost while
// it hands over; when the connection is lost every session it served is told. Thread: the worker's.
// Source: manual, "NOTIFY" and "Asynchronous Operations".
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "pgweir/base/hash.hpp"
#include "pgweir/pool/pool.hpp"
#include "pgweir/wire/frame.hpp"

namespace pgweir::session {

/// A session that is served. Calls come from the hub's connection; it may leave in any of them.
class ChannelUser {
  public:
    /// A whole NotificationResponse.
    virtual void on_notification(std::string_view message) noexcept = 0;
    /// The channels of join() are listened to, or cannot be.
    virtual void on_joined(bool ok) noexcept = 0;
    /// What was committed before catch_up() has been delivered.
    virtual void on_caught_up() noexcept = 0;
    virtual void on_channels_lost(std::string_view why) noexcept = 0;
    /// The process number its client knows itself by.
    virtual std::uint32_t number() const noexcept = 0;

  protected:
    ~ChannelUser() = default;
};

/// A notification's parts. Views into the message.
struct NotificationView {
    std::uint32_t sender = 0;
    std::string_view channel;
    std::string_view payload;
};
bool parse_notification(std::string_view message, NotificationView& out) noexcept;
/// The same message with another sender.
std::string with_sender(std::string_view message, std::uint32_t sender);
/// `LISTEN` for each, in one text.
void append_listen(std::string& sql, const std::vector<std::string>& channels);

class ChannelHub final : public pool::ServerUser, public std::enable_shared_from_this<ChannelHub> {
  public:
    ChannelHub(pool::Leaser& leaser, std::shared_ptr<pool::SharedPool> pool, std::string encoding);
    ~ChannelHub();
    ChannelHub(const ChannelHub&) = delete;
    ChannelHub& operator=(const ChannelHub&) = delete;

    /// Takes over the user's server connection, idle, on which it listens to `channels` and which
    /// has no other state but settings. `permit` is what it is pinned with.
    void adopt(pool::ServerLink& server, pool::PinPermit permit, ChannelUser& user,
               const std::vector<std::string>& channels);
    bool open() const noexcept { return server_ != nullptr; }
    /// Tells all its users that they are served no more, where sessions now notify elsewhere.
    void end_if_moved();

    /// Listens to these for a user who still does so himself: on_joined() comes, then he notifies
    /// mark() with the payload this returns, and is served from there on.
    std::string join(ChannelUser& user, const std::vector<std::string>& channels);
    const std::string& mark() const noexcept { return mark_; }
    /// The hand-over came to nothing.
    void give_up(ChannelUser& user);
    void leave(ChannelUser& user, std::string_view channel);
    void leave(ChannelUser& user);
    /// on_caught_up() comes.
    void catch_up(ChannelUser& user);
    /// What process `pid` sends is the user's for certain, until he says otherwise, and is told to
    /// come from `number`. Of others it is told what SenderNames say.
    void set_sender(ChannelUser& user, std::uint32_t pid, std::uint32_t number);
    void forget_sender(std::uint32_t pid) { senders_.erase(pid); }

    // ServerUser
    void on_server_bytes(std::string_view bytes) noexcept override;
    void on_server_gone(std::string_view why) noexcept override;
    void on_server_drained() noexcept override {}

  private:
    struct Route {
        ChannelUser* user = nullptr;
        std::uint64_t from = 0;  // the mark it waits for; 0: served
    };
    struct Asked {
        enum class Kind : std::uint8_t { own, join, catch_up };
        Kind kind = Kind::own;
        ChannelUser* user = nullptr;  // null: has left
        bool failed = false;
    };
    struct Sender {
        ChannelUser* user = nullptr;
        std::uint32_t number = 0;
    };
    using Routes =
        std::unordered_map<std::string, std::vector<Route>, base::StringHash, std::equal_to<>>;

    void ask(std::string_view sql, Asked asked);
    void take_frame(const wire::Frame& frame, std::string_view whole);
    void take_notification(std::string_view whole);
    void take_ready();
    void remove(ChannelUser& user, std::string_view channel, bool waiting_only);
    void remove_everywhere(ChannelUser& user, bool waiting_only);
    void lose(std::string_view why);

    pool::Leaser& leaser_;
    std::shared_ptr<pool::SharedPool> pool_;  // null in tests
    std::string encoding_;
    std::string mark_;
    pool::ServerLink* server_ = nullptr;
    pool::PinPermit permit_;
    std::string in_;  // the start of a frame
    std::deque<Asked> asked_;
    Routes routes_;
    std::unordered_map<std::uint32_t, Sender> senders_;
    std::uint64_t last_mark_ = 0;
};

/// A worker's hubs. Each lives as long as somebody is served by it.
class ChannelHubs {
  public:
    /// Null where there is none that is open.
    std::shared_ptr<ChannelHub> find(pool::Leaser& leaser, std::string_view encoding);
    std::shared_ptr<ChannelHub> make(pool::Leaser& leaser, std::shared_ptr<pool::SharedPool> pool,
                                     std::string_view encoding);
    /// A session is about to listen, and may need a hub. True where another one is before it, so
    /// that it will find one and need no place for a pinned connection.
    bool expect(pool::Leaser& leaser, std::string_view encoding);
    /// After a reload.
    void end_moved();
    /// It may not, as there is no such place.
    void expect_none(pool::Leaser& leaser, std::string_view encoding) {
        expected_.erase({&leaser, std::string(encoding)});
    }

  private:
    using Key = std::pair<pool::Leaser*, std::string>;
    std::map<Key, std::weak_ptr<ChannelHub>> hubs_;
    std::set<Key> expected_;
};

}  // namespace pgweir::session
