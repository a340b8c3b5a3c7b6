// What was said about the future of the machine that an engine runs on.
#ifndef ENGINE_NOTICE_NOTICE_H_
#define ENGINE_NOTICE_NOTICE_H_

#include <string>

#include "absl/time/time.h"

namespace spotinference {

struct Notice {
  enum class Kind {
    kStop,    // it will be taken away
    kAtRisk,  // more than usual; it may stay
  };

  std::string source;  // "aws", "local", …: one notice of each stands at a time
  Kind kind = Kind::kStop;
  absl::Duration at;   // by Clock::Elapsed: when the machine goes
  std::string reason;  // the source's own word, for people
};

}  // namespace spotinference

#endif  // ENGINE_NOTICE_NOTICE_H_
