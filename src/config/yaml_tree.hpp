// The file as a plain tree: names, texts and where each stands. All of YAML that could surprise is
// settled here: text that is not UTF-8, several documents, tags, anchors that hold themselves,
// depth, size. What a scalar means is not: it is text until an option's type reads it. Invariant: a
// tree has no cycle, at most kMaxNodes nodes and kMaxDepth levels. Thread: pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "problems.hpp"

namespace pgweir::config {

inline constexpr std::size_t kMaxFile = 8u << 20;  // bytes; ten thousand databases take three
inline constexpr std::size_t kMaxNodes = 1'000'000;
inline constexpr std::size_t kMaxDepth = 32;

struct YamlNode {
    enum class Kind : std::uint8_t { null, scalar, list, map };
    Kind kind = Kind::null;
    Position at;
    std::string text;                     // scalar
    std::vector<std::uint32_t> children;  // indexes; list: items, map: name, value, name, value ...
};

struct YamlTree {
    std::vector<YamlNode> nodes;  // the root is the first; none: an empty file
};

/// Reads `text` into `tree`, or gives the first thing that is wrong with it.
std::optional<Problem> parse_yaml(const std::string& text, YamlTree& tree);

}  // namespace pgweir::config
