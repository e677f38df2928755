// Writes the frames in which answers travel to the agent (docs/internals.md, section 4).
//
// Records are appended to a frame under construction. When it has reached its size the writer *rotates*: the full frame
// becomes the one to hand out and records go into a fresh one. The last record can be taken back as long as the frame
// has not been rotated, which lets a reader of sorted rows withdraw a document when a second one of its key turns up.
//
// Plain memory of the current context at frame_begin(); nothing here owns anything else.
#pragma once

extern "C" {
#include "postgres.h"
#include "lib/stringinfo.h"
}

namespace conveyor {

constexpr int kFrameSize = 64 * 1024;

struct FrameWriter {
  MemoryContext context;
  StringInfoData building;
  StringInfoData ready;  // handed out by frame_take(); valid until the next rotation
  uint64 records;        // between 'h' and 'e'
  int last_record;       // offset in `building`, -1 when it cannot be taken back
  bool has_ready;
};

struct Bytes {
  const char* data;
  int size;
};

inline Bytes bytes_of(const char* text) { return {text, static_cast<int>(strlen(text))}; }

void frame_begin(FrameWriter* frames);

void frame_header(FrameWriter* frames, uint64 version, const char* snapshot);
void frame_document(FrameWriter* frames, Bytes key, Bytes document);
// The hash of the document's bytes instead of them: as an agent would send them, in UTF-8 and on one line.
void frame_content(FrameWriter* frames, Bytes key, Bytes document);
void frame_missing(FrameWriter* frames, Bytes key);
void frame_refused(FrameWriter* frames, Bytes key, const char* type, const char* reason);
void frame_key(FrameWriter* frames, Bytes key);
void frame_signal(FrameWriter* frames, char kind, Bytes reason);
void frame_end(FrameWriter* frames);

void frame_take_back(FrameWriter* frames);

inline bool frame_full(const FrameWriter* frames) { return frames->building.len >= kFrameSize; }

// Makes the frame under construction the one to hand out. The one handed out before must have been consumed.
void frame_rotate(FrameWriter* frames);

// The frame to hand out, as a bytea.
Datum frame_take(FrameWriter* frames);

}  // namespace conveyor
