// See tokens.hpp.
#include "pgweir/query/tokens.hpp"

#include "lexer.hpp"

namespace pgweir::query {

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
