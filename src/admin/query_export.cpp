// What is asked of the statistics per query, and their rows as CSV and JSON.
#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "pgweir/admin/query_stats.hpp"
#include "slow_line.hpp"

namespace pgweir::admin {

namespace {

constexpr std::string_view kWindows[] = {"all", "minute", "hour", "day"};
constexpr std::string_view kOrders[] = {"total", "calls",  "mean", "p50",    "p95",
                                        "p99",   "max",    "wait", "server", "rows",
                                        "bytes", "errors", "hits", "saved",  "last"};

template <class E, std::size_t N>
bool one_of(const std::string_view (&names)[N], const std::string& name, E& value) {
    const auto at = std::find(std::begin(names), std::end(names), name);
    if (at == std::end(names)) return false;
    value = static_cast<E>(at - std::begin(names));
    return true;
}

bool read_limit(const std::string& text, std::size_t& limit) {
    const auto end = text.data() + text.size();
    const auto [at, error] = std::from_chars(text.data(), end, limit);
    return error == std::errc() && at == end && limit > 0;
}

/// One word and its value; false: it is not understood.
bool read_pair(const std::string& word, const std::string& value, QueryFilter& f) {
    if (word == "last") return one_of(kWindows, value, f.window) && f.window != QueryWindow::all;
    if (word == "order" || word == "sort") return one_of(kOrders, value, f.order);
    if (word == "limit") return read_limit(value, f.limit);
    if (word == "database") return !(f.database = value).empty();
    if (word == "user") return !(f.user = value).empty();
    if (word == "application") return !(f.application = value).empty();
    if (word == "fingerprint") return (f.fingerprint = value).size() == 16;
    if (word != "by") return false;
    if (value == "database") return f.by_database = true;
    if (value == "user") return f.by_user = true;
    if (value == "application") return f.by_application = true;
    return false;
}

struct Figure {
    std::string_view name;
    std::uint64_t value;
};
std::vector<Figure> figures_of(const QueryRow& row) {
    const auto& f = row.figures;
    std::vector<Figure> all{{"calls", f.calls},      {"errors", f.errors}, {"rows", f.rows},
                            {"bytes", f.bytes},      {"hits", f.hits},     {"fills", f.fills},
                            {"saved_us", f.saved_us}};
    const auto span = [&all](const Span& s, std::initializer_list<std::string_view> names) {
        auto name = names.begin();
        for (const auto value : {s.sum, s.min(), s.mean(), s.quantile(0.5), s.quantile(0.95),
                                 s.quantile(0.99), s.most})
            all.push_back({*name++, value});
    };
    span(f.total, {"total_us", "total_min_us", "total_mean_us", "total_p50_us", "total_p95_us",
                   "total_p99_us", "total_max_us"});
    span(f.wait, {"wait_us", "wait_min_us", "wait_mean_us", "wait_p50_us", "wait_p95_us",
                  "wait_p99_us", "wait_max_us"});
    span(f.server, {"server_us", "server_min_us", "server_mean_us", "server_p50_us",
                    "server_p95_us", "server_p99_us", "server_max_us"});
    return all;
}

/// Quoted, and never read as a formula by a spreadsheet.
std::string csv_text(std::string_view text) {
    const bool formula =
        !text.empty() && std::string_view("=+-@").find(text[0]) != std::string::npos;
    std::string out = formula ? "\"'" : "\"";
    for (const char c : clean_text(text, true)) {
        if (c == '"') out += c;
        out += c;
    }
    return out + '"';
}

}  // namespace

std::string read_query_filter(std::span<const std::string> words, QueryFilter& filter) {
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (words[i] == "order" && i + 1 < words.size() && words[i + 1] == "by") {
            if (i + 2 >= words.size() || !read_pair("order", words[i + 2], filter))
                return "no such order; expected ORDER BY total, calls, mean, p50, p95, p99, max, "
                       "wait, server, rows, bytes, errors, hits, saved or last";
            i += 2;
            continue;
        }
        if (words[i] == "," && i + 1 < words.size() && read_pair("by", words[i + 1], filter)) {
            ++i;
            continue;
        }
        if (i + 1 >= words.size() || !read_pair(words[i], words[i + 1], filter))
            return "not understood; expected SHOW QUERIES [LAST minute|hour|day] [DATABASE 'name'] "
                   "[USER 'name'] [APPLICATION 'name'] [FINGERPRINT '16 digits'] [BY database, "
                   "user, application] [ORDER BY total|calls|mean|p50|p95|p99|max|wait|server|rows|"
                   "bytes|errors|hits|saved|last] [LIMIT n]";
        ++i;
    }
    return {};
}

std::string queries_csv(const std::vector<QueryRow>& rows) {
    std::string out = "fingerprint,database,user,application";
    for (const auto& f : figures_of({})) out.append(",").append(f.name);
    out += ",first_seen,last_seen,query,sample\n";
    for (const auto& row : rows) {
        out += fingerprint_text(row.fingerprint);
        for (const auto& name : {row.database, row.user, row.application})
            out += "," + csv_text(name);
        for (const auto& f : figures_of(row)) out += "," + std::to_string(f.value);
        out += "," + stamp_text(row.first_wall_us) + "," + stamp_text(row.last_wall_us) + "," +
               csv_text(row.text) + "," + csv_text(row.sample) + "\n";
    }
    return out;
}

std::string queries_json(const std::vector<QueryRow>& rows) {
    auto all = nlohmann::ordered_json::array();
    for (const auto& row : rows) {
        nlohmann::ordered_json one;
        one["fingerprint"] = fingerprint_text(row.fingerprint);
        one["database"] = row.database;
        one["user"] = row.user;
        one["application"] = row.application;
        for (const auto& f : figures_of(row)) one[std::string(f.name)] = f.value;
        one["first_seen"] = stamp_text(row.first_wall_us);
        one["last_seen"] = stamp_text(row.last_wall_us);
        one["query"] = row.text;
        one["sample"] = row.sample;
        all.push_back(std::move(one));
    }
    return all.dump(-1, ' ', true, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace pgweir::admin
