// Session: transactions in which nothing has run yet. BEGIN is kept back until a statement needs a
// server, so a client that thinks between BEGIN and its first statement, or never sends one, holds
// nothing. Invariant: while begin_ is kept no server of this session is in a transaction, and tx_
// is what the client was told; what goes to a server behind it runs inside the transaction or not
// at all. And the unnamed portal of what such a transaction was answered here. Thread: the
// worker's.
#include "batch_plan.hpp"
#include "pgweir/query/tokens.hpp"
#include "pgweir/session/session.hpp"
#include "pgweir/wire/sqlstate.hpp"
#include "turn.hpp"

namespace pgweir::session {

using query::Kind;
using wire::TxStatus;
namespace fe = wire::fe;

namespace {

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

/// Texts without anything that changes from one to the next (comments) stay prepared on servers.
bool plain(std::string_view text) noexcept {
    constexpr std::size_t kLongest = 120;
    return text.size() <= kLongest && std::all_of(text.begin(), text.end(), [](char c) {
               return (lower(c) >= 'a' && lower(c) <= 'z') || c == ' ' || c == ',' || c == ';';
           });
}

/// Whether it is worth asking what a text does: `kept` says that a BEGIN is kept back. One with a
/// comment in front is not looked at, and goes to a server.
bool may_step(std::string_view text, bool kept) noexcept {
    if (text.empty()) return false;
    const auto at = text.front() > ' ' ? 0 : text.find_first_not_of(" \t\r\n");
    if (at == std::string_view::npos) return false;
    const char c = lower(text[at]);
    if (kept) return c == 'c' || c == 'e' || c == 'r' || c == 'a';
    return c == 'b' || (c == 's' && at + 1 < text.size() && lower(text[at + 1]) == 't');
}

}  // namespace

/// BEGIN is kept back, and an empty transaction ended, without a server: the command tag, or empty
/// where a server is needed.
std::string_view Session::step_here(const MemoEntry& memo, std::string_view text) {
    const auto& v = *memo.verdict;
    if (begin_ == nullptr) {
        if (v.kind != Kind::begin || !identity_->lazy_begin || tx_ != TxStatus::idle) return {};
        record_here(memo, text);
        begin_reads_ = begins_reads(v);
        begin_ =
            plain(text) ? env_.statements->intern(text, {}, 0, 0) : StatementTable::make(text, {});
        tx_ = TxStatus::in_transaction;
        return v.start_transaction ? "START TRANSACTION" : "BEGIN";
    }
    if (v.chains || (v.kind != Kind::commit && v.kind != Kind::rollback)) return {};
    const bool commits = v.kind == Kind::commit && tx_ != TxStatus::failed;
    record_here(memo, text);
    counters_.xact_count.add(1);
    begin_.reset();
    tx_ = TxStatus::idle;
    forget_portal();
    return commits ? "COMMIT" : "ROLLBACK";
}

/// True when the Query was answered here.
bool Session::answer_step(std::string_view text, const MemoEntry& memo) {
    if (begin_ == nullptr && memo.verdict->kind != Kind::begin) [[likely]]
        return false;
    std::string out;
    if (const auto tag = step_here(memo, text); !tag.empty()) {
        wire::write_command_complete(out, tag);
    } else if (tx_ == TxStatus::failed && !leaves_failed(memo, text)) {
        wire::write_error(out, kAborted);
    } else {
        return false;
    }
    wire::write_ready(out, tx_);
    turn_->client.copy(out);
    unnamed_.reset();  // as to any Query
    portal_ = UnnamedPortal::none;
    return true;
}

/// Ends a failed transaction and does more: the server does both, in a transaction that is empty.
bool Session::leaves_failed(const MemoEntry& memo, std::string_view text) {
    const auto kind = memo.verdict->kind;
    bool leaves = kind == Kind::commit || kind == Kind::rollback;
    if (kind == Kind::several) {
        const auto first = query::text_tokens(text, 1);
        for (const auto* word : {"rollback", "abort", "commit", "end"})
            leaves = leaves || (!first.empty() && first.front().is(word));
    }
    if (leaves) tx_ = TxStatus::in_transaction;
    return leaves;
}

/// In a transaction that failed before it reached a server nothing but its end is answered.
bool Session::refuses_all() const noexcept { return begin_ != nullptr && tx_ == TxStatus::failed; }

std::size_t Session::refuse_batch(std::string_view view) {
    std::string out;
    wire::write_error(out, kAborted);
    turn_->client.copy(out);
    skip_until_sync_ = true;
    return skip_frame(view, wire::scan_frame(view));
}

std::size_t Session::refuse_call(const wire::Frame& frame) {
    return send_error_and_ready(frame, kAborted);
}

/// The statement of a batch of one that may be a step; null when it has parameters.
StatementPtr Session::step_statement(std::string_view batch, std::string_view& new_name) {
    StatementPtr parsed;
    while (!batch.empty()) {
        const auto frame = wire::scan_frame(batch);
        batch.remove_prefix(frame.size);
        if (frame.type == fe::kParse) {
            ParseView parse;
            if (!parse_parse(frame.body, parse) || !parse.raw_types.empty()) return nullptr;
            // A name that is taken is an error only the server words.
            if (!parse.name.empty() && (has_statement(parse.name) || full())) return nullptr;
            new_name = parse.name;
            parsed = parse.name.empty() ? unnamed_for(parse.text, parse.raw_types)
                                        : intern(parse.text, parse.raw_types);
        } else if (frame.type == fe::kBind) {
            BindView bind;
            if (!parse_bind(frame.body, bind) || !without_parameters(bind)) return nullptr;
            // The portal of a BEGIN stays in its transaction, and send_begin() makes the unnamed.
            if (begin_ == nullptr && !bind.portal.empty()) return nullptr;
            if (parsed) return bind.statement == new_name ? parsed : nullptr;
            const auto* found = find_statement(bind.statement);
            return found != nullptr ? *found : nullptr;
        }
    }
    return nullptr;
}

/// The same for a batch that is nothing but one such statement.
bool Session::answer_step_batch(const BatchPlan& plan, std::string_view batch) {
    if (begin_ == nullptr && !identity_->lazy_begin) return false;
    if (plan.binds != 1 || plan.parses > 1 || !plan.runs_only()) return false;
    if (plan.parses == 1) {
        const bool first = batch.front() == fe::kParse;
        if (!first || !may_step(plan.first_text, begin_ != nullptr)) return false;
    } else if (plan.first_parameters > 0) {
        return false;
    } else {
        const auto* bound = find_statement(plan.first_bound);
        if (bound == nullptr || !may_step((*bound)->text, begin_ != nullptr)) return false;
    }
    std::string_view new_name;
    const auto statement = step_statement(batch, new_name);
    if (statement == nullptr) return false;
    const auto tag = step_here(*judge(statement->text, statement->scan()), statement->text);
    if (tag.empty()) return false;
    if (plan.parses > 0) {
        counters_.client_parse_count.add(1);
        if (new_name.empty())
            unnamed_ = statement;
        else
            statements_.set(new_name, statement);
    }
    counters_.bind_count.add(1);
    portal_ = plan.closes_portal > 0 ? UnnamedPortal::none : UnnamedPortal::servers;
    answer_each(batch, tag);
    return true;
}

/// The answers to a batch of one statement without rows that ends with this tag.
void Session::answer_each(std::string_view batch, std::string_view tag) {
    std::string out;
    while (!batch.empty()) {
        const auto frame = wire::scan_frame(batch);
        batch.remove_prefix(frame.size);
        switch (frame.type) {
            case fe::kParse: wire::write_message(out, wire::be::kParseComplete); break;
            case fe::kBind: wire::write_message(out, wire::be::kBindComplete); break;
            case fe::kDescribe: wire::write_message(out, wire::be::kNoData); break;
            case fe::kExecute: wire::write_command_complete(out, tag); break;
            case fe::kClose: wire::write_message(out, wire::be::kCloseComplete); break;
            default: wire::write_ready(out, tx_);
        }
    }
    turn_->client.copy(out);
}

/// Goes ahead of the first statement, in messages of the extended protocol without a Sync: should
/// BEGIN fail (a cancel meets it), the server skips what follows, and nothing of it runs outside
/// the transaction. Until BEGIN has succeeded, no second statement is sent.
void Session::send_begin() {
    auto& x = *exchange_;
    x.begin = std::move(begin_);
    begin_.reset();
    x.tx_statements = 1;  // what comes with it is the second
    if (x.sent == 0) x.started = env_.now();
    const bool named = plain(x.begin->text);
    if (!ensure_prepared(*x.begin, !named)) x.expects.back().begin = true;
    std::string m;
    wire::write_bind(m, "", named ? pool::prepared_name(x.begin->id) : std::string());
    wire::write_execute(m);
    turn_->server.copy(m);
    using Expected = Expect::Kind;
    x.expects.push(
        {.kind = Expected::bind, .swallow = true, .begin = true, .statement = x.begin->id});
    x.expects.push({.kind = Expected::execute, .swallow = true, .begin = true});
}

/// The client's unnamed portal was bound and run to its end here.
void Session::keep_portal(const StatementPtr& statement, std::string_view values) {
    if (!answered_portal_) answered_portal_ = std::make_unique<AnsweredPortal>();
    answered_portal_->statement = statement;
    answered_portal_->values = values;
    portal_ = UnnamedPortal::answered;
}

void Session::forget_portal() noexcept {
    answered_portal_.reset();
    portal_ = UnnamedPortal::none;
}

/// The unnamed portal is named without having been bound by what was sent before: it becomes the
/// client's, which has been run, or goes.
void Session::restore_portal() {
    const bool answered = std::exchange(portal_, UnnamedPortal::servers) == UnnamedPortal::answered;
    auto& x = *exchange_;
    std::string m;
    if (!answered) {
        wire::write_close(m, 'P', "");
        x.expects.push({.kind = Expect::Kind::close, .swallow = true});
        return turn_->server.copy(m);
    }
    const auto& statement = *answered_portal_->statement;
    ensure_prepared(statement, !statement.interned);
    wire::write_bind(m, "", statement.interned ? pool::prepared_name(statement.id) : std::string(),
                     answered_portal_->values);
    wire::write_execute(m);
    turn_->server.copy(m);
    x.expects.push({.kind = Expect::Kind::bind, .swallow = true});
    x.expects.push({.kind = Expect::Kind::execute, .swallow = true});
}

/// The server's words are the answer to the client's first statement, and its transaction has
/// failed; that it was never begun makes no difference to the client.
void Session::begin_failed() {
    auto& x = *exchange_;
    begin_ = std::move(x.begin);
    x.begin.reset();
    x.begin_failed = true;
    using Expected = Expect::Kind;
    skip_batch();
    if (!x.expects.empty() && x.expects.front().kind != Expected::sync) {
        if (std::exchange(x.expects.front().takes, false)) end_taking();
        x.expects.front().kind = Expected::sync;
        std::string m;
        wire::write_message(m, fe::kSync);
        turn_->server.copy(m);
    }
    x.skipping = x.expects.empty();
    // Nothing ran, so nothing is left.
    x.suspect = x.may_leave_state = x.unpin_at_ready = false;
    x.lost.reset();
    x.suspicion = x.lasting = query::PinReason::none;
    x.may_end_transaction = false;
    x.defines.clear();
    x.changes_logins.clear();
}

}  // namespace pgweir::session
