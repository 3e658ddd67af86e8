// See yaml_tree.hpp. yaml-cpp parses, here and nowhere else; its events build our tree, so that its
// nodes, conversions and quiet choices (the last of duplicate names, the first of several
// documents) never come into play. yaml-cpp speaks in exceptions, so a refusal inside its events is
// one, too; none leaves parse_yaml().
#include "yaml_tree.hpp"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <sstream>

namespace pgweir::config {

namespace {

Position position_of(const YAML::Mark& mark) {
    return mark.is_null() ? Position{} : Position{mark.line + 1, mark.column + 1};
}

// Stand for the braces of ${NAME} while yaml-cpp reads, so that a reference needs no quotes inside
// {a: ${NAME}}. They are free: control characters are refused in the file.
constexpr char kOpen = '\x01';
constexpr char kClose = '\x02';

/// Bytes of the reference that begins at `at` with "${"; 0: none, or one YAML has to judge.
std::size_t reference_size(std::string_view s, std::size_t at) {
    constexpr std::string_view kName =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
    auto end = s.find_first_not_of(kName, at + 2);
    if (end == std::string_view::npos || end == at + 2) return 0;
    if (s.substr(end).starts_with(":-")) end = s.find_first_of("{}'\"\r\n", end + 2);
    return end == std::string_view::npos || s[end] != '}' ? 0 : end + 1 - at;
}

std::string hide_braces(std::string text) {
    // Escapes that would make the same characters; only nonsense has them.
    for (const char* escape : {"x01", "x02", "u0001", "u0002", "U00000001", "U00000002"})
        if (text.find(std::string("\\") + escape) != std::string::npos) return text;
    for (auto at = text.find("${"); at != std::string::npos; at = text.find("${", at + 2)) {
        const auto size = reference_size(text, at);
        if (size == 0) continue;
        text[at + 1] = kOpen;
        text[at + size - 1] = kClose;
    }
    return text;
}

std::string show_braces(std::string text) {
    std::replace(text.begin(), text.end(), kOpen, '{');
    std::replace(text.begin(), text.end(), kClose, '}');
    return text;
}

class Builder final : public YAML::EventHandler {
  public:
    /// `hidden`: whether braces have been hidden in the text.
    Builder(YamlTree& tree, bool hidden) : tree_(tree), hidden_(hidden) {}

    void OnDocumentStart(const YAML::Mark& mark) override {
        if (++documents_ > 1)
            throw Problem{position_of(mark), "a second document begins; expected one"};
    }
    void OnDocumentEnd() override {}
    void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        add(YamlNode::Kind::null, mark, "", anchor);
    }
    void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  const std::string& value) override {
        tree_.nodes[add(YamlNode::Kind::scalar, mark, tag, anchor)].text =
            hidden_ ? show_braces(value) : value;
    }
    void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        if (anchor >= anchors_.size())
            throw Problem{position_of(mark), "an alias of nothing; expected an anchor before it"};
        const auto target = anchors_[anchor];
        for (const auto open : open_)
            if (open == target)
                throw Problem{position_of(mark),
                              "an alias inside what it stands for; expected an end to it"};
        attach(target);
    }
    void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                         YAML::EmitterStyle::value) override {
        enter(add(YamlNode::Kind::list, mark, tag, anchor), mark);
    }
    void OnSequenceEnd() override { open_.pop_back(); }
    void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                    YAML::EmitterStyle::value) override {
        enter(add(YamlNode::Kind::map, mark, tag, anchor), mark);
    }
    void OnMapEnd() override { open_.pop_back(); }

  private:
    std::uint32_t add(YamlNode::Kind kind, const YAML::Mark& mark, const std::string& tag,
                      YAML::anchor_t anchor) {
        // "?" is plain and "!" is quoted; anything else somebody wrote.
        if (!tag.empty() && tag != "?" && tag != "!")
            throw Problem{position_of(mark), "the tag " + quoted(tag) + "; expected none"};
        if (tree_.nodes.size() >= kMaxNodes)
            throw Problem{position_of(mark), "too many values; expected at most 1000000"};
        const auto index = static_cast<std::uint32_t>(tree_.nodes.size());
        tree_.nodes.push_back({kind, position_of(mark), {}, {}});
        if (index > 0) attach(index);
        if (anchor != YAML::NullAnchor) {
            if (anchors_.size() <= anchor) anchors_.resize(anchor + 1);
            anchors_[anchor] = index;
        }
        return index;
    }
    void attach(std::uint32_t index) { tree_.nodes[open_.back()].children.push_back(index); }
    void enter(std::uint32_t index, const YAML::Mark& mark) {
        if (open_.size() >= kMaxDepth)
            throw Problem{position_of(mark), "nested too deeply; expected at most 32 levels"};
        open_.push_back(index);
    }

    YamlTree& tree_;
    const bool hidden_;
    std::vector<std::uint32_t> open_;     // collections that have begun and not ended
    std::vector<std::uint32_t> anchors_;  // by yaml-cpp's number
    int documents_ = 0;
};

/// Bytes of the UTF-8 character at `at`, 0: none is there (Unicode 15, table 3-7).
std::size_t character_size(std::string_view s, std::size_t at) {
    const auto byte = [&](std::size_t i) {
        return at + i < s.size() ? static_cast<unsigned char>(s[at + i]) : 0u;
    };
    const auto first = byte(0);
    if (first < 0x80) return 1;
    const std::size_t size = first >= 0xC2 && first <= 0xDF   ? 2
                             : first >= 0xE0 && first <= 0xEF ? 3
                             : first >= 0xF0 && first <= 0xF4 ? 4
                                                              : 0;
    for (std::size_t i = 1; i < size; ++i)
        if ((byte(i) & 0xC0) != 0x80) return 0;
    if ((first == 0xE0 && byte(1) < 0xA0) || (first == 0xED && byte(1) > 0x9F)) return 0;
    if ((first == 0xF0 && byte(1) < 0x90) || (first == 0xF4 && byte(1) > 0x8F)) return 0;
    return size;
}

/// yaml-cpp would read on over such bytes, or take them for another encoding.
std::optional<Problem> not_text(std::string_view s) {
    Position at{1, 1};
    for (std::size_t i = 0; i < s.size();) {
        const auto size = character_size(s, i);
        if (size == 0) return Problem{at, "a byte that is not UTF-8; expected UTF-8"};
        const auto c = static_cast<unsigned char>(s[i]);
        if (c == 0x7F || (c < 0x20 && c != '\t' && c != '\n' && c != '\r'))
            return Problem{at, "a control character; expected text"};
        at.column = c == '\n' ? 1 : at.column + static_cast<int>(size);
        at.line += c == '\n';
        i += size;
    }
    return std::nullopt;
}

/// People see no difference between tabs and spaces, and yaml-cpp does not tell them.
std::optional<Problem> tab_in_indentation(const std::string& text, const YAML::Mark& mark) {
    if (mark.is_null()) return std::nullopt;
    std::size_t begin = 0;
    for (int line = 0; line < mark.line && begin != std::string::npos; ++line) {
        begin = text.find('\n', begin);
        if (begin != std::string::npos) ++begin;
    }
    if (begin == std::string::npos) return std::nullopt;
    const auto at = text.find_first_not_of(' ', begin);
    if (at == std::string::npos || text[at] != '\t') return std::nullopt;
    return Problem{{mark.line + 1, static_cast<int>(at - begin) + 1},
                   "a tab in the indentation; expected spaces"};
}

}  // namespace

std::optional<Problem> parse_yaml(const std::string& text, YamlTree& tree) {
    if (text.size() > kMaxFile) return Problem{{}, "the file is too large; expected at most 8 MiB"};
    if (auto problem = not_text(text)) return problem;
    try {
        const auto safe = hide_braces(text);
        std::istringstream in(safe);
        YAML::Parser parser(in);
        Builder builder(tree, safe != text);
        while (parser.HandleNextDocument(builder)) continue;
    } catch (const Problem& problem) {
        return problem;
    } catch (const YAML::Exception& e) {
        if (auto tab = tab_in_indentation(text, e.mark)) return tab;
        const bool star =
            e.msg.find("alias") != std::string::npos || e.msg.find("anchor") != std::string::npos;
        return Problem{position_of(e.mark),
                       e.msg + (star ? "; expected quotes around text that begins with * or &"
                                     : "; expected YAML")};
    } catch (const std::exception& e) {
        return Problem{{}, std::string("cannot be parsed: ") + e.what() + "; expected YAML"};
    }
    return std::nullopt;
}

}  // namespace pgweir::config
