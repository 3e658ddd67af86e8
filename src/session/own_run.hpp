// A statement of the proxy's own in the middle of a client's batch.
#pragma once

#include <string>
#include <string_view>

#include "pgweir/wire/writer.hpp"

namespace pgweir::session {

/// Appends Bind, Execute and Close of a portal of the proxy's own for the prepared `statement`,
/// which takes no parameters: the client's unnamed portal stays. Three answers, and its rows.
inline void write_own_run(std::string& out, std::string_view statement) {
    constexpr std::string_view kPortal = "pgweir_0p";
    wire::write_bind(out, kPortal, statement);
    wire::write_execute(out, kPortal);
    wire::write_close(out, 'P', kPortal);
}

}  // namespace pgweir::session
