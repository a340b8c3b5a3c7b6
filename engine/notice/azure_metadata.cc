#include "engine/notice/azure_metadata.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/notice/json_fields.h"

namespace spotinference {
namespace {

// Azure asks for a look every second; with this and a request's own time an event is seen within one.
constexpr absl::Duration kInterval = absl::Milliseconds(750);
constexpr absl::Duration kRetry = absl::Milliseconds(200);
constexpr absl::Duration kMaxRetry = absl::Milliseconds(750);
// The first call of all turns the service on, and may take two minutes for it.
constexpr absl::Duration kFirstTimeout = absl::Seconds(150);
constexpr absl::Duration kTimeout = absl::Seconds(2);

// So many documents in a row that are older than one before come from no cache, but from a service that counts anew:
// some eight seconds.
constexpr int kMostStale = 12;

constexpr char kEvents[] = "/metadata/scheduledevents?api-version=2020-07-01";
constexpr char kName[] = "/metadata/instance/compute/name?api-version=2021-02-01&format=text";

// A machine's name or an event's id; it may stand in JSON as it is.
bool IsName(absl::string_view text) {
  const auto plain = [](unsigned char c) { return absl::ascii_isalnum(c) || c == '-' || c == '_' || c == '.'; };
  return !text.empty() && absl::c_all_of(text, plain);
}

class EventService {
 public:
  EventService(std::string base_url, std::string machine)
      : base_url_(std::move(base_url)), machine_(std::move(machine)) {}

  absl::StatusOr<MetadataReading> Read(HttpClient& client) {
    if (machine_.empty()) {
      ASSIGN_OR_RETURN(const HttpResponse name, Ask(client, {.url = kName, .timeout = kTimeout}));
      const absl::string_view said = absl::StripAsciiWhitespace(name.body);
      if (!IsName(said)) {
        return absl::UnavailableError(
            absl::StrCat("GET ", kName, ": '", absl::CHexEscape(said.substr(0, 80)), "' is no machine's name"));
      }
      machine_ = std::string(said);
    }
    ASSIGN_OR_RETURN(HttpResponse response,
                     Ask(client, {.url = kEvents, .timeout = on_ ? kTimeout : kFirstTimeout,
                                  .stall_timeout = kFirstTimeout}));
    on_ = true;
    ASSIGN_OR_RETURN(const ScheduledEvents document, ParseScheduledEvents(response.body));
    RETURN_IF_ERROR(CheckOrder(document));
    return MetadataReading{NoticeFor(machine_, document.events), std::move(response.headers)};
  }

  absl::Status Acknowledge(HttpClient& client, const std::string& event_id) {
    return Ask(client, {.method = "POST",
                        .url = kEvents,
                        .headers = {{"Content-Type", "application/json"}},
                        .body = absl::StrCat(R"({"StartRequests":[{"EventId":")", event_id, R"("}]})"),
                        .timeout = kTimeout})
        .status();
  }

 private:
  // `request.url` is a path.
  absl::StatusOr<HttpResponse> Ask(HttpClient& client, HttpRequest request) {
    const std::string path = std::exchange(request.url, absl::StrCat(base_url_, request.url));
    request.headers.emplace_back("Metadata", "true");
    ASSIGN_OR_RETURN(HttpResponse response, client.Do(request));
    if (response.status != 200) {
      return absl::UnavailableError(absl::StrCat(request.method, " ", path, ": status ", response.status));
    }
    return response;
  }

  absl::Status CheckOrder(const ScheduledEvents& document) {
    if (!document.incarnation.has_value()) return absl::OkStatus();
    const int64_t last = std::exchange(newest_, std::max(newest_, *document.incarnation));
    if (*document.incarnation >= last) {
      stale_ = 0;
      return absl::OkStatus();
    }
    if (++stale_ <= kMostStale) {
      return absl::UnavailableError(absl::StrCat("document ", *document.incarnation, " after document ", last));
    }
    stale_ = 0;
    newest_ = *document.incarnation;
    return absl::OkStatus();
  }

  const std::string base_url_;
  std::string machine_;
  int64_t newest_ = std::numeric_limits<int64_t>::min();  // the incarnation
  int stale_ = 0;   // older ones since then, in a row
  bool on_ = false;  // the service has answered once
};

std::optional<ScheduledEvent> ParseEvent(const JsonObject& object) {
  absl::StatusOr<std::string> type = object.String("EventType");
  absl::StatusOr<std::vector<std::string>> machines = object.Strings("Resources");
  if (!type.ok() || !machines.ok()) return std::nullopt;
  ScheduledEvent event{.type = *std::move(type), .machines = *std::move(machines)};
  event.id = object.String("EventId").value_or("");
  event.started = object.String("EventStatus").value_or("") == "Started";
  event.not_before = ParseHttpDate(object.String("NotBefore").value_or(""));
  return event;
}

bool Concerns(const ScheduledEvent& event, absl::string_view machine) {
  return absl::c_any_of(event.machines, [&](const std::string& name) { return absl::EqualsIgnoreCase(name, machine); });
}

bool TakesAway(const ScheduledEvent& event) {
  return event.type == "Preempt" || event.type == "Terminate" || event.type == "Reboot" || event.type == "Redeploy";
}

}  // namespace

MetadataService AzureMetadata(std::string base_url, std::string machine) {
  const auto events = std::make_shared<EventService>(std::move(base_url), std::move(machine));
  return {.name = "azure",
          .read = [events](HttpClient& client) { return events->Read(client); },
          .acknowledge = [events](HttpClient& client, const std::string& id) {
            return events->Acknowledge(client, id);
          },
          .interval = kInterval,
          .retry = kRetry,
          .max_retry = kMaxRetry};
}

absl::StatusOr<ScheduledEvents> ParseScheduledEvents(absl::string_view json) {
  ASSIGN_OR_RETURN(const JsonObject document, JsonObject::Parse(json));
  ASSIGN_OR_RETURN(const std::vector<JsonObject> objects, document.Objects("Events"));
  ScheduledEvents out;
  if (const absl::StatusOr<int64_t> number = document.Integer("DocumentIncarnation"); number.ok()) {
    out.incarnation = *number;
  }
  for (const JsonObject& object : objects) {
    if (std::optional<ScheduledEvent> event = ParseEvent(object)) out.events.push_back(*std::move(event));
  }
  return out;
}

std::optional<MetadataNotice> NoticeFor(absl::string_view machine, absl::Span<const ScheduledEvent> events) {
  const auto when = [](const ScheduledEvent& event) {
    return event.started ? absl::InfinitePast() : event.not_before.value_or(absl::InfinitePast());
  };
  const ScheduledEvent* soonest = nullptr;
  for (const ScheduledEvent& event : events) {
    if (!TakesAway(event) || !Concerns(event, machine)) continue;
    if (soonest == nullptr || when(event) < when(*soonest)) soonest = &event;
  }
  if (soonest == nullptr) return std::nullopt;
  MetadataNotice notice{.reason = soonest->type};
  if (!soonest->started) notice.at = soonest->not_before;  // else it may go at any moment
  // An acknowledgement speaks for every machine of the event.
  if (!soonest->started && soonest->machines.size() == 1 && IsName(soonest->id)) notice.event_id = soonest->id;
  return notice;
}

}  // namespace spotinference
