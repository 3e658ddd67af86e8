// Clients people use, each by each method over each mode of TLS: psql, libpqxx, psycopg2, psycopg 3
// and PostgreSQL's JDBC driver. What is not installed is said, and left out; scripts/test installs
// it. What a driver cannot do at all is not tried: JDBC binds no channel before 42.7.4 and speaks
// over no Unix socket.
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
/// Users by the method they have to log in by, with the modes in which it can be had. `plus` binds
/// the channel, which needs TLS from the start; `peer` is for Unix sockets, without TLS.
const std::vector<std::pair<std::string, std::vector<std::string>>> kMethods{
    {"trust", {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}},
    {"forward", {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}},
    {"md5", {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}},
    {"scram", {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}},
    {"plus", {"prefer", "require", "verify-ca", "verify-full"}},
    {"cert", {"allow", "prefer", "require", "verify-ca", "verify-full"}},
    {"peer", {"unix"}}};

std::string my_name() {
    const auto me = run({"id", "-un"}).out;
    return me.substr(0, me.find('\n'));
}

/// The server itself asks forward's user for a password, and trusts the proxy with the others.
struct Fixture {
    Certificates cert;
    TempDir sockets{"pgweir-drivers"};
    Cluster cluster{{{},
                     "local all all trust\nhost all forward 127.0.0.1/32 scram-sha-256\n"
                     "host all all 127.0.0.1/32 trust\n"}};
    std::unique_ptr<Proxy> proxy;

    Fixture() {
        auto db = cluster.connect();
        for (const auto& [user, modes] : kMethods)
            db.run("CREATE ROLE " + user + " LOGIN PASSWORD 'simple'");
        cert.make("cert", "ca");
        auto listen = cert.listen("allow");
        listen.insert(listen.size() - 1, ", unix_socket_dir: " + sockets.path());
        ProxyOptions o;
        o.sections = {
            {"auth",
             "{method: hba, hba_file: hba.conf, users_file: users.txt, ident_file: ident.conf}"},
            {"listen", listen}};
        o.files = {{"users.txt", "\"md5\" \"simple\"\n\"scram\" \"simple\"\n\"plus\" \"simple\"\n"},
                   {"ident.conf", "me " + my_name() + " peer\n"},
                   {"hba.conf",
                    "local all peer peer map=me\n"
                    "host all trust,postgres 127.0.0.1/32 trust\n"
                    "host all forward 127.0.0.1/32 forward\n"
                    "host all md5 127.0.0.1/32 md5\n"
                    "host all scram 127.0.0.1/32 scram-sha-256\n"
                    "hostssl all plus 127.0.0.1/32 scram-sha-256\n"
                    "hostssl all cert 127.0.0.1/32 cert\n"}};
        proxy = std::make_unique<Proxy>(cluster, o);
        // Java reads keys in another form.
        run({"sh", "-c",
             "openssl pkcs8 -topk8 -inform PEM -outform DER -nocrypt -in " + cert.d +
                 "cert.key -out " + cert.d + "cert.pk8"});
    }

    static std::vector<Login> logins() {
        std::vector<Login> all;
        for (const auto& [user, modes] : kMethods)
            for (const auto& mode : modes) all.push_back({user, mode});
        return all;
    }
    std::string dsn(const Login& l, const std::string& password) const {
        const auto common = " port=" + std::to_string(proxy->port()) + " user=" + l.user +
                            " dbname=app password=" + password;
        if (l.mode == "unix") return "host=" + sockets.path() + common;
        const auto pair = cert.d + (l.user == "cert" ? "cert." : "none.");
        return "host=localhost hostaddr=127.0.0.1 sslmode=" + l.mode + " sslrootcert=" + cert.d +
               "ca.pem sslcert=" + pair + "pem sslkey=" + pair +
               "key channel_binding=" + (l.user == "plus" ? "require" : "prefer") + common;
    }
};

Fixture& fixture() {
    static Fixture f;
    return f;
}

bool has_password(const Login& l) {
    return l.user != "trust" && l.user != "cert" && l.user != "peer";
}

bool every(const Login&) { return true; }
bool by_jdbc(const Login& l) { return l.user != "plus" && l.user != "peer"; }
using Which = bool (*)(const Login&);

/// One line "user mode outcome" of a script's output for each login.
std::set<std::string> expected(Which which) {
    std::set<std::string> lines;
    for (const auto& l : Fixture::logins()) {
        if (!which(l)) continue;
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
import importlib, sys
psycopg = importlib.import_module(sys.argv[1])
for line in sys.stdin.read().splitlines():
    user, mode, kind, dsn = line.split(' ', 3)
    try:
        c = psycopg.connect(dsn)
        k = c.cursor()
        k.execute('SELECT current_user, %s::int', (7,))
        print(user, mode, kind, k.fetchone()[0])
        c.close()
    except psycopg.OperationalError as e:
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
std::string tries(Which which, F&& address) {
    std::string text;
    for (const auto& l : Fixture::logins())
        for (const std::string kind : {"right", "wrong"}) {
            if (!which(l) || (kind == "wrong" && !has_password(l))) continue;
            text += l.user + " " + l.mode + " " + kind + " " +
                    address(l, kind == "right" ? "simple" : "wrong") + "\n";
        }
    return text;
}

}  // namespace

TEST_CASE("psql and libpqxx log in by every method over every mode of TLS") {
    auto& f = fixture();
    for (const auto& l : Fixture::logins()) {
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

TEST_CASE("psycopg2 and psycopg 3 log in by every method over every mode of TLS") {
    auto& f = fixture();
    const auto script = f.proxy->directory() + "/logins.py";
    write_file(script, kPython);
    write_file(script + ".in",
               tries(every, [&f](const Login& l, const char* p) { return f.dsn(l, p); }));
    for (const std::string module : {"psycopg2", "psycopg"}) {
        if (run({kInterpreter, "-c", "import " + module}).status != 0) {
            MESSAGE("Debian's package of " << module << " is not installed");
            continue;
        }
        const auto r =
            run({"sh", "-c",
                 std::string(kInterpreter) + " " + script + " " + module + " < " + script + ".in"});
        INFO(std::string(module + "\n" + r.out + r.err));
        CHECK(lines_of(r.out) == expected(every));
    }
}

TEST_CASE("rules for TLS let nobody in without it, and those for peers nobody else") {
    for (const auto& l : {Login{"plus", "disable"}, Login{"cert", "disable"},
                          Login{"scram", "unix"}, Login{"peer", "require"}}) {
        const auto error = connect_error(fixture().dsn(l, "simple"));
        CHECK_MESSAGE(error.find("no pg_hba.conf entry") != std::string::npos, error);
    }
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
    write_file(dir + "/java.in", tries(by_jdbc, [&f](const Login& l, const char* p) {
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
    CHECK(lines_of(r.out) == expected(by_jdbc));
}
