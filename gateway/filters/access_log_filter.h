// One line for each request, when it has ended:
//
//   id=req_… peer=192.0.2.7 method=POST path=/v1/chat/completions status=200 bytes=5120 ms=843
//   end=complete key=laptop model=smollm2-135m-instruct prompt_tokens=38 generated_tokens=40
//
// The tokens stand there where there is an answer and it came to its end; of several choices all of them.
//
// No query, header or body ever: no prompt and no key. What the client chose is escaped and cut, so
// that it can neither break the line nor flood the log. "-": not known.
#ifndef GATEWAY_FILTERS_ACCESS_LOG_FILTER_H_
#define GATEWAY_FILTERS_ACCESS_LOG_FILTER_H_

#include <functional>
#include <string>

#include "gateway/http/handler.h"

namespace spotinference {

// `write` takes a line without its end; it is called on I/O threads, several at a time. A handler
// that knows the model appends {"model", name} to Request::captures; Exchange::Note has the tokens.
http::FilterFactory AccessLogFilter(std::function<void(const std::string& line)> write);

}  // namespace spotinference

#endif  // GATEWAY_FILTERS_ACCESS_LOG_FILTER_H_
