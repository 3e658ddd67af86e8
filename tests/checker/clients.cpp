// See clients.hpp.
#include "checker/clients.hpp"

#include <atomic>

#include <charconv>
#include <mutex>
#include <optional>

namespace pgweir::checker {

using namespace testing;

Time now() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

namespace {
/// Of the first column, behind its first letter.
std::string name_of_column(const Messages& answer) {
    const auto names = bodies(answer, 'T').at(0);
    return names.size() < 4 ? std::string() : std::string(names.c_str() + 3);
}
}  // namespace

std::optional<std::int64_t> version_of(const Messages& answer) {
    if (!error_of(answer).sqlstate.empty()) return std::nullopt;
    const bool described = count_type(answer, 'D') == 0 && count_type(answer, 'T') == 1;
    const auto value = described ? name_of_column(answer) : first_value(answer);
    std::int64_t version = -1;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), version);
    if (error != std::errc() || end != value.data() + value.size()) return -1;
    return version;
}

void Complaints::add(const std::string& line) {
    const std::lock_guard lock(mutex_);
    if (++count_ <= 10) lines_.push_back(line);
}

namespace {
std::atomic<std::uint64_t> last_session{0};
}

Client::Client(std::uint16_t port, std::string user, msg::Parameters more)
    : port_(port),
      user_(std::move(user)),
      more_(std::move(more)),
      client_(RawClient::login(port_, user_, "app", more_)),
      session_(++last_session) {}

void Client::reconnect() {
    names_.clear();
    client_ = RawClient::login(port_, user_, "app", more_);
    session_ = ++last_session;
}

/// As drivers do it: with Sync, or with Flush and the Sync later.
Messages Client::described(const std::string& sql, Mode mode) {
    const auto name = mode == Mode::named ? "d" : "";
    const auto batch = msg::close('S', name) + msg::parse(name, sql) + msg::describe('S', name);
    if (mode != Mode::transaction) return client_.ask(batch + msg::sync());
    client_.send(batch.substr(msg::close('S', name).size()) + msg::flush());
    Messages answer;
    do answer.push_back(client_.read());
    while (answer.back().type != 'T' && answer.back().type != 'E');
    client_.ask(msg::sync());
    return answer;
}

Messages Client::ask(const std::string& sql, Mode mode) {
    if (sql[0] == '?') return described(sql.substr(1), mode);
    switch (mode) {
        case Mode::simple: return client_.ask(msg::query(sql));
        case Mode::unnamed: return client_.ask(msg::unnamed(sql) + msg::sync());
        case Mode::named: {
            auto& name = names_[sql];
            std::string batch;
            if (name.empty()) {
                name = "s" + std::to_string(names_.size());
                batch = msg::parse(name, sql);
            }
            return client_.ask(batch + msg::bind("", name) + msg::describe('P', "") +
                               msg::execute() + msg::sync());
        }
        case Mode::transaction: {
            client_.ask(msg::query("BEGIN"));
            auto answer = client_.ask(msg::query(sql));
            client_.ask(msg::query("COMMIT"));
            return answer;
        }
    }
    return {};
}

Writer::Writer(const Ports& ports, std::uint64_t seed, Complaints& complaints)
    : client_(ports.proxy),
      direct_(ports.direct),
      second_(ports.second),
      random_(static_cast<unsigned>(seed)),
      complaints_(complaints) {}

namespace {
std::string with_version(std::string text, std::int64_t version) {
    for (auto at = text.find("%v"); at != text.npos; at = text.find("%v", at))
        text.replace(at, 2, std::to_string(version));
    return text;
}
}  // namespace

void Writer::step(RawClient& c, const std::string& text, std::int64_t version) {
    const bool fails = text[0] == '!';
    const bool reads = text[0] == '=';
    const bool copies = text.starts_with("copy:");
    const auto sql = with_version(text.substr(copies ? 5 : fails || reads ? 1 : 0), version);
    Messages answer;
    if (copies) {
        const auto line = sql.find('\n');
        answer = c.ask(msg::query(sql.substr(0, line)) +
                       msg::copy_data(sql.substr(line + 1) + "\n") + msg::copy_done());
    } else if (!reads && random_() % 2 == 0) {
        answer = c.ask(msg::unnamed(sql) + msg::sync());
    } else {
        answer = c.ask(msg::query(sql));
    }
    const auto error = error_of(answer);
    if (fails == error.sqlstate.empty())
        complaints_.add("ERROR " + sql + ": " + error.sqlstate + " " + error.message);
    if (reads && version_of(answer) != version)
        complaints_.add("OWN WRITE " + sql + ": " + first_value(answer) + " instead of " +
                        std::to_string(version));
}

/// False: the connection was lost, as the way wants it.
bool Writer::transaction(const Register& what, const Way& way, Write& write) {
    auto& client = what.outside ? direct_ : what.second ? second_ : client_;
    try {
        for (const auto& text : way.steps) step(client.raw(), text, write.version);
        return true;
    } catch (const Closed&) {
        if (way.outcome != Outcome::unknown) complaints_.add("CLOSED in " + what.name);
        client.reconnect();
        return false;
    }
}

void Writer::write(const Register& what, History& history) {
    const auto& way = what.ways[random_() % what.ways.size()];
    Write w;
    w.version = ++versions_[&history];
    w.invoked = now();
    w.outcome = way.outcome;
    transaction(what, way, w);
    w.acknowledged = now();
    history.writes.push_back(w);
    // The lost commit is still on its way; a second one would hide what becomes of it.
    if (way.outcome == Outcome::unknown) sleep_for(Seconds(0.6));
}

}  // namespace pgweir::checker
