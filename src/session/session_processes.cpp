// Session: server processes that statements name. Where server connections are shared a client is
// told a number at its login that no process of the server has. In pg_terminate_backend(...) and
// its kin, and where the views of activity are asked for a pid, that number stands for the server
// connection which the client it was told to holds at that moment, and is replaced by its process.
// Who is to be signalled or looked for is lent a server connection if it has none, and keeps it
// until the statement has been answered: so nobody else's query is hit, the server itself decides
// who may do it, and tells the client of it in its own words.
#include <algorithm>
#include <atomic>

#include "batch_plan.hpp"
#include "pgweir/query/processes.hpp"
#include "pgweir/session/client_connection.hpp"
#include "processes.hpp"
#include "turn.hpp"

namespace pgweir::session {

namespace {

/// Beyond these numbers are left as they are.
constexpr std::size_t kMostNumbers = 64, kMostLent = 8;
/// The one who is asked may wait for a server connection; then its number is nobody's.
constexpr base::Nanos kPatience = 2 * base::kSecond;
/// A statement that names others may run for long; they are not kept waiting for its end.
constexpr base::Nanos kLongestLoan = 5 * base::kSecond;

/// Of an int4, or an int8 that is no longer.
std::optional<std::uint32_t> binary_number(std::string_view value) noexcept {
    if (value.size() == 4) return base::load_u32(value.data());
    if (value.size() != 8 || base::load_u32(value.data()) != 0) return std::nullopt;
    return base::load_u32(value.data() + 4);
}

struct Parameter {
    bool text = true;
    bool null = false;
    std::string_view value;
};

/// Of a Bind that has been found to be well formed.
std::vector<Parameter> parameters_of(std::string_view raw, std::string_view& formats) {
    base::ByteReader r(raw);
    std::vector<bool> text;
    for (unsigned n = r.u16(); n > 0; --n) text.push_back(r.u16() == 0);
    formats = raw.substr(0, 2 + 2 * text.size());
    std::vector<Parameter> all;
    for (unsigned n = r.u16(), i = 0; i < n; ++i) {
        Parameter p;
        p.text = text.empty() || text[text.size() == 1 ? 0 : i];
        const auto size = r.i32();
        p.null = size < 0;
        if (!p.null) p.value = r.bytes(static_cast<std::size_t>(size));
        all.push_back(p);
    }
    return all;
}

void add_numbers(const Parameter& p, std::vector<std::uint32_t>& to) {
    if (p.text)
        for (const auto& n : query::written_numbers(p.value)) to.push_back(n.number);
    else if (const auto number = binary_number(p.value))
        to.push_back(*number);
}

/// The parameter's value with other numbers.
std::string with_numbers(const Parameter& p,
                         const std::function<std::uint32_t(std::uint32_t)>& replaced) {
    if (p.text) return query::replace_numbers(p.value, query::written_numbers(p.value), replaced);
    std::string value(p.value);
    if (const auto number = binary_number(value))
        base::store_u32(value.data() + value.size() - 4, replaced(*number));
    return value;
}

}  // namespace

/// False: the session waits to be told. Numbers as small as those of processes are not ours.
bool Session::processes_known(const std::vector<std::uint32_t>& numbers, bool lend) {
    if (question_ == nullptr) {
        static std::atomic<std::uint64_t> last{0};
        question_ = std::make_unique<ProcessQuestion>();
        auto& q = *question_;
        q.id = ++last;
        q.since = env_.now();
        for (const auto number : numbers) {
            const bool known = std::any_of(q.known.begin(), q.known.end(),
                                           [&](const auto& k) { return k.number == number; });
            const auto most = lend ? kMostLent : kMostNumbers;
            if (is_server_pid(number) || known || q.known.size() == most) continue;
            q.known.push_back({number, number == own_pid ? server_->process_id() : 0});
            if (number == own_pid) continue;
            ++q.open;
            env_.find_process(*identity_, number, lend, session_id, q.id);
        }
    }
    asking_ = question_->open > 0;
    return !asking_;
}

/// The number itself where nobody has it: the server says then that there is no such process.
std::uint32_t Session::process_of(std::uint32_t number) const noexcept {
    for (const auto& k : question_->known)
        if (k.number == number && k.process != 0) return k.process;
    return number;
}

/// What was asked has been put to use; its loans last until the answer is through.
void Session::processes_named() {
    auto& x = *exchange_;
    for (auto& loan : question_->loans) x.loans.emplace_back(x.batch, std::move(loan));
    question_.reset();
}

/// Of batches that have been answered.
void Session::end_loans() {
    auto& x = *exchange_;
    const auto others = std::stable_partition(x.loans.begin(), x.loans.end(),
                                              [&x](const auto& l) { return x.over(l.first); });
    const std::vector ended(std::move_iterator(x.loans.begin()), std::move_iterator(others));
    x.loans.erase(x.loans.begin(), others);
}

/// False: ask again once asking_ is over. Else `text` may be `replaced` now.
bool Session::name_processes(std::string_view& text, std::string& replaced) {
    const auto named = query::process_numbers(text);
    std::vector<std::uint32_t> numbers;
    for (const auto& n : named.literals) numbers.push_back(n.number);
    if (!processes_known(numbers, named.at_work)) return false;
    if (!question_->known.empty()) {
        replaced =
            query::replace_numbers(text, named.literals, [this](auto n) { return process_of(n); });
        text = replaced;
    }
    processes_named();
    return true;
}

/// The same for an execution of `statement`, which is another one then if its text says numbers;
/// `parameters` are what stands in the Bind's in their place, if it is not empty.
bool Session::name_processes(StatementPtr& statement, const BindView& bind,
                             std::string& parameters) {
    const auto named = query::process_numbers(statement->text);
    std::string_view formats;
    const auto given = parameters_of(bind.parameters, formats);
    std::vector<std::uint32_t> numbers;
    for (const auto& n : named.literals) numbers.push_back(n.number);
    for (const auto n : named.parameters)
        if (n <= given.size()) add_numbers(given[n - 1], numbers);
    if (!processes_known(numbers, named.at_work)) return false;
    const auto process = [this](std::uint32_t n) { return process_of(n); };
    if (!question_->known.empty()) {
        const auto text = query::replace_numbers(statement->text, named.literals, process);
        if (text != statement->text) statement = intern(text, statement->raw_types());
        parameters = formats;
        base::append_u16(parameters, static_cast<std::uint16_t>(given.size()));
        for (std::size_t i = 0; i < given.size(); ++i) {
            const auto& p = given[i];
            const auto& listed = named.parameters;
            const bool names = std::find(listed.begin(), listed.end(), i + 1) != listed.end();
            const auto value = names ? with_numbers(p, process) : std::string(p.value);
            base::append_u32(parameters, p.null ? ~0u : static_cast<std::uint32_t>(value.size()));
            parameters += value;
        }
    }
    processes_named();
    return true;
}

void Session::on_process(std::uint64_t question, std::uint32_t number, std::uint32_t process,
                         Loan loan) noexcept {
    if (ended_ || question_ == nullptr || question_->id != question || !asking_) return;
    auto& q = *question_;
    for (auto& k : q.known)
        if (k.number == number) k.process = process;
    q.loans.push_back(std::move(loan));
    if (--q.open > 0) return;
    const TurnScope scope(*this);
    asking_ = false;
    consume_buffer();
}

/// Whoever has not answered in time is taken to have none, and nobody lends for ever.
void Session::tick_processes(base::Nanos now) {
    if (asking_ && now - question_->since > kPatience) {
        const TurnScope scope(*this);
        question_->open = 0;
        asking_ = false;
        consume_buffer();
    }
    if (ended_ || lending_.count == 0) return;
    if (lending_.waits && now - lending_.since > kPatience) stop_waiting_to_lend();
    if (now - lending_.since <= kLongestLoan) return;
    // What was to meet its server process may come still: nobody else is to have that.
    lending_.overdue += std::exchange(lending_.count, 0);
    lending_.kept_from_all = server_ != nullptr;
    const TurnScope scope(*this);
    maybe_release();
}

/// Only where the client itself wants nothing of a server that it has not got yet.
void Session::tell_process(bool lend, ProcessAnswer answer) {
    if (lend && lending_.count++ == 0) lending_.since = env_.now();
    if (ended_ || terminating_) return answer(0);
    const bool rests = !waiting_ && !awaiting_ && !in_flight() && !skip_until_sync_ && !hub_wait_ &&
                       begin_ == nullptr;
    if (lend && server_ == nullptr && rests) {
        const TurnScope scope(*this);
        lending_.waits = !want_server() && waiting_;
    }
    lending_.signalled = lending_.signalled || (lend && (server_ != nullptr || lending_.waits));
    if (lend && lending_.waits) return lending_.waiting.push_back(std::move(answer));
    answer(server_ != nullptr ? server_->process_id() : 0);
}

void Session::stop_waiting_to_lend() {
    const TurnScope scope(*this);
    leaser_.cancel_wait(*this);
    waiting_ = lending_.waits = lending_.signalled = false;
    answer_borrowers();
    consume_buffer();
}

/// It has a server connection now, or will have none.
void Session::answer_borrowers() noexcept {
    for (auto& answer : std::exchange(lending_.waiting, {}))
        answer(server_ != nullptr ? server_->process_id() : 0);
}

void Session::loan_ended() noexcept {
    if (lending_.overdue > 0) {
        --lending_.overdue;
        return;
    }
    if (--lending_.count > 0 || ended_) return;
    if (lending_.waits) return stop_waiting_to_lend();
    const TurnScope scope(*this);
    maybe_release();
}

}  // namespace pgweir::session
