// One answer under way: a function called in the select list that returns its frames one call at a time.
//
// The first call checks what must hold, finds the feed, locks the view with all it reads, and only then takes the
// snapshot S that the whole answer is read in; the version of S goes into the header. Each call works in the scope of
// the feed's owner until a frame is full. S stays registered until the last frame has gone, the caller stops asking
// (LIMIT, a closed portal), or the transaction fails.
#pragma once

extern "C" {
#include "postgres.h"
#include "executor/spi.h"
#include "utils/resowner.h"
}

#include "compat.hpp"
#include "fetch/cursor.hpp"
#include "fetch/feed.hpp"
#include "frame.hpp"
#include "snapshot/snapshot.hpp"

namespace conveyor {

struct Answer;

// The part that differs. `size` is that of a struct which begins with Answer and is zeroed.
struct AnswerKind {
  Size size;
  // Reads the arguments and makes what is needed; S is active, the memory context is the answer's.
  void (*open)(Answer* answer, FunctionCallInfo fcinfo);
  // Writes records until a frame has been rotated (false) or there are no more (true). S is active.
  bool (*more)(Answer* answer);
  // Releases what is neither memory nor cursor. May be null. Not called after an error.
  void (*close)(Answer* answer);
};

struct Answer {
  const AnswerKind* kind;
  MemoryContext context;
  Feed* feed;
  Snapshot snapshot;
  ResourceOwner owner;       // of the registered snapshot
  const PgSnapshot* bounds;  // the snapshot as a value
  FrameWriter frames;
  Cursor cursor;
  bool finished;  // 'e' has been written
  bool closed;
};

// The body of a `setof bytea` function: delivery is argument 0; `at_least` the number of the argument that S must
// contain, or -1.
Datum answer_next(FunctionCallInfo fcinfo, const AnswerKind* kind, int at_least);

// The text argument array `number` without NULLs (which are an error).
char** key_arguments(FunctionCallInfo fcinfo, int number, int* count);

}  // namespace conveyor
