// What agent and extension agree upon. An agent with another number is refused by agent_start() with CV002.
#pragma once

namespace conveyor {

inline constexpr int protocol = 1;

}  // namespace conveyor
