// The load generator: one thread, one epoll set, a closed loop on every connection. It knows just
// enough of the protocol (frontend/backend protocol 3.0) to log in with trust or SCRAM-SHA-256 and
// to find the ReadyForQuery that ends a batch, so that it costs less than what it measures.
// Invariant: a connection has at most one batch under way. Prints one JSON line, ends with 1 when
// anything was answered with an error or closed on it.
#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "histogram.hpp"
#include "net.hpp"
#include "scram.hpp"

namespace {

constexpr const char* kUsage =
    "usage: load -p PORT [options]\n"
    "  -h HOST    IPv4 address or Unix socket directory (127.0.0.1)\n"
    "  -U USER -d DATABASE -W PASSWORD (bench, bench, none)\n"
    "  -c N       connections (16)\n"
    "  -m MODE    simple | extended | prepared\n"
    "  -q SQL     each {} becomes a number: in the text (simple), else the parameter $1\n"
    "  -l         extended: the number stands in the text too, so each Parse is a new text\n"
    "  -r LO:HI   range of the number (1:1000000)   -s  running numbers, not random ones\n"
    "  -x         other random numbers in each run   -2  each number twice, one after the other\n"
    "  -P N       queries per batch: N Query messages, or N before one Sync (1)\n"
    "  -t SECS    measured time (2)     -w SECS  before that, not counted (0.2)\n"
    "  -n N       stop after N queries instead\n"
    "  -C         a new connection for every batch: connect, log in, query, close\n"
    "  -I         log in and hold; -i  the same after one batch each\n"
    "  -R N       read at most N MB/s in all: a slow client\n"
    "  -g         print 'ready' and wait for a line before measuring; keep the connections\n"
    "             open after the result until standard input ends\n";

enum class Mode : std::uint8_t { simple, extended, prepared };
enum class State : std::uint8_t { startup, preparing, running, idle };
enum class Hold : std::uint8_t { no, logged_in, used };

struct Options {
    std::string host = "127.0.0.1", user = "bench", database = "bench", password, sql = "SELECT 1";
    int port = 0, connections = 16, per_batch = 1;
    Mode mode = Mode::simple;
    Hold hold = Hold::no;
    bool literals = false, running = false, twice = false, churn = false, gated = false;
    long low = 1, high = 1'000'000, stop_after = 0;
    double seconds = 2, warm_up = 0.2, read_mb_per_s = 0;
    std::uint64_t seed = 0x9e3779b97f4a7c15u;
};

struct Connection {
    int fd = -1;
    State state = State::startup;
    int batches_left = 0;  // ReadyForQuery messages until the batch has ended
    std::uint64_t started = 0;
    std::array<char, 5> header{};
    std::size_t header_size = 0;
    std::size_t skip = 0;  // bytes of the current message still to come
    std::string body;      // of those messages that are looked at
    std::string pending;   // what the socket would not take
    std::unique_ptr<bench::ScramLogin> scram;
};

std::uint64_t now_ns() {
    return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}

double cpu_seconds() {
    timespec t{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

class Load {
  public:
    explicit Load(Options options)
        : o_(std::move(options)),
          target_(bench::address(o_.host, o_.port)),
          has_parameter_(o_.mode != Mode::simple && !o_.literals &&
                         o_.sql.find("{}") != std::string::npos),
          connections_(static_cast<std::size_t>(o_.connections)),
          buffer_(256 * 1024) {
        epoll_ = epoll_create1(EPOLL_CLOEXEC);
        if (epoll_ < 0) bench::die("epoll_create1");
        next_ = o_.low;
    }

    int run() {
        for (std::size_t opened = 0; opened < connections_.size();) {
            // A few at a time, or the listen backlog overflows.
            for (int k = 0; k < 32 && opened < connections_.size(); k++)
                open(connections_[opened++]);
            turn(0);
        }
        if (o_.hold != Hold::no) return hold();
        std::uint64_t until = now_ns() + static_cast<std::uint64_t>(o_.warm_up * 1e9);
        while ((now_ns() < until || in_startup_ > 0) && live_) turn(50);
        gate();
        measuring_ = true;
        std::uint64_t begin = now_ns();
        double cpu = cpu_seconds();
        until = begin + static_cast<std::uint64_t>(o_.seconds * 1e9);
        while (live_ && (o_.stop_after ? queries_ < static_cast<std::uint64_t>(o_.stop_after)
                                       : now_ns() < until))
            turn(50);
        print(static_cast<double>(now_ns() - begin) / 1e9, cpu_seconds() - cpu);
        if (o_.gated) wait_for_end();
        return errors_ ? 1 : 0;
    }

  private:
    int hold() {
        while (idle_ < connections_.size() && !errors_) turn(50);
        std::printf("{\"held\":%zu,\"errors\":%llu}\n", idle_,
                    static_cast<unsigned long long>(errors_));
        std::fflush(stdout);
        wait_for_end();
        return errors_ ? 1 : 0;
    }

    void gate() {
        if (!o_.gated) return;
        std::puts("ready");
        std::fflush(stdout);
        for (int c = std::getchar(); c != '\n' && c != EOF;) c = std::getchar();
    }

    static void wait_for_end() {
        while (std::getchar() != EOF) {
        }
    }

    void turn(int wait_ms) {
        std::array<epoll_event, 256> events;
        int n = epoll_wait(epoll_, events.data(), events.size(), wait_ms);
        for (int i = 0; i < n; i++) {
            auto& c = *static_cast<Connection*>(events[i].data.ptr);
            if (events[i].events & EPOLLOUT) flush(c);
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(c);
        }
    }

    // Sending. Everything a connection has to say is built in out_ and leaves in one write.

    long number() {
        if (o_.twice && std::exchange(drawn_, !drawn_)) return last_;
        return last_ = draw();
    }

    long draw() {
        long span = o_.high - o_.low + 1;
        if (o_.running) {
            long v = next_;
            next_ = next_ == o_.high ? o_.low : next_ + 1;
            return v;
        }
        random_ ^= random_ << 13;
        random_ ^= random_ >> 7;
        random_ ^= random_ << 17;
        return o_.low + static_cast<long>((random_ >> 11) % static_cast<std::uint64_t>(span));
    }

    void put_sql(std::string_view value) {
        std::string_view rest = o_.sql;
        for (std::size_t at; (at = rest.find("{}")) != rest.npos; rest.remove_prefix(at + 2)) {
            out_.raw(rest.substr(0, at));
            out_.raw(value);
        }
        out_.zstring(rest);
    }

    void put_parse(std::string_view name, std::string_view value) {
        std::size_t at = out_.begin('P');
        out_.zstring(name);
        put_sql(value);
        out_.u16(0);
        out_.end(at);
    }

    void put_query() {
        std::array<char, 24> digits;
        int n = std::snprintf(digits.data(), digits.size(), "%ld", number());
        std::string_view value(digits.data(), static_cast<std::size_t>(n));
        std::size_t at;
        if (o_.mode == Mode::simple) {
            at = out_.begin('Q');
            put_sql(value);
            return out_.end(at);
        }
        std::string_view name = o_.mode == Mode::prepared ? "s" : "";
        if (o_.mode == Mode::extended) put_parse(name, o_.literals ? value : "$1");
        at = out_.begin('B');
        out_.zstring("");
        out_.zstring(name);
        out_.u16(0);
        out_.u16(has_parameter_ ? 1 : 0);
        if (has_parameter_) {
            out_.u32(static_cast<std::uint32_t>(value.size()));
            out_.raw(value);
        }
        out_.u16(0);
        out_.end(at);
        out_.message('D', std::string_view("P\0", 2));
        out_.message('E', std::string_view("\0\0\0\0\0", 5));
    }

    void send_batch(Connection& c) {
        c.state = State::running;
        if (!o_.churn) c.started = now_ns();  // else it counts from connect()
        for (int i = 0; i < o_.per_batch; i++) put_query();
        c.batches_left = o_.mode == Mode::simple ? o_.per_batch : 1;
        if (o_.mode != Mode::simple) out_.message('S', "");
        send_out(c);
    }

    void send_out(Connection& c) {
        std::string_view bytes = out_.view();
        ssize_t n = 0;
        if (c.pending.empty()) n = send(c.fd, bytes.data(), bytes.size(), kSendFlags);
        if (n < 0) n = 0;  // would block, or gone: then the next read says so
        if (static_cast<std::size_t>(n) < bytes.size()) {
            c.pending.append(bytes.substr(static_cast<std::size_t>(n)));
            bench::watch(epoll_, EPOLL_CTL_MOD, c.fd, EPOLLIN | EPOLLOUT, &c);
        }
        out_.clear();
    }

    void flush(Connection& c) {
        ssize_t n = send(c.fd, c.pending.data(), c.pending.size(), kSendFlags);
        if (n > 0) c.pending.erase(0, static_cast<std::size_t>(n));
        if (c.pending.empty()) bench::watch(epoll_, EPOLL_CTL_MOD, c.fd, EPOLLIN, &c);
    }

    // A connection's life.

    void open(Connection& c) {
        c = Connection{};
        c.started = now_ns();
        c.fd = bench::connect_to(target_);
        if (c.fd < 0) bench::die("connect");
        bench::watch(epoll_, EPOLL_CTL_ADD, c.fd, EPOLLIN, &c);
        live_++;
        in_startup_++;
        std::size_t at = out_.begin(0);
        out_.u32(196608);
        for (std::string_view text :
             std::initializer_list<std::string_view>{"user", o_.user, "database", o_.database})
            out_.zstring(text);
        out_.byte('\0');
        out_.end(at);
        send_out(c);
    }

    void shut(Connection& c) {
        close(c.fd);
        c.fd = -1;
        live_--;
    }

    void fail(Connection& c, const char* what) {
        if (!errors_++) std::fprintf(stderr, "load: %s\n", what);
        shut(c);
    }

    void receive(Connection& c) {
        if (c.fd < 0) return;
        ssize_t n = recv(c.fd, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) return fail(c, n ? std::strerror(errno) : "the server closed a connection");
        if (measuring_) bytes_ += static_cast<std::uint64_t>(n);
        if (o_.read_mb_per_s > 0)
            usleep(static_cast<useconds_t>(static_cast<double>(n) / o_.read_mb_per_s));
        scan(c, std::string_view(buffer_.data(), static_cast<std::size_t>(n)));
    }

    void scan(Connection& c, std::string_view in) {
        while (!in.empty()) {
            if (c.header_size < c.header.size()) {
                std::size_t n = std::min(c.header.size() - c.header_size, in.size());
                std::memcpy(c.header.data() + c.header_size, in.data(), n);
                c.header_size += n;
                in.remove_prefix(n);
                if (c.header_size < c.header.size()) return;
                std::uint32_t length = bench::load32(c.header.data() + 1);
                if (length < 4) return fail(c, "a message shorter than its length");
                c.skip = length - 4;
                c.body.clear();
            }
            std::size_t n = std::min(c.skip, in.size());
            bool wanted = c.header[0] == 'R' || c.header[0] == 'E';
            if (wanted && c.body.size() < kMaxBody) c.body.append(in.substr(0, n));
            in.remove_prefix(n);
            c.skip -= n;
            if (c.skip) return;
            c.header_size = 0;
            // After a close or a new connection the rest belongs to nobody.
            if (!on_message(c, c.header[0])) return;
        }
    }

    bool on_message(Connection& c, char tag) {
        if (tag == 'D') {
            rows_ += measuring_;
        } else if (tag == 'E') {
            for (char& ch : c.body)
                if (!ch) ch = ' ';
            if (!errors_++) std::fprintf(stderr, "load: ERROR: %s\n", c.body.c_str());
        } else if (tag == 'R') {
            return authenticate(c);
        } else if (tag == 'Z') {
            if (c.state == State::startup || --c.batches_left <= 0) return on_ready(c);
        }
        return true;
    }

    bool authenticate(Connection& c) {
        std::uint32_t kind = c.body.size() >= 4 ? bench::load32(c.body.data()) : ~0u;
        std::string_view data =
            std::string_view(c.body).substr(std::min<std::size_t>(4, c.body.size()));
        if (kind == 0) return true;
        if (kind == 12) return true;
        if (kind == 10) {
            c.scram = std::make_unique<bench::ScramLogin>(o_.password);
            std::string first = c.scram->first_message();
            std::size_t at = out_.begin('p');
            out_.zstring("SCRAM-SHA-256");
            out_.u32(static_cast<std::uint32_t>(first.size()));
            out_.raw(first);
            out_.end(at);
            send_out(c);
            return true;
        }
        if (kind == 11 && c.scram) {
            std::string last = c.scram->final_message(data);
            if (!last.empty()) {
                out_.message('p', last);
                send_out(c);
                return true;
            }
        }
        fail(c, "the server asks for a login that is not known");
        return false;
    }

    /// A batch, or the log-in, has ended. False when the connection was replaced.
    bool on_ready(Connection& c) {
        if (c.state == State::startup) {
            in_startup_--;
            if (o_.hold == Hold::logged_in) return become_idle(c);
            if (o_.mode == Mode::prepared) {
                put_parse("s", "$1");
                out_.message('S', "");
                c.batches_left = 1;
                c.state = State::preparing;
                send_out(c);
                return true;
            }
        } else if (c.state == State::running) {
            if (measuring_) {
                latency_.add(now_ns() - c.started);
                queries_ += static_cast<std::uint64_t>(o_.per_batch);
            }
            if (o_.hold == Hold::used) return become_idle(c);
            if (o_.churn) {
                out_.message('X', "");
                send_out(c);
                shut(c);
                open(c);
                return false;
            }
        }
        send_batch(c);
        return true;
    }

    bool become_idle(Connection& c) {
        c.state = State::idle;
        idle_++;
        return true;
    }

    /// How long the oldest unanswered batch has been waiting: a target that has stopped answering
    /// would otherwise only look slow.
    double longest_wait_us() const {
        std::uint64_t now = now_ns(), oldest = now;
        for (const Connection& c : connections_)
            if (c.fd >= 0 && c.state != State::idle) oldest = std::min(oldest, c.started);
        return static_cast<double>(now - oldest) / 1e3;
    }

    void print(double seconds, double cpu) const {
        auto whole = [](std::uint64_t v) { return static_cast<unsigned long long>(v); };
        double each = queries_ ? static_cast<double>(queries_) : 1;
        std::printf(
            "{\"queries\":%llu,\"qps\":%.1f,\"seconds\":%.4f,\"errors\":%llu,\"rows\":%llu,"
            "\"bytes\":%llu,\"mb_per_s\":%.2f,\"p50_us\":%.1f,\"p90_us\":%.1f,\"p99_us\":%.1f,"
            "\"p999_us\":%.1f,\"max_us\":%.1f,\"waiting_us\":%.1f,\"client_cpu_us\":%.3f}\n",
            whole(queries_), static_cast<double>(queries_) / seconds, seconds, whole(errors_),
            whole(rows_), whole(bytes_), static_cast<double>(bytes_) / seconds / 1e6,
            latency_.quantile_us(0.5), latency_.quantile_us(0.9), latency_.quantile_us(0.99),
            latency_.quantile_us(0.999), latency_.max_us(), longest_wait_us(), cpu / each * 1e6);
        std::fflush(stdout);
    }

    static constexpr int kSendFlags = MSG_NOSIGNAL | MSG_DONTWAIT;
    static constexpr std::size_t kMaxBody = 4096;

    Options o_;
    bench::Address target_;
    bool has_parameter_;
    int epoll_;
    std::vector<Connection> connections_;
    std::vector<char> buffer_;
    bench::Bytes out_;
    bench::Histogram latency_;
    bool measuring_ = false;
    std::size_t live_ = 0, in_startup_ = 0, idle_ = 0;
    std::uint64_t queries_ = 0, errors_ = 0, rows_ = 0, bytes_ = 0;
    std::uint64_t random_ = o_.seed;
    long next_ = 0, last_ = 0;
    bool drawn_ = false;  // last_ was drawn for the first of two queries
};

Mode mode_named(std::string_view name) {
    if (name == "simple") return Mode::simple;
    if (name == "extended") return Mode::extended;
    if (name == "prepared") return Mode::prepared;
    bench::usage(kUsage);
}

Options parse(int argc, char** argv) {
    Options o;
    int option;
    while ((option = getopt(argc, argv, "h:p:U:d:W:c:m:q:lr:sx2P:t:w:n:CIiR:g")) != -1) {
        switch (option) {
            case 'h': o.host = optarg; break;
            case 'p': o.port = static_cast<int>(bench::number(optarg, 1, 65535)); break;
            case 'U': o.user = optarg; break;
            case 'd': o.database = optarg; break;
            case 'W': o.password = optarg; break;
            case 'c': o.connections = static_cast<int>(bench::number(optarg, 1, 100'000)); break;
            case 'm': o.mode = mode_named(optarg); break;
            case 'q': o.sql = optarg; break;
            case 'l': o.literals = true; break;
            case 'r':
                if (std::sscanf(optarg, "%ld:%ld", &o.low, &o.high) != 2 || o.low > o.high)
                    bench::usage(kUsage);
                break;
            case 's': o.running = true; break;
            case '2': o.twice = true; break;
            case 'x': o.seed = std::random_device()() | 1u; break;
            case 'P': o.per_batch = static_cast<int>(bench::number(optarg, 1, 1000)); break;
            case 't': o.seconds = std::atof(optarg); break;
            case 'w': o.warm_up = std::atof(optarg); break;
            case 'n': o.stop_after = bench::number(optarg, 1, 1'000'000'000); break;
            case 'C': o.churn = true; break;
            case 'I': o.hold = Hold::logged_in; break;
            case 'i': o.hold = Hold::used; break;
            case 'R': o.read_mb_per_s = std::atof(optarg); break;
            case 'g': o.gated = true; break;
            default: bench::usage(kUsage);
        }
    }
    if (!o.port || (o.literals && o.mode == Mode::prepared)) bench::usage(kUsage);
    return o;
}

}  // namespace

int main(int argc, char** argv) {
    Options options = parse(argc, argv);
    bench::raise_file_limit();
    Load load(std::move(options));
    return load.run();
}
