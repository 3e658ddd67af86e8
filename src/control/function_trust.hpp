// Which functions an expression may use and stay a matter of its arguments, and of settings that
// are tracked. Filled from functions.sql, whose aggregates come last. Thread: the control thread's.
#pragma once

#include <string_view>
#include <unordered_set>

#include "pgweir/query/catalog.hpp"

namespace pgweir::control {

class FunctionTrust {
  public:
    void builtin(const query::Function& f, std::string_view name);
    /// A function in C or the like. With `fit` it is of an extension that was looked at, and takes
    /// and gives nothing but plain types; then it may be known: see query::Function::known_code.
    bool code(const query::Function& f, std::string_view name, bool fit);
    /// The same of an aggregate: what it is made of, OIDs with commas between them, is constant.
    bool aggregate(const query::Function& f, std::string_view parts, bool fit);

    /// By query::constant_function().
    bool constant(query::Oid f) const { return constant_.contains(f); }
    /// Fit for the operators of a view: built in and not volatile, or known.
    bool quiet(query::Oid f) const { return quiet_.contains(f) || known_.contains(f); }
    /// In C or the like and not volatile: runs no SQL text unless it is given one.
    bool stable_code(query::Oid f) const { return stable_code_.contains(f); }
    /// Whether all of these OIDs, with commas between them, are of known code.
    bool known(std::string_view functions) const;

  private:
    bool know(const query::Function& f, bool known);

    std::unordered_set<query::Oid> constant_, quiet_, stable_code_, known_;
};

}  // namespace pgweir::control
