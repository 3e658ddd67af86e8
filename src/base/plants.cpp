// See plants.hpp. Empty unless the build asks for planted bugs.
#include "pgweir/base/plants.hpp"

#ifdef PGWEIR_PLANTS
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <random>
#include <thread>

namespace pgweir::base {

namespace {

Plant chosen() noexcept {
    const char* name = std::getenv("PGWEIR_PLANT");
    if (name == nullptr || *name == '\0') return Plant::none;
    const auto at = std::find(kPlantNames.begin(), kPlantNames.end(), name);
    // A name that is none would make a run look as if the checker had missed a bug.
    if (at == kPlantNames.end()) std::abort();
    return static_cast<Plant>(at - kPlantNames.begin());
}

}  // namespace

bool planted(Plant plant) noexcept {
    static const Plant one = chosen();
    return one == plant;
}

void hold(Hold) noexcept {
    static const bool on = std::getenv("PGWEIR_HOLDS") != nullptr;
    if (!on) return;
    thread_local std::minstd_rand random(
        static_cast<unsigned>(std::hash<std::thread::id>()(std::this_thread::get_id())));
    if (random() % 4 != 0) return;
    std::this_thread::sleep_for(std::chrono::microseconds(500 + random() % 4000));
}

}  // namespace pgweir::base
#endif
