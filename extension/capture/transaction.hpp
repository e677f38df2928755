// When captured entries are written: at PRE_COMMIT or PRE_PREPARE, or earlier, by whole nesting levels, when the buffer
// grows.
#pragma once

#include "compat.hpp"
#include "log/scan.hpp"

namespace conveyor {

void follow_transactions();

// Takes over an entry that was written into buffer.reserve(); see CaptureBuffer::add.
void capture_reserved(int32 capture, LogKind kind, uint32 length);

}  // namespace conveyor
