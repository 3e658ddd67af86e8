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
    CancelConnection(io::Loop& loop, std::function<void()> done)
        : loop_(loop), done_(std::move(done)) {}

    /// Takes ownership of itself when the connect is under way.
    static void start(io::Loop& loop, const io::Address& server, std::string packet,
                      std::function<void()> done) {
        auto self = std::make_unique<CancelConnection>(loop, std::move(done));
        auto fd = io::start_connect(server);
        if (!fd || !self->socket_.open(loop, *fd, self.get(), false, true)) {
            self->done_();
            return;
        }
        self->packet_ = std::move(packet);
        self->deadline_ =
            std::make_unique<io::Ticker>(loop, kDeadline, [raw = self.get()] { raw->finish(); });
        self.release();  // NOLINT: finish() buries it
    }

  private:
    void on_ready(bool readable, bool writable) noexcept override {
        if (finished_) return;
        if (writable && !sent_) {
            sent_ = true;
            if (io::connect_error(socket_.fd()) != 0 || !socket_.send(packet_) ||
                !socket_.flush()) {
                finish();
                return;
            }
            socket_.set_reading(true);
            return;
        }
        if (readable) {
            const auto r = socket_.read(loop_.scratch());
            if (r.state != io::IoState::blocked) finish();
        }
    }

    void finish() noexcept {
        if (finished_) return;
        finished_ = true;
        socket_.close();
        deadline_.reset();
        done_();
        loop_.bury(std::unique_ptr<io::Buried>(this));
    }

    io::Loop& loop_;
    std::function<void()> done_;
    io::Socket socket_;
    std::string packet_;
    std::unique_ptr<io::Ticker> deadline_;
    bool sent_ = false;
    bool finished_ = false;
};

}  // namespace

void send_cancel(io::Loop& loop, const io::Address& server, const auth::ServerLogin& login,
                 std::function<void()> done) {
    std::string packet;
    const auto key = login.backend_key();
    base::append_u32(packet, static_cast<std::uint32_t>(12 + key.size()));
    base::append_u32(packet, wire::kCancelRequestCode);
    base::append_u32(packet, login.backend_pid());
    packet += key;
    CancelConnection::start(loop, server, std::move(packet), std::move(done));
}

}  // namespace pgweir::pool
