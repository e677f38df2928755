#include "frame.hpp"

#include "compat.hpp"
#include "verify/content_hash.hpp"

extern "C" {
#include "mb/pg_wchar.h"
#include "port/pg_bswap.h"
#include "utils/memutils.h"
}

namespace conveyor {

namespace {

// A buffer that one huge document has grown is given back, so that an answer's memory follows its present size.
constexpr int kKeepBuffer = 1024 * 1024;

void reset(FrameWriter* frames, StringInfo buffer) {
  if (buffer->data != nullptr && buffer->maxlen > kKeepBuffer) {
    pfree(buffer->data);
    buffer->data = nullptr;
  }
  if (buffer->data == nullptr) {
    MemoryContext old = MemoryContextSwitchTo(frames->context);
    initStringInfo(buffer);
    enlargeStringInfo(buffer, 2 * kFrameSize);
    MemoryContextSwitchTo(old);
  }
  resetStringInfo(buffer);
  appendStringInfoSpaces(buffer, VARHDRSZ);  // the bytea's own header, filled in by frame_take()
}

void start(FrameWriter* frames, char kind) {
  frames->last_record = frames->building.len;
  frames->records++;
  appendStringInfoCharMacro(&frames->building, kind);
}

void append_u64(StringInfo buffer, uint64 value) {
#ifdef WORDS_BIGENDIAN
  value = pg_bswap64(value);
#endif
  appendBinaryStringInfo(buffer, reinterpret_cast<const char*>(&value), sizeof value);
}

void append_bytes(StringInfo buffer, Bytes bytes) {
  uint32 size = static_cast<uint32>(bytes.size);
#ifdef WORDS_BIGENDIAN
  size = pg_bswap32(size);
#endif
  appendBinaryStringInfo(buffer, reinterpret_cast<const char*>(&size), sizeof size);
  appendBinaryStringInfo(buffer, bytes.data, bytes.size);
}

// The agent speaks UTF-8 whatever the database's encoding is.
void append_text(StringInfo buffer, Bytes text) {
  if (GetDatabaseEncoding() == PG_UTF8) {
    append_bytes(buffer, text);
    return;
  }
  char* converted = pg_server_to_any(text.data, text.size, PG_UTF8);
  append_bytes(buffer, converted == text.data ? text : bytes_of(converted));
  if (converted != text.data) pfree(converted);
}

// Line ends can only be white space between tokens (they come from columns of type json; inside strings they are
// escaped), and a document is one line. Returns it as it stands in the buffer now.
Bytes append_line(StringInfo buffer, Bytes document) {
  int at = buffer->len + static_cast<int>(sizeof(uint32));
  append_text(buffer, document);
  char* text = buffer->data + at;
  char* end = buffer->data + buffer->len;
  for (char* p = text; (p = static_cast<char*>(memchr(p, '\n', end - p))) != nullptr;) *p++ = ' ';
  for (char* p = text; (p = static_cast<char*>(memchr(p, '\r', end - p))) != nullptr;) *p++ = ' ';
  return {text, static_cast<int>(end - text)};
}

}  // namespace

void frame_begin(FrameWriter* frames) {
  *frames = {};
  frames->context = CurrentMemoryContext;
  frames->last_record = -1;
  reset(frames, &frames->building);
}

void frame_header(FrameWriter* frames, uint64 version, const char* snapshot) {
  appendStringInfoCharMacro(&frames->building, 'h');
  append_u64(&frames->building, version);
  append_bytes(&frames->building, bytes_of(snapshot));
}

void frame_document(FrameWriter* frames, Bytes key, Bytes document) {
  start(frames, 'd');
  append_text(&frames->building, key);
  append_line(&frames->building, document);
}

void frame_content(FrameWriter* frames, Bytes key, Bytes document) {
  start(frames, 'c');
  append_text(&frames->building, key);
  int at = frames->building.len;
  Bytes line = append_line(&frames->building, document);
  uint64 hash = content_hash(line.data, line.size);
  frames->building.len = at;
  append_u64(&frames->building, hash);
}

void frame_missing(FrameWriter* frames, Bytes key) {
  start(frames, 'm');
  append_text(&frames->building, key);
}

void frame_refused(FrameWriter* frames, Bytes key, const char* type, const char* reason) {
  start(frames, 'x');
  append_text(&frames->building, key);
  append_bytes(&frames->building, bytes_of(type));
  append_text(&frames->building, bytes_of(reason));
}

void frame_key(FrameWriter* frames, Bytes key) {
  start(frames, 'k');
  append_text(&frames->building, key);
}

void frame_signal(FrameWriter* frames, char kind, Bytes reason) {
  start(frames, 's');
  appendStringInfoCharMacro(&frames->building, kind);
  append_text(&frames->building, reason);
}

void frame_end(FrameWriter* frames) {
  appendStringInfoCharMacro(&frames->building, 'e');
  append_u64(&frames->building, frames->records);
  frames->last_record = -1;
}

void frame_take_back(FrameWriter* frames) {
  Assert(frames->last_record >= 0);
  frames->building.len = frames->last_record;
  frames->records--;
  frames->last_record = -1;
}

void frame_rotate(FrameWriter* frames) {
  Assert(!frames->has_ready);
  StringInfoData old = frames->ready;
  frames->ready = frames->building;
  frames->building = old;
  reset(frames, &frames->building);
  frames->last_record = -1;
  frames->has_ready = true;
}

Datum frame_take(FrameWriter* frames) {
  Assert(frames->has_ready);
  frames->has_ready = false;
  SET_VARSIZE(frames->ready.data, frames->ready.len);
  return PointerGetDatum(frames->ready.data);
}

}  // namespace conveyor
