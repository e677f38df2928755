#include "decide/shown_address.hpp"

#include <algorithm>
#include <cctype>

namespace conveyor {

namespace {

bool begins_with(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() && std::equal(prefix.begin(), prefix.end(), text.begin(), [](char a, char b) {
           return a == std::tolower(static_cast<unsigned char>(b));
         });
}

std::string_view host_of(std::string_view address) {
  address.remove_prefix(address.find("://") + 3);
  return address.substr(0, address.find_first_of("/?#"));
}

}  // namespace

bool is_address(std::string_view text) { return begins_with(text, "https://") || begins_with(text, "http://"); }

std::string shown_address(std::string_view address) {
  std::string shown(address.substr(0, address.find_first_of("?#")));
  const std::size_t host = shown.find("://") + 3;
  const std::size_t at = shown.substr(0, shown.find('/', host)).rfind('@');
  if (at != std::string::npos) shown.erase(host, at + 1 - host);
  return shown;
}

std::string address_problem(std::string_view address) {
  const std::string_view host = host_of(address);
  if (host.find('@') != std::string_view::npos)
    return "the address must not have a user or a password in it: use a signed address";
  if (host.empty() || host.front() == ':') return "the address has no host";
  if (std::any_of(address.begin(), address.end(),
                  [](char c) { return static_cast<unsigned char>(c) <= ' ' || c == '\x7f'; }))
    return "the address has blanks or control characters in it";
  return {};
}

}  // namespace conveyor
