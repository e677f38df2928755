#include "cli/interruption.hpp"

#include <signal.h>
#include <unistd.h>

#include "cli/exit_status.hpp"

namespace conveyor {

Interruption::Interruption() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  waiter_ = std::jthread([this, set](const std::stop_token& over) {
    const timespec patience{0, 100'000'000};
    while (!over.stop_requested())
      if (sigtimedwait(&set, nullptr, &patience) > 0) {
        if (stop_.stop_requested()) _exit(not_so);
        stop_.request_stop();
      }
  });
}

}  // namespace conveyor
