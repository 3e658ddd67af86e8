// Reads the users file. See users.hpp.
#include "pgweir/auth/users.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "pgweir/auth/md5.hpp"
#include "pgweir/base/random.hpp"

namespace pgweir::auth {

namespace {

constexpr std::size_t kMaxFile = 64u << 20;
constexpr std::size_t kMaxUserName = 128;
constexpr std::size_t kMaxSecret = 4096;
constexpr std::size_t kSaltSize = 16;  // PostgreSQL's

/// Walks through the file and knows where it is.
class Cursor {
  public:
    Cursor(std::string_view text, const std::string& file) noexcept : text_(text), file_(file) {}

    bool done() const noexcept { return at_ == text_.size(); }
    char peek() const noexcept { return done() ? '\n' : text_[at_]; }
    void advance() noexcept {
        if (peek() == '\n') {
            ++line_;
            line_start_ = at_ + 1;
        }
        if (!done()) ++at_;
    }
    void skip_blanks() noexcept {
        while (!done() && (peek() == ' ' || peek() == '\t' || peek() == '\r')) ++at_;
    }
    void skip_line() noexcept {
        while (!done() && peek() != '\n') ++at_;
        advance();
    }
    std::size_t line() const noexcept { return line_; }
    base::Error error(const std::string& what) const { return error_at(at_, what); }
    base::Error error_at(std::size_t at, const std::string& what) const {
        return {file_ + ":" + std::to_string(line_) + ":" + std::to_string(at - line_start_ + 1) +
                ": " + what};
    }
    std::size_t position() const noexcept { return at_; }

    /// A quoted field that may not go on in the next line.
    base::Result<std::string> field(const char* what, std::size_t max) {
        const auto begin = at_;
        if (peek() != '"') return error(std::string("expected ") + what + " in double quotes");
        ++at_;
        std::string value;
        while (true) {
            const char c = peek();
            if (c == '\n') return error_at(begin, "no closing quote in this line");
            if (c == '\0') return error("a zero byte; expected text");
            ++at_;
            if (c == '"' && peek() != '"') return value;
            if (c == '"') ++at_;
            if (value.size() == max)
                return error_at(
                    begin, std::string(what) + " is longer than " + std::to_string(max) + " bytes");
            value.push_back(c);
        }
    }

  private:
    std::string_view text_;
    const std::string& file_;
    std::size_t at_ = 0;
    std::size_t line_ = 1;
    std::size_t line_start_ = 0;
};

UserSecret from_password(const std::string& user, std::string&& password, const UserStore* before) {
    const UserSecret* known = before == nullptr ? nullptr : before->find(user);
    if (known != nullptr && known->password && *known->password == password) return *known;
    UserSecret secret;
    secret.md5 = md5_secret(password, user);
    secret.scram = derive_scram_secret(password, base::random_string(kSaltSize));
    secret.password = std::move(password);
    return secret;
}

base::Result<UserSecret> read_secret(const std::string& user, std::string&& text,
                                     const UserStore* before) {
    UserSecret secret;
    if (text.empty()) return secret;
    if (is_md5_secret(text)) {
        secret.md5 = std::move(text);
        return secret;
    }
    if (text.starts_with("SCRAM-SHA-256$")) {
        // A broken secret must not turn into a password that everybody can read in the file.
        auto scram = parse_scram_secret(text);
        if (!scram) return base::Error{scram.error()};
        secret.scram = *std::move(scram);
        return secret;
    }
    return from_password(user, std::move(text), before);
}

std::optional<base::Error> end_of_line(Cursor& c) {
    while (true) {
        c.skip_blanks();
        if (c.peek() == '\n' || c.peek() == ';') {
            c.skip_line();
            return std::nullopt;
        }
        auto ignored = c.field("a further field, a comment or the end of the line", kMaxSecret);
        if (!ignored) return base::Error{ignored.error()};
    }
}

}  // namespace

base::Result<UserStorePtr> UserStore::parse(std::string_view text, const std::string& file_name,
                                            const UserStore* previous) {
    auto store = std::make_shared<UserStore>();
    bool scram_seen = false;
    Cursor c(text, file_name);
    while (true) {
        c.skip_blanks();
        if (c.done()) return UserStorePtr(std::move(store));
        if (c.peek() == '\n' || c.peek() == ';') {
            c.skip_line();
            continue;
        }
        const auto user_at = c.position();
        const auto line = c.line();
        auto user = c.field("the user name", kMaxUserName);
        if (!user) return base::Error{user.error()};
        if (user->empty()) return c.error_at(user_at, "the user name is empty");
        if (const auto* other = store->find(*user))
            return c.error_at(user_at,
                              "the user stands already in line " + std::to_string(other->line));
        c.skip_blanks();
        const auto secret_at = c.position();
        auto secret_text = c.field("the secret", kMaxSecret);
        if (!secret_text) return base::Error{secret_text.error()};
        auto secret = read_secret(*user, *std::move(secret_text), previous);
        if (!secret) return c.error_at(secret_at, secret.error());
        if (auto e = end_of_line(c)) return *std::move(e);
        secret->line = line;
        store->has_md5_ |= !secret->md5.empty();
        if (secret->scram && !secret->password && !scram_seen) {
            store->scram_iterations_ = secret->scram->iterations;
            scram_seen = true;
        }
        store->users_.emplace(*std::move(user), *std::move(secret));
    }
}

base::Result<UserStorePtr> UserStore::load(const std::string& path, const UserStore* previous) {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"),
                                                               &std::fclose);
    if (!file) return base::Error{path + ": " + std::strerror(errno)};
    std::string text;
    char block[16384];
    while (const auto n = std::fread(block, 1, sizeof block, file.get())) {
        text.append(block, n);
        if (text.size() > kMaxFile) return base::Error{path + ": longer than 64 MiB"};
    }
    if (std::ferror(file.get()) != 0) return base::Error{path + ": " + std::strerror(errno)};
    return parse(text, path, previous);
}

base::Result<UserStorePtr> UserStore::one(const std::string& user, std::string text) {
    auto secret = read_secret(user, std::move(text), nullptr);
    if (!secret) return base::Error{secret.error()};
    auto store = std::make_shared<UserStore>();
    store->has_md5_ = !secret->md5.empty();
    if (secret->scram) store->scram_iterations_ = secret->scram->iterations;
    store->users_.emplace(user, *std::move(secret));
    return UserStorePtr(std::move(store));
}

UserStorePtr UserStore::nobody() { return std::make_shared<const UserStore>(); }

const UserSecret* UserStore::find(std::string_view user) const noexcept {
    const auto it = users_.find(user);
    return it == users_.end() ? nullptr : &it->second;
}

}  // namespace pgweir::auth
