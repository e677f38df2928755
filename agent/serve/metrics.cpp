#include "serve/metrics.hpp"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <malloc.h>

namespace conveyor {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

MetricFamily family(const char* name, const char* help, MetricType type) { return {name, help, type, {}}; }

void add(MetricFamily& to, std::vector<ClientMetric::Label> labels, double value) {
  ClientMetric metric;
  metric.label = std::move(labels);
  (to.type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
  to.metric.push_back(std::move(metric));
}

}  // namespace

std::string metrics_text(const AgentIdentity& identity, const std::vector<DatabaseStatus>& databases) {
  MetricFamily info = family("conveyor_agent_info", "The agent; the value is always 1.", MetricType::Gauge);
  MetricFamily up = family("conveyor_database_connected", "1 while the control connection stands.", MetricType::Gauge);
  MetricFamily sync =
      family("conveyor_database_sync_age_seconds", "Since the database last answered a heartbeat.", MetricType::Gauge);
  MetricFamily documents = family("conveyor_documents_total", "Documents by what became of them.", MetricType::Counter);
  MetricFamily retries = family("conveyor_retries_total", "Documents that had to be sent again.", MetricType::Counter);
  MetricFamily windows =
      family("conveyor_windows_total", "Windows of the change log acknowledged.", MetricType::Counter);
  MetricFamily bytes =
      family("conveyor_target_bytes_in_memory", "Documents on their way to the delivery's target.", MetricType::Gauge);
  MetricFamily throttled =
      family("conveyor_delivery_throttled", "1 while something slows or holds the delivery.", MetricType::Gauge);

  add(info, {{"name", identity.name}, {"version", identity.version}}, 1);
  for (const DatabaseStatus& database : databases) {
    add(up, {{"database", database.name}}, database.connected);
    add(sync, {{"database", database.name}}, database.since_sync);
    for (const DeliveryReport& d : database.deliveries) {
      const auto labels = [&](std::vector<ClientMetric::Label> more = {}) {
        more.insert(more.begin(), {{"database", database.name}, {"delivery", d.delivery}});
        return more;
      };
      add(documents, labels({{"result", "sent"}}), static_cast<double>(d.sent));
      add(documents, labels({{"result", "deleted"}}), static_cast<double>(d.deleted));
      add(documents, labels({{"result", "superseded"}}), static_cast<double>(d.superseded));
      add(documents, labels({{"result", "dead_letter"}}), static_cast<double>(d.dead));
      add(retries, labels(), static_cast<double>(d.retries));
      add(windows, labels(), static_cast<double>(d.windows));
      add(bytes, labels(), static_cast<double>(d.bytes_in_memory));
      add(throttled, labels(), d.throttle.empty() ? 0 : 1);
    }
  }
  return prometheus::TextSerializer().Serialize({info, up, sync, documents, retries, windows, bytes, throttled});
}

}  // namespace conveyor
