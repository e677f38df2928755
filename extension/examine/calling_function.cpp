#include "examine/calling_function.hpp"

namespace conveyor {

namespace {

// Whether the line quotes the text, or as much of it as stands on its first line.
bool quotes(const char* line, const char* text) {
  const size_t length = strcspn(text, "\n");
  return length > 0 && strstr(line, pnstrdup(text, length)) != nullptr;
}

}  // namespace

const char* error_context() {
  const char* context = GetErrorContextStack();
  return context != nullptr ? context : "";
}

const char* calling_function(const char* text, const char* around, const char* outermost) {
  char* context = pstrdup(error_context());
  const size_t length = strlen(context);
  const size_t outer_length = strlen(outermost);
  if (outer_length <= length && strcmp(context + length - outer_length, outermost) == 0)
    context[length - outer_length] = '\0';

  // The innermost lines quote the statement itself, where the server interface ran it.
  char* line = context;
  char* quoted = *text != '\0' ? strstr(context, text) : nullptr;
  if (quoted != nullptr) {
    line = strchr(quoted + strlen(text), '\n');
    if (line == nullptr) return "";
    ++line;
  }
  line[strcspn(line, "\n")] = '\0';
  return around != nullptr && quotes(line, around) ? "" : line;
}

}  // namespace conveyor
