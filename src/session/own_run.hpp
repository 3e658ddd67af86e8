// A statement of the proxy's own in the middle of a client's batch.
#pragma once

#include <string>
#include <string_view>

#include "pgweir/base/bytes.hpp"
#include "pgweir/wire/writer.hpp"

namespace pgweir::session {

/// Appends Bind, Execute and Close of a portal of the proxy's own for the prepared `statement`,
/// which takes no parameters: the client's unnamed portal stays. Three answers, and its rows.
inline void write_own_run(std::string& out, std::string_view statement) {
    constexpr std::string_view kPortal = "pgweir_0p";
    std::string bind, execute;
    base::append_cstring(bind, kPortal);
    base::append_cstring(bind, statement);
    bind.append(6, '\0');  // no formats, no parameters, results as text
    base::append_cstring(execute, kPortal);
    base::append_u32(execute, 0);
    wire::write_message(out, wire::fe::kBind, bind);
    wire::write_message(out, wire::fe::kExecute, execute);
    wire::write_close(out, 'P', kPortal);
}

}  // namespace pgweir::session
