// What the tests of the configuration share: an environment of their own, a folder of their own,
// short ways to load text.
#pragma once

#include <doctest/doctest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "pgweir/config/loader.hpp"

namespace pgweir::config::testing {

using Variables = std::map<std::string, std::string>;

inline Environment environment(Variables variables = {}) {
    return [variables](const std::string& name) -> std::optional<std::string> {
        const auto it = variables.find(name);
        if (it == variables.end()) return std::nullopt;
        return it->second;
    };
}

inline LoadResult parse(const std::string& text, const Variables& variables = {}) {
    return parse_config(text, "c.yaml", environment(variables));
}

/// The configuration of a text that has to be good.
inline ConfigPtr good(const std::string& text, const Variables& variables = {}) {
    auto result = parse(text, variables);
    for (const auto& error : result.errors) MESSAGE(error);
    REQUIRE(result.config != nullptr);
    CHECK(result.errors.empty());
    return result.config;
}

/// The errors of a text that has to be bad, a line each.
inline std::string bad(const std::string& text, const Variables& variables = {}) {
    const auto result = parse(text, variables);
    CHECK(result.config == nullptr);
    std::string lines;
    for (const auto& error : result.errors) lines += error + "\n";
    CHECK_MESSAGE(!lines.empty(), text);
    return lines;
}

inline bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

class Folder {
  public:
    Folder() {
        char name[] = "/tmp/pgweir-config.XXXXXX";
        REQUIRE(mkdtemp(name) != nullptr);
        path_ = name;
    }
    ~Folder() { std::filesystem::remove_all(path_); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;

    const std::string& path() const noexcept { return path_; }
    std::string write(const std::string& name, const std::string& content) const {
        const auto file = path_ + "/" + name;
        std::ofstream(file, std::ios::binary) << content;
        return file;
    }

  private:
    std::string path_;
};

}  // namespace pgweir::config::testing
