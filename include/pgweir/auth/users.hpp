// The users file: PgBouncer's userlist.txt, `"user" "secret"` a line, a quote inside doubled, `;`
// starting a comment, further quoted fields of a line ignored. A secret is a plain password, md5...
// or SCRAM-SHA-256$..., or empty: such a user cannot log in by password.
// Invariant: a store is immutable; reload makes a new one. A file with any error gives no store.
// Thread: any may read. Reading costs 1.3 ms per plain password that is new.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "pgweir/auth/scram.hpp"
#include "pgweir/base/hash.hpp"
#include "pgweir/base/result.hpp"

namespace pgweir::auth {

/// One user's secret in the forms the login methods need.
struct UserSecret {
    std::optional<std::string> password;  // when the file has it plain
    std::string md5;                      // stored form; empty: cannot log in by md5
    std::optional<ScramSecret> scram;     // nothing: cannot log in by SCRAM
    std::size_t line = 0;
};

class UserStore;
using UserStorePtr = std::shared_ptr<const UserStore>;

class UserStore {
  public:
    /// Errors are file:line:column: what; what was expected. What was derived from unchanged plain
    /// passwords is taken over from `previous`.
    static base::Result<UserStorePtr> parse(std::string_view text, const std::string& file_name,
                                            const UserStore* previous = nullptr);
    static base::Result<UserStorePtr> load(const std::string& path,
                                           const UserStore* previous = nullptr);

    /// With one user, whose secret is in one of the forms the file has; with none.
    static base::Result<UserStorePtr> one(const std::string& user, std::string secret);
    static UserStorePtr nobody();

    /// Null when there is no such user.
    const UserSecret* find(std::string_view user) const noexcept;
    std::size_t size() const noexcept { return users_.size(); }

    /// For users who do not exist: the count most like that of those who do.
    std::uint32_t scram_iterations() const noexcept { return scram_iterations_; }
    /// Whether some user can log in by MD5; decides what a stranger is asked for.
    bool has_md5() const noexcept { return has_md5_; }

  private:
    std::unordered_map<std::string, UserSecret, base::StringHash, std::equal_to<>> users_;
    std::uint32_t scram_iterations_ = kScramDefaultIterations;
    bool has_md5_ = false;
};

}  // namespace pgweir::auth
