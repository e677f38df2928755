// Where a loop runs: in a background worker or in a CALL. The loop does not know.
#pragma once

#include "compat.hpp"

namespace conveyor::migrate {

class Session {
 public:
  // One READ COMMITTED transaction is open from begin() to commit(). The current memory context stays the current one.
  virtual void begin() = 0;
  virtual void commit() = 0;

  // Between transactions. Returns early when something happens that is worth a look.
  virtual void wait(long milliseconds) = 0;

  // Tells whoever watches this session. Between transactions or inside one.
  virtual void say(const char* text) = 0;

  // A cancel request ends a CALL; in a background worker it is an obstacle to one batch.
  virtual bool background() const = 0;

  // What lives as long as the session's work.
  virtual MemoryContext memory() const = 0;

 protected:
  ~Session() = default;
};

// Of a background worker that is connected to its database.
Session& background_session();

// Of a procedure that is called outside of a transaction block, with SPI connected.
Session& foreground_session();

}  // namespace conveyor::migrate
