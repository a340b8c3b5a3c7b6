#include "engine/base/http_client.h"

#include <curl/curl.h>

#include <algorithm>
#include <atomic>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "engine/base/status.h"

namespace spotinference {
namespace {

constexpr int64_t kMaxHeaderBytes = 256 << 10;
// Cancel wakes the wait at once; without it there is nothing to look at in between.
constexpr int kPollMilliseconds = 60000;

struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using List = std::unique_ptr<curl_slist, FreeList>;

// Without query, fragment and user: they may hold secrets.
std::string ForPeople(absl::string_view url) {
  url = url.substr(0, url.find_first_of("?#"));
  const size_t host = url.find("://");
  const size_t path = host == url.npos ? url.npos : url.find('/', host + 3);
  const size_t user = url.substr(0, path).rfind('@');
  if (host == url.npos || user == url.npos) return std::string(url);
  return absl::StrCat(url.substr(0, host + 3), url.substr(user + 1));
}

bool HasControl(absl::string_view text) {
  return std::any_of(text.begin(), text.end(), [](unsigned char c) { return absl::ascii_iscntrl(c) && c != '\t'; });
}

// RFC 9110, 5.6.2.
bool IsToken(absl::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || absl::StrContains("!#$%&'*+-.^_`|~", c);
  });
}

absl::Status Validate(const HttpRequest& request) {
  const std::string& method = request.method;
  if (method != "GET" && method != "HEAD" && method != "PUT" && method != "POST" && method != "DELETE") {
    return absl::InvalidArgumentError(
        absl::StrCat("HTTP method '", method, "': one of GET, HEAD, PUT, POST, DELETE is known"));
  }
  if (!absl::StartsWith(request.url, "http://") && !absl::StartsWith(request.url, "https://")) {
    return absl::InvalidArgumentError(absl::StrCat(ForPeople(request.url), ": not an http:// or https:// URL"));
  }
  for (const auto& [name, value] : request.headers) {
    if (!IsToken(name)) return absl::InvalidArgumentError("a header has a name that is none");
    if (HasControl(value)) return absl::InvalidArgumentError(absl::StrCat("header ", name, ": a control character"));
  }
  if (const std::optional<HttpRange>& range = request.range;
      range.has_value() && (range->first < 0 || range->last.value_or(range->first) < range->first)) {
    return absl::InvalidArgumentError(absl::StrCat("byte range ", range->first, "-", range->last.value_or(-1)));
  }
  return absl::OkStatus();
}

absl::StatusCode CodeOf(CURLcode code) {
  switch (code) {
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
      return absl::StatusCode::kInvalidArgument;
    case CURLE_OPERATION_TIMEDOUT:
      return absl::StatusCode::kDeadlineExceeded;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_TOO_MANY_REDIRECTS:
      return absl::StatusCode::kFailedPrecondition;
    case CURLE_OUT_OF_MEMORY:
      return absl::StatusCode::kResourceExhausted;
    default:
      return absl::StatusCode::kUnavailable;
  }
}

// Of one Do: what comes in, and why it was refused.
struct Exchange {
  const HttpRequest& request;
  CURL* easy;
  HttpResponse response;
  int64_t header_bytes = 0;
  int64_t body_bytes = 0;
  bool head_done = false;  // on_head was called
  absl::Status refusal;

  absl::Status TakeHeader(absl::string_view line) {
    header_bytes += static_cast<int64_t>(line.size());
    if (header_bytes > kMaxHeaderBytes) {
      return absl::ResourceExhaustedError(absl::StrCat("more than ", kMaxHeaderBytes, " bytes of headers"));
    }
    line = absl::StripAsciiWhitespace(line);
    if (absl::StartsWith(line, "HTTP/")) {  // of an interim answer, a redirect, or the last one
      response.headers.clear();
      return absl::OkStatus();
    }
    const size_t colon = line.find(':');
    if (colon == line.npos) return absl::OkStatus();
    response.headers.emplace_back(std::string(line.substr(0, colon)),
                                  std::string(absl::StripAsciiWhitespace(line.substr(colon + 1))));
    return absl::OkStatus();
  }

  absl::Status TakeHead() {
    if (head_done) return absl::OkStatus();
    head_done = true;
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    response.status = static_cast<int>(status);
    return request.on_head ? request.on_head(response) : absl::OkStatus();
  }

  absl::Status TakeBody(absl::string_view piece) {
    RETURN_IF_ERROR(TakeHead());
    body_bytes += static_cast<int64_t>(piece.size());
    if (body_bytes > request.max_body_bytes) {
      return absl::ResourceExhaustedError(absl::StrCat("a body of more than ", request.max_body_bytes, " bytes"));
    }
    if (request.on_body) return request.on_body(piece);
    absl::StrAppend(&response.body, piece);
    return absl::OkStatus();
  }
};

// A count that differs from what was given ends the transfer.
template <absl::Status (Exchange::*take)(absl::string_view)>
size_t Receive(char* data, size_t size, size_t count, void* exchange) {
  auto& to = *static_cast<Exchange*>(exchange);
  to.refusal = (to.*take)(absl::string_view(data, size * count));
  return to.refusal.ok() ? size * count : size * count + 1;
}

long Milliseconds(absl::Duration d) {  // 0, for curl none, where d is infinite
  if (d == absl::InfiniteDuration()) return 0;
  return std::max<long>(1, static_cast<long>(absl::ToInt64Milliseconds(d)));
}

List ToList(const HttpHeaders& headers) {
  List list;
  const auto add = [&](const std::string& line) { list.reset(curl_slist_append(list.release(), line.c_str())); };
  add("Expect:");        // no 100-continue: its second of waiting is longer than most exchanges
  add("Content-Type:");  // none but the caller's
  for (const auto& [name, value] : headers) {
    add(value.empty() ? absl::StrCat(name, ";") : absl::StrCat(name, ": ", value));  // as curl wants an empty one
  }
  return list;
}

void SetMethod(CURL* easy, const HttpRequest& request) {
  if (request.method == "HEAD") {
    curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
  } else if (request.method != "GET") {
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request.body.data());
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  }
  if (request.range.has_value()) {
    const std::string last = request.range->last.has_value() ? absl::StrCat(*request.range->last) : "";
    curl_easy_setopt(easy, CURLOPT_RANGE, absl::StrCat(request.range->first, "-", last).c_str());  // curl copies it
  }
}

void SetLimits(CURL* easy, const HttpRequest& request) {
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, Milliseconds(request.connect_timeout));
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, Milliseconds(request.timeout));
  if (request.stall_timeout != absl::InfiniteDuration()) {
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME,
                     std::max<long>(1, static_cast<long>(absl::ToInt64Seconds(request.stall_timeout))));
  }
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, request.max_redirects > 0 ? 1L : 0L);
  curl_easy_setopt(easy, CURLOPT_MAXREDIRS, static_cast<long>(request.max_redirects));
}

}  // namespace

std::optional<absl::string_view> FindHeader(const HttpHeaders& headers, absl::string_view name) {
  for (const auto& [key, value] : headers) {
    if (absl::EqualsIgnoreCase(key, name)) return value;
  }
  return std::nullopt;
}

struct HttpClient::Curl {
  Curl() {
    static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
    (void)ready;  // where it failed, the handles are null
    easy = curl_easy_init();
    multi = curl_multi_init();
  }
  ~Curl() {
    curl_multi_cleanup(multi);
    curl_easy_cleanup(easy);
  }

  // Runs what `easy` was set up for.
  CURLcode Perform() {
    if (curl_multi_add_handle(multi, easy) != CURLM_OK) return CURLE_FAILED_INIT;
    CURLcode result = CURLE_ABORTED_BY_CALLBACK;
    for (bool done = false; !done && !cancelled;) {
      int running = 0, left = 0;
      if (curl_multi_perform(multi, &running) != CURLM_OK) break;
      while (const CURLMsg* const message = curl_multi_info_read(multi, &left)) {
        if (message->msg != CURLMSG_DONE) continue;
        result = message->data.result;
        done = true;
      }
      if (!done) curl_multi_poll(multi, nullptr, 0, kPollMilliseconds, nullptr);
    }
    curl_multi_remove_handle(multi, easy);
    return result;
  }

  CURL* easy;
  CURLM* multi;
  std::atomic<bool> cancelled = false;
};

HttpClient::HttpClient() : curl_(std::make_unique<Curl>()) {}
HttpClient::~HttpClient() = default;

void HttpClient::Cancel() {
  curl_->cancelled = true;
  curl_multi_wakeup(curl_->multi);
}

absl::StatusOr<HttpResponse> HttpClient::Do(const HttpRequest& request) {
  RETURN_IF_ERROR(Validate(request));
  CURL* const easy = curl_->easy;
  if (easy == nullptr || curl_->multi == nullptr) return absl::ResourceExhaustedError("libcurl does not start");
  Exchange exchange{request, easy};
  const List headers = ToList(request.headers);
  char reason[CURL_ERROR_SIZE] = "";
  curl_easy_reset(easy);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, reason);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, absl::StartsWith(request.url, "https:") ? "https" : "http,https");
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, (Receive<&Exchange::TakeHeader>));
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, &exchange);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, (Receive<&Exchange::TakeBody>));
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &exchange);
  if (!request.environment_proxy) curl_easy_setopt(easy, CURLOPT_PROXY, "");
  if (!request.ca_file.empty()) curl_easy_setopt(easy, CURLOPT_CAINFO, request.ca_file.c_str());
  SetMethod(easy, request);
  SetLimits(easy, request);

  const CURLcode result = curl_->Perform();
  const absl::Status head = result == CURLE_OK ? exchange.TakeHead() : absl::OkStatus();  // of an answer without a body
  curl_easy_reset(easy);  // lets go of what is on this stack
  RETURN_IF_ERROR(exchange.refusal);
  const std::string what = absl::StrCat(request.method, " ", ForPeople(request.url));
  if (curl_->cancelled) return absl::CancelledError(absl::StrCat(what, ": cancelled"));
  if (result != CURLE_OK) {
    return absl::Status(CodeOf(result), absl::StrCat(what, ": ", *reason != 0 ? reason : curl_easy_strerror(result)));
  }
  RETURN_IF_ERROR(head);
  return std::move(exchange.response);
}

}  // namespace spotinference
