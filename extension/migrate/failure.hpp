// What an error says about the batch that it stopped. Pure.
#pragma once

#include <string_view>

namespace conveyor::migrate {

enum class Failure {
  transient,  // it may pass: try again later, with fewer rows
  data,       // a row is at fault: find it
  fatal,      // no batch can succeed before somebody has done something: stop the job
};

// By the SQLSTATE, five characters.
Failure classify(std::string_view sqlstate);

// What is to be done before a job that stopped by this error is taken up again: a whole sentence, or an empty text
// where nothing general can be said.
std::string_view remedy(std::string_view sqlstate);

}  // namespace conveyor::migrate
