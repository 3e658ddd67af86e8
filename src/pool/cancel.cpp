// See cancel.hpp.
#include "pgweir/pool/cancel.hpp"

#include <memory>

#include "pgweir/base/bytes.hpp"
#include "pgweir/io/socket.hpp"
#include "pgweir/wire/startup.hpp"

namespace pgweir::pool {

namespace {

constexpr base::Nanos kDeadline = 10 * base::kSecond;

class CancelConnection final : public io::Watcher, public io::Buried {
  public:
    CancelConnection(io::Loop& loop, CancelTarget server, std::function<void()> done)
        : loop_(loop), server_(std::move(server)), done_(std::move(done)) {}

    /// Takes ownership of itself when the connect is under way.
    static void start(io::Loop& loop, CancelTarget server, std::string packet,
                      std::function<void()> done) {
        auto self = std::make_unique<CancelConnection>(loop, std::move(server), std::move(done));
        auto fd = io::start_connect(self->server_.address);
        if (!fd || !self->socket_.open(loop, *fd, self.get(), false, true)) {
            // Not at once: who cancels goes on with the connection that it has cancelled.
            loop.at_end_of_turn(std::move(self->done_));
            return;
        }
        self->packet_ = std::move(packet);
        self->deadline_ =
            std::make_unique<io::Ticker>(loop, kDeadline, [raw = self.get()] { raw->finish(); });
        self.release();  // NOLINT: finish() buries it
    }

  private:
    enum class State : std::uint8_t { connecting, tls_answer, tls_handshake, sent, finished };

    void on_ready(bool readable, bool writable) noexcept override {
        switch (state_) {
            case State::connecting:
                if (writable) on_connected();
                return;
            case State::tls_answer:
                if (readable) read_tls_answer();
                return;
            case State::tls_handshake: continue_handshake(); return;
            case State::sent:
                if (writable && !socket_.flush()) return finish();
                if (readable && socket_.read(loop_.scratch()).state != io::IoState::blocked)
                    finish();
                return;
            case State::finished: return;
        }
    }

    void on_connected() {
        if (io::connect_error(socket_.fd()) != 0) return finish();
        socket_.want_write(false);
        socket_.set_reading(true);
        if (server_.tls == nullptr) return send_packet();
        if (server_.direct_tls) return begin_tls();
        state_ = State::tls_answer;
        std::string request;
        base::append_u32(request, 8);
        base::append_u32(request, wire::kSslRequestCode);
        if (!socket_.send(request)) finish();
    }

    void read_tls_answer() {
        char answer = 0;  // one byte: what follows it in clear is nobody's word
        const auto r = socket_.read({&answer, 1});
        if (r.state == io::IoState::blocked) return;
        if (r.state != io::IoState::ok || answer != 'S') return finish();
        begin_tls();
    }

    void begin_tls() {
        auto tls = io::TlsStream::create(server_.tls, socket_.fd(), server_.host);
        if (!tls) return finish();
        socket_.start_tls(std::move(*tls));
        state_ = State::tls_handshake;
        continue_handshake();
    }

    void continue_handshake() {
        switch (socket_.tls()->handshake()) {
            case io::TlsStatus::done:
                if (server_.direct_tls && !socket_.tls()->alpn_agreed()) return finish();
                socket_.want_write(false);
                return send_packet();
            case io::TlsStatus::want_read: socket_.want_write(false); return;
            case io::TlsStatus::want_write: socket_.want_write(true); return;
            default: finish(); return;
        }
    }

    void send_packet() {
        state_ = State::sent;
        if (!socket_.send(packet_)) finish();
    }

    void finish() noexcept {
        if (state_ == State::finished) return;
        state_ = State::finished;
        socket_.close();
        deadline_.reset();
        done_();
        loop_.bury(std::unique_ptr<io::Buried>(this));
    }

    io::Loop& loop_;
    CancelTarget server_;
    std::function<void()> done_;
    io::Socket socket_;
    std::string packet_;
    std::unique_ptr<io::Ticker> deadline_;
    State state_ = State::connecting;
};

}  // namespace

void send_cancel(io::Loop& loop, CancelTarget server, const auth::ServerLogin& login,
                 std::function<void()> done) {
    std::string packet;
    const auto key = login.backend_key();
    base::append_u32(packet, static_cast<std::uint32_t>(12 + key.size()));
    base::append_u32(packet, wire::kCancelRequestCode);
    base::append_u32(packet, login.backend_pid());
    packet += key;
    CancelConnection::start(loop, std::move(server), std::move(packet), std::move(done));
}

}  // namespace pgweir::pool
