// The two macros that carry an absl::Status up the stack. The project throws no exceptions of its own.
//
//   RETURN_IF_ERROR(Write(file));
//   ASSIGN_OR_RETURN(const Model model, LoadModel(path));
#ifndef ENGINE_BASE_STATUS_H_
#define ENGINE_BASE_STATUS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define RETURN_IF_ERROR(expression)                                  \
  do {                                                               \
    if (absl::Status status_ = (expression); !status_.ok()) return status_; \
  } while (false)

#define ASSIGN_OR_RETURN(lhs, expression) \
  ASSIGN_OR_RETURN_IMPL_(STATUS_CONCAT_(statusor_, __LINE__), lhs, expression)
#define ASSIGN_OR_RETURN_IMPL_(statusor, lhs, expression) \
  auto statusor = (expression);                           \
  if (!statusor.ok()) return std::move(statusor).status(); \
  lhs = *std::move(statusor)
#define STATUS_CONCAT_(a, b) STATUS_CONCAT_IMPL_(a, b)
#define STATUS_CONCAT_IMPL_(a, b) a##b

#endif  // ENGINE_BASE_STATUS_H_
