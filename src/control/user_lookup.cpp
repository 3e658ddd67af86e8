// See user_lookup.hpp.
#include "pgweir/control/user_lookup.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "pgweir/base/thread.hpp"
#include "sql.hpp"

namespace pgweir::control {

namespace {

constexpr std::size_t kMaxRemembered = 10'000;
constexpr std::size_t kMaxWaiting = 10'000;
constexpr base::Nanos kForgetAfter = base::kSecond;
constexpr base::Nanos kAbsentFor = 5 * base::kSecond;  // at most: a role may just be created
constexpr base::Nanos kStatement = 5 * base::kSecond;

std::string server_key(const Target& t) {
    return t.host + '\0' + std::to_string(t.port) + '\0' + t.dbname + '\0' + t.user;
}

}  // namespace

class UserLookup::Impl {
  public:
    explicit Impl(Options options) : options_(std::move(options)) {
        thread_ = base::thread_without_signals([this] { run(); });
    }

    ~Impl() {
        {
            const std::scoped_lock lock(mutex_);
            stopping_ = true;
        }
        const std::uint64_t one = 1;
        (void)!::write(stop_fd_, &one, sizeof one);
        wake_.notify_one();
        thread_.join();
        ::close(stop_fd_);
    }

    void configure(Options options) {
        const std::scoped_lock lock(mutex_);
        options_ = std::move(options);
        remembered_.clear();
        ++generation_;
    }

    void find(const Target& target, const std::string& user, Answer answer) {
        const auto key = server_key(target) + '\0' + user;
        std::unique_lock lock(mutex_);
        if (const auto it = remembered_.find(key);
            it != remembered_.end() && base::monotonic_now() < it->second.until) {
            const auto store = it->second.store;
            lock.unlock();
            answer(store);
            return;
        }
        auto& asked = asked_[key];
        asked.answers.push_back(std::move(answer));
        if (asked.answers.size() > 1) return;  // somebody has asked already
        asked.target = target;
        asked.user = user;
        if (asked_.size() > kMaxWaiting) {
            auto refused = std::move(asked.answers);
            asked_.erase(key);
            lock.unlock();
            for (auto& a : refused) a(base::Error{"too many users are being looked up"});
            return;
        }
        queue_.push_back(key);
        wake_.notify_one();
    }

    void forget(const Target& target, const std::string& user) {
        const std::scoped_lock lock(mutex_);
        const auto it = remembered_.find(server_key(target) + '\0' + user);
        if (it != remembered_.end() && base::monotonic_now() - it->second.since > kForgetAfter)
            remembered_.erase(it);
    }

  private:
    struct Asked {
        Target target;
        std::string user;
        std::vector<Answer> answers;
    };
    struct Remembered {
        auth::UserStorePtr store;
        base::Nanos since = 0, until = 0;
    };
    struct Found {
        auth::UserStorePtr store;
        base::Nanos valid = 0;  // for how long it may be remembered
    };

    void run() {
        std::unique_lock lock(mutex_);
        while (true) {
            wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
            if (stopping_) return;
            const auto key = std::move(queue_.front());
            queue_.pop_front();
            const auto target = asked_[key].target;
            const auto user = asked_[key].user;
            const auto options = options_;
            const auto generation = generation_;
            lock.unlock();
            auto found = look_up(target, user, options);
            lock.lock();
            auto asked = std::move(asked_[key].answers);
            asked_.erase(key);
            if (found && generation == generation_) remember(key, *found);
            lock.unlock();
            for (auto& answer : asked)
                answer(found ? base::Result<auth::UserStorePtr>(found->store)
                             : base::Result<auth::UserStorePtr>(base::Error{found.error()}));
            lock.lock();
        }
    }

    void remember(const std::string& key, const Found& found) {
        const auto now = base::monotonic_now();
        if (remembered_.size() >= kMaxRemembered)
            std::erase_if(remembered_, [now](const auto& r) { return r.second.until <= now; });
        if (remembered_.size() >= kMaxRemembered) remembered_.erase(remembered_.begin());
        remembered_[key] = {found.store, now, now + found.valid};
    }

    base::Result<Found> look_up(const Target& target, const std::string& user,
                                const Options& options) {
        auto& link = links_[server_key(target)];
        for (const bool again : {true, false}) {
            const bool fresh = link.connection == nullptr || link.connection->lost() ||
                               link.password != target.password;
            if (fresh) {
                link.connection = std::make_unique<Connection>(
                    target, Connection::Limits{options.connect_timeout, kStatement, stop_fd_});
                link.password = target.password;
                if (auto error = link.connection->wait_connected()) {
                    link.connection.reset();
                    return base::Error{*error};
                }
                if (auto error = link.connection->run(sql::session)) return base::Error{*error};
            }
            auto found = ask(*link.connection, user, options);
            if (found) return found;
            link.connection.reset();
            if (fresh || !again) return found;  // one that had been idle may have died unseen
        }
        return base::Error{"the server cannot be asked"};
    }

    static base::Result<Found> ask(Connection& connection, const std::string& user,
                                   const Options& options) {
        std::size_t rows = 0;
        std::string name, secret;
        bool valid = true, has_secret = false;
        base::Nanos remaining = options.ttl;
        const std::string text =
            options.query.empty() ? std::string(sql::user_secret) : options.query;
        const auto error = connection.query_one(text, user, [&](const Row& row) {
            ++rows;
            name = row.text(0);
            secret = row.text(1);
            has_secret = !row.is_null(1) && !secret.empty();
            if (!row.is_null(2)) {
                const double seconds = std::strtod(std::string(row.text(2)).c_str(), nullptr);
                valid = seconds > 0;
                if (valid && seconds < 1e6)
                    remaining = std::min(remaining, static_cast<base::Nanos>(seconds * 1e9));
            }
            return true;
        });
        if (error) return base::Error{*error};
        const bool one = rows == 1 && name == user && has_secret && valid;
        if (!one) return Found{auth::UserStore::nobody(), std::min(options.ttl, kAbsentFor)};
        auto store = auth::UserStore::one(user, std::move(secret));
        if (!store) return Found{auth::UserStore::nobody(), std::min(options.ttl, kAbsentFor)};
        return Found{*std::move(store), remaining};
    }

    struct Link {
        std::unique_ptr<Connection> connection;
        std::string password;
    };

    std::mutex mutex_;
    std::condition_variable wake_;
    Options options_;
    std::uint64_t generation_ = 0;
    std::deque<std::string> queue_;
    std::map<std::string, Asked> asked_;
    std::map<std::string, Remembered> remembered_;
    bool stopping_ = false;
    const int stop_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    std::map<std::string, Link> links_;  // the thread's
    std::thread thread_;
};

UserLookup::UserLookup(Options options) : impl_(std::make_unique<Impl>(std::move(options))) {}
UserLookup::~UserLookup() = default;
void UserLookup::configure(Options options) { impl_->configure(std::move(options)); }
void UserLookup::find(const Target& target, const std::string& user, Answer answer) {
    impl_->find(target, user, std::move(answer));
}
void UserLookup::forget(const Target& target, const std::string& user) {
    impl_->forget(target, user);
}

}  // namespace pgweir::control
