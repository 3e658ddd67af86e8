// Judgement by tokens alone, for what the parser cannot be given: texts that are too long, and
// grammar newer than it. Thread: pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "pgweir/query/verdict.hpp"

namespace pgweir::query {

/// The same statement with long literals replaced by short ones of their kind; nullopt if a token
/// is not understood.
std::optional<std::string> without_long_literals(std::string_view sql);
/// Exact verdict for INSERT ... VALUES of nothing but literals, whatever its length; else nullopt.
std::optional<Verdict> judge_plain_insert(std::string_view sql, const ResolveContext& context);
/// A careful verdict for one SELECT, INSERT, UPDATE, DELETE, MERGE, VALUES, TABLE or WITH; of
/// anything else that it is not understood.
Verdict judge_by_tokens(std::string_view sql, const ResolveContext& context);

}  // namespace pgweir::query
