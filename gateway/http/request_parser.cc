#include "gateway/http/request_parser.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "boost/beast/http/basic_parser.hpp"
#include "boost/beast/http/error.hpp"
#include "gateway/http/target.h"

namespace spotinference::http {
namespace {

namespace beast = boost::beast;
using beast::http::error;

std::string_view View(beast::string_view text) { return {text.data(), text.size()}; }

ParseError Translate(const beast::error_code& code, const RequestLimits& limits) {
  if (code == error::header_limit) {
    return {431, absl::StrCat("The request's head is larger than ", limits.head_bytes, " bytes.")};
  }
  if (code == error::body_limit) {
    return {413, absl::StrCat("The request's body is larger than ", limits.body_bytes, " bytes.")};
  }
  if (code == error::bad_method) return {400, "The request line does not start with a method."};
  if (code == error::bad_target)
    return {400, "The request target has a character that does not belong there."};
  if (code == error::bad_version)
    return {400, "The request line must end with HTTP/1.1 or HTTP/1.0."};
  if (code == error::bad_field)
    return {400, "A header field's name is not a token followed by ':'."};
  if (code == error::bad_value)
    return {400, "A header field's value has a character that does not belong there."};
  if (code == error::bad_content_length || code == error::multiple_content_length) {
    return {400, "Content-length must be one decimal number, and not come with transfer-encoding."};
  }
  if (code == error::bad_transfer_encoding) {
    return {400, "Transfer-encoding must be \"chunked\", and not come with content-length."};
  }
  if (code == error::bad_chunk || code == error::bad_chunk_extension) {
    return {400, "The body is not in well-formed chunks."};
  }
  return {400, absl::StrCat("The request is not well-formed HTTP/1.1: ", code.message(), ".")};
}

}  // namespace

class RequestParser::Impl : private beast::http::basic_parser<true> {
 public:
  explicit Impl(const RequestLimits& limits) : limits_(limits) {
    header_limit(limits.head_bytes);
    body_limit(limits.body_bytes);
  }

  std::optional<ParseError> Advance(std::string_view& input) {
    while (!done_) {
      const bool in_head = !head_done_;
      beast::error_code code;
      const size_t taken = put({input.data(), input.size()}, code);
      input.remove_prefix(taken);
      if (in_head) head_bytes_ += taken;
      if (error_) return error_;
      if (LineTooLong(input)) return TargetTooLong();
      if (code && code != error::need_more) return Translate(code, limits_);
      // Beast's own limit counts only what it has not taken yet.
      if (in_head ? head_bytes_ + (head_done_ ? 0 : input.size()) > limits_.head_bytes
                  : code && input.size() > limits_.head_bytes) {
        return Translate(error::header_limit, limits_);
      }
      if (in_head && head_done_) return CheckHead();
      if (code || input.empty()) break;
    }
    return std::nullopt;
  }

  // What follows is for the owner alone, which is RequestParser.
  using basic_parser::content_length;
  using basic_parser::keep_alive;

  Request request_;
  bool head_done_ = false;
  bool done_ = false;
  bool discard_ = false;
  bool http_1_1_ = false;
  uint64_t body_bytes_ = 0;

 private:
  static constexpr size_t kAroundTarget = 64;  // method, version and spaces of a sane request line

  // Beast looks for the end of the head before it looks at the request line again.
  bool LineTooLong(std::string_view input) const {
    const size_t most = limits_.target_bytes + kAroundTarget;
    return !line_done_ && input.size() > most && input.substr(0, most).find('\n') == input.npos;
  }

  ParseError TargetTooLong() const {
    return {414,
            absl::StrCat("The request target is longer than ", limits_.target_bytes, " bytes.")};
  }

  void Fail(ParseError why, beast::error_code& code) {
    error_ = std::move(why);
    code = error::bad_value;
  }

  std::optional<ParseError> CheckHead() {
    const Headers& headers = request_.headers;
    const auto codings = headers.GetAll("transfer-encoding");
    const bool chunked = codings.size() == 1 &&
                         absl::EqualsIgnoreCase({codings[0].data(), codings[0].size()}, "chunked");
    if (!codings.empty() && !(chunked && http_1_1_))
      return Translate(error::bad_transfer_encoding, limits_);
    const size_t hosts = headers.GetAll("host").size();
    if (hosts > 1 || (http_1_1_ && hosts == 0)) {
      return ParseError{
          400, absl::StrCat("An HTTP/1.1 request has one host header; this one has ", hosts, ".")};
    }
    const auto expect = headers.Get("expect");
    if (expect && !absl::EqualsIgnoreCase({expect->data(), expect->size()}, "100-continue")) {
      return ParseError{417, "The only expectation that can be met is 100-continue."};
    }
    return std::nullopt;
  }

  void on_request_impl(beast::http::verb, beast::string_view method, beast::string_view target,
                       int version, beast::error_code& code) override {
    line_done_ = true;
    http_1_1_ = version == 11;
    request_.method = View(method);
    if (target.size() > limits_.target_bytes) return Fail(TargetTooLong(), code);
    absl::StatusOr<Target> parsed = ParseTarget(View(target));
    if (!parsed.ok()) return Fail({400, std::string(parsed.status().message())}, code);
    request_.path = std::move(parsed->path);
    request_.query = std::move(parsed->query);
  }

  void on_field_impl(beast::http::field, beast::string_view name, beast::string_view value,
                     beast::error_code& code) override {
    if (++fields_ > limits_.head_fields) {
      return Fail(
          {431, absl::StrCat("The request has more than ", limits_.head_fields, " header fields.")},
          code);
    }
    if (!head_done_) request_.headers.Add(View(name), View(value));
  }

  void on_header_impl(beast::error_code&) override { head_done_ = true; }

  void on_body_init_impl(const boost::optional<uint64_t>&, beast::error_code&) override {}

  size_t on_body_impl(beast::string_view body, beast::error_code&) override {
    body_bytes_ += body.size();
    if (!discard_) request_.body.append(body.data(), body.size());
    return body.size();
  }

  size_t on_chunk_body_impl(uint64_t, beast::string_view body, beast::error_code& code) override {
    return on_body_impl(body, code);
  }

  void on_chunk_header_impl(uint64_t, beast::string_view, beast::error_code&) override {}
  void on_finish_impl(beast::error_code&) override { done_ = true; }
  void on_response_impl(int, beast::string_view, int, beast::error_code&) override {}

  const RequestLimits limits_;
  std::optional<ParseError> error_;
  size_t head_bytes_ = 0;
  size_t fields_ = 0;
  bool line_done_ = false;
};

RequestParser::RequestParser(const RequestLimits& limits) : impl_(std::make_unique<Impl>(limits)) {}
RequestParser::~RequestParser() = default;

std::optional<ParseError> RequestParser::Advance(std::string_view& input) {
  return impl_->Advance(input);
}
bool RequestParser::head_done() const { return impl_->head_done_; }
bool RequestParser::done() const { return impl_->done_; }
Request& RequestParser::request() { return impl_->request_; }
void RequestParser::DiscardBody() { impl_->discard_ = true; }
uint64_t RequestParser::body_bytes() const { return impl_->body_bytes_; }

std::optional<uint64_t> RequestParser::content_length() const {
  const auto length = impl_->content_length();
  return length ? std::optional<uint64_t>(*length) : std::nullopt;
}

bool RequestParser::http_1_1() const { return impl_->http_1_1_; }
bool RequestParser::keep_alive() const { return impl_->http_1_1_ && impl_->keep_alive(); }

bool RequestParser::expects_continue() const {
  return impl_->http_1_1_ && impl_->request_.headers.Has("expect");
}

}  // namespace spotinference::http
