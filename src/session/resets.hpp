// RESET and its kin go back to what a session began with. A server connection began with less than
// its client may have asked for: what of that a text takes away is to be given back behind it.
// Thread: pure.
#pragma once

#include <string_view>

#include "pgweir/pool/profile.hpp"

namespace pgweir::session {

struct Resets {
    pool::Settings lost;    // of those the client began with, once all of the text has run
    bool in_front = false;  // something in the text runs without them
};

/// `text`: one statement or several. `start`: what the client began with, its application_name
/// among it. SET LOCAL ... TO DEFAULT is not looked at: it ends with its transaction.
Resets find_resets(std::string_view text, const pool::Settings& start);

}  // namespace pgweir::session
