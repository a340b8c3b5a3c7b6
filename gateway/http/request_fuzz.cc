// Raw bytes through the parser, in two pieces, and what comes out through the router: no crash, no
// hang, and the promises of Request hold.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "gateway/http/address.h"
#include "gateway/http/request_parser.h"
#include "gateway/http/router.h"
#include "glog/logging.h"

namespace spotinference::http {
namespace {

class Reply : public Handler {
 public:
  void Handle(std::shared_ptr<Exchange> exchange) override { exchange->Reply({}); }
};

Router& TestRouter() {
  static Reply reply;
  static Router& router = *[] {
    auto* router = new Router([](int status, std::string_view message) {
      return Response{status, {}, std::string(message)};
    });
    router->Add("GET", "/v1/models/{id}", reply);
    router->Add("POST", "/machines/{id}:kill", reply);
    router->Add("GET", "/{a}/x/{b}", reply);
    return router;
  }();
  return router;
}

void Use(Request& request) {
  CHECK(request.path.empty() || request.path[0] == '/');
  for (const unsigned char c : request.path) CHECK(c >= 0x20 && c != 0x7f);
  for (const auto& [name, value] : request.headers) CHECK(!name.empty());
  request.QueryParameter("limit");
  static const std::vector<IpNetwork>& proxies =
      *new std::vector<IpNetwork>{*IpNetwork::Parse("0.0.0.0/0")};
  ClientAddress(*IpAddress::Parse("10.0.0.1"), request.headers.GetAll("x-forwarded-for"), proxies)
      .ToString();
  Exchange::Sides sides = Exchange::Create(std::move(request), {}, [] {});
  TestRouter().Handle(std::move(sides.handler));
  CHECK(sides.connection->ended());
}

void Parse(std::string_view bytes) {
  constexpr RequestLimits kLimits = {
      .target_bytes = 200, .head_bytes = 2000, .head_fields = 20, .body_bytes = 500};
  RequestParser parser(kLimits);
  const size_t middle = bytes.size() / 2;
  std::string_view input = bytes.substr(0, middle);
  while (!parser.done()) {
    const size_t before = input.size();
    const bool head_done = parser.head_done();
    if (parser.Advance(input)) return;
    CHECK_LE(parser.body_bytes(), kLimits.body_bytes);
    const bool progress = input.size() < before || parser.head_done() != head_done;
    if (progress) continue;
    const std::string_view longer = bytes.substr(input.data() - bytes.data());
    if (longer.size() == input.size()) return;
    input = longer;
  }
  CHECK_EQ(parser.request().body.size(), parser.body_bytes());
  Use(parser.request());
}

}  // namespace
}  // namespace spotinference::http

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  spotinference::http::Parse({reinterpret_cast<const char*>(data), size});
  return 0;
}
