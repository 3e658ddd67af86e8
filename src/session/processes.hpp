// What a statement at the front of the input waits for: which server processes stand behind the
// numbers it says. Thread: the session's.
#pragma once

#include "pgweir/session/session.hpp"

namespace pgweir::session {

struct Session::ProcessQuestion {
    struct Known {
        std::uint32_t number = 0;   // as its client was told at login
        std::uint32_t process = 0;  // 0: it has none
    };
    std::uint64_t id = 0;  // so that a late answer is not taken for one to a later question
    std::vector<Known> known;
    std::vector<Loan> loans;
    std::size_t open = 0;  // answers to come
    base::Nanos since = 0;
};

}  // namespace pgweir::session
