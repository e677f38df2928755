// Named points at which a crash test may kill or delay the agent: CONVEYOR_FAILPOINT="name" or
// "name=sleep:MILLISECONDS". Exists in test builds only (CMake option CONVEYOR_FAILPOINTS).
#pragma once

namespace conveyor {

#ifdef CONVEYOR_FAILPOINTS
void failpoint(const char* name);
#else
inline void failpoint(const char*) {}
#endif

}  // namespace conveyor
