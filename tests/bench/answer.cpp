// The bare answering program: logs every client in and answers every statement with the same rows,
// with one read and one write per request. It is the floor of a cached hit, and a PostgreSQL that
// costs next to nothing when a proxy in front of it is measured. What proxies send on their own
// account (SET, BEGIN, DISCARD ALL ...) gets its proper tag, parameter report and transaction
// status. Trusts its clients: loopback only, never for real use. One thread.
#include <strings.h>

#include <array>
#include <memory>
#include <vector>

#include "net.hpp"

namespace {

constexpr const char* kUsage =
    "usage: answer -p PORT [-u SOCKET_DIRECTORY] [-s BYTES] [-r ROWS]\n"
    "  -s BYTES  width of the one text column (0: an int4)    -r ROWS  rows in a result (1)\n";
constexpr std::size_t kReadSize = 256 * 1024;
constexpr std::uint32_t kMaxMessage = 64u << 20;

struct Client {
    int fd = -1;
    bool listener = false, started = false, leaving = false;
    char status = 'I';
    std::string input;    // an incomplete message
    std::string pending;  // what the socket would not take
    std::size_t sent = 0;
};

bool starts_with(std::string_view s, std::string_view word) {
    return s.size() >= word.size() && strncasecmp(s.data(), word.data(), word.size()) == 0;
}

std::string_view trim(std::string_view s) {
    while (!s.empty() && (s.front() == ' ' || s.front() == '\n')) s.remove_prefix(1);
    while (!s.empty() && (s.back() == ' ' || s.back() == '\n')) s.remove_suffix(1);
    return s;
}

void parameter(bench::Bytes& out, std::string_view name, std::string_view value) {
    std::size_t at = out.begin('S');
    out.zstring(name);
    out.zstring(value);
    out.end(at);
}

/// SET name = value, SET name TO value: reports the parameter as PostgreSQL would.
void set_command(bench::Bytes& out, std::string_view text) {
    text = trim(text.substr(4));
    if (starts_with(text, "SESSION ")) text = trim(text.substr(8));
    std::size_t end = text.find_first_of(" =");
    if (end != text.npos) {
        std::string_view name = text.substr(0, end), value = trim(text.substr(end));
        if (!value.empty() && value[0] == '=')
            value.remove_prefix(1);
        else if (starts_with(value, "TO "))
            value.remove_prefix(3);
        value = trim(value);
        if (value.size() >= 2 && value.front() == '\'' && value.back() == '\'')
            value = value.substr(1, value.size() - 2);
        parameter(out, name, value);
    }
    out.message('C', std::string_view("SET", 4));
}

class Answerer {
  public:
    Answerer(std::size_t width, long rows) {
        epoll_ = epoll_create1(EPOLL_CLOEXEC);
        if (epoll_ < 0) bench::die("epoll_create1");
        lay_out(width, rows);
    }

    void listen_on(const std::string& host, int port) {
        auto* c = new Client{.fd = bench::listen_on(host, port), .listener = true};
        bench::watch(epoll_, EPOLL_CTL_ADD, c->fd, EPOLLIN, c);
    }

    [[noreturn]] void run() {
        std::array<epoll_event, 256> events;
        for (;;) {
            int n = epoll_wait(epoll_, events.data(), events.size(), -1);
            for (int i = 0; i < n; i++) {
                auto* c = static_cast<Client*>(events[i].data.ptr);
                if (c->listener)
                    accept_all(*c);
                else if (!c->pending.empty())
                    flush(*c);
                else
                    on_readable(*c);
            }
        }
    }

  private:
    /// The answers are laid out once: a RowDescription, and the rows with their CommandComplete.
    void lay_out(std::size_t width, long rows) {
        bench::Bytes b;
        std::size_t at = b.begin('T');
        b.u16(1);
        b.zstring("abalance");
        b.u32(0);
        b.u16(0);
        b.u32(width ? 25 : 23);
        b.u16(width ? 0xffff : 4);
        b.u32(0xffffffff);
        b.u16(0);
        b.end(at);
        description_ = b.view();
        b.clear();
        std::string value = width ? std::string(width, 'x') : "0";
        for (long i = 0; i < rows; i++) {
            at = b.begin('D');
            b.u16(1);
            b.u32(static_cast<std::uint32_t>(value.size()));
            b.raw(value);
            b.end(at);
        }
        std::string tag = "SELECT " + std::to_string(rows);
        b.message('C', std::string_view(tag.c_str(), tag.size() + 1));
        rows_ = b.view();
    }

    void accept_all(Client& listener) {
        int fd;
        while ((fd = accept4(listener.fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
            bench::no_delay(fd);
            auto* c = new Client{.fd = fd};  // freed by drop()
            bench::watch(epoll_, EPOLL_CTL_ADD, fd, EPOLLIN, c);
        }
    }

    void drop(Client& c) {
        close(c.fd);
        delete &c;
    }

    void on_readable(Client& c) {
        ssize_t n = recv(c.fd, buffer_.data(), buffer_.size(), 0);
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) return drop(c);
        std::string_view in(buffer_.data(), static_cast<std::size_t>(n));
        out_.clear();
        if (c.input.empty()) {
            c.input.assign(in.substr(consume(c, in)));
        } else {
            c.input.append(in);
            c.input.erase(0, consume(c, c.input));
        }
        if (!out_.view().empty()) reply(c);
        if (c.leaving && c.pending.empty()) drop(c);
    }

    void reply(Client& c) {
        std::string_view out = out_.view();
        ssize_t n = send(c.fd, out.data(), out.size(), MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) c.leaving = true;
        if (n < 0) n = errno == EAGAIN ? 0 : static_cast<ssize_t>(out.size());
        if (static_cast<std::size_t>(n) == out.size()) return;
        c.pending.assign(out.substr(static_cast<std::size_t>(n)));
        c.sent = 0;
        bench::watch(epoll_, EPOLL_CTL_MOD, c.fd, EPOLLOUT, &c);
    }

    void flush(Client& c) {
        ssize_t n = send(c.fd, c.pending.data() + c.sent, c.pending.size() - c.sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) return drop(c);
        if (n > 0) c.sent += static_cast<std::size_t>(n);
        if (c.sent < c.pending.size()) return;
        c.pending = std::string();
        if (c.leaving) return drop(c);
        bench::watch(epoll_, EPOLL_CTL_MOD, c.fd, EPOLLIN, &c);
    }

    /// Answers the whole messages in `in`; returns how many bytes they were.
    std::size_t consume(Client& c, std::string_view in) {
        std::size_t used = 0;
        while (!c.leaving) {
            std::string_view rest = in.substr(used);
            std::size_t tag = c.started ? 1 : 0;
            if (rest.size() < tag + 4) break;
            std::uint32_t length = bench::load32(rest.data() + tag);
            if (length < 4 || length > kMaxMessage || (!c.started && length < 8)) {
                c.leaving = true;
                break;
            }
            if (rest.size() < tag + length) break;
            std::string_view body = rest.substr(tag + 4, length - 4);
            if (c.started)
                handle(c, rest[0], body);
            else
                start(c, body);
            used += tag + length;
        }
        return used;
    }

    void start(Client& c, std::string_view packet) {
        std::uint32_t code = bench::load32(packet.data());
        if (code == 80877103 || code == 80877104) return out_.byte('N');  // SSL, GSSENC
        if (code == 80877102) {                                           // CancelRequest
            c.leaving = true;
            return;
        }
        std::string_view application, encoding = "UTF8", user, rest = packet.substr(4);
        while (!rest.empty() && rest[0]) {
            std::size_t k = rest.find('\0');
            std::size_t v = k == rest.npos ? k : rest.find('\0', k + 1);
            if (v == rest.npos) break;
            std::string_view key = rest.substr(0, k), value = rest.substr(k + 1, v - k - 1);
            if (key == "application_name") application = value;
            if (key == "client_encoding") encoding = value;
            if (key == "user") user = value;
            rest.remove_prefix(v + 1);
        }
        out_.message('R', std::string_view("\0\0\0\0", 4));
        static constexpr std::array<std::array<std::string_view, 2>, 10> kParameters{{
            {"server_version", "15.20"},
            {"server_encoding", "UTF8"},
            {"DateStyle", "ISO, MDY"},
            {"IntervalStyle", "postgres"},
            {"TimeZone", "Etc/UTC"},
            {"integer_datetimes", "on"},
            {"standard_conforming_strings", "on"},
            {"is_superuser", "on"},
            {"in_hot_standby", "off"},
            {"default_transaction_read_only", "off"},
        }};
        for (const auto& [name, value] : kParameters) parameter(out_, name, value);
        parameter(out_, "application_name", application);
        parameter(out_, "client_encoding", encoding);
        parameter(out_, "session_authorization", user);
        std::size_t at = out_.begin('K');
        out_.u32(static_cast<std::uint32_t>(c.fd));
        out_.u32(0x5eed);
        out_.end(at);
        ready(c);
        c.started = true;
    }

    void ready(const Client& c) { out_.message('Z', std::string_view(&c.status, 1)); }

    void handle(Client& c, char tag, std::string_view body) {
        using namespace std::string_view_literals;
        switch (tag) {
            case 'Q':
                query(c, body.empty() ? body : body.substr(0, body.size() - 1));
                ready(c);
                break;
            case 'P': out_.raw("1\0\0\0\4"sv); break;
            case 'B': out_.raw("2\0\0\0\4"sv); break;
            case 'D':
                if (!body.empty() && body[0] == 'S') out_.raw("t\0\0\0\6\0\0"sv);
                out_.raw(description_);
                break;
            case 'E': out_.raw(rows_); break;
            case 'C': out_.raw("3\0\0\0\4"sv); break;
            case 'S': ready(c); break;
            case 'X': c.leaving = true; break;
            default: break;
        }
    }

    void query(Client& c, std::string_view text) {
        if (starts_with(text, "SELECT")) {
            out_.raw(description_);
            out_.raw(rows_);
            return;
        }
        bool any = false;
        while (!text.empty()) {
            // No proxy puts a semicolon into a value it sets.
            std::size_t end = text.find(';');
            std::string_view one = trim(text.substr(0, end));
            text = end == text.npos ? std::string_view() : text.substr(end + 1);
            if (one.empty()) continue;
            command(c, one);
            any = true;
        }
        if (!any) out_.message('I', "");
    }

    void command(Client& c, std::string_view text) {
        if (starts_with(text, "SET ")) return set_command(out_, text);
        struct Known {
            std::string_view word, tag;
            char status;  // afterwards; 0: as it was
        };
        static constexpr std::array<Known, 11> kKnown{{
            {"BEGIN", "BEGIN", 'T'},
            {"START TRANSACTION", "START TRANSACTION", 'T'},
            {"COMMIT", "COMMIT", 'I'},
            {"END", "COMMIT", 'I'},
            {"ROLLBACK", "ROLLBACK", 'I'},
            {"ABORT", "ROLLBACK", 'I'},
            {"DISCARD", "DISCARD ALL", 0},
            {"DEALLOCATE ALL", "DEALLOCATE ALL", 0},
            {"DEALLOCATE", "DEALLOCATE", 0},
            {"RESET", "RESET", 0},
            {"UNLISTEN", "UNLISTEN", 0},
        }};
        for (const Known& k : kKnown) {
            if (!starts_with(text, k.word)) continue;
            if (k.status) c.status = k.status;
            std::size_t at = out_.begin('C');
            out_.zstring(k.tag);
            out_.end(at);
            return;
        }
        out_.raw(description_);
        out_.raw(rows_);
    }

    int epoll_;
    std::string description_, rows_;
    bench::Bytes out_;  // the reply to the current read
    std::array<char, kReadSize> buffer_;
};

}  // namespace

int main(int argc, char** argv) {
    int port = 0, option;
    long width = 0, rows = 1;
    std::string directory;
    while ((option = getopt(argc, argv, "p:u:s:r:")) != -1) {
        switch (option) {
            case 'p': port = static_cast<int>(bench::number(optarg, 1, 65535)); break;
            case 'u': directory = optarg; break;
            case 's': width = bench::number(optarg, 0, 64 << 20); break;
            case 'r': rows = bench::number(optarg, 0, 1'000'000); break;
            default: bench::usage(kUsage);
        }
    }
    if (!port) bench::usage(kUsage);
    bench::raise_file_limit();
    static Answerer answerer(static_cast<std::size_t>(width), rows);
    answerer.listen_on("127.0.0.1", port);
    if (!directory.empty()) answerer.listen_on(directory, port);
    answerer.run();
}
