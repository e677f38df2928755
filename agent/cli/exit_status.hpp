#pragma once

namespace conveyor {

// Exit statuses of every command.
enum ExitStatus : int {
  done = 0,
  not_so = 1,  // what was asked about is not so
  usage = 2,   // the command line or the configuration is wrong
  could_not_connect = 3,
};

}  // namespace conveyor
