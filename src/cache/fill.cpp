// Sorting a server's answer into what an entry keeps, and the checks before it is published.
#include "pgweir/cache/fill.hpp"

#include <algorithm>
#include <charconv>
#include <span>

#include "pgweir/base/bytes.hpp"
#include "pgweir/base/plants.hpp"
#include "pgweir/wire/frame.hpp"
#include "pgweir/wire/messages.hpp"

namespace pgweir::cache {

namespace {

/// Behind the key: a row description and a few values.
constexpr std::size_t kRoom = 224;

/// Bytes of whole DataRow messages at the start of `bytes`; adds their number to `rows`.
std::size_t run_of_rows(std::string_view bytes, std::uint64_t& rows) noexcept {
    std::size_t run = 0;
    for (;;) {
        const auto frame = wire::scan_frame(bytes.substr(run));
        if (frame.status != wire::FrameStatus::complete || frame.type != wire::be::kDataRow)
            return run;
        run += frame.size;
        ++rows;
    }
}

/// A sum that does not depend on the order of the messages.
std::uint64_t rows_in_any_order(std::string_view bytes) noexcept {
    std::uint64_t sum = bytes.size();
    while (!bytes.empty()) {
        const auto frame = wire::scan_frame(bytes);
        if (frame.status != wire::FrameStatus::complete) break;
        sum += base::hash64(bytes.substr(0, frame.size));
        bytes.remove_prefix(frame.size);
    }
    return sum;
}

bool is_one_message(std::string_view message, char type) noexcept {
    const auto frame = wire::scan_frame(message);
    return frame.status == wire::FrameStatus::complete && frame.type == type &&
           frame.size == message.size();
}

#ifdef PGWEIR_PLANTS
/// Format codes of all columns become text.
void plant_text_formats(std::span<char> description) {
    const std::string_view whole(description.data(), description.size());
    base::ByteReader r(whole.substr(std::min<std::size_t>(5, whole.size())));
    for (auto columns = r.u16(); columns > 0 && r.ok(); --columns) {
        r.cstring();
        r.bytes(16);
        if (!r.ok()) return;
        const auto at = description.size() - r.rest().size();
        description[at] = description[at + 1] = '\0';
        r.u16();
    }
}
#endif

base::Nanos expiry(const FillOptions& o) noexcept {
    return o.ttl >= kNever - std::max<base::Nanos>(o.sent, 0) ? kNever : o.sent + o.ttl;
}

}  // namespace

Fill::Fill(ResultCache& cache, DatabaseState& database, std::string key, const base::Hash128& hash,
           Snapshot snapshot, const FillOptions& options)
    : cache_(&cache),
      database_(&database),
      hash_(hash),
      snapshot_(std::move(snapshot)),
      options_(options),
      charge_(cache.charge()),
      end_(FillEnd::collecting),
      bytes_(std::move(key)),
      key_size_(bytes_.size()) {
    if (key_size_ > cache.max_entry())
        give_up(FillEnd::too_large);
    else if (!cache.grow(charge_, allocation_bytes(bytes_.capacity() + 1)))
        give_up(FillEnd::no_room);
}

std::string Fill::with_room(std::string_view key) {
    std::string out;
    out.reserve(key.size() + kRoom);
    out = key;
    return out;
}

void Fill::lead_with(Lead lead) {
    lead.captured(snapshot_.dependencies());
    lead_ = std::move(lead);
    if (!collecting()) lead_.land();
}

bool Fill::make_capacity(std::size_t size) {
    if (size <= bytes_.capacity()) return true;
    const auto old = bytes_.capacity();
    const auto capacity = std::max<std::size_t>(size, std::min(old * 2, cache_->max_entry()));
    if (!cache_->grow(charge_, allocation_bytes(capacity + 1))) return false;
    bytes_.reserve(capacity);
    charge_.shrink(allocation_bytes(old + 1));
    return true;
}

/// A part grows at its end only, and it is the last one.
bool Fill::store(Part& part, std::string_view bytes) {
    const auto size = bytes_.size() + bytes.size();
    if (size > cache_->max_entry()) {
        give_up(FillEnd::too_large);
        return false;
    }
    if (!make_capacity(size)) {
        give_up(FillEnd::no_room);
        return false;
    }
    if (part.size == 0) part.at = bytes_.size();
    part.size += bytes.size();
    bytes_.append(bytes);
    return true;
}

void Fill::give_up(FillEnd end) noexcept {
    end_ = end;
    std::string().swap(bytes_);
    key_size_ = 0;
    row_description_ = parameter_description_ = data_ = {};
    charge_.reset();
    lead_.land();
}

void Fill::mark_unfit(Unfit reason) {
    if (!collecting()) return;
    unfit_ = reason;
    give_up(FillEnd::unfit);
}

void Fill::append(std::string_view bytes) {
    while (!bytes.empty() && collecting()) {
        if (header_size_ == 0 && !complete_) {
            const auto run = run_of_rows(bytes, rows_);
            if (run != 0 && !store(data_, bytes.substr(0, run))) return;
            bytes.remove_prefix(run);
            if (bytes.empty()) return;
        }
        if (header_size_ == 0) {
            const auto frame = wire::scan_frame(bytes);
            if (frame.status == wire::FrameStatus::complete) {
                whole_message(bytes.substr(0, frame.size));
                bytes.remove_prefix(frame.size);
                continue;
            }
        }
        if (header_size_ < sizeof header_) {
            const auto n = std::min(bytes.size(), sizeof header_ - header_size_);
            std::copy_n(bytes.data(), n, header_ + header_size_);
            header_size_ += n;
            bytes.remove_prefix(n);
            if (header_size_ < sizeof header_) return;
            begin_message();
        } else {
            const auto n = std::min<std::size_t>(bytes.size(), body_left_);
            take(bytes.substr(0, n));
            bytes.remove_prefix(n);
            body_left_ -= static_cast<std::uint32_t>(n);
        }
        if (collecting() && body_left_ == 0) end_message();
    }
}

/// The same at once.
void Fill::whole_message(std::string_view message) {
    std::copy_n(message.data(), sizeof header_, header_);
    target_ = judge_message(header_[0]);
    if (!collecting()) return;
    if (target_ == Target::status) {
        if (message.size() != sizeof header_ + 1) return mark_unfit(Unfit::malformed);
        message.remove_prefix(sizeof header_);
    }
    take(message);
    if (collecting()) end_message();
}

void Fill::begin_message() {
    const auto length = base::load_u32(header_ + 1);
    if (length < 4 || length > wire::kMaxMessage) return mark_unfit(Unfit::malformed);
    body_left_ = length - 4;
    target_ = judge_message(header_[0]);
    if (!collecting()) return;
    if (target_ == Target::status) {
        if (body_left_ != 1) mark_unfit(Unfit::malformed);
    } else {
        take({header_, sizeof header_});
    }
}

/// Where the message goes; marks the fill unfit when it does not belong to a plain answer.
Fill::Target Fill::judge_message(char type) {
    namespace be = wire::be;
    const bool after_statement = std::exchange(statement_described_, false);
    if (status_ != 0) return mark_unfit(Unfit::malformed), Target::none;
    switch (type) {
        case be::kParseComplete:
        case be::kBindComplete:
        case be::kCloseComplete: return Target::none;
        case be::kParameterDescription:
            // What was collected of the answer stays in one run.
            if (rows_ != 0 && !complete_) return mark_unfit(Unfit::malformed), Target::none;
            statement_described_ = true;
            parameter_description_ = {};
            return Target::parameter_description;
        case be::kRowDescription:
            if (complete_) return another_result(), Target::none;
            if (rows_ != 0 || (options_.description && !after_statement))
                return mark_unfit(Unfit::malformed), Target::none;
            // A statement's description says text for every column, whatever Bind asked for.
            if (after_statement && !options_.text_results) return Target::none;
            row_description_ = {};
            return Target::row_description;
        case be::kDataRow:
            if (complete_) return another_result(), Target::none;
            ++rows_;
            return Target::rows;
        case be::kCommandComplete:
            if (complete_) return another_result(), Target::none;
            tag_at_ = data_.size + sizeof header_;
            return Target::rows;
        case be::kReadyForQuery: return Target::status;
        case be::kErrorResponse: return mark_unfit(Unfit::error), Target::none;
        case be::kNoticeResponse:
        case be::kNotificationResponse: return mark_unfit(Unfit::notice), Target::none;
        case be::kParameterStatus: return mark_unfit(Unfit::parameter_change), Target::none;
        case be::kPortalSuspended:
            if constexpr (base::kPlants)
                if (base::planted(base::Plant::suspended_portal))
                    return plant_completion(), Target::none;
            return mark_unfit(Unfit::suspended), Target::none;
        case be::kNoData:
        case be::kEmptyQueryResponse: return mark_unfit(Unfit::not_select), Target::none;
        default: return mark_unfit(Unfit::malformed), Target::none;
    }
}

void Fill::take(std::string_view bytes) {
    switch (target_) {
        case Target::none: return;
        case Target::status: status_ = bytes.empty() ? status_ : bytes[0]; return;
        case Target::rows: store(data_, bytes); return;
        case Target::row_description: store(row_description_, bytes); return;
        case Target::parameter_description: store(parameter_description_, bytes); return;
    }
}

void Fill::end_message() {
    header_size_ = 0;
    if (header_[0] == wire::be::kCommandComplete && target_ == Target::rows) {
        complete_ = true;
        if (!tag_agrees()) mark_unfit(Unfit::not_select);
    } else if (header_[0] == wire::be::kRowDescription && options_.description) {
        complete_ = true;
    } else if (header_[0] == wire::be::kReadyForQuery) {
        const bool anywhere = base::planted(base::Plant::fill_in_transaction);
        const auto open = static_cast<char>(wire::TxStatus::in_transaction);
        const bool fits = status_ == static_cast<char>(wire::TxStatus::idle) ||
                          (options_.in_transaction && status_ == open);
        if (!fits && !anywhere) mark_unfit(Unfit::transaction);
    }
}

bool Fill::tag_agrees() const {
    constexpr std::string_view kSelect = "SELECT ";
    auto tag = view(data_).substr(tag_at_);
    if (!tag.starts_with(kSelect) || tag.back() != '\0') return false;
    tag = tag.substr(kSelect.size(), tag.size() - kSelect.size() - 1);
    std::uint64_t rows = 0;
    const auto [end, error] = std::from_chars(tag.data(), tag.data() + tag.size(), rows);
    return error == std::errc() && end == tag.data() + tag.size() && rows == rows_;
}

void Fill::row_description(std::string_view message) {
    if (!collecting()) return;
    if (!is_one_message(message, wire::be::kRowDescription)) return mark_unfit(Unfit::malformed);
    row_description_ = {};
    store(row_description_, message);
}

void Fill::parameter_description(std::string_view message) {
    if (!collecting()) return;
    if (!is_one_message(message, wire::be::kParameterDescription))
        return mark_unfit(Unfit::malformed);
    parameter_description_ = {};
    store(parameter_description_, message);
}

void Fill::rows(std::string_view messages) {
    if (!collecting()) return;
    std::uint64_t ignored = 0;
    if (header_size_ != 0 || run_of_rows(messages, ignored) != messages.size())
        return mark_unfit(Unfit::malformed);
    append(messages);
}

void Fill::complete(std::string_view message) {
    if (!collecting()) return;
    if (header_size_ != 0 || !is_one_message(message, wire::be::kCommandComplete))
        return mark_unfit(Unfit::malformed);
    append(message);
}

void Fill::another_result() {
    if (!base::planted(base::Plant::several_as_one)) mark_unfit(Unfit::several_results);
}

#ifdef PGWEIR_PLANTS
/// Makes the rows so far a whole answer.
void Fill::plant_completion() {
    std::string message = "SELECT " + std::to_string(rows_);
    message.push_back('\0');
    std::string whole(1, wire::be::kCommandComplete);
    base::append_u32(whole, static_cast<std::uint32_t>(message.size() + 4));
    store(data_, whole + message);
    complete_ = true;
}
#endif

FillEnd Fill::publish(base::Nanos now, const std::optional<Stamp>& stamp) {
    if (cache_ == nullptr) return end_;
    const auto bytes = data_.size;
    const auto end = collecting() ? publish_entry(now, stamp) : end_;
    give_up(end);
    count(end, bytes, now);
    cache_ = nullptr;
    return end;
}

void Fill::count(FillEnd end, std::uint64_t bytes, base::Nanos now) noexcept {
    if (end == FillEnd::verified || end == FillEnd::differs) return;
    if (end != FillEnd::published) database_->stats().count(Event::fill_refused);
    if (end == FillEnd::too_large) {
        cache_->ledger().note_too_large(hash_, now);
        bytes = cache_->max_entry();
    }
    if (options_.row) options_.row->filled(bytes, end == FillEnd::published);
}

bool Fill::agrees(const Entry& entry) const {
    const auto described = view(row_description_), data = view(data_);
    if (!described.empty() && !entry.row_description().empty() &&
        described != entry.row_description())
        return false;
    if (options_.description && view(parameter_description_) != entry.parameter_description())
        return false;
    return data == entry.data() || rows_in_any_order(data) == rows_in_any_order(entry.data());
}

bool Fill::whole() const noexcept {
    if (!complete_ || header_size_ != 0) return false;
    return !options_.description ||
           (parameter_description_.size != 0 && row_description_.size != 0 && data_.size == 0);
}

FillEnd Fill::publish_entry(base::Nanos now, const std::optional<Stamp>& stamp) {
    if (!whole()) return FillEnd::incomplete;
    base::hold(base::Hold::before_publish);
#ifdef PGWEIR_PLANTS
    if (base::planted(base::Plant::fill_after_invalidation)) snapshot_.plant_refresh();
    if (base::planted(base::Plant::text_description))
        plant_text_formats({bytes_.data() + row_description_.at, row_description_.size});
#endif
    if (!snapshot_.still_valid()) return FillEnd::stale;
    if (snapshot_.needs_stamp() && !(stamp && snapshot_.proven_by(*stamp))) return FillEnd::stale;
    if (options_.verify) {
        const bool same = agrees(*options_.verify);
        // What was written past the proxy may be in the answer and not delivered yet.
        if (!same && snapshot_.needs_stamp()) return FillEnd::stale;
        database_->stats().count(same ? Event::verified : Event::mismatch);
        return same ? FillEnd::verified : FillEnd::differs;
    }
    EntryParts parts;
    parts.database = database_;
    parts.hash = hash_;
    parts.shape = options_.shape;
    parts.key = key();
    parts.row_description = view(row_description_);
    if (options_.description) parts.parameter_description = view(parameter_description_);
    parts.data = view(data_);
    parts.rows = rows_;
    parts.dependencies = snapshot_.dependencies();
    parts.filled = options_.sent;
    parts.expires = expiry(options_);
    parts.cost = now - options_.sent;
    if (Entry::bytes_for(parts) > cache_->max_entry()) return FillEnd::too_large;
    auto entry = cache_->make(parts);
    if (!entry) return FillEnd::no_room;
    switch (cache_->publish(std::move(entry))) {
        case Publish::published: return FillEnd::published;
        case Publish::stale: return FillEnd::stale;
        case Publish::too_large: return FillEnd::too_large;
        case Publish::older: return FillEnd::older;
    }
    return FillEnd::unfit;
}

}  // namespace pgweir::cache
