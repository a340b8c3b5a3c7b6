#include "backends/vulkan/selection_buffer.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/base/status.h"

namespace spotinference::vulkan {
namespace {

// As shaders/select.comp has them.
constexpr int kPartIds = 1024;
constexpr uint32_t kMostTop = 16, kMostNoisy = 4, kMost = kMostTop + kMostNoisy;
constexpr uint32_t kNowhere = 0xffffffff;
struct Wanted {
  uint32_t kind;
  float inverse_temperature;
  uint32_t seed[2];
  uint32_t choice, position;
  uint32_t masked;
  uint32_t asked;
};
struct Part {
  uint32_t top, noisy, largest_id;
  float largest, weight, last_logit, last_score;
  uint32_t ids[kMost];
  float logits[kMost];
};
static_assert(static_cast<int>(Selection::Kind::kAll) == 0 && static_cast<int>(Selection::Kind::kLargest) == 1 &&
              static_cast<int>(Selection::Kind::kTop) == 2 && static_cast<int>(Selection::Kind::kNoisy) == 3);
static_assert(Selection::kMaxAsked == 2048);

// Where the row's largest logit is, of equals the first; null: there is none.
const Part* WithLargest(absl::Span<const Part> parts) {
  const Part* largest = nullptr;
  for (const Part& part : parts) {
    if (part.largest_id == kNowhere) continue;
    if (largest == nullptr || part.largest > largest->largest ||
        (part.largest == largest->largest && part.largest_id < largest->largest_id)) {
      largest = &part;
    }
  }
  return largest;
}

}  // namespace

absl::StatusOr<std::unique_ptr<SelectionBuffer>> SelectionBuffer::Create(int rows, int width, Memory& memory) {
  std::unique_ptr<SelectionBuffer> buffer(new SelectionBuffer((width + kPartIds - 1) / kPartIds, (width + 31) / 32));
  const size_t asked_bytes = sizeof(uint32_t) * rows * Selection::kMaxAsked;
  buffer->allowed_at_ = sizeof(Wanted) * rows;
  buffer->asked_at_ = buffer->allowed_at_ + sizeof(uint32_t) * rows * buffer->mask_words_;
  buffer->answers_at_ = sizeof(Part) * rows * buffer->parts_of_row_;
  ASSIGN_OR_RETURN(buffer->wanted_, memory.Allocate(buffer->asked_at_ + asked_bytes, MemoryUse::kUpload));
  ASSIGN_OR_RETURN(buffer->found_, memory.Allocate(buffer->answers_at_ + asked_bytes, MemoryUse::kReadback));
  return buffer;
}

void SelectionBuffer::Write(absl::Span<const Selection> selections) {
  auto* wanted = reinterpret_cast<Wanted*>(wanted_->mapped());
  auto* allowed = reinterpret_cast<uint32_t*>(wanted_->mapped() + allowed_at_);
  auto* asked = reinterpret_cast<uint32_t*>(wanted_->mapped() + asked_at_);
  for (const Selection& selection : selections) {
    *wanted++ = {static_cast<uint32_t>(selection.kind),
                 1 / selection.temperature,
                 {static_cast<uint32_t>(selection.seed), static_cast<uint32_t>(selection.seed >> 32)},
                 selection.choice,
                 selection.position,
                 !selection.allowed.empty(),
                 static_cast<uint32_t>(selection.asked.size())};
    std::copy(selection.allowed.begin(), selection.allowed.end(), allowed);
    std::copy(selection.asked.begin(), selection.asked.end(), asked);
    allowed += mask_words_;
    asked += Selection::kMaxAsked;
  }
}

void SelectionBuffer::Read(int row, const Selection& selection, Selected& selected) const {
  const absl::Span<const Part> parts(reinterpret_cast<const Part*>(found_->mapped()) + size_t{parts_of_row_} * row,
                                     parts_of_row_);
  const auto* const answers =
      reinterpret_cast<const float*>(found_->mapped() + answers_at_) + Selection::kMaxAsked * row;
  selected.asked.assign(answers, answers + selection.asked.size());
  selected.candidates.clear();
  selected.others = -std::numeric_limits<float>::infinity();
  selected.others_score = -std::numeric_limits<double>::infinity();
  selected.weight = 0;
  const Part* const largest = WithLargest(parts);
  if (largest == nullptr) return;
  bool has_largest = false;
  for (const Part& part : parts) {
    if (part.largest_id == kNowhere) continue;
    const auto take = [&](uint32_t first, uint32_t count) {
      for (uint32_t i = first; i < first + count; ++i) {
        selected.candidates.push_back({part.ids[i], part.logits[i]});
        has_largest |= part.ids[i] == largest->largest_id;
      }
    };
    take(0, part.top);
    take(kMostTop, part.noisy);
    const double below = (double{part.largest} - largest->largest) / selection.temperature;
    if (selection.kind == Selection::Kind::kTop) selected.weight += part.weight * std::exp(below);
    // Fewer are all that the part has.
    if (part.top == kMostTop) selected.others = std::max(selected.others, part.last_logit);
    if (part.noisy == kMostNoisy) selected.others_score = std::max(selected.others_score, below + part.last_score);
  }
  if (!has_largest) selected.candidates.push_back({largest->largest_id, largest->largest});
}

}  // namespace spotinference::vulkan
