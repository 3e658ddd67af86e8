// Reads statements, each ended by a zero byte, and prints the fingerprint of each on a line: what
// scripts/compare_fingerprints holds against pg_stat_statements. Thread: one.
#include <cstdio>
#include <iostream>
#include <string>

#include "pgweir/query/verdict.hpp"

int main() {
    std::ios::sync_with_stdio(false);
    for (std::string text; std::getline(std::cin, text, '\0');)
        std::printf("%016lx\n", static_cast<unsigned long>(pgweir::query::fingerprint(text)));
}
