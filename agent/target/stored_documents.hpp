// What a search gives back: documents as they are stored, with their bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "target/target.hpp"

namespace conveyor {

struct SearchAnswer {
  std::string scroll;     // its id, where one was asked for
  std::int64_t hits = 0;  // in this page
  std::string problem;    // why it is not to be believed; empty: it is whole
};

// Gives each hit of a search's or scroll's answer to `take`, as it comes. What was taken before a problem turned up
// must not be believed either. Pure.
SearchAnswer read_search_answer(std::string_view text, const std::function<void(const StoredDocument&)>& take);

}  // namespace conveyor
