#include "verify/verify_text.hpp"

#include <fmt/format.h>

#include "decide/bulk_body.hpp"

namespace conveyor {

namespace {

std::string duration_text(double seconds) {
  const auto whole = static_cast<std::int64_t>(seconds + 0.5);
  if (whole >= 3600) return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
  if (whole >= 60) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} s", whole);
}

std::string counted(std::int64_t number, const char* what) { return number == 0 ? "" : grouped(number) + " " + what; }

void append(std::string& text, const std::string& more) {
  if (more.empty()) return;
  if (!text.empty()) text += ", ";
  text += more;
}

}  // namespace

std::string grouped(std::int64_t number) {
  std::string text = std::to_string(number);
  for (std::size_t at = text.size(); at > 3 && text[at - 4] != '-';) text.insert(at -= 3, ",");
  return text;
}

std::string progress_text(const VerifyProgress& progress) {
  if (progress.phase == "compare") {
    std::string text = "compared " + grouped(progress.documents);
    if (progress.total >= progress.documents && progress.total > 0)
      text += fmt::format(" of about {} documents ({:.1f} %)", grouped(progress.total),
                          100.0 * static_cast<double>(progress.documents) / static_cast<double>(progress.total));
    else
      text += " documents";
    // In the first seconds there is no telling.
    if (progress.seconds > 1 && progress.documents_now > 0) {
      const double rate = static_cast<double>(progress.documents_now) / progress.seconds;
      text += fmt::format(", {}/s", grouped(static_cast<std::int64_t>(rate)));
      if (progress.total > progress.documents)
        text += ", " + duration_text(static_cast<double>(progress.total - progress.documents) / rate) + " left";
    }
    if (progress.suspected > 0) text += fmt::format(", {} to be looked at again", grouped(progress.suspected));
    return text;
  }
  if (progress.phase == "sweep") return "looking for documents that should not be there";
  return fmt::format("{}: {} documents looked at again", progress.phase == "settle" ? "deciding" : "repairing",
                     grouped(progress.looked));
}

std::string verdict_text(const std::string& delivery, const VerifyProgress& progress, const Differences& differences) {
  std::string text;
  append(text, counted(differences.missing, "missing"));
  append(text, counted(differences.extra, "extra"));
  append(text, counted(differences.different, "different"));
  append(text, counted(differences.repaired, "of them repaired"));
  if (differences.none()) text = "equal";
  if (progress.moving > 0) text += fmt::format(" ({} changed too often to be compared)", grouped(progress.moving));
  return fmt::format("delivery \"{}\": {} documents compared: {}", delivery, grouped(progress.documents), text);
}

std::string difference_text(const NotedKey& noted) {
  std::string line = noted.kind + "\t";
  append_escaped(line, noted.key);
  if (noted.repaired)
    line += "\trepaired";
  else if (!noted.detail.empty())
    line += "\t" + noted.detail;
  return line;
}

}  // namespace conveyor
