// See error_fields.hpp.
#include "pgweir/wire/error_fields.hpp"

#include "pgweir/base/bytes.hpp"

namespace pgweir::wire {

ErrorFields parse_error_fields(std::string_view body) noexcept {
    ErrorFields fields;
    base::ByteReader r(body);
    while (true) {
        const char code = static_cast<char>(r.u8());
        if (!r.ok() || code == '\0') return fields;
        const auto value = r.cstring();
        if (!r.ok()) return fields;
        switch (code) {
            case 'S':
                if (fields.severity.empty()) fields.severity = value;
                break;
            case 'V': fields.severity = value; break;
            case 'C': fields.sqlstate = value; break;
            case 'M': fields.message = value; break;
            case 'D': fields.detail = value; break;
            case 'H': fields.hint = value; break;
            case 'R': fields.routine = value; break;
            default: break;
        }
    }
}

}  // namespace pgweir::wire
