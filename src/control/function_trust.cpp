// See function_trust.hpp.
#include "function_trust.hpp"

#include "builtins.hpp"
#include "catalog_text.hpp"
#include "pgweir/query/verdict.hpp"

namespace pgweir::control {

using query::Oid;
using query::Volatility;

void FunctionTrust::builtin(const query::Function& f, std::string_view name) {
    if (query::constant_function(f, name)) constant_.insert(f.oid);
    if (f.volatility != Volatility::volatile_) quiet_.insert(f.oid);
}

bool FunctionTrust::code(const query::Function& f, std::string_view name, bool fit) {
    if (f.volatility != Volatility::volatile_) stable_code_.insert(f.oid);
    return know(f, fit && f.volatility == Volatility::immutable_ && !approximate(name));
}

bool FunctionTrust::aggregate(const query::Function& f, std::string_view parts, bool fit) {
    bool all = fit && !parts.empty();
    each_oid(parts, [&](Oid part) { all = all && (part == 0 || constant(part)); });
    return know(f, all);
}

bool FunctionTrust::know(const query::Function& f, bool known) {
    if (!known) return false;
    constant_.insert(f.oid);
    known_.insert(f.oid);
    return true;
}

bool FunctionTrust::known(std::string_view functions) const {
    bool all = true;
    each_oid(functions, [&](Oid f) { all = all && known_.contains(f); });
    return all;
}

}  // namespace pgweir::control
