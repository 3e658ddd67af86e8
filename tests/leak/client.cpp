// See client.hpp.
#include "leak/client.hpp"

#include <thread>

#include "pgweir/base/bytes.hpp"

namespace pgweir::leak {

using namespace testing;

namespace {

constexpr std::size_t kMostBreaches = 50;
constexpr auto kPatience = std::chrono::seconds(40);

std::string flat(const Messages& messages) {
    std::string all;
    for (const auto& row : rows(messages)) {
        for (std::size_t i = 0; i < row.size(); ++i) all += (i == 0 ? "" : "|") + row[i];
        all += ';';
    }
    for (const auto& data : bodies(messages, 'd')) all += "copy " + data;
    return all;
}

}  // namespace

void Common::complain(std::string line) {
    const std::scoped_lock lock(mutex);
    if (breaches.size() < kMostBreaches) breaches.push_back(std::move(line));
    stop = true;
}

bool Common::take_pin() {
    constexpr int kMostPins = 2;
    if (pins.fetch_add(1) < kMostPins) return true;
    --pins;
    return false;
}

Client::Client(Common& common, int number, std::uint64_t seed)
    : common_(common),
      number_(number),
      tag_("c" + std::to_string(number)),
      random_(static_cast<unsigned>(seed * 100'003 + static_cast<unsigned>(number))) {}

void Client::breach(const std::string& what) {
    common_.complain(tag_ + " " + what + "\n    after " + sent_);
}

void Client::connect() {
    start_ = {};
    start_.path = static_cast<int>(dice(kPaths));
    start_.zone = static_cast<int>(dice(kZones));
    if (dice(3) == 0) start_.custom = tag_;
    state_ = start_;
    statement_row_.clear();
    sql_row_.clear();
    raw_.emplace(common_.port);
    raw_->send(msg::startup(login(start_)));
    since_ = Clock::now();
    sent_ = "login";
    told_zone_ = "none";
    owed_.push_back({.zone = start_.zone});
}

void Client::over() {
    raw_.reset();
    script_.clear();
    owed_.clear();
    seen_.clear();
    if (pinned_) common_.give_pin();
    pinned_ = unpins_ = false;
}

void Client::hang_up(bool reset) {
    ++common_.left;
    if (reset)
        raw_->reset();
    else
        raw_->close();
    over();
}

/// Returns when the request can have no more effect.
void Client::cancel() {
    std::this_thread::sleep_for(std::chrono::microseconds(dice(4000)));
    RawClient other(common_.port);
    other.send(msg::cancel_request(pid_, key_));
    try {
        other.read_to_end();
    } catch (const Closed&) {
    }
}

void Client::begin() {
    if (!owed_.empty()) return;
    if (!raw_) return connect();
    if (script_.empty()) plan(*this);
    auto step = std::move(script_.front());
    script_.pop_front();
    since_ = Clock::now();
    sent_ = step.bytes;
    for (auto& c : sent_)
        if (static_cast<unsigned char>(c) < 32) c = ' ';
    unpins_ = step.unpins;
    raw_->send(step.bytes);
    if (step.leave) return hang_up(dice(2) == 0);
    for (auto& a : step.answers) owed_.push_back(std::move(a));
    if (step.cancel) cancel();
}

bool Client::late() const { return !owed_.empty() && Clock::now() - since_ > kPatience; }

bool Client::advance() {
    try {
        while (!owed_.empty()) {
            auto message = raw_->poll(Seconds(0));
            if (!message) break;
            take(std::move(*message));
        }
    } catch (const Closed&) {
        if (owed_.size() == 1 && owed_.front().ends) {
            ++common_.ended;
            judge(owed_.front());
        } else if (!common_.stop) {
            breach("LOST its connection: " + error_of(seen_).message);
        }
        over();
    }
    if (late()) breach("SILENT for too long");
    return !owed_.empty();
}

void Client::take(Message message) {
    const char type = message.type;
    if (type == 'K') {
        base::ByteReader r(message.body);
        pid_ = r.u32();
        key_ = r.rest();
    }
    seen_.push_back(std::move(message));
    if (type != 'Z' || owed_.front().ends) return;
    const auto due = std::move(owed_.front());
    owed_.pop_front();
    judge(due);
    seen_.clear();
    if (owed_.empty() && unpins_ && pinned_) {
        pinned_ = false;
        common_.give_pin();
    }
}

void Client::judge(const Answer& due) {
    ++common_.answers;
    if (const auto zone = parameter_status(seen_, "TimeZone")) told_zone_ = *zone;
    const auto error = error_of(seen_);
    const auto errors = count_type(seen_, 'E');
    if (errors > 1) return breach("TWICE an error: " + error.message);
    if (!due.or_error.empty() && error.sqlstate == due.or_error) {
        if (error.sqlstate == "57014") ++common_.canceled;
        return;
    }
    // PostgreSQL closes without a word where a length is wrong.
    if (due.ends && due.sqlstate == "08P01" && errors == 0 && common_.direct) return;
    if (error.sqlstate != due.sqlstate)
        return breach("ERROR " + error.sqlstate + " " + error.message + ", not '" + due.sqlstate +
                      "'");
    if (due.ends) return;
    if (flat(seen_) != due.rows) return breach("ROWS " + flat(seen_) + " instead of " + due.rows);
    if (ready_status(seen_) != due.status)
        return breach(std::string("STATUS ") + ready_status(seen_) + ", not " + due.status);
    if (told_zone_ != zone_name(due.zone))
        return breach("TOLD of zone " + told_zone_ + ", not " + zone_name(due.zone));
}

}  // namespace pgweir::leak
