// What a packed row holds: entries, each the recorded columns of one captured row image (docs/internals.md, "The log").
// Writing is in capture/image.cpp; this is the reading side.
#pragma once

#include "compat.hpp"

namespace conveyor {

struct CapturedColumn {
  char* name;
  Oid type;
  int16 typlen;  // of the type: -1 varlena, -2 cstring
  bool byval;
};

// A row of conveyor.capture, retired ones included.
struct CaptureDefinition {
  int32 capture;
  Oid relation;
  bool nullable;  // entries begin with a null bitmap
  int ncolumns;
  CapturedColumn* columns;  // recorded ones, in the order of the entries
};

// Reads the definition into the current memory context; null when there is none. Checks no rights.
const CaptureDefinition* find_capture(int32 capture);
// The same, but an error when there is none.
const CaptureDefinition* capture_definition(int32 capture);

struct EntryReader {
  const CaptureDefinition* definition;
  const char* at;
  const char* end;
};

inline EntryReader read_entries(const CaptureDefinition* definition, const char* entries, int32 length) {
  return {definition, entries, entries + length};
}

// The next entry's bytes: equal bytes are equal images, so keys can be coalesced without decoding. False at the end.
// An entry of a capture that records no column is empty; such a row has exactly one.
bool entry_bytes(EntryReader* reader, const char** bytes, int32* length);

// Its columns as datums, `definition->ncolumns` of them; values by reference are palloc'd in the current context.
void decode_entry(const CaptureDefinition* definition, const char* bytes, int32 length, Datum* values, bool* nulls);

}  // namespace conveyor
