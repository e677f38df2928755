#include "decide/bulk_body.hpp"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace conveyor {

namespace {

constexpr std::string_view plain_id = R"({"index":{"_id":")";
constexpr std::string_view remove_id = R"({"delete":{"_id":")";
constexpr std::string_view version_at = R"(","version":)";
constexpr std::string_view action_end = R"(,"version_type":"external"}})"
                                        "\n";

bool needs_escape(unsigned char c) { return c < 0x20 || c == '"' || c == '\\'; }

void append_action(Body& body, std::string_view begin, std::string_view key, std::uint64_t version) {
  std::string& wire = body.wire;
  wire += begin;
  append_escaped(wire, key);
  wire += version_at;
  char digits[20];
  wire.append(digits, std::to_chars(digits, digits + sizeof digits, version).ptr);
  wire += action_end;
}

void append_item(Body& body, std::string_view key, std::uint64_t version, std::size_t wire_at, bool remove) {
  body.items.push_back({version, wire_at, body.wire.size() - wire_at, body.keys.size(), key.size(), remove});
  body.keys += key;
}

bool sendable(std::string_view key) { return !key.empty() && key.size() <= max_id_bytes; }

}  // namespace

void append_index(Body& body, std::string_view key, std::uint64_t version, std::string_view document) {
  const std::size_t at = body.wire.size();
  if (sendable(key)) {
    append_action(body, plain_id, key, version);
    const std::size_t document_at = body.wire.size();
    body.wire += document;
    // A line break ends an action. Inside a JSON string it is always escaped, so one that is found stands between
    // tokens.
    if (document.find('\n') != std::string_view::npos)
      std::replace(body.wire.begin() + static_cast<std::ptrdiff_t>(document_at), body.wire.end(), '\n', ' ');
    body.wire += '\n';
  }
  append_item(body, key, version, at, false);
}

void append_delete(Body& body, std::string_view key, std::uint64_t version) {
  const std::size_t at = body.wire.size();
  if (sendable(key)) append_action(body, remove_id, key, version);
  append_item(body, key, version, at, true);
}

void append_guard(std::string& wire, std::string_view key) {
  wire += R"({"update":{"_id":")";
  append_escaped(wire, key);
  wire += "\"}}\n{\"doc\":{}}\n";
}

ItemResult unsendable(const Body& body, std::size_t item) {
  const std::size_t size = body.items[item].key_size;
  // What never could be indexed cannot be there either.
  if (body.items[item].remove) return {Outcome::done, {}, {}};
  if (size == 0) return {Outcome::dead_letter, "key_empty", "the document's key is an empty string"};
  return {Outcome::dead_letter, "key_too_long",
          fmt::format("the document's key has {} bytes, the target takes at most {}", size, max_id_bytes)};
}

void append_escaped(std::string& out, std::string_view text) {
  auto from = text.begin();
  for (auto it = std::find_if(from, text.end(), needs_escape); it != text.end();
       it = std::find_if(from, text.end(), needs_escape)) {
    out.append(from, it);
    if (static_cast<unsigned char>(*it) < 0x20) {
      constexpr char hex[] = "0123456789abcdef";
      out += "\\u00";
      out += hex[*it >> 4];
      out += hex[*it & 15];
    } else {
      out += '\\';
      out += *it;
    }
    from = it + 1;
  }
  out.append(from, text.end());
}

}  // namespace conveyor
