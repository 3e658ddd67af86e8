// Headers most files use, compiled once per layer. Nothing heavy that only a few need.
#ifndef PGWEIR_PCH
#define PGWEIR_PCH

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#endif
