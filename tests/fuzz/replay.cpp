// Replays every target's corpus, and each input cut at each of its first bytes, as ordinary tests.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>

#include "target.hpp"

namespace pgweir::fuzz {

namespace {
std::map<std::string, Target>& targets() {
    static std::map<std::string, Target> all;
    return all;
}
}  // namespace

void add_target(Named target) { targets()[target.name] = target.run; }

TEST_CASE("every input that was ever found to matter is dealt with, whole and cut") {
    constexpr std::size_t kCuts = 48;
    CHECK(targets().size() == 12);
    for (const auto& target : targets()) {
        const auto& name = target.first;
        const auto& run = target.second;
        std::size_t inputs = 0;
        const std::filesystem::path folder = std::string(PGWEIR_CORPUS) + "/" + name;
        for (const auto& entry : std::filesystem::directory_iterator(folder)) {
            std::ifstream file(entry.path(), std::ios::binary);
            const std::string input(std::istreambuf_iterator<char>(file), {});
            run(input);
            for (std::size_t n = 0; n < std::min(input.size(), kCuts); ++n) run(input.substr(0, n));
            ++inputs;
        }
        CHECK_MESSAGE(inputs > 0, name);
    }
}

}  // namespace pgweir::fuzz
