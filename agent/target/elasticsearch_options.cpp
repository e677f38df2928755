#include "target/elasticsearch_options.hpp"

#include <cstdlib>
#include <stdexcept>

#include <curl/curl.h>
#include <fmt/format.h>

#include "decide/json.hpp"

namespace conveyor {

namespace {

struct BadOption : std::runtime_error {
  using std::runtime_error::runtime_error;
};

std::string text_option(const json_t* options, const char* name) {
  const json_t* value = json_object_get(options, name);
  if (!value || json_is_null(value)) return {};
  if (!json_is_string(value)) throw BadOption(fmt::format("option {} must be a string", name));
  return text_of(value);
}

bool flag_option(const json_t* options, const char* name, bool otherwise) {
  const json_t* value = json_object_get(options, name);
  if (!value || json_is_null(value)) return otherwise;
  if (!json_is_boolean(value)) throw BadOption(fmt::format("option {} must be true or false", name));
  return json_is_true(value);
}

double number_option(const json_t* options, const char* name, double otherwise, double minimum, double maximum) {
  const json_t* value = json_object_get(options, name);
  if (!value || json_is_null(value)) return otherwise;
  const double number = json_number_value(value);
  if (!json_is_number(value) || number < minimum || number > maximum)
    throw BadOption(fmt::format("option {} must be a number from {} to {}", name, minimum, maximum));
  return number;
}

// agent_sync() hands intervals out in milliseconds.
Duration milliseconds_option(const json_t* options, const char* name, double otherwise, double maximum) {
  return from_seconds(number_option(options, name, otherwise, 1, maximum) / 1000);
}

struct FreeUrl {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};

// A URL's part; empty when it has none.
std::string part(CURLU* url, CURLUPart which) {
  char* text = nullptr;
  if (curl_url_get(url, which, &text, 0) != CURLUE_OK) return {};
  std::string copy(text);
  curl_free(text);
  return copy;
}

// The error never repeats the URL: it may hold a password.
std::string checked_url(const json_t* value) {
  if (!json_is_string(value)) throw BadOption("option url must be a string or an array of strings");
  std::string text = text_of(value);
  const std::unique_ptr<CURLU, FreeUrl> url(curl_url());
  if (curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK)
    throw BadOption("option url is not a URL: write http://host:port or https://host:port");
  const std::string scheme = part(url.get(), CURLUPART_SCHEME);
  if (scheme != "http" && scheme != "https") throw BadOption("option url must begin with http:// or https://");
  if (!part(url.get(), CURLUPART_USER).empty() || !part(url.get(), CURLUPART_PASSWORD).empty())
    throw BadOption("option url must not hold a user or a password: use option user and the environment of the agent");
  if (!part(url.get(), CURLUPART_QUERY).empty() || !part(url.get(), CURLUPART_FRAGMENT).empty())
    throw BadOption("option url must end with the host, the port or a path");
  while (text.ends_with('/')) text.pop_back();
  return text;
}

std::string environment(const std::string& variable) {
  const char* value = std::getenv(variable.c_str());
  return value ? value : "";
}

ElasticsearchOptions read(const json_t* options, const std::string& secret) {
  if (!json_is_object(options)) throw BadOption("the target's options must be an object");
  ElasticsearchOptions read;
  const json_t* url = json_object_get(options, "url");
  if (!url) throw BadOption("option url is missing");
  if (json_is_array(url)) {
    std::size_t i;
    const json_t* one;
    json_array_foreach(url, i, one) read.urls.push_back(checked_url(one));
  } else {
    read.urls.push_back(checked_url(url));
  }
  if (read.urls.empty()) throw BadOption("option url must name at least one address");

  read.max_in_flight = static_cast<int>(number_option(options, "max_in_flight", 8, 1, 256));
  read.http.request_timeout = milliseconds_option(options, "timeout", 60000, 3600000);
  read.http.connect_timeout = milliseconds_option(options, "connect_timeout", 5000, 300000);
  read.http.tls_verify = flag_option(options, "verify_tls", true);
  read.http.ca_file = text_option(options, "ca_file");
  read.http.cert_file = text_option(options, "client_cert_file");
  read.http.key_file = text_option(options, "client_key_file");

  read.http.user = text_option(options, "user");
  read.http.api_key = environment(secret_variable(secret, "API_KEY"));
  const std::string password = secret_variable(secret, "PASSWORD");
  read.http.password = environment(password);
  if (read.http.api_key.empty() && !read.http.user.empty() && read.http.password.empty())
    throw BadOption(fmt::format("option user is set, but {} is not in the environment of the agent", password));
  if (read.http.user.find(':') != std::string::npos) throw BadOption("option user must not contain a colon");
  return read;
}

}  // namespace

Result<ElasticsearchOptions> read_elasticsearch_options(const std::string& options, const std::string& secret) {
  try {
    return {read(parse_json(options.empty() ? "{}" : options).get(), secret), {}};
  } catch (const BadOption& bad) {
    return {std::nullopt, {Outcome::hold, bad.what()}};
  }
}

std::string secret_variable(const std::string& secret, const std::string& what) {
  std::string name = "CONVEYOR_";
  for (const char c : secret) {
    const bool lower = c >= 'a' && c <= 'z';
    const bool kept = (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    name += lower ? static_cast<char>(c - 'a' + 'A') : kept ? c : '_';
  }
  return name + '_' + what;
}

}  // namespace conveyor
