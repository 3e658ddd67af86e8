// A source of snapshots made by hand, and a reader of the console's answers.
#pragma once

#include <doctest/doctest.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "pgweir/admin/console.hpp"
#include "pgweir/base/bytes.hpp"

namespace pgweir::admin::testing {

struct FakeSource final : SnapshotSource {
    Snapshot snapshot;
    int collected = 0;
    bool answers = true;
    std::function<void(Snapshot)> pending;  // what nobody has answered

    void collect(std::function<void(Snapshot)> done) override {
        ++collected;
        if (answers)
            done(snapshot);
        else
            pending = std::move(done);
    }
};

struct Result {
    std::string types;  // of all messages, in order
    std::vector<std::string> columns;
    std::vector<std::uint32_t> oids;
    std::vector<std::vector<std::optional<std::string>>> rows;
    std::vector<std::string> tags;
    std::map<char, std::string> error;   // fields of the last ErrorResponse
    std::map<char, std::string> notice;  // of the last NoticeResponse

    std::string at(std::size_t row, const std::string& column) const {
        for (std::size_t i = 0; i < columns.size(); ++i)
            if (columns[i] == column) return rows.at(row).at(i).value_or("NULL");
        FAIL("no column ", column);
        return {};
    }
};

inline std::map<char, std::string> read_fields(base::ByteReader& body) {
    std::map<char, std::string> fields;
    while (const auto type = body.u8()) fields[static_cast<char>(type)] = body.cstring();
    return fields;
}

/// Every message has to fit and to be read to its end.
inline Result read_reply(std::string_view bytes) {
    Result result;
    while (!bytes.empty()) {
        REQUIRE(bytes.size() >= 5);
        const char type = bytes[0];
        const auto size = base::load_u32(bytes.data() + 1);
        REQUIRE(size >= 4);
        REQUIRE(bytes.size() >= size + 1);
        base::ByteReader body(bytes.substr(5, size - 4));
        bytes.remove_prefix(size + 1);
        result.types += type;
        if (type == 'T') {
            for (auto n = body.u16(); n > 0; --n) {
                result.columns.emplace_back(body.cstring());
                body.u32(), body.u16();
                result.oids.push_back(body.u32());
                body.u16(), body.u32();
                CHECK(body.u16() == 0);  // text
            }
        } else if (type == 'D') {
            auto& row = result.rows.emplace_back();
            for (auto n = body.u16(); n > 0; --n) {
                const auto length = body.i32();
                if (length < 0)
                    row.emplace_back();
                else
                    row.emplace_back(body.bytes(static_cast<std::size_t>(length)));
            }
        } else if (type == 'C') {
            result.tags.emplace_back(body.cstring());
        } else if (type == 'E') {
            result.error = read_fields(body);
        } else if (type == 'N') {
            result.notice = read_fields(body);
        }
        CHECK(body.done());
    }
    return result;
}

struct TestConsole {
    FakeSource source;
    std::vector<std::string> reload_errors;
    int reloads = 0;
    config::Config config;
    Console console{source,
                    {[this] { return std::make_shared<const config::Config>(config); },
                     [this](std::function<void(std::vector<std::string>)> done) {
                         ++reloads;
                         done(reload_errors);
                     }}};

    Result run(std::string_view sql, ConsoleContext context = {}) {
        std::optional<std::string> reply;
        console.execute(sql, context, [&](std::string bytes) {
            REQUIRE(!reply);
            reply = std::move(bytes);
        });
        REQUIRE(reply);
        return read_reply(*reply);
    }
};

}  // namespace pgweir::admin::testing
