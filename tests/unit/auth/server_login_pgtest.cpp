// Our side of a login against PostgreSQL itself, by every method, over a blocking socket.
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <stdexcept>

#include "pgweir/auth/server_login.hpp"
#include "pgweir/auth/users.hpp"
#include "pgweir/base/bytes.hpp"
#include "pgweir/io/tls.hpp"
#include "pgweir/wire/frame.hpp"
#include "pgweir/wire/startup.hpp"
#include "support/loopback.hpp"
#include "support/process.hpp"

using namespace pgweir;
using auth::PasswordMethod;
using Status = auth::LoginStatus;

namespace {

constexpr const char* kHba =
    "local all postgres trust\n"
    "host all trusted 127.0.0.1/32 trust\n"
    "host all clear 127.0.0.1/32 password\n"
    "host all hashed 127.0.0.1/32 md5\n"
    "host all mixed 127.0.0.1/32 md5\n"
    "host all kerberos 127.0.0.1/32 gss\n"
    "host all all 127.0.0.1/32 scram-sha-256\n";

constexpr const char* kRoles =
    "CREATE ROLE trusted LOGIN;"
    "CREATE ROLE kerberos LOGIN;"
    "SET password_encryption = 'scram-sha-256';"
    "CREATE ROLE clear LOGIN PASSWORD 'secret';"
    "CREATE ROLE mixed LOGIN PASSWORD 'secret';"
    "CREATE ROLE scram LOGIN PASSWORD 'secret';"
    "CREATE ROLE umlaut LOGIN PASSWORD 'p\xc3\xa4ss';"
    "SET password_encryption = 'md5';"
    "CREATE ROLE hashed LOGIN PASSWORD 'secret';";

/// A private PostgreSQL with TLS, ended with this object.
class Server {
  public:
    Server() : dir_("pgweir-auth"), port_(testing::free_port()) {
        if (getuid() == 0) {
            const passwd* p = getpwnam("postgres");
            if (p == nullptr) throw std::runtime_error("no user postgres");
            user_ = testing::RunAs{p->pw_uid, p->pw_gid};
            if (chown(dir_.path().c_str(), p->pw_uid, p->pw_gid) != 0)
                throw std::runtime_error("chown");
        }
        must({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
              "-nodes", "-subj", "/CN=localhost", "-keyout", file("key.pem"), "-out",
              file("cert.pem")});
        must({program("initdb"), "-D", file("data"), "-U", "postgres", "-A", "trust", "--no-sync"});
        testing::write_file(file("data/pg_hba.conf"), kHba);
        start();
        must({program("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", dir_.path(), "-p",
              std::to_string(port_), "-U", "postgres", "-c", kRoles});
    }
    ~Server() {
        if (pid_ <= 0) return;
        kill(pid_, SIGQUIT);
        if (!testing::wait_exit(pid_, testing::Seconds(20))) kill(pid_, SIGKILL);
    }
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    std::uint16_t port() const noexcept { return port_; }
    std::string certificate() const { return file("cert.pem"); }
    std::string value(const std::string& sql) const {
        auto text = must({program("psql"), "-X", "-A", "-t", "-h", dir_.path(), "-p",
                          std::to_string(port_), "-U", "postgres", "-c", sql});
        while (text.ends_with('\n')) text.pop_back();
        return text;
    }

  private:
    std::string file(const std::string& name) const { return dir_.path() + "/" + name; }
    static std::string program(const std::string& name) {
        auto dir = testing::run({"pg_config", "--bindir"}).out;
        while (dir.ends_with('\n')) dir.pop_back();
        return dir + "/" + name;
    }
    std::string must(const std::vector<std::string>& command) const {
        testing::RunOptions options;
        options.run_as = user_;
        options.directory = dir_.path();
        const auto r = testing::run(command, options);
        if (r.status != 0) throw std::runtime_error(command[0] + ": " + r.out + r.err);
        return r.out;
    }
    void start() {
        const auto log = file("log");
        testing::SpawnOptions options;
        options.run_as = user_;
        options.directory = dir_.path();
        const int fd = open(log.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        options.stdout_fd = options.stderr_fd = fd;
        pid_ = testing::spawn(
            {program("postgres"), "-D", file("data"), "-p", std::to_string(port_), "-k",
             dir_.path(), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "ssl=on",
             "-c", "ssl_cert_file=" + file("cert.pem"), "-c", "ssl_key_file=" + file("key.pem")},
            options);
        close(fd);
        const bool up = testing::eventually(
            [&] {
                return testing::read_file(log).find("ready to accept connections") !=
                       std::string::npos;
            },
            testing::Seconds(60));
        if (!up) throw std::runtime_error("PostgreSQL does not start: " + testing::read_file(log));
    }

    testing::TempDir dir_;
    std::uint16_t port_;
    std::optional<testing::RunAs> user_;
    pid_t pid_ = -1;
};

Server& server() {
    static Server s;
    return s;
}

/// A blocking connection, with TLS when asked for.
class Link {
  public:
    explicit Link(bool tls) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(server().port());
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        REQUIRE(connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0);
        if (tls) encrypt();
    }
    ~Link() {
        tls_.reset();
        close(fd_);
    }
    Link(const Link&) = delete;
    Link& operator=(const Link&) = delete;

    void write(std::string_view bytes) {
        while (!bytes.empty()) {
            const auto n = tls_ ? tls_->write(bytes.data(), bytes.size()).bytes
                                : static_cast<std::size_t>(std::max<ssize_t>(
                                      0, send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL)));
            REQUIRE(n > 0);
            bytes.remove_prefix(n);
        }
    }
    bool read(std::string& into) {
        char block[4096];
        const auto n =
            tls_
                ? tls_->read(block, sizeof block).bytes
                : static_cast<std::size_t>(std::max<ssize_t>(0, recv(fd_, block, sizeof block, 0)));
        into.append(block, n);
        return n > 0;
    }

  private:
    void encrypt() {
        std::string request;
        base::append_u32(request, 8);
        base::append_u32(request, wire::kSslRequestCode);
        write(request);
        char answer = 0;
        REQUIRE(recv(fd_, &answer, 1, 0) == 1);
        REQUIRE(answer == 'S');
        io::TlsClientOptions options;
        options.verify = io::TlsVerify::full;
        options.ca_file = server().certificate();
        options.host = "localhost";
        auto context = io::TlsContext::client(options);
        REQUIRE(context);
        auto stream = io::TlsStream::create(*context, fd_);
        REQUIRE(stream);
        tls_ = *std::move(stream);
        REQUIRE(tls_->handshake() == io::TlsStatus::done);
    }

    int fd_;
    std::unique_ptr<io::TlsStream> tls_;
};

/// Feeds what arrives until the machine wants no more.
void drive(auth::ServerLogin& login, Link& link, auth::LoginStep step) {
    std::string in;
    link.write(step.bytes);
    while (step.status == Status::need_more) {
        const auto f = wire::scan_frame(in, auth::kMaxLoginMessage);
        if (f.status != wire::FrameStatus::complete) {
            REQUIRE(f.status != wire::FrameStatus::bad_length);
            REQUIRE(link.read(in));
            continue;
        }
        step = login.feed(f.type, f.body);
        in.erase(0, f.size);
        link.write(step.bytes);
    }
    REQUIRE((step.status != Status::ready || in.empty()));
}

auth::ServerLoginOptions options(const std::string& user) {
    auth::ServerLoginOptions o;
    o.user = user;
    o.database = "postgres";
    o.parameters = {{"application_name", "login test"}, {"options", "-c work_mem=7MB"}};
    o.may_send_cleartext = true;
    return o;
}

auth::ServerLogin log_in(auth::ServerLoginOptions o, bool tls = false) {
    auth::ServerLogin login;
    Link link(tls);
    drive(login, link, login.start(std::move(o)));
    return login;
}

auth::ServerLogin log_in(const std::string& user, const std::string& password, bool tls = false) {
    auto o = options(user);
    o.secret.password = password;
    return log_in(std::move(o), tls);
}

std::string value_of(const auth::Parameters& parameters, std::string_view name) {
    for (const auto& [n, v] : parameters)
        if (n == name) return v;
    return "<none>";
}

}  // namespace

TEST_CASE("PostgreSQL lets us in by every method with the right password, and only with it") {
    const std::pair<const char*, PasswordMethod> cases[] = {{"clear", PasswordMethod::cleartext},
                                                            {"hashed", PasswordMethod::md5},
                                                            {"mixed", PasswordMethod::scram},
                                                            {"scram", PasswordMethod::scram}};
    for (const auto& [name, method] : cases) {
        const char* const user = name;
        for (const bool tls : {false, true}) {
            CAPTURE(user);
            CAPTURE(tls);
            const auto right = log_in(user, "secret", tls);
            CHECK(right.status() == Status::ready);
            CHECK(right.failure().message == "");
            CHECK(right.asked() == method);
            CHECK(right.backend_pid() > 0);
            CHECK(right.backend_key().size() == 4);
            CHECK(value_of(right.parameters(), "application_name") == "login test");
            CHECK(value_of(right.parameters(), "server_version") != "<none>");
            for (const char* wrong : {"Secret", "", "secret2"}) {
                const auto refused = log_in(user, wrong, tls);
                CHECK(refused.status() == Status::failed);
                CHECK(refused.failure().from_server);
                CHECK(refused.failure().sqlstate == "28P01");
                CHECK(refused.asked() == method);
            }
        }
    }
}

TEST_CASE("PostgreSQL takes a password outside ASCII as it is") {
    CHECK(log_in("umlaut", "p\xc3\xa4ss").status() == Status::ready);
    CHECK(log_in("umlaut", "pass").status() == Status::failed);
}

TEST_CASE("PostgreSQL that trusts asks for nothing") {
    const auto login = log_in(options("trusted"));
    CHECK(login.status() == Status::ready);
    CHECK(login.asked() == PasswordMethod::none);
}

TEST_CASE("a password given when PostgreSQL has asked for it completes the same login") {
    for (const char* user : {"clear", "hashed", "scram"}) {
        CAPTURE(user);
        auth::ServerLogin login;
        Link link(false);
        drive(login, link, login.start(options(user)));
        REQUIRE(login.status() == Status::password_needed);
        drive(login, link, login.give_password("secret"));
        CHECK(login.status() == Status::ready);
    }
}

TEST_CASE("kept SCRAM keys log in to PostgreSQL until its secret changes") {
    auto o = options("scram");
    o.secret.keys = log_in("scram", "secret").client_keys();
    REQUIRE(o.secret.keys);
    CHECK(log_in(o).status() == Status::ready);
    server().value("SET password_encryption = 'scram-sha-256'; ALTER ROLE scram PASSWORD 'secret'");
    CHECK(log_in(o).status() == Status::failed);
    o.secret.password = "secret";
    CHECK(log_in(o).status() == Status::ready);
}

TEST_CASE("PostgreSQL's stored md5 secret logs in, and its SCRAM secrets are read") {
    auto o = options("hashed");
    o.secret.md5 = server().value("SELECT rolpassword FROM pg_authid WHERE rolname = 'hashed'");
    CHECK(log_in(o).status() == Status::ready);

    const auto stored = server().value("SELECT rolpassword FROM pg_authid WHERE rolname = 'mixed'");
    const auto secret = auth::parse_scram_secret(stored);
    REQUIRE(secret);
    CHECK(auth::format_scram_secret(*secret) == stored);
    const auto derived = auth::derive_scram_secret("secret", secret->salt, secret->iterations);
    CHECK(derived.stored_key == secret->stored_key);
    CHECK(derived.server_key == secret->server_key);
}

TEST_CASE("a password is not sent in clear to PostgreSQL where the link does not allow it") {
    auto o = options("clear");
    o.secret.password = "secret";
    o.may_send_cleartext = false;
    const auto login = log_in(o);
    CHECK(login.status() == Status::failed);
    CHECK_FALSE(login.failure().from_server);
}

TEST_CASE("PostgreSQL's refusals come with their own codes") {
    auto o = options("trusted");
    o.database = "no such database";
    CHECK(log_in(o).failure().sqlstate == "3D000");
    CHECK(log_in(options("nobody")).status() == Status::password_needed);
    CHECK(log_in("nobody", "x").failure().sqlstate == "28P01");
    const auto kerberos = log_in(options("kerberos")).failure();
    CHECK(kerberos.sqlstate == "28000");
    CHECK(kerberos.message.find("GSSAPI") != std::string::npos);
    o = options("trusted");
    o.parameters = {{"no.such-setting", "x"}};
    CHECK(log_in(o).failure().from_server);
}
