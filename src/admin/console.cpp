// The console: finds the command of each statement, and runs one after the other, waiting for a
// snapshot or a reload where one is needed.
#include "pgweir/admin/console.hpp"

#include <memory>
#include <optional>

#include "commands/command.hpp"
#include "pgweir/base/log.hpp"
#include "pgweir/wire/sqlstate.hpp"
#include "statement.hpp"

namespace pgweir::admin {

namespace {

constexpr std::string_view kConfigFileError = "F0000";  // PostgreSQL: config_file_error
constexpr std::string_view kUndefinedTable = "42P01";

/// What a statement asks for: a command, or a setting that is only pretended.
struct Resolved {
    const Command* command = nullptr;
    const FakedSetting* faked = nullptr;
    std::string error;  // when neither
    std::vector<std::string> arguments{};
};

Resolved resolve_show(const Statement& s) {
    if (s.size() == 1) return {find_show("help"), nullptr, {}};
    std::string topic = s[1].text;
    std::size_t words = 2;
    if (s.size() == 3 && topic == "time" && s[2].text == "zone") {
        topic = "timezone";
        words = 3;
    } else if (s.size() == 4 && topic == "transaction" && s[2].text == "isolation" &&
               s[3].text == "level") {
        topic = "transaction_isolation";
        words = 4;
    }
    const auto* command = s[1].kind == Token::Kind::word ? find_show(topic) : nullptr;
    if (s.size() == 3 && command != nullptr && s[2].kind == Token::Kind::word)
        if (const auto* two = find_show(topic + " " + s[2].text)) return {two, nullptr, {}};
    if (words == 2 && command != nullptr && command->takes_arguments) {
        Resolved found{command, nullptr, {}};
        for (std::size_t i = 2; i < s.size(); ++i) found.arguments.push_back(s[i].text);
        if (command->check != nullptr) found.error = command->check(found.arguments);
        if (!found.error.empty()) found.command = nullptr;
        return found;
    }
    if (s.size() == words && s[1].kind == Token::Kind::word) {
        if (command != nullptr || (command = find_show(topic)) != nullptr)
            return {command, nullptr, {}};
        if (const auto* faked = find_faked(topic)) return {nullptr, faked, {}};
    }
    return {nullptr, nullptr, "unknown topic \"" + base::printable(topic, 60) + "\""};
}

/// INVALIDATE <topic> with what the topic takes.
Resolved resolve_invalidate(const Statement& s) {
    const auto* command = s.size() > 1 && s[1].kind == Token::Kind::word
                              ? find_command(Verb::invalidate, s[1].text)
                              : nullptr;
    if (command == nullptr || (!command->takes_arguments && s.size() > 2))
        return {nullptr, nullptr, "INVALIDATE TABLE, QUERY or ALL"};
    Resolved found{command, nullptr, {}};
    for (std::size_t i = 2; i < s.size(); ++i) found.arguments.push_back(s[i].text);
    if (command->check != nullptr) found.error = command->check(found.arguments);
    if (!found.error.empty()) found.command = nullptr;
    return found;
}

const Command* find_verb(Verb verb) noexcept {
    for (const auto& c : commands())
        if (c.verb == verb) return &c;
    return nullptr;
}

/// Statement::front() exists: a statement is never empty.
Resolved resolve(const Statement& s) {
    const auto& verb = s.front();
    if (verb.kind == Token::Kind::word) {
        if (verb.text == "show" || (verb.text == "select" && s.size() > 1)) return resolve_show(s);
        if (verb.text == "set" && s.size() > 1) return {find_verb(Verb::set), nullptr, {}};
        if (verb.text == "reset" && s.size() == 2 && s[1].text == "queries")
            return {find_verb(Verb::reset), nullptr, {}};
        if (verb.text == "invalidate") return resolve_invalidate(s);
        if (verb.text == "reload" && s.size() == 1) return {find_verb(Verb::reload), nullptr, {}};
    }
    return {nullptr, nullptr, "unknown command \"" + base::printable(verb.text, 60) + "\""};
}

void write_unknown(std::string& out, std::string_view what) {
    wire::write_error(out, {.severity = "ERROR",
                            .sqlstate = wire::sqlstate::kSyntaxError,
                            .message = what,
                            .hint = usage()});
}

void write_syntax_error(std::string& out, std::string_view what) {
    wire::write_error(
        out, {.severity = "ERROR", .sqlstate = wire::sqlstate::kSyntaxError, .message = what});
}

constexpr std::string_view kOneStatement =
    "cannot insert multiple commands into a prepared statement";

wire::Column faked_column(const FakedSetting& setting) { return {setting.name, kTextType}; }

/// The statements of one execute(), run to their end. It lives as long as something it waits for.
class Run : public std::enable_shared_from_this<Run> {
  public:
    Run(SnapshotSource& source, const ConsoleHooks& hooks, StatsHistory& history,
        const ConsoleContext& context, Script script, Console::Reply reply)
        : source_(source),
          hooks_(hooks),
          history_(history),
          context_(context),
          script_(std::move(script)),
          reply_(std::move(reply)) {}

    /// Depth: one more for each statement that answers at once, of which there are few.
    void next() {
        if (at_ == script_.statements.size()) return reply_(std::move(out_));
        const auto what = resolve(script_.statements[at_]);
        if (what.faked != nullptr) {
            show_faked(*what.faked);
        } else if (what.command == nullptr) {
            write_unknown(out_, what.error);
            return reply_(std::move(out_));
        } else {
            arguments_ = what.arguments;
            return run(*what.command);
        }
        ++at_;
        next();
    }

  private:
    void run(const Command& command) {
        if (command.right == Right::admin && !context_.admin) {
            wire::write_error(out_, {.severity = "ERROR",
                                     .sqlstate = wire::sqlstate::kInsufficientPrivilege,
                                     .message = "only admin users may do this"});
            return reply_(std::move(out_));
        }
        if (command.verb == Verb::reload) return reload();
        if (command.needs_snapshot && !snapshot_) return collect();
        if (command.verb == Verb::invalidate && !invalidates(command)) return;
        if (command.verb == Verb::reset) {
            if (snapshot_->queries) snapshot_->queries->reset();
            wire::write_command_complete(out_, "RESET");
        } else if (command.verb == Verb::set)
            wire::write_command_complete(out_, "SET");
        else if (command.verb == Verb::show)
            show(command);
        ++at_;
        next();
    }

    /// False: it was answered by an error.
    bool invalidates(const Command& command) {
        const auto error = hooks_.cache == nullptr
                               ? std::string("there is no cache")
                               : invalidate(command.topic, arguments_, *hooks_.cache);
        if (error.empty()) {
            wire::write_command_complete(out_, "INVALIDATE");
            return true;
        }
        wire::write_error(out_,
                          {.severity = "ERROR", .sqlstate = kUndefinedTable, .message = error});
        reply_(std::move(out_));
        return false;
    }

    void collect() {
        source_.collect([self = shared_from_this()](Snapshot snapshot) {
            self->history_.sample(stats_by_database(snapshot.pools), base::monotonic_now());
            self->snapshot_ = std::move(snapshot);
            self->next();
        });
    }

    void show(const Command& command) {
        if (command.rows == nullptr) {
            wire::write_notice(out_, {.severity = "NOTICE",
                                      .sqlstate = "00000",
                                      .message = "Console usage",
                                      .detail = usage()});
        } else {
            if (!context_.extended) wire::write_row_description(out_, command.columns);
            static const Snapshot kNone;
            const auto config = hooks_.config();
            RowWriter row(out_);
            const auto hba = hooks_.hba ? hooks_.hba() : nullptr;
            command.rows({snapshot_ ? *snapshot_ : kNone, *config, history_, base::monotonic_now(),
                          hba.get(), arguments_, hooks_.cache},
                         row);
        }
        wire::write_command_complete(out_, "SHOW");
    }

    void show_faked(const FakedSetting& setting) {
        const auto column = faked_column(setting);
        if (!context_.extended) wire::write_row_description(out_, {&column, 1});
        RowWriter(out_).text(setting.value).end();
        wire::write_command_complete(out_, "SHOW");
    }

    void reload() {
        hooks_.reload([self = shared_from_this()](const std::vector<std::string>& errors) {
            self->snapshot_.reset();  // what follows is to show what is so now
            self->reloaded(errors);
        });
    }

    void reloaded(const std::vector<std::string>& errors) {
        if (!errors.empty()) {
            std::string all;
            for (const auto& error : errors) all.append(all.empty() ? "" : "\n").append(error);
            wire::write_error(
                out_, {.severity = "ERROR",
                       .sqlstate = kConfigFileError,
                       .message = "the configuration has errors; the old one stays in force",
                       .detail = all});
            return reply_(std::move(out_));
        }
        wire::write_command_complete(out_, "RELOAD");
        ++at_;
        next();
    }

    SnapshotSource& source_;
    const ConsoleHooks& hooks_;
    StatsHistory& history_;
    const ConsoleContext context_;
    const Script script_;
    const Console::Reply reply_;
    std::size_t at_ = 0;
    std::vector<std::string> arguments_;
    std::optional<Snapshot> snapshot_;
    std::string out_;
};

}  // namespace

Console::Console(SnapshotSource& source, ConsoleHooks hooks)
    : source_(source), hooks_(std::move(hooks)), history_(base::monotonic_now()) {}

void Console::execute(std::string_view sql, const ConsoleContext& context, Reply reply) {
    auto script = parse_script(sql);
    std::string out;
    if (!script.error.empty())
        write_syntax_error(out, script.error);
    else if (context.extended && script.statements.size() > 1)
        write_syntax_error(out, kOneStatement);
    else if (script.statements.empty())
        wire::write_message(out, wire::be::kEmptyQueryResponse);
    if (!out.empty()) return reply(std::move(out));
    std::make_shared<Run>(source_, hooks_, history_, context, std::move(script), std::move(reply))
        ->next();
}

std::string Console::check(std::string_view sql) const {
    const auto script = parse_script(sql);
    std::string out;
    if (!script.error.empty()) {
        write_syntax_error(out, script.error);
    } else if (script.statements.size() > 1) {
        write_syntax_error(out, kOneStatement);
    } else if (!script.statements.empty()) {
        const auto what = resolve(script.statements.front());
        if (what.command == nullptr && what.faked == nullptr) write_unknown(out, what.error);
    }
    return out;
}

std::string Console::describe(std::string_view sql) const {
    auto out = check(sql);
    if (!out.empty()) return out;
    const auto script = parse_script(sql);
    const auto what = script.statements.empty() ? Resolved{} : resolve(script.statements.front());
    if (what.faked != nullptr) {
        const auto column = faked_column(*what.faked);
        wire::write_row_description(out, {&column, 1});
    } else if (what.command != nullptr && what.command->rows != nullptr) {
        wire::write_row_description(out, what.command->columns);
    } else {
        wire::write_message(out, wire::be::kNoData);
    }
    return out;
}

void Console::sample() {
    source_.collect([this](const Snapshot& snapshot) {
        history_.sample(stats_by_database(snapshot.pools), base::monotonic_now());
    });
}

}  // namespace pgweir::admin
