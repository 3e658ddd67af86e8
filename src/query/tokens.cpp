// See tokens.hpp.
#include "pgweir/query/tokens.hpp"

#include <algorithm>

#include "lexer.hpp"

namespace pgweir::query {

bool mentions(std::string_view text, std::string_view word) noexcept {
    return std::search(text.begin(), text.end(), word.begin(), word.end(), [](char a, char b) {
               return lex::fold(static_cast<unsigned char>(a)) == b;
           }) != text.end();
}

std::vector<TextToken> text_tokens(std::string_view sql, std::size_t max) {
    using Kind = TextToken::Kind;
    std::vector<TextToken> all;
    Lexer lexer(sql);
    while (all.size() < max) {
        const Token t = lexer.next();
        const auto at = static_cast<std::size_t>(t.text.data() - sql.data());
        switch (t.kind) {
            case TokenKind::end:
            case TokenKind::bad: return all;
            case TokenKind::word: all.push_back({Kind::word, folded(t.text), at}); break;
            case TokenKind::quoted: all.push_back({Kind::quoted, std::string(t.text), at}); break;
            case TokenKind::literal:
                all.push_back({Kind::constant, std::string(t.text), at});
                break;
            case TokenKind::param: all.push_back({Kind::parameter, std::string(t.text), at}); break;
            case TokenKind::op:
            case TokenKind::punct: all.push_back({Kind::symbol, std::string(t.text), at}); break;
        }
    }
    return all;
}

}  // namespace pgweir::query
