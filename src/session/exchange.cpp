// See exchange.hpp.
#include "pgweir/session/exchange.hpp"

#include <atomic>

#include "inspection.hpp"
#include "pgweir/query/tokens.hpp"

namespace pgweir::session {

namespace {
/// A text longer than this is not kept for the next statement.
constexpr std::size_t kKeptText = 4096;
/// What a long pipeline took is not kept, either.
constexpr std::size_t kKeptItems = 1024;

template <class Queue>
void empty(Queue& queue) {
    if (queue.capacity() > kKeptItems)
        queue = {};
    else
        queue.clear();
}
}  // namespace

void Exchange::note_defines() {
    static std::atomic<std::uint64_t> numbers = std::uint64_t{1} << 63;  // no database gets there
    note_in(defines);
    own_definitions = numbers.fetch_add(1);
}

Copies copies(const query::Verdict& verdict, std::string_view text) noexcept {
    switch (verdict.kind) {
        case query::Kind::copy: return Copies::one;
        case query::Kind::utility:
        case query::Kind::several:
        case query::Kind::unknown:
            return query::mentions(text, "copy") ? Copies::several : Copies::none;
        default: return Copies::none;
    }
}

bool outrun(std::span<const Believed> believed, cache::DatabaseState& database) noexcept {
    const auto catalog = database.catalog_version();
    bool read_again = false;
    for (const auto& b : believed) {
        if (b.catalog == catalog && catalog != 0) continue;
        if (b.catalog != catalog) database.whole().bump();
        read_again = database.judged_in_doubt(b.catalogs) || read_again;
    }
    return read_again;
}

Exchange::Exchange() = default;
Exchange::~Exchange() = default;

void Exchange::reset() {
    empty(expects);
    ready_expected = batch = ended = 0;
    if (text.capacity() > kKeptText) text = {};
    text.clear();
    statement.reset();
    extended = timed = cancel_sent = false;
    started = sent = first_byte = wait = 0;
    rows = rows_before = bytes = 0;
    sqlstate.clear();
    cache_word = {};
    empty(fences);
    written.settle();
    believed.clear();
    tx_started = idle_since = 0;
    tx_statements = 0;
    empty(works);
    work = parts = 0;
    part_started = 0;
    part_rows = part_bytes = 0;
    error.clear();
    wrote = may_leave_state = unpin_at_ready = suspect = false;
    suspicion = lasting = query::PinReason::none;
    reset_after_look = acted = bound = bound_unnamed = begun = sends_again = in_doubt = false;
    custom_settings.clear();
    inspection.reset();
    if (pin_permit) pin_permit = {};
    begin.reset();
    again.clear();
    skipping = begin_failed = false;
    commit_in_flight = copy_bound = unsynced = executed = false;
    copy_syncs = 0;
    lost.reset();
    taking.reset();
    takers.clear();
    empty(parsed);
    empty(closed);
    empty(undescribed);
    empty(renewed);
    meant.reset();
    errors.clear();
    loans.clear();
    may_end_transaction = false;
    defines.clear();
    changes_logins.clear();
    vacated.clear();
    fills.clear();
    stamp.reset();
    current_fill = 0;
}

std::unique_ptr<Exchange> ExchangeStore::take() {
    if (free_.empty()) return std::make_unique<Exchange>();
    auto e = std::move(free_.back());
    free_.pop_back();
    return e;
}

void ExchangeStore::give(std::unique_ptr<Exchange> exchange) {
    exchange->reset();
    if (free_.size() < kKept) free_.push_back(std::move(exchange));
}

}  // namespace pgweir::session
