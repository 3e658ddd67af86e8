// spdlog behind base/log.hpp. The only file that includes it for the program's log.
#include "pgweir/base/log.hpp"

#include <spdlog/async.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <memory>
#include <mutex>

namespace pgweir::base {

namespace {

constexpr std::size_t kQueueLines = 8192;

std::mutex g_open_mutex;
std::atomic<std::shared_ptr<spdlog::async_logger>> g_logger;
std::atomic<LogLevel> g_level{LogLevel::info};
std::shared_ptr<spdlog::details::thread_pool> g_pool;

spdlog::level::level_enum spdlog_level(LogLevel level) noexcept {
    switch (level) {
        case LogLevel::debug: return spdlog::level::debug;
        case LogLevel::info: return spdlog::level::info;
        case LogLevel::warning: return spdlog::level::warn;
        case LogLevel::error: return spdlog::level::err;
    }
    return spdlog::level::info;
}

std::shared_ptr<spdlog::sinks::sink> make_sink(const std::string& file) {
    if (file.empty()) return std::make_shared<spdlog::sinks::stderr_sink_mt>();
    return std::make_shared<spdlog::sinks::basic_file_sink_mt>(file);
}

bool utf8_sequence_at(std::string_view s, std::size_t i, std::size_t& size) noexcept {
    const auto c = static_cast<unsigned char>(s[i]);
    size = c < 0x80 ? 1 : (c >> 5) == 6 ? 2 : (c >> 4) == 14 ? 3 : (c >> 3) == 30 ? 4 : 0;
    if (size == 0 || i + size > s.size()) return false;
    for (std::size_t k = 1; k < size; ++k)
        if ((static_cast<unsigned char>(s[i + k]) & 0xC0) != 0x80) return false;
    return true;
}

}  // namespace

bool open_log(LogLevel level, const std::string& file) {
    const std::scoped_lock lock(g_open_mutex);
    try {
        auto sink = make_sink(file);
        if (!g_pool) g_pool = std::make_shared<spdlog::details::thread_pool>(kQueueLines, 1);
        auto logger = std::make_shared<spdlog::async_logger>(
            "pgweir", std::move(sink), g_pool, spdlog::async_overflow_policy::overrun_oldest);
        logger->set_pattern("%Y-%m-%d %H:%M:%S.%e UTC [%P] %^%L%$ %v",
                            spdlog::pattern_time_type::utc);
        logger->set_level(spdlog::level::debug);
        logger->flush_on(spdlog::level::debug);
        g_level = level;
        g_logger.store(std::move(logger));
        return true;
    } catch (const spdlog::spdlog_ex&) {
        return false;
    }
}

void close_log() {
    const std::scoped_lock lock(g_open_mutex);
    g_logger.store(nullptr);
    g_pool.reset();  // drains the queue
}

bool log_enabled(LogLevel level) noexcept {
    return level >= g_level.load(std::memory_order_relaxed);
}

void log(LogLevel level, std::string_view line) {
    if (!log_enabled(level)) return;
    if (const auto logger = g_logger.load())
        logger->log(spdlog_level(level), spdlog::string_view_t(line.data(), line.size()));
}

std::uint64_t log_dropped() noexcept {
    const std::scoped_lock lock(g_open_mutex);
    return g_pool ? g_pool->overrun_counter() : 0;
}

std::string printable(std::string_view text, std::size_t max) {
    static constexpr char kHex[] = "0123456789abcdef";
    std::string out;
    for (std::size_t i = 0; i < text.size();) {
        if (out.size() >= max) return out + "...";
        const auto c = static_cast<unsigned char>(text[i]);
        std::size_t size = 1;
        if (c >= 0x20 && c != 0x7f && utf8_sequence_at(text, i, size)) {
            out.append(text.substr(i, size));
            i += size;
            continue;
        }
        out += "\\x";
        out += kHex[c >> 4];
        out += kHex[c & 15];
        ++i;
    }
    return out;
}

}  // namespace pgweir::base
