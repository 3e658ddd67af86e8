// Session: SHOW pgweir.lsn and SET pgweir.lsn, by which a client that goes on at another proxy of
// the same server takes along what it has seen. SHOW gives the server's own position in its log,
// which is past all that this client knows to be committed. What SET is given was committed and
// visible before it was said, so whatever is delivered of the present moment covers it: hits of
// this session then wait until that is so. As a Query of nothing else; SET also as one batch of an
// unnamed statement. In any other form SET goes to the server as a setting like any other, which is
// enough, since hits never go behind what the server has answered, and SHOW is an error.
#include <algorithm>
#include <array>
#include <charconv>

#include "batch_plan.hpp"
#include "pgweir/session/session.hpp"
#include "turn.hpp"

namespace pgweir::session {

namespace {

constexpr std::string_view kSetting = "pgweir.lsn";
constexpr std::string_view kAsk =
    "SELECT pg_catalog.pg_current_wal_insert_lsn()::pg_catalog.text AS \"pgweir.lsn\"";

constexpr std::string_view kSpace = " \t\r\n\f\v";

/// Words, and single signs or quoted texts between them; nothing: more than make these statements.
struct Words {
    std::array<std::string_view, 5> at;
    std::size_t count = 0;
};

std::optional<Words> words_of(std::string_view text) noexcept {
    Words words;
    while (true) {
        const auto start = text.find_first_not_of(kSpace);
        if (start == text.npos) return words;
        text.remove_prefix(start);
        if (text == ";") return words;
        auto size = std::min(text.find_first_of(" \t\r\n\f\v=;'"), text.size());
        if (text[0] == '\'') {
            const auto end = text.find('\'', 1);
            if (end == text.npos) return std::nullopt;
            size = end + 1;
        } else if (size == 0) {
            size = 1;
        }
        if (words.count == words.at.size()) return std::nullopt;
        words.at[words.count++] = text.substr(0, size);
        text.remove_prefix(size);
    }
}

bool is(std::string_view word, std::string_view wanted) noexcept {
    return std::equal(word.begin(), word.end(), wanted.begin(), wanted.end(), [](char a, char b) {
        return (a >= 'A' && a <= 'Z' ? static_cast<char>(a | 0x20) : a) == b;
    });
}

/// 'X/Y' of hexadecimal digits, quoted.
bool is_position(std::string_view text) noexcept {
    if (text.size() < 5 || text.front() != '\'' || text.back() != '\'') return false;
    text = text.substr(1, text.size() - 2);
    const auto slash = text.find('/');
    if (slash == text.npos) return false;
    for (const auto part : {text.substr(0, slash), text.substr(slash + 1)}) {
        std::uint32_t ignored = 0;
        const auto [end, error] =
            std::from_chars(part.data(), part.data() + part.size(), ignored, 16);
        if (error != std::errc{} || end != part.data() + part.size()) return false;
    }
    return true;
}

}  // namespace

std::string_view Session::meant(std::string_view text) noexcept {
    const auto words = words_of(text);
    const bool shows =
        words && words->count == 2 && is(words->at[0], "show") && is(words->at[1], kSetting);
    return shows ? kAsk : text;
}

/// What is no position goes to the server, for which this is a name like any other.
bool Session::heeds_position(std::string_view text) {
    const auto words = words_of(text);
    if (!words || words->count < 4 || tx_ == wire::TxStatus::failed || refuses_all()) return false;
    const auto& w = words->at;
    const std::size_t n = words->count == 5 && (is(w[1], "session") || is(w[1], "local")) ? 2 : 1;
    if (!is(w[0], "set") || words->count != n + 3 || !is(w[n], kSetting)) return false;
    if (!(w[n + 1] == "=" || is(w[n + 1], "to")) || !is_position(w[n + 2])) return false;
    last_seen_ = std::max(last_seen_, base::monotonic_now());
    return true;
}

bool Session::takes_position(std::string_view text) {
    if (!heeds_position(text)) return false;
    std::string out;
    wire::write_command_complete(out, "SET");
    wire::write_ready(out, tx_);
    turn_->client.copy(out);
    return true;
}

bool Session::takes_position_batch(const BatchPlan& plan, std::string_view batch) {
    if (!may_name_position(plan.first_text)) [[likely]]
        return false;
    if (plan.parses != 1 || plan.binds != 1 || !plan.runs_only()) return false;
    const auto first = wire::scan_frame(batch);
    const auto second = wire::scan_frame(batch.substr(first.size));
    ParseView parse;
    BindView bind;
    if (first.type != wire::fe::kParse || second.type != wire::fe::kBind ||
        !parse_parse(first.body, parse) || !parse.name.empty() || !parse.raw_types.empty() ||
        !parse_bind(second.body, bind) || !bind.statement.empty() || !without_parameters(bind))
        return false;
    if (!heeds_position(parse.text)) return false;
    counters_.client_parse_count.add(1);
    counters_.bind_count.add(1);
    unnamed_ = unnamed_for(parse.text, parse.raw_types);
    portal_ = UnnamedPortal::none;
    answer_each(batch, "SET");
    return true;
}

/// In place of the Query that came.
void Session::send_text(std::string_view text) {
    std::string message;
    wire::write_query(message, text);
    turn_->server.copy(message);
}

}  // namespace pgweir::session
