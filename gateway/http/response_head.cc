#include "gateway/http/response_head.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace spotinference::http {
namespace {

// For people who read traffic; clients go by the number (RFC 9110, section 15).
const char* Reason(int status) {
  switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 417: return "Expectation Failed";
    case 422: return "Unprocessable Content";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
  }
  return "";
}

bool IsToken(const std::string& name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || absl::StrContains("!#$%&'*+-.^_`|~", std::string(1, c));
  });
}

bool IsFraming(const std::string& name) {
  for (const char* framing :
       {"content-length", "transfer-encoding", "connection", "keep-alive", "date"}) {
    if (absl::EqualsIgnoreCase(name, framing)) return true;
  }
  return false;
}

void AppendField(std::string& head, absl::string_view name, std::string value) {
  std::replace_if(
      value.begin(), value.end(), [](char c) { return c == '\r' || c == '\n' || c == '\0'; }, ' ');
  absl::StrAppend(&head, name, ": ", value, "\r\n");
}

}  // namespace

std::string ResponseHead(int status, const Headers& headers, const ResponseFraming& framing,
                         std::string_view request_id, absl::Time now) {
  std::string head = absl::StrCat("HTTP/1.1 ", status, " ", Reason(status), "\r\n");
  for (const auto& [name, value] : headers) {
    if (IsToken(name) && !IsFraming(name)) AppendField(head, name, value);
  }
  if (!headers.Has("x-request-id")) AppendField(head, "x-request-id", std::string(request_id));
  AppendField(head, "date",
              absl::FormatTime("%a, %d %b %Y %H:%M:%S GMT", now, absl::UTCTimeZone()));
  if (framing.content_length)
    AppendField(head, "content-length", absl::StrCat(*framing.content_length));
  if (framing.chunked) AppendField(head, "transfer-encoding", "chunked");
  if (framing.close) AppendField(head, "connection", "close");
  return head + "\r\n";
}

}  // namespace spotinference::http
