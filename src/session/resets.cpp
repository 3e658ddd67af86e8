// RESET, SET ... TO DEFAULT and DISCARD ALL among the statements of a text.
#include "resets.hpp"

#include <algorithm>
#include <cctype>
#include <span>
#include <string>

#include "pgweir/query/tokens.hpp"

namespace pgweir::session {

namespace {

using query::TextToken;
using Tokens = std::span<const TextToken>;

/// The setting whose name begins the tokens, in lower case; they go on behind it.
std::string setting_name(Tokens& tokens) {
    const auto word = [&](std::string_view w) { return !tokens.empty() && tokens[0].is(w); };
    const auto skip = [&] { tokens = tokens.subspan(1); };
    const auto pair = [&](std::string_view first, std::string_view second) {
        if (tokens.size() < 2 || !tokens[0].is(first) || !tokens[1].is(second)) return false;
        tokens = tokens.subspan(2);
        return true;
    };
    if (pair("time", "zone")) return "timezone";
    if (pair("session", "authorization")) return "session_authorization";
    std::string name;
    while (!tokens.empty()) {
        std::string part = tokens[0].text;
        if (part.size() > 1 && part.front() == '"') part = part.substr(1, part.size() - 2);
        for (auto& c : part) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
        name += part;
        skip();
        if (!word(".")) break;
        name += '.';
        skip();
    }
    return name;
}

/// What it does depends on no setting, and what it answers neither.
bool indifferent(Tokens statement) {
    static constexpr std::string_view kWords[] = {
        "abort",  "begin",  "close",   "commit",   "deallocate", "discard", "end",
        "listen", "notify", "release", "rollback", "savepoint",  "start",   "unlisten",
    };
    const auto& first = statement[0];
    if (std::any_of(std::begin(kWords), std::end(kWords), [&](auto w) { return first.is(w); }))
        return true;
    // As drivers have it between others when they give a connection back.
    return first.is("select") && statement.size() == 4 && statement[1].is("pg_advisory_unlock_all");
}

class Finder {
  public:
    explicit Finder(const pool::Settings& start) : start_(start) {}

    void look(Tokens statement) {
        if (statement.empty()) return;
        if (statement[0].is("reset"))
            reset(statement.subspan(1));
        else if (statement[0].is("set"))
            set(statement.subspan(1));
        else if (statement[0].is("discard") && statement.size() > 1 && statement[1].is("all"))
            found_.lost = start_;
        else if (!indifferent(statement))
            found_.in_front = found_.in_front || changes_meaning();
    }

    Resets take() { return std::move(found_); }

  private:
    void reset(Tokens what) {
        if (what.size() == 1 && what[0].is("all"))
            found_.lost = start_;
        else
            lose(setting_name(what));
    }

    void set(Tokens what) {
        const bool at_large = what.size() > 1 && !what[1].is("authorization");
        if (at_large && what[0].is("local")) return;
        if (at_large && what[0].is("session")) what = what.subspan(1);
        const auto name = setting_name(what);
        if (!what.empty() && (what[0].is("to") || what[0].is("="))) what = what.subspan(1);
        const bool zone_of_server = name == "timezone" && !what.empty() && what[0].is("local");
        const bool to_default = zone_of_server || (!what.empty() && what[0].is("default"));
        if (to_default) return lose(name);
        std::erase_if(found_.lost, [&](const auto& setting) { return setting.first == name; });
    }

    void lose(const std::string& name) {
        for (const auto& setting : start_)
            if (setting.first == name) found_.lost.push_back(setting);
    }

    /// application_name is only told.
    bool changes_meaning() const {
        return std::any_of(found_.lost.begin(), found_.lost.end(),
                           [](const auto& setting) { return setting.first != "application_name"; });
    }

    const pool::Settings& start_;
    Resets found_;
};

}  // namespace

Resets find_resets(std::string_view text, const pool::Settings& start) {
    if (!query::mentions(text, "reset") && !query::mentions(text, "default") &&
        !query::mentions(text, "local") && !query::mentions(text, "discard"))
        return {};
    const auto tokens = query::text_tokens(text);
    Finder finder(start);
    for (Tokens rest(tokens); !rest.empty();) {
        const auto end = std::find_if(rest.begin(), rest.end(),
                                      [](const TextToken& token) { return token.is(";"); });
        const auto size = static_cast<std::size_t>(end - rest.begin());
        finder.look(rest.first(size));
        rest = rest.subspan(std::min(size + 1, rest.size()));
    }
    return finder.take();
}

}  // namespace pgweir::session
