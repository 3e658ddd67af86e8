// The publication whose changes a stream is to show (cache.stream.publication): what is asked of
// the server about it. Thread: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace pgweir::control {

/// A SELECT of one text, without semicolon or dollars, for use in other statements, too: the state
/// of the publication, see sql/publication.sql. NULL: there is none of that name.
std::string publication_state(std::string_view name, std::uint32_t server_version_num);
/// A SELECT of the tables it names, see sql/published.sql.
std::string published_tables(std::string_view name, std::uint32_t server_version_num);
/// Why no stream can rest on a publication in this state; empty: it can.
std::string publication_obstacle(std::string_view name, std::string_view state);
/// Whether a stream tells of messages, and so of what watch_ddl.sql says: pgoutput passes them on
/// from PostgreSQL 14 on, test_decoding always.
bool passes_messages(std::string_view publication, std::uint32_t server_version_num) noexcept;
/// Options of START_REPLICATION, in brackets, for protocol version 1.
std::string pgoutput_options(std::string_view name, std::uint32_t server_version_num);

}  // namespace pgweir::control
