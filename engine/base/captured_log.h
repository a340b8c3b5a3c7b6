// What was logged while it lived, for tests.
#ifndef ENGINE_BASE_CAPTURED_LOG_H_
#define ENGINE_BASE_CAPTURED_LOG_H_

#include <glog/logging.h>

#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"

namespace spotinference {

// Thread-safe.
class CapturedLog : public google::LogSink {
 public:
  // Of the lines that contain `words`.
  explicit CapturedLog(std::string words) : words_(std::move(words)) { google::AddLogSink(this); }
  ~CapturedLog() override { google::RemoveLogSink(this); }

  // Without time and place, each ended by a newline.
  std::string text() const {
    absl::MutexLock lock(&mutex_);
    return text_;
  }

  void send(google::LogSeverity, const char*, const char*, int, const tm*, const char* message, size_t size) override {
    const absl::string_view line(message, size);
    absl::MutexLock lock(&mutex_);
    if (absl::StrContains(line, words_)) absl::StrAppend(&text_, line, "\n");
  }

 private:
  const std::string words_;
  mutable absl::Mutex mutex_;
  std::string text_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace spotinference

#endif  // ENGINE_BASE_CAPTURED_LOG_H_
