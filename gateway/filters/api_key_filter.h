// Asks every request for a key, before its body is read.
#ifndef GATEWAY_FILTERS_API_KEY_FILTER_H_
#define GATEWAY_FILTERS_API_KEY_FILTER_H_

#include <memory>

#include "engine/base/clock.h"
#include "gateway/filters/api_keys.h"
#include "gateway/http/handler.h"

namespace spotinference {

// "Authorization: Bearer KEY", and what each path wants of it:
//   /health, /ready   nothing
//   /metrics          nothing from this computer (a loopback address); else a key, the admin's too
//   /admin, /admin/…  the admin key; another key is a 403, and so is any where `admin` is empty
//   all else          a key
// What is missing or wrong is a 401 with OpenAI's error body, the same for a path that does not
// exist. Sets Request::principal to the key's name. A proxy on this computer must be among the
// trusted ones, or /metrics is open through it. `clock` outlives the filters.
http::FilterFactory ApiKeyFilter(std::shared_ptr<const ApiKeys> keys,
                                 std::shared_ptr<const ApiKeys> admin,
                                 const Clock& clock = RealClock());

}  // namespace spotinference

#endif  // GATEWAY_FILTERS_API_KEY_FILTER_H_
