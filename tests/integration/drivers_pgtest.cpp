// Clients people use, each by each method over each mode of TLS: psql, libpqxx, psycopg2 and
// PostgreSQL's JDBC driver. What is not installed is said, and left out; scripts/test installs it.
#include <doctest/doctest.h>

#include <filesystem>
#include <pqxx/pqxx>
#include <set>

#include "support/certificates.hpp"
#include "support/proxy.hpp"
#include "support/run.hpp"

using namespace pgweir::testing;

namespace {

struct Login {
    std::string user, mode;
};
const char* const kMethods[] = {"trust", "forward", "md5", "scram", "cert"};
const char* const kModes[] = {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"};

/// A user for each method; the server itself asks forward's for a password.
struct Fixture {
    Certificates cert;
    Cluster cluster{{{},
                     "local all all trust\nhost all forward 127.0.0.1/32 scram-sha-256\n"
                     "host all all 127.0.0.1/32 trust\n"}};
    std::unique_ptr<Proxy> proxy;

    Fixture() {
        auto db = cluster.connect();
        for (const char* user : kMethods)
            db.run("CREATE ROLE " + std::string(user) + " LOGIN PASSWORD 'simple'");
        cert.make("cert", "ca");
        std::string users = "\"md5\" \"simple\"\n\"scram\" \"simple\"\n";
        ProxyOptions o;
        o.sections = {{"auth", "{method: hba, hba_file: hba.conf, users_file: users.txt}"},
                      {"listen", cert.listen("allow")}};
        o.files = {{"users.txt", users},
                   {"hba.conf",
                    "host all trust,postgres 127.0.0.1/32 trust\n"
                    "host all forward 127.0.0.1/32 forward\n"
                    "host all md5 127.0.0.1/32 md5\n"
                    "host all scram 127.0.0.1/32 scram-sha-256\n"
                    "hostssl all cert 127.0.0.1/32 cert\n"}};
        proxy = std::make_unique<Proxy>(cluster, o);
        // Java reads keys in another form.
        run({"sh", "-c",
             "openssl pkcs8 -topk8 -inform PEM -outform DER -nocrypt -in " + cert.d +
                 "cert.key -out " + cert.d + "cert.pk8"});
    }

    std::vector<Login> logins() const {
        std::vector<Login> all;
        for (const std::string user : kMethods)
            for (const std::string mode : kModes)
                if (user != "cert" || mode != "disable") all.push_back({user, mode});
        return all;
    }
    std::string dsn(const Login& l, const std::string& password) const {
        return "host=localhost hostaddr=127.0.0.1 port=" + std::to_string(proxy->port()) +
               " user=" + l.user + " dbname=app sslmode=" + l.mode + " sslrootcert=" + cert.d +
               "ca.pem password=" + password + " sslcert=" + cert.d +
               (l.user == "cert" ? "cert.pem" : "none") + " sslkey=" + cert.d +
               (l.user == "cert" ? "cert.key" : "none");
    }
};

Fixture& fixture() {
    static Fixture f;
    return f;
}

bool has_password(const Login& l) { return l.user != "trust" && l.user != "cert"; }

/// One line "user mode outcome" of a script's output for each login.
std::set<std::string> expected() {
    std::set<std::string> lines;
    for (const auto& l : fixture().logins()) {
        lines.insert(l.user + " " + l.mode + " right " + l.user);
        if (has_password(l)) lines.insert(l.user + " " + l.mode + " wrong refused");
    }
    return lines;
}

std::set<std::string> lines_of(const std::string& text) {
    std::set<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) lines.insert(line);
    return lines;
}

constexpr const char* kInterpreter = "/usr/bin/python3";  // whose packages are Debian's
constexpr const char* kPython = R"(
import sys, psycopg2
for line in sys.stdin.read().splitlines():
    user, mode, kind, dsn = line.split(' ', 3)
    try:
        c = psycopg2.connect(dsn)
        k = c.cursor()
        k.execute('SELECT current_user, %s::int', (7,))
        print(user, mode, kind, k.fetchone()[0])
        c.close()
    except psycopg2.OperationalError as e:
        print(user, mode, kind, 'refused' if 'password authentication failed' in str(e) else e)
)";

constexpr const char* kJava = R"(
import java.sql.*;
public class Logins {
    public static void main(String[] a) throws Exception {
        var in = new java.io.BufferedReader(new java.io.InputStreamReader(System.in));
        for (String line; (line = in.readLine()) != null;) {
            String[] w = line.split(" ", 4);
            String outcome;
            try (Connection c = DriverManager.getConnection(w[3]);
                 PreparedStatement s = c.prepareStatement("SELECT current_user, ?::int")) {
                s.setInt(1, 7);
                ResultSet r = s.executeQuery();
                r.next();
                outcome = r.getString(1);
            } catch (SQLException e) {
                outcome = "28P01".equals(e.getSQLState()) ? "refused" : e.toString();
            }
            System.out.println(w[0] + " " + w[1] + " " + w[2] + " " + outcome);
        }
    }
}
)";

/// One line "user mode kind address" for each try.
template <class F>
std::string tries(F&& address) {
    std::string text;
    for (const auto& l : fixture().logins())
        for (const std::string kind : {"right", "wrong"}) {
            if (kind == "wrong" && !has_password(l)) continue;
            text += l.user + " " + l.mode + " " + kind + " " +
                    address(l, kind == "right" ? "simple" : "wrong") + "\n";
        }
    return text;
}

}  // namespace

TEST_CASE("psql and libpqxx log in by every method over every mode of TLS") {
    auto& f = fixture();
    for (const auto& l : f.logins()) {
        INFO(std::string(l.user + " " + l.mode));
        const auto r =
            run({postgres_program("psql"), "-XAtqc", "SELECT current_user", f.dsn(l, "simple")});
        CHECK_MESSAGE(r.out == l.user + "\n", r.err);
        pqxx::connection c(f.dsn(l, "simple"));
        pqxx::work transaction(c);
        CHECK(transaction.exec1("SELECT current_user")[0].as<std::string>() == l.user);
        if (!has_password(l)) continue;
        const auto wrong = connect_error(f.dsn(l, "wrong"));
        CHECK(wrong.find("password authentication failed for user \"" + l.user) !=
              std::string::npos);
        // At most one, ever; but allow and prefer try again the other way.
        if (l.mode != "allow" && l.mode != "prefer")
            CHECK(wrong.find("FATAL") == wrong.rfind("FATAL"));
    }
}

TEST_CASE("psycopg2 logs in by every method over every mode of TLS") {
    if (run({kInterpreter, "-c", "import psycopg2"}).status != 0) {
        MESSAGE("python3-psycopg2 is not installed");
        return;
    }
    auto& f = fixture();
    const auto script = f.proxy->directory() + "/logins.py";
    write_file(script, kPython);
    write_file(script + ".in", tries([&f](const Login& l, const char* p) { return f.dsn(l, p); }));
    const auto r =
        run({"sh", "-c", std::string(kInterpreter) + " " + script + " < " + script + ".in"});
    INFO(std::string(r.out + r.err));
    CHECK(lines_of(r.out) == expected());
}

TEST_CASE("JDBC logs in by every method over every mode of TLS") {
    constexpr const char* kDriver = "/usr/share/java/postgresql.jar";
    if (!std::filesystem::exists(kDriver) || run({"javac", "-version"}).status != 0) {
        MESSAGE("libpostgresql-jdbc-java or a JDK is not installed");
        return;
    }
    auto& f = fixture();
    const auto dir = f.proxy->directory();
    write_file(dir + "/Logins.java", kJava);
    write_file(dir + "/java.in", tries([&f](const Login& l, const char* p) {
                   std::string url =
                       "jdbc:postgresql://localhost:" + std::to_string(f.proxy->port()) +
                       "/app?user=" + l.user + "&password=" + p + "&sslmode=" + l.mode +
                       "&sslrootcert=" + f.cert.d + "ca.pem";
                   if (l.user == "cert")
                       url += "&sslcert=" + f.cert.d + "cert.pem&sslkey=" + f.cert.d + "cert.pk8";
                   return url;
               }));
    const auto r = run({"sh", "-c",
                        "cd " + dir + " && java -XX:TieredStopAtLevel=1 -cp " +
                            std::string(kDriver) + " Logins.java < java.in"});
    INFO(std::string(r.out + r.err));
    CHECK(lines_of(r.out) == expected());
}
