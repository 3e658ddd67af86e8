// Lines of jsonlog: only the keys of the outermost object are looked at, without building a tree.
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "log_entry.hpp"
#include "pgweir/base/hash.hpp"

namespace pgweir::admin {

namespace {

using Json = nlohmann::json;

std::uint64_t micros(double ms) noexcept {
    constexpr double kMost = 1e13;  // 300 years
    return ms > 0 ? static_cast<std::uint64_t>(std::llround(std::min(ms, kMost) * 1000)) : 0;
}

bool read_hex(std::string_view digits, std::uint64_t& value) {
    if (digits.size() != 16) return false;
    value = 0;
    for (const char c : digits) {
        const auto digit = std::string_view("0123456789abcdef").find(c);
        if (digit == std::string_view::npos) return false;
        value = value << 4 | digit;
    }
    return true;
}

/// Takes what the parser meets.
struct Handler : nlohmann::json_sax<Json> {
    LogEntry& entry;
    std::string severity, message, statement, stamp, fingerprint;
    bool has_total = false;
    int depth = 0;
    std::string name;

    explicit Handler(LogEntry& e) : entry(e) {}

    std::string* place() {
        if (depth != 1) return nullptr;
        const std::pair<std::string_view, std::string*> places[] = {
            {"timestamp", &stamp},
            {"user", &entry.user},
            {"dbname", &entry.database},
            {"application_name", &entry.application},
            {"error_severity", &severity},
            {"state_code", &entry.sqlstate},
            {"message", &message},
            {"detail", &entry.parameters},
            {"statement", &statement},
            {"cache", &entry.cache},
            {"cache_reason", &entry.cache_reason},
            {"pin", &entry.pin},
            {"fingerprint", &fingerprint}};
        for (const auto& [key_name, where] : places)
            if (key_name == name) return where;
        return nullptr;
    }
    bool amount(double value) {
        if (depth != 1) return true;
        if (name == "total_ms") {
            has_total = true;
            entry.total_us = micros(value);
        }
        if (name == "wait_ms") entry.wait_us = micros(value);
        if (name == "server_ms") entry.server_us = micros(value);
        if (name == "transfer_ms") entry.transfer_us = micros(value);
        if (name == "tx_age_ms") entry.tx_age_us = micros(value);
        return true;
    }

    bool null() override { return depth > 0; }
    bool boolean(bool) override { return depth > 0; }
    bool number_integer(number_integer_t v) override { return amount(static_cast<double>(v)); }
    bool number_unsigned(number_unsigned_t v) override {
        if (depth == 1 && name == "rows") entry.rows = v;
        if (depth == 1 && name == "bytes") entry.bytes = v;
        return amount(static_cast<double>(v));
    }
    bool number_float(number_float_t v, const string_t&) override { return amount(v); }
    bool string(string_t& value) override {
        if (auto* where = place()) *where = std::move(value);
        return depth > 0;
    }
    bool binary(binary_t&) override { return false; }
    bool start_object(std::size_t) override { return ++depth > 0; }
    bool end_object() override { return --depth >= 0; }
    bool start_array(std::size_t) override { return depth++ > 0; }
    bool end_array() override { return --depth >= 0; }
    bool key(string_t& value) override {
        if (depth == 1) name = std::move(value);
        return true;
    }
    bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override {
        return false;
    }
};

}  // namespace

LineIs read_json_line(std::string_view line, LogEntry& entry) {
    Handler handler(entry);
    if (!Json::sax_parse(line.begin(), line.end(), &handler)) return LineIs::broken;
    if (!handler.has_total || !read_hex(handler.fingerprint, entry.fingerprint))
        return LineIs::other;
    entry.at_us = read_stamp(handler.stamp);
    read_message(handler.severity, handler.message, handler.statement, entry);
    return LineIs::entry;
}

}  // namespace pgweir::admin
