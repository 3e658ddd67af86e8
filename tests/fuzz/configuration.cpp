// The configuration file: everything is either taken, or told with its place.
#include "pgweir/config/loader.hpp"
#include "pgweir/config/options.hpp"
#include "target.hpp"

using namespace pgweir;
using fuzz::must;

FUZZ_TARGET(configuration) {
    const auto none = [](const std::string&) -> std::optional<std::string> { return std::nullopt; };
    const auto loaded = config::parse_config(std::string(input), "/nowhere/c.yaml", none);
    must((loaded.config == nullptr) == !loaded.errors.empty(), "a configuration, or errors");
    for (const auto& e : loaded.errors) must(!e.empty(), "an error has words");
    if (loaded.config) (void)config::shown_options(*loaded.config);
}
