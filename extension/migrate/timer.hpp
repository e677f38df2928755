// The time limit of one batch: a timer of its own, so that it works in a background worker too, and so that what it
// cancels can be told from what a person cancels.
#pragma once

namespace conveyor::migrate {

void timer_start(long milliseconds);

// Ends the limit. True where it has run out since it was started; a cancellation that nothing has heeded yet is
// withdrawn.
bool timer_stop();

}  // namespace conveyor::migrate
