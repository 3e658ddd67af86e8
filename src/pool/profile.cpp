// See profile.hpp.
#include "pgweir/pool/profile.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <mutex>
#include <unordered_map>

#include "pgweir/base/bytes.hpp"

namespace pgweir::pool {

namespace {

struct Table {
    std::mutex mutex;
    std::unordered_map<std::string, std::weak_ptr<const Profile>> by_key;
    std::uint64_t next_id = 1;
    std::size_t sweep_at = 1024;
    /// The latest ones keep their numbers when no session has them any more: who sets the same
    /// again finds the answers and statements there were.
    static constexpr std::size_t kKept = 256, kLongestKept = 1024;
    std::array<ProfilePtr, kKept> kept;
    std::size_t next_kept = 0;

    void keep(const ProfilePtr& profile, std::size_t size) {
        if (size <= kLongestKept) kept[next_kept++ % kKept] = profile;
    }
};

Table& table() {
    static Table t;
    return t;
}

void append_field(std::string& key, std::string_view field) {
    base::append_u32(key, static_cast<std::uint32_t>(field.size()));
    key += field;
}

/// A transaction's own, gone with it: what is left of them in pg_settings is nobody's setting, and
/// cannot be set behind a snapshot. default_transaction_... says what sessions want.
bool of_transaction(std::string_view name) noexcept {
    return name == "transaction_isolation" || name == "transaction_read_only" ||
           name == "transaction_deferrable";
}

void normalise(Settings& settings) {
    for (auto& [name, value] : settings)
        for (auto& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    std::erase_if(settings, [](const auto& setting) { return of_transaction(setting.first); });
    std::stable_sort(settings.begin(), settings.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    Settings last;
    for (auto& s : settings) {
        if (!last.empty() && last.back().first == s.first)
            last.back() = std::move(s);
        else
            last.push_back(std::move(s));
    }
    settings = std::move(last);
}

}  // namespace

std::string_view Profile::find(std::string_view name) const noexcept {
    for (const auto& [n, v] : settings)
        if (n == name) return std::string_view(v);
    return {};
}

ProfilePtr empty_profile() {
    static const ProfilePtr empty = std::make_shared<Profile>();
    return empty;
}

ProfilePtr intern_profile(Settings settings) {
    normalise(settings);
    if (settings.empty()) return empty_profile();
    std::string key;
    for (const auto& [name, value] : settings) {
        append_field(key, name);
        append_field(key, value);
    }
    auto& t = table();
    const std::scoped_lock lock(t.mutex);
    if (auto found = t.by_key[key].lock()) return found;
    auto made = std::make_shared<Profile>();
    made->id = t.next_id++;
    made->settings = std::move(settings);
    t.by_key[key] = made;
    t.keep(made, key.size());
    if (t.by_key.size() > t.sweep_at) {
        std::erase_if(t.by_key, [](const auto& entry) { return entry.second.expired(); });
        t.sweep_at = t.by_key.size() * 2 + 1024;
    }
    return made;
}

void append_identifier(std::string& sql, std::string_view name) {
    sql += '"';
    for (const char c : name) {
        if (c == '"') sql += '"';
        sql += c;
    }
    sql += '"';
}

// E'' with quotes and backslashes doubled means the same whatever standard_conforming_strings is.
void append_literal(std::string& sql, std::string_view value) {
    // In SJIS, BIG5, GBK and the like a backslash may be the second half of a character, and ours
    // behind it would then escape the quote. A quote is no half in any of them.
    const bool ascii =
        std::all_of(value.begin(), value.end(), [](char c) { return (c & 0x80) == 0; });
    sql += "E'";
    for (const char c : value) {
        if (c == '\\' && !ascii) {
            sql += "' OPERATOR(pg_catalog.||) pg_catalog.chr(92) OPERATOR(pg_catalog.||) E'";
            continue;
        }
        if (c == '\'' || c == '\\') sql += c;
        sql += c;
    }
    sql += '\'';
}

namespace {

void append_set_config(std::string& sql, std::string_view name, std::string_view value) {
    sql += "SELECT pg_catalog.set_config(";
    append_literal(sql, name);
    sql += ", ";
    append_literal(sql, value);
    sql += ", false);";
}

/// Dotted names are two identifiers.
void append_name(std::string& sql, std::string_view name) {
    std::size_t start = 0;
    while (true) {
        const auto dot = name.find('.', start);
        append_identifier(sql, name.substr(start, dot - start));
        if (dot == std::string_view::npos) break;
        sql += '.';
        start = dot + 1;
    }
}

void append_reset(std::string& sql, std::string_view name) {
    sql += "RESET ";
    if (name == "session_authorization")
        sql += "SESSION AUTHORIZATION";
    else
        append_name(sql, name);
    sql += ';';
}

}  // namespace

namespace {

/// Whose rights the session has. Settings are changed with those of the login.
constexpr std::string_view kIdentity[] = {"session_authorization", "role"};

bool is_identity(std::string_view name) noexcept {
    return name == kIdentity[0] || name == kIdentity[1];
}

/// What a value does not say stays as it was: "ISO" keeps the order of the one before.
bool adds_to_itself(std::string_view name) noexcept { return name == "datestyle"; }

/// Also not when one is empty and the other is not there.
bool same(std::string_view a, std::string_view b) noexcept {
    return (a.data() == nullptr) == (b.data() == nullptr) && a == b;
}

}  // namespace

void append_settings_sql(std::string& sql, const Profile& from, const Profile& to) {
    if (from.id == to.id) return;
    for (const auto name : kIdentity)
        if (from.find(name).data() != nullptr) append_reset(sql, name);
    for (const auto& [name, value] : from.settings)
        if (!is_identity(name) && (to.find(name).data() == nullptr || adds_to_itself(name)))
            append_reset(sql, name);
    for (const auto& [name, value] : to.settings)
        if (!is_identity(name) && (adds_to_itself(name) || !same(from.find(name), value)))
            append_set_config(sql, name, value);
    for (const auto name : kIdentity)
        if (const auto value = to.find(name); value.data() != nullptr)
            append_set_config(sql, name, value);
}

namespace {
std::string plain_name(std::string_view encoding) {
    std::string name;
    for (const char c : encoding)
        if (std::isalnum(static_cast<unsigned char>(c)))
            name += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return name;
}

/// Those in which the second half of a character may look like a backslash or a quote.
bool ascii_inside_characters(std::string_view encoding) {
    const std::string name = plain_name(encoding);
    constexpr std::string_view kAll[] = {
        "SJIS",    "SHIFTJIS", "SHIFTJIS2004", "BIG5",       "GBK",       "GB18030",
        "UHC",     "JOHAB",    "WIN950",       "WIN949",     "WIN936",    "WINDOWS950",
        "MSKANJI", "WIN932",   "WINDOWS949",   "WINDOWS936", "WINDOWS932"};
    return std::find(std::begin(kAll), std::end(kAll), name) != std::end(kAll);
}
}  // namespace

bool hides_text(std::string_view name, std::string_view value) {
    if (name == "standard_conforming_strings")
        return !value.empty() && value != "on" && value != "true" && value != "1";
    return name == "client_encoding" && ascii_inside_characters(value);
}

bool other_encoding(std::string_view name, std::string_view value) {
    const bool client = name == "client_encoding";
    if (!client && name != "server_encoding") return false;
    const auto encoding = plain_name(value);
    // What a client writes in SQL_ASCII is taken for what the server has.
    return encoding != "UTF8" && encoding != "UNICODE" && !(client && encoding == "SQLASCII");
}

void append_application_name_sql(std::string& sql, std::string_view name) {
    append_set_config(sql, "application_name", name);
}

namespace {

/// Those whose value is a list of names, each of which SET takes as a string of its own.
bool lists_names(std::string_view name) noexcept {
    static constexpr std::string_view kAll[] = {
        "local_preload_libraries",  "search_path",      "session_preload_libraries",
        "shared_preload_libraries", "temp_tablespaces", "unix_socket_directories",
    };
    return std::find(std::begin(kAll), std::end(kAll), name) != std::end(kAll);
}

/// Takes the first name off a list, as SplitIdentifierString() does; false where that is not sure.
bool take_name(std::string_view& list, std::string& name) {
    name.clear();
    const auto skip_space = [&] {
        list.remove_prefix(std::min(list.find_first_not_of(" \t\n\r\f"), list.size()));
    };
    skip_space();
    if (list.starts_with('"')) {
        std::size_t at = 1;
        for (; at < list.size() && (list[at] != '"' || list.substr(at, 2) == "\"\""); ++at) {
            if (list[at] == '"') ++at;
            name += list[at];
        }
        if (at >= list.size()) return false;
        list.remove_prefix(at + 1);
    } else {
        const auto end = std::min(list.find_first_of(", \t\n\r\f"), list.size());
        for (const char c : list.substr(0, end)) {
            if (c == '"' || (c & 0x80) != 0) return false;
            name += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
        }
        list.remove_prefix(end);
    }
    skip_space();
    if (name.empty() || (!list.empty() && list.front() != ',')) return false;
    if (list.size() == 1) return false;  // nothing behind the comma
    list.remove_prefix(std::min<std::size_t>(1, list.size()));
    return true;
}

/// As SET takes it; empty: it cannot be said so.
std::string set_value(std::string_view name, std::string_view value) {
    std::string sql;
    if (!lists_names(name)) {
        append_literal(sql, value);
    } else {
        if (value.empty()) return {};
        for (std::string item; !value.empty();) {
            if (!take_name(value, item)) return {};
            if (!sql.empty()) sql += ", ";
            append_literal(sql, item);
        }
    }
    return sql.find("OPERATOR") == std::string::npos ? sql : std::string();
}

std::string restoring_one(std::string_view name, std::string_view value) {
    std::string sql;
    const auto said = set_value(name, value);
    if (said.empty()) {
        append_set_config(sql, name, value);
        sql.pop_back();
        return sql;
    }
    if (name == "session_authorization") return "SET SESSION AUTHORIZATION " + said;
    sql = "SET ";
    append_name(sql, name);
    return sql + " TO " + said;
}

}  // namespace

std::vector<std::string> restoring_sql(const Settings& settings) {
    std::vector<std::string> all;
    for (const auto& [name, value] : settings)
        if (!is_identity(name)) all.push_back(restoring_one(name, value));
    for (const auto identity : kIdentity)
        for (const auto& [name, value] : settings)
            if (name == identity) all.push_back(restoring_one(name, value));
    return all;
}

}  // namespace pgweir::pool
