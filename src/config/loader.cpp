// See loader.hpp. Walks the YAML tree by the table of options.
#include "pgweir/config/loader.hpp"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "pgweir/config/options.hpp"
#include "scalar.hpp"

namespace pgweir::config {

namespace {

constexpr std::size_t kMaxFile = 16u << 20;

class Loader {
  public:
    Loader(std::string file, const Environment& env) : file_(std::move(file)), env_(env), config_(std::make_shared<Config>()) {
        config_->file = file_;
        const auto slash = file_.rfind('/');
        directory_ = slash == std::string::npos ? "." : slash == 0 ? "/" : file_.substr(0, slash);
    }

    LoadResult load(const std::string& text) {
        try {
            const auto documents = YAML::LoadAll(text);
            if (documents.size() > 1) error({}, "more than one document; expected one");
            if (!documents.empty() && !documents[0].IsNull()) {
                if (documents[0].IsMap()) top(documents[0]);
                else error(documents[0].Mark(), "the file is not a map; expected names with values, such as pool: {max_size: 20}");
            }
        } catch (const YAML::Exception& e) {
            error(e.mark, std::string(e.msg) + "; expected YAML");
        }
        if (config_->databases.empty()) add_default_database();
        apply_variables();
        cross_check();
        return finish();
    }

    LoadResult defaults() {
        config_->slow_log.file.clear();
        add_default_database();
        apply_variables();
        return finish();
    }

    void fail(std::string text) { errors_.push_back({0, std::move(text)}); }

  private:
    struct Found {
        int line;
        std::string text;
    };

    void error(const YAML::Mark& at, const std::string& what) {
        const auto where = at.is_null() ? std::string() : ":" + std::to_string(at.line + 1) + ":" + std::to_string(at.column + 1);
        errors_.push_back({at.line, file_ + where + ": " + what});
    }

    void add_default_database() {
        Database d;
        d.name = "*";
        d.pool = config_->pool;
        d.control = config_->control;
        config_->databases.push_back(std::move(d));
    }

    OptionTarget global() { return {config_.get(), nullptr, &config_->pool, &config_->control}; }

    void top(const YAML::Node& root) {
        // Databases come last: the global pool and control are laid under their own.
        YAML::Node databases;
        std::set<std::string> seen;
        for (const auto& kv : root) {
            const auto name = key_of(kv.first, seen);
            if (name == "databases") databases = kv.second;
            else if (!name.empty()) entry(name, kv.first, kv.second, global());
        }
        apply_pool_variables(config_->pool);
        if (!databases.IsDefined() || databases.IsNull()) return;
        if (!databases.IsMap()) {
            error(databases.Mark(), "databases is not a map; expected names of databases with their settings");
            return;
        }
        std::set<std::string> names;
        for (const auto& kv : databases) database(key_of(kv.first, names), kv.second);
    }

    std::string key_of(const YAML::Node& key, std::set<std::string>& seen) {
        if (!key.IsScalar()) {
            error(key.Mark(), "a name that is not plain text; expected the name of an option");
            return {};
        }
        if (!seen.insert(key.Scalar()).second) {
            error(key.Mark(), "duplicate key \"" + key.Scalar() + "\"; expected each name once");
            return {};
        }
        return key.Scalar();
    }

    void database(const std::string& name, const YAML::Node& node) {
        if (name.empty()) return;
        Database d;
        d.name = name;
        d.pool = config_->pool;
        d.control = config_->control;
        if (node.IsMap()) {
            std::set<std::string> seen;
            for (const auto& kv : node) {
                const auto key = key_of(kv.first, seen);
                if (!key.empty()) entry("databases." + name + "." + key, kv.first, kv.second, {config_.get(), &d, &d.pool, &d.control});
            }
        } else if (!node.IsNull()) {
            error(node.Mark(), "database \"" + name + "\" is not a map; expected settings such as {host: 127.0.0.1}");
        }
        check_pool(d.pool, node.Mark(), "database \"" + name + "\"");
        config_->databases.push_back(std::move(d));
    }

    void entry(const std::string& path, const YAML::Node& key, const YAML::Node& value, OptionTarget target) {
        if (const auto* option = find_option(path)) {
            option_value(*option, value, target);
            return;
        }
        if (!is_group(path)) {
            unknown(path, key);
            return;
        }
        if (value.IsNull()) return;
        if (!value.IsMap()) {
            error(value.Mark(), key.Scalar() + " is a group of options; expected a map");
            return;
        }
        std::set<std::string> seen;
        for (const auto& kv : value) {
            const auto name = key_of(kv.first, seen);
            if (!name.empty()) entry(path + "." + name, kv.first, kv.second, target);
        }
    }

    static bool is_group(const std::string& path) {
        for (const auto& o : options()) {
            const auto dot = o.name.rfind('.');
            if (dot == std::string_view::npos) continue;
            auto group = o.name.substr(0, dot);
            for (; !group.empty(); group = group.substr(0, group.rfind('.') == std::string_view::npos ? 0 : group.rfind('.'))) {
                if (group == path) return true;
                if (!path.starts_with("databases.")) continue;
                const auto own = group.starts_with("databases.*.") ? group.substr(12) : group;
                const bool both = group == "pool" || group == "control" || group.starts_with("databases.*.");
                if (both && path.ends_with("." + std::string(own))) return true;
            }
        }
        return false;
    }

    void unknown(const std::string& path, const YAML::Node& key) {
        const auto dot = path.rfind('.');
        const auto name = dot == std::string::npos ? path : path.substr(dot + 1);
        std::string nearest;
        std::size_t best = 1000;
        for (const auto& candidate : siblings(path)) {
            const auto d = edit_distance(name, candidate);
            if (d < best) {
                best = d;
                nearest = candidate;
            }
        }
        const bool near = !nearest.empty() && best <= std::max<std::size_t>(2, name.size() / 2);
        error(key.Mark(), "unknown key \"" + path + "\"; " + (near ? "did you mean \"" + nearest + "\"?" : "expected one of " + listed(siblings(path))));
    }

    static std::string listed(const std::set<std::string>& names) {
        std::string out;
        for (const auto& n : names) out += (out.empty() ? "" : ", ") + n;
        return out;
    }

    static std::set<std::string> siblings(const std::string& path) {
        std::set<std::string> names;
        const auto dot = path.rfind('.');
        const auto parent = dot == std::string::npos ? std::string() : path.substr(0, dot);
        const bool database = path.starts_with("databases.");
        if (parent.empty()) names.insert("databases");
        for (const auto& o : options()) {
            std::string full(o.name);
            if (database && full.starts_with("databases.*.")) full = full.substr(12);
            else if (database && !full.starts_with("pool.") && !full.starts_with("control.")) continue;
            else if (!database && full.starts_with("databases.")) continue;
            std::string_view rest(full);
            if (database) {
                // Directly in the database, or in one of its groups.
                const auto group = full.find('.');
                const auto inside = group == std::string::npos ? std::string() : full.substr(0, group);
                if (!inside.empty() && parent.ends_with("." + inside)) names.insert(full.substr(group + 1));
                else if (!parent.ends_with(".pool") && !parent.ends_with(".control") && !parent.ends_with(".tls"))
                    names.insert(inside.empty() ? full : inside);
                continue;
            }
            if (!parent.empty()) {
                if (!full.starts_with(parent + ".")) continue;
                rest.remove_prefix(parent.size() + 1);
            }
            names.insert(std::string(rest.substr(0, rest.find('.'))));
        }
        return names;
    }

    void option_value(const Option& option, const YAML::Node& node, OptionTarget& target) {
        OptionValue value;
        if (option.type == OptionType::names && node.IsSequence()) {
            for (const auto& item : node) {
                if (!item.IsScalar()) {
                    error(item.Mark(), "a list inside a list; expected names");
                    return;
                }
                if (!scalar(option, item, value)) return;
            }
        } else if (node.IsScalar()) {
            if (!scalar(option, node, value)) return;
        } else if (node.IsNull()) {
            error(node.Mark(), std::string(option.name) + " has no value; expected one, or \"\" for none");
            return;
        } else {
            error(node.Mark(), std::string(option.name) + " takes one value; expected no map and no list");
            return;
        }
        option.set(target, value);
        marks_[std::string(option.name)] = node.Mark();
    }

    bool scalar(const Option& option, const YAML::Node& node, OptionValue& value) {
        auto text = node.Scalar();
        auto problem = interpolate(text, env_);
        if (!problem && text.find('\0') != std::string::npos) problem = "a zero byte; expected text";
        if (!problem) problem = read_value(option, text, "", directory_, value);
        if (problem) error(node.Mark(), std::string(option.name) + ": " + *problem);
        return !problem;
    }

    void apply_variable(const Option& option, const std::string& variable, OptionTarget target) {
        const auto text = env_(variable);
        if (!text || text->empty()) return;
        OptionValue value;
        const auto unit = option.name == "cache.default_ttl" ? "s" : "ms";
        if (const auto problem = read_value(option, *text, unit, directory_, value)) {
            if (reported_.insert(variable).second) fail("environment variable " + variable + ": " + *problem);
            return;
        }
        option.set(target, value);
    }

    /// The pool's variables are laid over the global pool before databases copy it.
    void apply_pool_variables(PoolSettings& pool) {
        for (const auto& o : options()) {
            if (o.variable.empty() || !o.name.starts_with("pool.")) continue;
            const OptionTarget target{config_.get(), nullptr, &pool, nullptr};
            if (o.name == "pool.max_size") apply_variable(o, "DB_POOL_SIZE", target);
            apply_variable(o, std::string(o.variable), target);
        }
    }

    void apply_variables() {
        apply_pool_variables(config_->pool);
        for (auto& d : config_->databases) apply_pool_variables(d.pool);
        for (const auto& o : options())
            if (!o.variable.empty() && !o.name.starts_with("pool.")) apply_variable(o, std::string(o.variable), global());
    }

    void check_pool(const PoolSettings& pool, const YAML::Mark& at, const std::string& whose) {
        if (pool.min_size > pool.max_size)
            error(at, whose + ": pool.min_size " + std::to_string(pool.min_size) + " is larger than pool.max_size " +
                          std::to_string(pool.max_size) + "; expected it to be at most that");
    }

    YAML::Mark mark(const std::string& option) const {
        const auto it = marks_.find(option);
        return it == marks_.end() ? YAML::Mark::null_mark() : it->second;
    }

    void cross_check() {
        const auto& c = *config_;
        check_pool(c.pool, mark("pool.min_size"), "pool");
        if (c.listen.tls.mode != TlsMode::disable && (c.listen.tls.cert_file.empty() || c.listen.tls.key_file.empty()))
            error(mark("listen.tls.mode"), "listen.tls.mode needs a certificate; expected listen.tls.cert_file and listen.tls.key_file");
        const bool verify = c.listen.tls.mode == TlsMode::verify_ca || c.listen.tls.mode == TlsMode::verify_full;
        if (verify && c.listen.tls.ca_file.empty())
            error(mark("listen.tls.mode"), "listen.tls.mode verify-* needs authorities; expected listen.tls.ca_file");
        if (c.auth.method == AuthMethod::hba)
            error(mark("auth.method"), "auth.method hba is not available yet; expected forward, trust, scram-sha-256 or md5");
        const bool by_secret = c.auth.method == AuthMethod::scram_sha_256 || c.auth.method == AuthMethod::md5;
        if (by_secret && c.auth.users_file.empty())
            error(mark("auth.method"), "auth.method needs users; expected auth.users_file");
        const bool loopback = c.listen.host.starts_with("127.") || c.listen.host == "::1" || c.listen.host == "localhost";
        if (c.auth.method == AuthMethod::trust && !loopback && !c.auth.allow_remote_trust)
            error(mark("auth.method"), "auth.method trust would let anyone in on " + c.listen.host +
                                           "; expected a loopback listen.host, or auth.allow_remote_trust: true");
        if (c.admin.database.empty()) error(mark("admin.database"), "admin.database is empty; expected a name");
        if (c.limits.statement_buffer < 1024)
            error(mark("limits.statement_buffer"), "limits.statement_buffer is too small; expected at least 1KiB");
        if (c.limits.max_message < 64 * 1024 || c.limits.max_message > 0x3fffffff)
            error(mark("limits.max_message"), "limits.max_message is out of range; expected 64KiB to 1023MiB");
    }

    LoadResult finish() {
        LoadResult result;
        std::stable_sort(errors_.begin(), errors_.end(), [](const Found& a, const Found& b) { return a.line < b.line; });
        for (auto& e : errors_) result.errors.push_back(std::move(e.text));
        if (result.errors.empty()) result.config = std::move(config_);
        return result;
    }

    std::string file_, directory_;
    const Environment& env_;
    std::shared_ptr<Config> config_;
    std::vector<Found> errors_;
    std::map<std::string, YAML::Mark> marks_;
    std::set<std::string> reported_;
};

bool valid_utf8(std::string_view s) {
    for (std::size_t i = 0; i < s.size();) {
        const auto c = static_cast<unsigned char>(s[i]);
        const std::size_t n = c < 0x80 ? 1 : (c >> 5) == 6 ? 2 : (c >> 4) == 14 ? 3 : (c >> 3) == 30 ? 4 : 0;
        if (n == 0 || i + n > s.size()) return false;
        for (std::size_t k = 1; k < n; ++k)
            if ((static_cast<unsigned char>(s[i + k]) & 0xC0) != 0x80) return false;
        i += n;
    }
    return true;
}

}  // namespace

LoadResult parse_config(const std::string& text, const std::string& file, const Environment& env) {
    if (text.size() > kMaxFile) return {nullptr, {file + ": the file is too large; expected at most 16 MiB"}};
    if (text.find('\0') != std::string::npos || !valid_utf8(text))
        return {nullptr, {file + ": the file is not text; expected UTF-8"}};
    return Loader(file, env).load(text);
}

LoadResult load_config(const std::string& file, const Environment& env) {
    if (file.empty()) return Loader("", env).defaults();
    std::ifstream in(file, std::ios::binary);
    std::ostringstream text;
    if (in) text << in.rdbuf();
    if (!in) return {nullptr, {file + ": cannot be read; expected a YAML file"}};
    return parse_config(text.str(), file, env);
}

const Database* Config::find_database(std::string_view name) const noexcept {
    const Database* any = nullptr;
    for (const auto& d : databases) {
        if (d.name == name) return &d;
        if (d.name == "*") any = &d;
    }
    return any;
}

}  // namespace pgweir::config
