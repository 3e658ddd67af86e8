// See rule_lines.hpp.
#include "rule_lines.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

namespace pgweir::auth {

namespace {

constexpr std::size_t kMaxFile = 4u << 20;
constexpr std::size_t kMaxTokens = 1u << 18;  // of a file with all that it names
constexpr std::size_t kMaxErrors = 50;
constexpr int kMaxDepth = 10;  // PostgreSQL's, too

bool is_blank(char c) noexcept { return c == ' ' || c == '\t' || c == '\r' || c == '\f'; }

class Splitter {
  public:
    Splitter(const RuleReader& read, RuleLines& out) : read_(read), out_(out) {}

    void file(std::string_view text, const std::string& name, int depth,
              std::vector<RuleLine>& lines) {
        std::size_t number = 0;
        while (!text.empty() && !full()) {
            const auto first = ++number;
            auto line = take_line(text);
            while (line.ends_with('\\') && !text.empty()) {
                line.pop_back();
                line += take_line(text);
                ++number;
            }
            if (line.find('\0') != std::string::npos) {
                error(name, first, "a zero byte; expected text");
                continue;
            }
            RuleLine parsed{first, {}};
            if (fields(line, name, first, depth, parsed.fields) && !parsed.fields.empty())
                lines.push_back(std::move(parsed));
        }
    }

  private:
    bool full() const noexcept { return out_.errors.size() >= kMaxErrors || tokens_ > kMaxTokens; }

    void error(const std::string& name, std::size_t line, const std::string& what) {
        if (!full()) out_.errors.push_back(name + ":" + std::to_string(line) + ": " + what);
    }

    static std::string take_line(std::string_view& text) {
        const auto end = text.find('\n');
        auto line = text.substr(0, end);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        if (line.ends_with('\r')) line.remove_suffix(1);
        return std::string(line);
    }

    bool fields(std::string_view line, const std::string& name, std::size_t number, int depth,
                std::vector<RuleField>& out) {
        while (true) {
            while (!line.empty() && is_blank(line[0])) line.remove_prefix(1);
            if (line.empty() || line[0] == '#') return true;
            RuleField field;
            if (!one_field(line, name, number, depth, field)) return false;
            if (!field.empty()) out.push_back(std::move(field));
        }
    }

    /// Tokens up to a blank that does not follow a comma.
    bool one_field(std::string_view& line, const std::string& name, std::size_t number, int depth,
                   RuleField& field) {
        for (bool more = true; more;) {
            while (!line.empty() && (is_blank(line[0]) || line[0] == ',')) line.remove_prefix(1);
            if (line.empty() || line[0] == '#') return true;
            RuleToken token;
            if (!one_token(line, token)) {
                error(name, number, "no closing quote in this line");
                return false;
            }
            more = line.starts_with(',');
            if (++tokens_ > kMaxTokens) {
                out_.errors.push_back(name + ":" + std::to_string(number) +
                                      ": more than 262144 words; expected fewer");
                return false;
            }
            if (!token.quoted && token.text.size() > 1 && token.text[0] == '@') {
                if (!inclusion(token.text.substr(1), name, number, depth, field)) return false;
            } else {
                field.push_back(std::move(token));
            }
        }
        return true;
    }

    static bool one_token(std::string_view& line, RuleToken& token) {
        token.quoted = line[0] == '"';
        bool inside = false;
        while (!line.empty()) {
            const char c = line[0];
            if (!inside && (is_blank(c) || c == ',' || c == '#')) break;
            line.remove_prefix(1);
            if (c != '"') {
                token.text.push_back(c);
            } else if (inside && line.starts_with('"')) {
                token.text.push_back('"');
                line.remove_prefix(1);
            } else {
                inside = !inside;
            }
        }
        return !inside;
    }

    bool inclusion(std::string path, const std::string& name, std::size_t number, int depth,
                   RuleField& field) {
        if (depth >= kMaxDepth) {
            error(name, number, "files name each other more than 10 deep; expected fewer");
            return false;
        }
        const auto slash = name.rfind('/');
        if (path[0] != '/' && slash != std::string::npos) path.insert(0, name, 0, slash + 1);
        const auto text = read_(path);
        if (!text) {
            error(name, number, "cannot read \"" + path + "\": " + text.error());
            return false;
        }
        std::vector<RuleLine> lines;
        file(*text, path, depth + 1, lines);
        for (auto& line : lines)
            for (auto& f : line.fields)
                for (auto& token : f) field.push_back(std::move(token));
        return true;
    }

    const RuleReader& read_;
    RuleLines& out_;
    std::size_t tokens_ = 0;
};

}  // namespace

base::Result<std::string> read_rule_file(const std::string& path) {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"),
                                                               &std::fclose);
    if (!file) return base::Error{std::strerror(errno)};
    std::string text;
    char block[16384];
    while (const auto n = std::fread(block, 1, sizeof block, file.get())) {
        text.append(block, n);
        if (text.size() > kMaxFile) return base::Error{"longer than 4 MiB"};
    }
    if (std::ferror(file.get()) != 0) return base::Error{std::strerror(errno)};
    return text;
}

RuleLines split_rule_lines(std::string_view text, const std::string& file, const RuleReader& read) {
    RuleLines out;
    if (text.size() > kMaxFile) {
        out.errors.push_back(file + ":1: longer than 4 MiB");
        return out;
    }
    Splitter(read, out).file(text, file, 0, out.lines);
    return out;
}

}  // namespace pgweir::auth
