// Secrets of users who are in no file: asked of the server, by a connection of the proxy's own that
// never sees a client's settings (auth.query_user). One thread for all servers.
// Invariants: the name is a parameter of the query, never part of its text; a user is let in by
// exactly one row that names exactly that user, within its VALID UNTIL; questions about one user
// that come together are one query; what is remembered, absence included, is bounded in number and
// time. Thread: find() and forget() any; callbacks run on the lookup thread, or on the caller's
// when the answer is remembered, and must be short.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "pgweir/auth/users.hpp"
#include "pgweir/base/clock.hpp"
#include "pgweir/base/result.hpp"
#include "pgweir/control/connection.hpp"

namespace pgweir::control {

class UserLookup {
  public:
    /// A store with that user, or with nobody; an error: the server cannot be asked.
    using Answer = std::function<void(base::Result<auth::UserStorePtr>)>;

    /// `query` empty: sql/user_secret.sql. It takes the name as $1 and gives name, secret and, if
    /// there is a third column, the seconds for which it is still valid.
    struct Options {
        std::string query;
        base::Nanos ttl = 60 * base::kSecond;
        base::Nanos connect_timeout = 5 * base::kSecond;
    };

    explicit UserLookup(Options options);
    ~UserLookup();  // stops; answers that are still due are not given
    UserLookup(const UserLookup&) = delete;
    UserLookup& operator=(const UserLookup&) = delete;

    /// From now on; what is remembered is forgotten.
    void configure(Options options);
    void find(const Target& target, const std::string& user, Answer answer);
    /// A remembered secret did not fit: it may have changed. Not more often than once a second.
    void forget(const Target& target, const std::string& user);

  private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace pgweir::control
