// See processes.hpp.
#include "pgweir/query/processes.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "lexer.hpp"
#include "pgweir/query/tokens.hpp"

namespace pgweir::query {

namespace {

struct Function {
    std::string_view name;
    bool at_work;
};
constexpr Function kFunctions[] = {
    {"pg_cancel_backend", true},
    {"pg_terminate_backend", true},
    {"pg_log_backend_memory_contexts", true},
    {"pg_blocking_pids", false},
    {"pg_safe_snapshot_blocking_pids", false},
    {"pg_isolation_test_session_is_blocked", false},
};
constexpr std::array<std::string_view, 4> kViews = {"pg_stat_activity", "pg_locks", "pg_stat_ssl",
                                                    "pg_stat_gssapi"};
constexpr unsigned kMostTokens = 10'000;

bool is_name(const Token& token, std::string_view name) noexcept {
    if (token.kind == TokenKind::quoted)
        return token.text.size() == name.size() + 2 && token.text.substr(1, name.size()) == name;
    return token.is(name);
}

/// Tokens one by one, and what they say of processes.
class Reader {
  public:
    explicit Reader(std::string_view text) : text_(text), lexer_(text) { step(); }

    /// What `pid` is compared with counts where a view of processes is read, which is known at the
    /// end only.
    ProcessNumbers numbers() {
        scan();
        if (!views_ || (compared_.literals.empty() && compared_.parameters.empty()))
            return std::move(given_);
        auto& literals = given_.literals;
        literals.insert(literals.end(), compared_.literals.begin(), compared_.literals.end());
        std::sort(literals.begin(), literals.end(),
                  [](const auto& a, const auto& b) { return a.at < b.at; });
        for (const auto n : compared_.parameters) add_parameter(given_, n);
        given_.at_work = true;
        return std::move(given_);
    }

  private:
    void scan() {
        while (more()) {
            if (const auto* f = function()) {
                step();
                if (!token_.is('(')) continue;
                given_.at_work = given_.at_work || f->at_work;
                take_operand(given_);
            } else if (is_name(token_, "pid")) {
                step();
                take_compared();
            } else {
                step();
            }
        }
    }

    bool more() const noexcept {
        return token_.kind != TokenKind::end && token_.kind != TokenKind::bad &&
               steps_ < kMostTokens;
    }

    void step() {
        ++steps_;
        token_ = lexer_.next();
        views_ = views_ || std::any_of(kViews.begin(), kViews.end(),
                                       [this](auto v) { return is_name(token_, v); });
    }

    const Function* function() const noexcept {
        const auto* end = std::end(kFunctions);
        const auto* f = std::find_if(std::begin(kFunctions), end, [this](const auto& known) {
            return is_name(token_, known.name);
        });
        return f == end ? nullptr : f;
    }

    void take_compared() {
        while (more() && token_.is("not")) step();
        const bool compares = token_.kind == TokenKind::op &&
                              (token_.text == "=" || token_.text == "<>" || token_.text == "!=");
        if (!compares && !token_.is("in")) return;
        step();
        if (token_.is("any") || token_.is("all") || token_.is("some")) step();
        take_operand(compared_);
    }

    /// One constant or parameter, or all within parentheses but for queries there.
    void take_operand(ProcessNumbers& to) {
        unsigned depth = 0;
        do {
            if (token_.is("select") || token_.is("with") || token_.is("values")) return;
            if (token_.is('(')) ++depth;
            if (token_.is(')') && depth > 0) --depth;
            take(to);
            step();
        } while (depth > 0 && more());
    }

    void take(ProcessNumbers& to) {
        if (token_.kind == TokenKind::param) {
            unsigned n = 0;
            const auto digits = token_.text.substr(1);
            std::from_chars(digits.data(), digits.data() + digits.size(), n);
            if (n != 0) add_parameter(to, n);
        }
        const bool plain =
            token_.literal == lex::Literal::integer || token_.literal == lex::Literal::string;
        if (token_.kind != TokenKind::literal || !plain) return;
        if (token_.text.find_first_not_of("'{},0123456789 ") != std::string_view::npos) return;
        const auto at = static_cast<std::size_t>(token_.text.data() - text_.data());
        for (auto n : written_numbers(token_.text)) {
            n.at += at;
            to.literals.push_back(n);
        }
    }

    static void add_parameter(ProcessNumbers& to, unsigned n) {
        auto& all = to.parameters;
        if (std::find(all.begin(), all.end(), n) == all.end()) all.push_back(n);
    }

    std::string_view text_;
    Lexer lexer_;
    Token token_;
    unsigned steps_ = 0;
    bool views_ = false;
    ProcessNumbers given_, compared_;
};

}  // namespace

bool may_name_processes(std::string_view text) noexcept {
    if (!mentions(text, "pg_")) return false;
    return std::any_of(std::begin(kFunctions), std::end(kFunctions),
                       [text](const auto& f) { return mentions(text, f.name); }) ||
           std::any_of(kViews.begin(), kViews.end(), [text](auto v) { return mentions(text, v); });
}

ProcessNumbers process_numbers(std::string_view text) { return Reader(text).numbers(); }

std::vector<WrittenNumber> written_numbers(std::string_view text) {
    std::vector<WrittenNumber> all;
    const auto part_of_other = [&](std::size_t i) {
        const char c = text[i];
        return lex::is_word_start(static_cast<unsigned char>(c)) || c == '.' || c == '-' ||
               c == '+' || c == '\\';
    };
    for (std::size_t at = 0; at < text.size();) {
        if (!lex::is_digit(static_cast<unsigned char>(text[at]))) {
            ++at;
            continue;
        }
        auto end = at;
        while (end < text.size() && lex::is_digit(static_cast<unsigned char>(text[end]))) ++end;
        std::uint32_t number = 0;
        const auto read = std::from_chars(text.data() + at, text.data() + end, number);
        const bool other =
            (at > 0 && part_of_other(at - 1)) || (end < text.size() && part_of_other(end));
        if (read.ec == std::errc{} && !other) all.push_back({at, end - at, number});
        at = end;
    }
    return all;
}

std::string replace_numbers(std::string_view text, const std::vector<WrittenNumber>& numbers,
                            const std::function<std::uint32_t(std::uint32_t)>& replaced) {
    std::string out;
    std::size_t done = 0;
    for (const auto& n : numbers) {
        out += text.substr(done, n.at - done);
        const auto number = replaced(n.number);
        out += number == n.number ? std::string(text.substr(n.at, n.size)) : std::to_string(number);
        done = n.at + n.size;
    }
    out += text.substr(done);
    return out;
}

}  // namespace pgweir::query
