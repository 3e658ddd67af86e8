#include "pgweir/wire/frame.hpp"

#include <doctest/doctest.h>

#include "pgweir/wire/error_fields.hpp"
#include "pgweir/wire/writer.hpp"

using namespace pgweir;

TEST_CASE("a frame cut at any byte is seen as incomplete, never as something else") {
    std::string q;
    wire::write_query(q, "select 1");
    for (std::size_t n = 0; n < q.size(); ++n) {
        const auto f = wire::scan_frame(std::string_view(q).substr(0, n));
        CHECK(f.status ==
              (n < 5 ? wire::FrameStatus::header_incomplete : wire::FrameStatus::partial));
    }
    const auto f = wire::scan_frame(q);
    CHECK(f.status == wire::FrameStatus::complete);
    CHECK(f.type == 'Q');
    CHECK(f.size == q.size());
    CHECK(f.body == std::string_view("select 1\0", 9));
}

TEST_CASE("absurd lengths are refused from the header alone") {
    for (const std::uint32_t length :
         {0u, 1u, 3u, 0x40000000u, 0x7fffffffu, 0x80000000u, 0xffffffffu}) {
        std::string h = "Q";
        base::append_u32(h, length);
        CHECK(wire::scan_frame(h).status == wire::FrameStatus::bad_length);
    }
}

TEST_CASE("an error without its fields reads as empty fields") {
    CHECK(wire::parse_error_fields("").sqlstate.empty());
    CHECK(wire::parse_error_fields(std::string_view("\0", 1)).sqlstate.empty());
    CHECK(wire::parse_error_fields("Cunterminated").sqlstate.empty());
    CHECK(wire::parse_error_fields(std::string_view("C57014\0Mhi\0\0", 12)).sqlstate == "57014");
}

TEST_CASE("an error carries its fields in PostgreSQL's order") {
    std::string e;
    wire::write_error(e,
                      {.severity = "FATAL", .sqlstate = "57P01", .message = "bye", .detail = "d"});
    const auto f = wire::scan_frame(e);
    CHECK(f.body == std::string_view("SFATAL\0VFATAL\0C57P01\0Mbye\0Dd\0\0", 30));
    CHECK(wire::parse_error_fields(f.body).severity == "FATAL");
}
