#include "pgweir/auth/users.hpp"

#include <doctest/doctest.h>

#include <cstdio>
#include <fstream>

#include "pgweir/auth/md5.hpp"

using namespace pgweir;
using auth::UserStore;

namespace {

const std::string kScram =
    "SCRAM-SHA-256$10000:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
const std::string kMd5 = "md5bf39cbaf1c7cc50a22fc6cd5f77de2ea";

auth::UserStorePtr read(std::string_view text) {
    auto store = UserStore::parse(text, "users.txt");
    if (!store) FAIL(store.error());
    return *std::move(store);
}

std::string error_of(std::string_view text) {
    const auto store = UserStore::parse(text, "users.txt");
    return store ? "" : store.error();
}

}  // namespace

TEST_CASE("a users file has plain, md5 and SCRAM secrets, comments and blank lines") {
    const auto store =
        read("; comment\n\n  \"plain\" \"pa ss\"\r\n\"hash\" \"" + kMd5 + "\" ; why\n\t\"s\"\t\"" +
             kScram + "\" \"more\" \"fields\"\n\"none\" \"\"\n");
    REQUIRE(store->size() == 4);
    const auto* plain = store->find("plain");
    REQUIRE(plain != nullptr);
    CHECK(plain->password == "pa ss");
    CHECK(plain->md5 == auth::md5_secret("pa ss", "plain"));
    CHECK(plain->scram.has_value());
    CHECK(plain->scram->salt.size() == 16);
    CHECK(store->find("hash")->md5 == kMd5);
    CHECK_FALSE(store->find("hash")->scram);
    CHECK_FALSE(store->find("hash")->password);
    CHECK(store->find("s")->scram->iterations == 10000);
    CHECK(store->find("s")->md5.empty());
    const auto* none = store->find("none");
    REQUIRE(none != nullptr);
    CHECK((none->md5.empty() && !none->scram && !none->password));
    CHECK(store->find("nobody") == nullptr);
    CHECK(store->find("Plain") == nullptr);
    CHECK(store->scram_iterations() == 10000);
    CHECK(store->has_md5());
}

TEST_CASE("doubled quotes stand for one, and semicolons inside quotes are no comment") {
    const auto store = read("\"a\"\"b\" \"x;\"\"\"\"y\"");
    REQUIRE(store->find("a\"b") != nullptr);
    CHECK(store->find("a\"b")->password == "x;\"\"y");
}

TEST_CASE("an empty file is a store of nobody") {
    CHECK(read("")->size() == 0);
    CHECK(read("\n;\n")->size() == 0);
    CHECK_FALSE(read("")->has_md5());
    CHECK(read("")->scram_iterations() == auth::kScramDefaultIterations);
}

TEST_CASE("what is wrong in a users file is said with its place") {
    CHECK(error_of("\"a\" \"b\"\nc \"d\"").starts_with("users.txt:2:1: expected the user name"));
    CHECK(error_of("\"a\" b").starts_with("users.txt:1:5: expected the secret"));
    CHECK(error_of("\"a\"").starts_with("users.txt:1:4: expected the secret"));
    CHECK(error_of("\"a\n\" \"b\"").starts_with("users.txt:1:1: no closing quote"));
    CHECK(error_of("\"a\" \"b").starts_with("users.txt:1:5: no closing quote"));
    CHECK(error_of("\"a\" \"b\" rest").starts_with("users.txt:1:9: expected"));
    CHECK(error_of("\"\" \"b\"").starts_with("users.txt:1:1: the user name is empty"));
    CHECK(error_of("\"a\" \"b\"\n;\n \"a\" \"c\"")
              .starts_with("users.txt:3:2: the user stands already in line 1"));
    CHECK(
        error_of("\"a\" \"SCRAM-SHA-256$4096:broken\"").starts_with("users.txt:1:5: not a SCRAM"));
    CHECK(error_of("\"" + std::string(129, 'u') + "\" \"x\"").starts_with("users.txt:1:1: "));
    CHECK(error_of("\"u\" \"" + std::string(4097, 'x') + "\"").starts_with("users.txt:1:5: "));
    CHECK(error_of(std::string("\"u\0\" \"x\"", 8)).starts_with("users.txt:1:3: a zero byte"));
}

TEST_CASE("no error shows a secret") {
    for (const std::string text :
         {"\"a\" \"hunter2\" x", "\"a\" \"hunter2", "\"a\" \"SCRAM-SHA-256$hunter2\"",
          "\"b\" \"hunter2\"\n\"b\" \"hunter2\""}) {
        CAPTURE(text);
        CHECK_FALSE(error_of(text).empty());
        CHECK(error_of(text).find("hunter2") == std::string::npos);
    }
}

TEST_CASE("reading again keeps what was derived from a password that has not changed") {
    const auto before = read("\"a\" \"same\"\n\"b\" \"old\"");
    const auto after =
        UserStore::parse("\n\"a\" \"same\"\n\"b\" \"new\"", "users.txt", before.get());
    REQUIRE(after);
    CHECK((*after)->find("a")->scram->salt == before->find("a")->scram->salt);
    CHECK((*after)->find("a")->line == 2);
    CHECK((*after)->find("b")->scram->salt != before->find("b")->scram->salt);
    CHECK((*after)->find("b")->password == "new");
}

TEST_CASE("a users file that is not there is an error, and one that is there is read") {
    CHECK_FALSE(UserStore::load("/nowhere/users.txt"));
    CHECK_FALSE(UserStore::load("/tmp"));
    char path[] = "/tmp/pgweir_users_XXXXXX";
    const int fd = mkstemp(path);
    REQUIRE(fd >= 0);
    std::ofstream(path) << "\"a\" \"" << kMd5 << "\"\n";
    const auto store = UserStore::load(path);
    std::remove(path);
    close(fd);
    REQUIRE(store);
    CHECK((*store)->find("a")->md5 == kMd5);
}
