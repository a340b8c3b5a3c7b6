// Model families as data. What one layer computes is a list of steps; from it follow the names and
// shapes of its weights and its part of the forward graph. A new family is an entry in the table of
// family.cc and a test.
//
// Round the layers all families do the same: token_embd, the layers, output_norm, and
// output.weight, or token_embd once more where the file has no output.weight. How to add one:
// README.md beside this file.
#ifndef ENGINE_MODEL_FAMILY_H_
#define ENGINE_MODEL_FAMILY_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/device/graph.h"

namespace spotinference {

// The activations that the steps of a layer hand to each other.
enum class Slot : uint8_t {
  kNone,
  kResidual,  // [rows, width], goes through all layers
  kBranch,    // [rows, width], leaves the residual stream through a norm and is added to it in the
              // end
  kQuery,     // [rows, heads · head_dim]
  kKey,       // [rows, kv_heads · head_dim]
  kValue,     // [rows, kv_heads · head_dim]
  kAttended,  // [rows, heads · head_dim]
  kGate,      // [rows, feed_forward]
  kUp,        // [rows, feed_forward]
};
inline constexpr int kSlots = 9;

struct LayerStep {
  OpKind kind;
  Slot out;
  Slot a;
  Slot b = Slot::kNone;
  // "attn_q": tensor blk.<layer>.attn_q.weight. Steps that name the same one share it: its rows go to
  // them in their order.
  absl::string_view weight = "";
  // kMatmul: blk.<layer>.<weight>.bias has to be there. Where it is, it is added in any case.
  bool bias = false;
};

struct Family {
  absl::string_view architecture;  // general.architecture
  bool interleaved_rope;           // RopeAttributes::interleaved
  absl::Span<const LayerStep> layer;
  Activation activation = Activation::kSilu;
  bool scaled_embedding = false;  // by √width
  // Every window_pattern-th layer sees everything, the others have the window that the file gives and
  // rotate by a base of their own, unscaled. 0: all layers are alike, with a window where the file
  // gives one.
  int window_pattern = 0;
  float window_rope_base = 0;
  // Scores are scaled by 1/√head_dim, in a model of so many layers by 1/√(width/heads): a variant
  // that has no key to tell it by.
  int scale_by_width_layers = 0;
};

absl::Span<const Family> Families();

// UNIMPLEMENTED: no such family; the message lists those that exist.
absl::StatusOr<const Family*> FindFamily(absl::string_view architecture);

}  // namespace spotinference

#endif  // ENGINE_MODEL_FAMILY_H_
