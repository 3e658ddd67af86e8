// See yaml_tree.hpp. yaml-cpp parses, here and nowhere else; its events build our tree, so that its
// nodes, conversions and quiet choices (the last of duplicate names, the first of several
// documents) never come into play. yaml-cpp speaks in exceptions, so a refusal inside its events is
// one, too; none leaves parse_yaml().
#include "yaml_tree.hpp"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <sstream>

namespace pgweir::config {

namespace {

Position position_of(const YAML::Mark& mark) {
    return mark.is_null() ? Position{} : Position{mark.line + 1, mark.column + 1};
}

class Builder final : public YAML::EventHandler {
  public:
    explicit Builder(YamlTree& tree) : tree_(tree) {}

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
        tree_.nodes[add(YamlNode::Kind::scalar, mark, tag, anchor)].text = value;
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
        at.column = c == '\n' ? 1 : at.column + 1;
        at.line += c == '\n';
        i += size;
    }
    return std::nullopt;
}

}  // namespace

std::optional<Problem> parse_yaml(const std::string& text, YamlTree& tree) {
    if (text.size() > kMaxFile) return Problem{{}, "the file is too large; expected at most 8 MiB"};
    if (auto problem = not_text(text)) return problem;
    try {
        std::istringstream in(text);
        YAML::Parser parser(in);
        Builder builder(tree);
        while (parser.HandleNextDocument(builder)) continue;
    } catch (const Problem& problem) {
        return problem;
    } catch (const YAML::Exception& e) {
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
