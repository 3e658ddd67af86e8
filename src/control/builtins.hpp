// What PostgreSQL's own volatile functions do, by name: one table, read from pg_proc of PostgreSQL
// 15 and judged one by one. A volatile function that is not in it may write and may leave session
// state, so a new one in a later version costs only speed. Thread: pure functions.
#pragma once

#include <string>
#include <string_view>

namespace pgweir::control {

struct Effects {
    bool may_write = true;     // rows of tables; sequences and large objects are never cached
    bool leaves_state = true;  // in the session, past its transaction
    bool hides_state = false;  // it may be some that the server cannot be asked about
};

/// What PostgreSQL's own function does with sequences, beside what its effects allow it to.
bool moves_sequence(std::string_view builtin) noexcept;
bool asks_sequence(std::string_view builtin) noexcept;

Effects builtin_effects(std::string_view name, char volatility) noexcept;

/// What a user's function does whose body is no SQL: of its language and volatility ('i', 's',
/// 'v'), and of the extension it belongs to, or "".
Effects code_effects(std::string_view language, char volatility, std::string_view extension,
                     std::string_view name) noexcept;

/// The extensions that were looked at and whose immutable functions in C depend on their arguments
/// alone, as an array's text.
std::string constant_extensions();
/// ... but for those an index may answer for by and by: which rows come first then depends on it.
bool approximate(std::string_view function) noexcept;

}  // namespace pgweir::control
