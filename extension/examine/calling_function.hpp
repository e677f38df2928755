// Which function a statement stands in, and where in it.
#pragma once

#include "compat.hpp"

namespace conveyor {

// What errors in a statement would be reported to come from: "PL/pgSQL function reprice(bigint,bigint) line 7 at SQL
// statement". In the current context; empty for a statement that no function has made: the session itself, or a foreign
// key. `text` is the statement's own, `around` that of the one that runs it or NULL, `outermost` what error_context()
// gave where the batch began.
const char* calling_function(const char* text, const char* around, const char* outermost);

// As an error would report it now.
const char* error_context();

}  // namespace conveyor
