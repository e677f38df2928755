// Builds the body of an Elasticsearch or OpenSearch bulk request. The index is in the request's path, so that a body is
// complete before it is known where it goes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "target/target.hpp"

namespace conveyor {

// The servers' limit for an _id, in bytes of UTF-8.
inline constexpr std::size_t max_id_bytes = 512;

// One action line and the document's line. `document` is one JSON object; line breaks between its tokens become blanks.
// A key that no server takes (empty, or over max_id_bytes) gets an item without bytes: see unsendable().
void append_index(Body& body, std::string_view key, std::uint64_t version, std::string_view document);
void append_delete(Body& body, std::string_view key, std::uint64_t version);

// For a request of deletes only: they ignore require_alias and would create an index under the name of an alias that is
// gone, unless something in the request heeds it. An update of what was just deleted does, and changes nothing: there
// is nothing to update (404), or a newer document that stays as it is.
void append_guard(std::string& wire, std::string_view key);

// Why this item has no bytes on the wire; its document is a dead letter without being sent.
ItemResult unsendable(const Body& body, std::size_t item);

// `text` inside a JSON string, appended to `out` without the quotes.
void append_escaped(std::string& out, std::string_view text);

}  // namespace conveyor
