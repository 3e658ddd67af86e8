#include "pgweir/auth/md5.hpp"

#include <doctest/doctest.h>

using namespace pgweir;

TEST_CASE("md5 secrets are those PostgreSQL stores") {
    // SELECT 'md5' || md5('secret' || 'joe')
    CHECK(auth::md5_secret("secret", "joe") ==
          "md5"
          "c59ec932d911ffdf487595b5a2adf973");
    CHECK(auth::is_md5_secret(auth::md5_secret("", "")));
}

TEST_CASE("an md5 answer fits its own secret and salt only") {
    const auto secret = auth::md5_secret("secret", "joe");
    const std::string_view salt("\0\1\2\xff", 4);
    const auto answer = auth::md5_answer(secret, salt);
    CHECK(auth::is_md5_secret(answer));
    CHECK(auth::md5_answer_matches(secret, salt, answer));
    CHECK_FALSE(auth::md5_answer_matches(secret, "abcd", answer));
    CHECK_FALSE(auth::md5_answer_matches(auth::md5_secret("Secret", "joe"), salt, answer));
    CHECK_FALSE(auth::md5_answer_matches(auth::md5_secret("secret", "jane"), salt, answer));
    CHECK_FALSE(auth::md5_answer_matches(secret, salt, answer.substr(0, 34)));
    CHECK_FALSE(auth::md5_answer_matches(secret, salt, secret));
    CHECK_FALSE(auth::md5_answer_matches("", salt, ""));
}

TEST_CASE("only md5 and 32 digits in lower case is an md5 secret") {
    CHECK(auth::is_md5_secret("md5bf39cbaf1c7cc50a22fc6cd5f77de2ea"));
    CHECK_FALSE(auth::is_md5_secret("md5BF39cbaf1c7cc50a22fc6cd5f77de2ea"));
    CHECK_FALSE(auth::is_md5_secret("md5bf39cbaf1c7cc50a22fc6cd5f77de2e"));
    CHECK_FALSE(auth::is_md5_secret("md5bf39cbaf1c7cc50a22fc6cd5f77de2eag"));
    CHECK_FALSE(auth::is_md5_secret("xd5bf39cbaf1c7cc50a22fc6cd5f77de2ea"));
    CHECK_FALSE(auth::is_md5_secret(""));
    CHECK(auth::md5_answer("no secret", "abcd").empty());
}
