// See loader.hpp. Walks the file's tree by the table of options, twice: the top level first, then
// the databases, which begin as copies of the global pool and control. What beats what: default,
// file's top level, database's own, environment variable.
#include "pgweir/config/loader.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include "checks.hpp"
#include "files.hpp"
#include "pgweir/base/log.hpp"
#include "pgweir/config/options.hpp"
#include "problems.hpp"
#include "scalar.hpp"
#include "yaml_tree.hpp"

namespace pgweir::config {

namespace {

constexpr std::size_t kMaxNameCompared = 64;  // bytes; a longer key resembles no option

/// The top level, or one database: what its options are set on, and where each was given.
struct Scope {
    std::string label;  // "" or "databases.app."
    bool in_database = false;
    OptionTarget target;
    Position at{};  // of the database's name
    std::map<std::string_view, Source> given{};

    Source source(std::string_view name) const {
        const auto it = given.find(name);
        return it == given.end() ? Source{at, {}} : it->second;
    }
    Position where(std::string_view name) const { return source(name).at; }
};

/// The value of an environment variable, read once and laid over as often as needed.
struct Override {
    const Option* option;
    std::string variable;
    OptionValue value;
};

/// In front of a variable's name, in the place of the path of a secret's file.
constexpr std::string_view kOfEnvironment = "env:";

class Loader {
  public:
    Loader(std::string file, const Environment& environment)
        : environment_(environment),
          problems_(file),
          config_(std::make_shared<Config>()),
          top_{"", false, {config_.get(), nullptr, &config_->pool, &config_->control}} {
        const auto slash = file.rfind('/');
        if (slash != std::string::npos)
            directory_ = file.substr(0, std::max<std::size_t>(slash, 1));
        auto& slow_log = config_->slow_log.file;
        if (file.empty())
            slow_log.clear();
        else if (!directory_.empty())
            slow_log.insert(0, directory_ + "/");
        config_->file = std::move(file);
    }

    LoadResult load(const std::string& text) {
        read_variables();
        if (auto problem = parse_yaml(text, tree_)) {
            problems_.add(problem->at, std::move(problem->text));
            return finish();  // what the rest of the file says is not known
        }
        const YamlNode* databases = nullptr;
        if (!tree_.nodes.empty()) databases = read_top(tree_.nodes[0]);
        apply_overrides(top_);
        check_sizes(config_->pool, top_);
        if (databases != nullptr)
            read_databases(*databases);
        else
            add_any_database();
        check_global(
            *config_, [this](std::string_view name) { return top_.source(name); }, problems_);
        return finish();
    }

    LoadResult refuse(std::string text) {
        read_variables();
        problems_.add({}, std::move(text));
        return finish();
    }

  private:
    const YamlNode& node(std::uint32_t index) const { return tree_.nodes[index]; }

    /// Reads all but the databases and gives those.
    const YamlNode* read_top(const YamlNode& root) {
        if (root.kind == YamlNode::Kind::null) return nullptr;
        if (root.kind != YamlNode::Kind::map) {
            problems_.add(root.at,
                          "the file is not a map; expected names with values, such as "
                          "pool: {max_size: 20}");
            return nullptr;
        }
        const YamlNode* databases = nullptr;
        read_map(root, "", top_, &databases);
        return databases != nullptr && databases->kind != YamlNode::Kind::null ? databases
                                                                               : nullptr;
    }

    void read_map(const YamlNode& map, const std::string& path, Scope& scope,
                  const YamlNode** databases) {
        std::map<std::string_view, int> seen;
        for (std::size_t i = 0; i + 1 < map.children.size() && !problems_.full(); i += 2) {
            const auto& key = node(map.children[i]);
            const auto& value = node(map.children[i + 1]);
            if (!is_good_key(key, seen)) continue;
            if (databases != nullptr && key.text == "databases")
                *databases = &value;
            else
                read_entry(key, value, path, scope);
        }
    }

    bool is_good_key(const YamlNode& key, std::map<std::string_view, int>& seen) {
        if (key.kind != YamlNode::Kind::scalar) {
            problems_.add(key.at,
                          "a name that is not plain text; expected a name, in quotes if it "
                          "is null or ~");
            return false;
        }
        if (key.text == "<<") {
            problems_.add(key.at,
                          "merge keys are not supported; expected the settings themselves, "
                          "or an alias as a whole value");
            return false;
        }
        const auto [first, is_new] = seen.emplace(key.text, key.at.line);
        if (is_new) return true;
        problems_.add(key.at, "duplicate key " + quoted(key.text) +
                                  "; expected each name once (the first is in line " +
                                  std::to_string(first->second) + ")");
        return false;
    }

    void read_entry(const YamlNode& key, const YamlNode& value, const std::string& path,
                    Scope& scope) {
        const auto name = path.empty() ? key.text : path + "." + key.text;
        const bool odd = key.text.empty() || key.text.find('.') != std::string::npos;
        if (const auto* option = odd ? nullptr : find(name, scope); option != nullptr) {
            read_option(*option, value, scope);
        } else if (odd || !is_group(name, scope)) {
            unknown(key, path, scope);
        } else if (value.kind == YamlNode::Kind::map) {
            read_map(value, name, scope, nullptr);
        } else if (value.kind != YamlNode::Kind::null) {
            problems_.add(value.at, scope.label + name +
                                        ": one value; expected a map of options: " +
                                        listed(members(name, scope)));
        }
    }

    static const Option* find(std::string_view name, const Scope& scope) {
        for (const auto& option : options())
            if (const auto local = local_name(option, scope.in_database); local == name)
                return local.empty() ? nullptr : &option;
        return nullptr;
    }

    /// The names that may stand in the group `path`.
    static std::set<std::string> members(const std::string& path, const Scope& scope) {
        std::set<std::string> names;
        if (path.empty() && !scope.in_database) names.insert("databases");
        const auto prefix = path.empty() ? path : path + ".";
        for (const auto& option : options()) {
            auto name = local_name(option, scope.in_database);
            if (name.empty() || !name.starts_with(prefix)) continue;
            name.remove_prefix(prefix.size());
            names.emplace(name.substr(0, name.find('.')));
        }
        return names;
    }

    static bool is_group(const std::string& name, const Scope& scope) {
        return !members(name, scope).empty();
    }

    static std::string listed(const std::set<std::string>& names) {
        std::string out;
        for (const auto& name : names) out += (out.empty() ? "" : ", ") + name;
        return out;
    }

    void unknown(const YamlNode& key, const std::string& path, const Scope& scope) {
        const auto names = members(path, scope);
        const auto inside = path.empty() ? path : path + ".";
        auto text = "unknown key " + quoted(scope.label + inside + key.text) + "; expected ";
        if (key.text.find('.') != std::string::npos) {
            problems_.add(key.at, text + "maps inside each other instead of dots, such as " +
                                      quoted("pool: {mode: session}"));
            return;
        }
        text += "one of " + listed(names);
        if (const auto near = nearest(key.text, names); !near.empty())
            text += "; did you mean " + quoted(near) + "?";
        else if (const auto other = elsewhere(key.text, scope); !other.empty())
            text += "; did you mean " + other + "?";
        problems_.add(key.at, std::move(text));
    }

    static std::string nearest(const std::string& name, const std::set<std::string>& names) {
        if (name.size() > kMaxNameCompared) return {};
        std::string plain(name);  // maxSize and max-size are near max_size, too
        for (auto& c : plain)
            c = c == '-' ? '_' : c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
        std::string best;
        auto least = std::max<std::size_t>(2, name.size() / 3) + 1;
        for (const auto& candidate : names) {
            const auto distance = edit_distance(plain, candidate);
            if (distance >= least || distance >= candidate.size()) continue;
            least = distance;
            best = candidate;
        }
        if (!best.empty()) return best;
        for (const auto& candidate : names)  // password for password_file, size for max_size
            if (candidate.starts_with(plain + "_") || candidate.ends_with("_" + plain))
                return candidate;
        return {};
    }

    /// Options of other groups that end in just this name.
    static std::string elsewhere(const std::string& name, const Scope& scope) {
        std::string out;
        for (const auto& option : options()) {
            const auto local = local_name(option, scope.in_database);
            if (local.empty() || (local != name && !local.ends_with("." + name))) continue;
            out += (out.empty() ? "" : " or ") + quoted(local);
        }
        return out;
    }

    void read_option(const Option& option, const YamlNode& given, Scope& scope) {
        OptionValue value;
        const auto name = local_name(option, scope.in_database);
        const auto label = scope.label + std::string(name);
        const bool list = option.type == OptionType::names;
        if (given.kind == YamlNode::Kind::null) {
            problems_.add(given.at,
                          label + ": no value; expected one, or \"\" where it may be empty");
            return;
        }
        if (given.kind != (list ? YamlNode::Kind::list : YamlNode::Kind::scalar)) {
            problems_.add(given.at,
                          label + (list ? ": not a list; expected one such as [a, b]"
                                        : ": not one value; expected no map and no list"));
            return;
        }
        bool good = true;
        if (!list) good = read_scalar(option, given, label, value);
        for (const auto item : given.children)
            good = !problems_.full() && read_scalar(option, node(item), label, value) && good;
        // A file that cannot be read is still a file that was named: one error is enough.
        const bool named = option.type == OptionType::file || option.type == OptionType::secret;
        if (!good && !named) return;
        option.set(scope.target, value);
        scope.given.emplace(name, Source{given.at, with_reference(given.text)});
    }

    bool read_scalar(const Option& option, const YamlNode& given, const std::string& label,
                     OptionValue& value) {
        std::optional<std::string> problem = "not one value; expected a name";
        if (given.kind == YamlNode::Kind::scalar) {
            auto text = given.text;
            problem = interpolate(text, environment_);
            if (!problem && option.type == OptionType::secret && text.starts_with(kOfEnvironment))
                problem = read_variable(text, value);
            else if (!problem)
                problem =
                    read_value(option, text, "", directory_, value, with_reference(given.text));
        }
        if (problem) problems_.add(given.at, label + ": " + *problem);
        return !problem;
    }

    /// A secret from a variable, which is named where else its file is.
    std::optional<std::string> read_variable(const std::string& text, OptionValue& value) const {
        const auto name = text.substr(kOfEnvironment.size());
        auto found = environment_(name);
        if (!found || found->empty())
            return "environment variable " + quoted(name) + " is not set; expected the secret";
        value.text = text;
        value.secret = *std::move(found);
        return std::nullopt;
    }

    /// What the environment put into a value may be a secret, so errors tell what is in the file.
    static std::string with_reference(const std::string& text) {
        return text.find("${") == std::string::npos ? std::string() : text;
    }

    void read_databases(const YamlNode& map) {
        if (map.kind != YamlNode::Kind::map || map.children.empty()) {
            problems_.add(map.at,
                          "databases: not a map with entries; expected names of databases "
                          "with their settings, \"*\" for any other");
            return;
        }
        std::map<std::string_view, int> seen;
        for (std::size_t i = 0; i + 1 < map.children.size() && !problems_.full(); i += 2) {
            const auto& key = node(map.children[i]);
            if (is_good_key(key, seen)) read_database(key, node(map.children[i + 1]));
        }
    }

    void read_database(const YamlNode& key, const YamlNode& value) {
        const auto control = [](unsigned char c) { return c < 0x20 || c == 0x7F; };
        if (key.text.empty() || std::any_of(key.text.begin(), key.text.end(), control)) {
            problems_.add(key.at,
                          "the name of a database is empty or has a control character; "
                          "expected a name");
            return;
        }
        Database d = inherited(key.text);
        Scope scope{
            "databases." + key.text + ".", true, {config_.get(), &d, &d.pool, &d.control}, key.at};
        if (value.kind == YamlNode::Kind::map) {
            read_map(value, "", scope, nullptr);
        } else if (value.kind != YamlNode::Kind::null) {
            problems_.add(value.at, "database " + quoted(key.text) +
                                        ": not a map; expected settings such as {host: 127.0.0.1}");
        }
        // Another user's password is of no use.
        if (scope.given.contains("control.user") && !scope.given.contains("control.password_file"))
            d.control = {d.control.user, "", ""};
        apply_overrides(scope);
        check_sizes(d.pool, scope);
        check_database(
            *config_, d, [&scope](std::string_view name) { return scope.source(name); }, problems_);
        config_->databases.push_back(std::move(d));
    }

    Database inherited(const std::string& name) const {
        Database d;
        d.name = name;
        d.pool = config_->pool;
        d.control = config_->control;
        return d;
    }

    void add_any_database() {
        config_->databases.push_back(inherited("*"));
        // Its host and port are defaults, so what may be wrong is where pgweir listens.
        check_database(
            *config_, config_->databases.back(),
            [this](std::string_view) {
                return Source{top_.where("listen.port"), {}};
            },
            problems_);
    }

    void read_variables() {
        for (const auto& option : options()) {
            auto rest = option.variables;
            while (!rest.empty()) {
                const auto space = rest.find(' ');
                read_variable(option, std::string(rest.substr(0, space)));
                rest.remove_prefix(space == std::string_view::npos ? rest.size() : space + 1);
            }
        }
    }

    void read_variable(const Option& option, std::string variable) {
        const auto text = environment_(variable);
        if (!text || text->empty()) return;
        // Milliseconds, as the applications' own settings of these names; a TTL was in seconds.
        const auto unit = option.name == "cache.default_ttl" ? "s" : "ms";
        OptionValue value;
        if (const auto problem = read_value(option, *text, unit, "", value))
            problems_.add_variable(variable, *problem);
        else
            overrides_.push_back({&option, std::move(variable), std::move(value)});
    }

    void apply_overrides(const Scope& scope) {
        for (const auto& o : overrides_)
            if (!local_name(*o.option, scope.in_database).empty())
                o.option->set(scope.target, o.value);
    }

    /// How specific the statement of an option is; 0 none, 3 a variable.
    int level(const Scope& scope, std::string_view name) const {
        for (const auto& o : overrides_)
            if (o.option->name == name) return 3;
        if (scope.in_database && scope.given.contains(name)) return 2;
        return top_.given.contains(name) ? 1 : 0;
    }

    /// Who gives only a smaller max_size means min_size to follow; who gives both has to mean them.
    void check_sizes(PoolSettings& pool, const Scope& scope) {
        if (pool.min_size <= pool.max_size) return;
        const auto least = level(scope, "pool.min_size");
        const auto most = level(scope, "pool.max_size");
        const auto text = "pool.min_size " + std::to_string(pool.min_size) +
                          " is more than pool.max_size " + std::to_string(pool.max_size) +
                          "; expected at most that";
        pool.min_size = pool.max_size;
        if (least < most || (scope.in_database && least != 2 && most != 2)) return;
        if (least == 3)
            problems_.add_variable("DB_POOL_MIN", scope.label + text);
        else
            problems_.add(scope.where("pool.min_size"), scope.label + text);
    }

    LoadResult finish() {
        if (problems_.any()) return {nullptr, problems_.take()};
        auto& order = config_->databases_by_name;
        order.resize(config_->databases.size());
        std::iota(order.begin(), order.end(), 0u);
        std::sort(order.begin(), order.end(), [this](std::uint32_t a, std::uint32_t b) {
            return config_->databases[a].name < config_->databases[b].name;
        });
        return {std::move(config_), {}};
    }

    const Environment& environment_;
    Problems problems_;
    std::string directory_;  // of the file; empty: the program's own
    std::shared_ptr<Config> config_;
    YamlTree tree_;
    Scope top_;
    std::vector<Override> overrides_;
};

}  // namespace

LoadResult parse_config(const std::string& text, const std::string& file,
                        const Environment& environment) {
    return Loader(file, environment).load(text);
}

LoadResult load_config(const std::string& file, const Environment& environment) {
    if (file.empty()) return parse_config("", "", environment);
    const auto text = read_file(file, kMaxFile, FileKind::any);
    if (text) return parse_config(*text, file, environment);
    return Loader(file, environment)
        .refuse("cannot be read: " + text.error() + "; expected a YAML file");
}

const Database* Config::find_database(std::string_view name) const noexcept {
    const bool ordered = databases_by_name.size() == databases.size();
    const auto find = [&](std::string_view wanted) -> const Database* {
        if (!ordered) {
            for (const auto& d : databases)
                if (d.name == wanted) return &d;
            return nullptr;
        }
        const auto it = std::lower_bound(
            databases_by_name.begin(), databases_by_name.end(), wanted,
            [this](std::uint32_t i, std::string_view n) { return databases[i].name < n; });
        if (it == databases_by_name.end() || databases[*it].name != wanted) return nullptr;
        return &databases[*it];
    };
    const auto* own = find(name);
    return own != nullptr ? own : find("*");
}

}  // namespace pgweir::config
