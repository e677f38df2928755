#include "run/failpoint.hpp"

#ifdef CONVEYOR_FAILPOINTS

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>

namespace conveyor {

void failpoint(const char* name) {
  static const std::string armed = [] {
    const char* value = std::getenv("CONVEYOR_FAILPOINT");
    return std::string(value ? value : "");
  }();
  if (armed == name) {
    kill(getpid(), SIGKILL);
    pause();
  }
  const std::string sleeping = std::string(name) + "=sleep:";
  if (armed.starts_with(sleeping))
    std::this_thread::sleep_for(std::chrono::milliseconds(std::atol(armed.c_str() + sleeping.size())));
}

}  // namespace conveyor

#endif
