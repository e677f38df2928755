#include "failpoint.hpp"

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string_view>

extern "C" {
#include "utils/fmgrprotos.h"
}

namespace conveyor {

namespace {

constexpr std::string_view sleep_prefix = "sleep:";
constexpr std::string_view lock_prefix = "lock:";

// Takes the next NAME=ACTION off `list`; false at its end.
bool next_pair(std::string_view& list, std::string_view& name, std::string_view& action) {
  while (!list.empty() && (list.front() == ',' || list.front() == ' ')) list.remove_prefix(1);
  if (list.empty()) return false;
  std::string_view pair = list.substr(0, list.find(','));
  list.remove_prefix(pair.size());
  std::size_t equals = pair.find('=');
  name = pair.substr(0, equals);
  action = equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1);
  return true;
}

// Is the action PREFIX and a number, which is then read?
bool has_number(std::string_view action, std::string_view prefix, long* number) {
  if (!action.starts_with(prefix)) return false;
  std::string_view digits = action.substr(prefix.size());
  if (digits.empty() || digits.size() > 7 || digits.find_first_not_of("0123456789") != std::string_view::npos) {
    return false;
  }
  *number = std::strtol(digits.data(), nullptr, 10);
  return true;
}

bool known(std::string_view action) {
  long number;
  return action == "stop" || action == "kill" || action == "panic" || action == "error" ||
         has_number(action, sleep_prefix, &number) || has_number(action, lock_prefix, &number);
}

void run(const char* name, std::string_view action) {
  long number;
  if (action == "stop") {
    raise(SIGSTOP);
  } else if (action == "kill") {
    raise(SIGKILL);
  } else if (action == "panic") {
    ereport(PANIC, errcode(ERRCODE_INTERNAL_ERROR), errmsg("failpoint \"%s\" reached", name));
  } else if (action == "error") {
    ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR), errmsg("failpoint \"%s\" reached", name));
  } else if (has_number(action, sleep_prefix, &number)) {
    pg_usleep(number * 1000L);
    CHECK_FOR_INTERRUPTS();
  } else if (has_number(action, lock_prefix, &number)) {
    DirectFunctionCall1(pg_advisory_lock_shared_int8, Int64GetDatum(number));
    DirectFunctionCall1(pg_advisory_unlock_shared_int8, Int64GetDatum(number));
  }
}

}  // namespace

void run_failpoint(const char* name) {
  std::string_view list = settings.failpoint, point, action;
  while (next_pair(list, point, action)) {
    if (point == name) return run(name, action);
  }
}

bool check_failpoint(char** value, void**, GucSource) {
  if (*value == nullptr) return true;
  std::string_view list = *value, point, action;
  while (next_pair(list, point, action)) {
    if (!point.empty() && known(action)) continue;
    GUC_check_errdetail(
        "Write NAME=ACTION[,…]; actions are stop, kill, panic, error, sleep:MILLISECONDS and lock:NUMBER.");
    return false;
  }
  return true;
}

}  // namespace conveyor
