// Brings a model's weights to the volume, once:
//
//   weights/<model hash>/FILE…      each whole and proved before it gets its name; with FILE.hashes, by which later
//                                   boots prove it (file_proof.h), unless the machine ended between the two. What is
//                                   half here (download.h) goes when another model is served
//   weights/sources/<SHA-256 of the source's text>
//                                   an object: which files a source of the hub was, so that a later boot asks nobody,
//                                   and of which commit, so that one that is damaged comes again as it was
//
// Which they are, and where they come from: remote_model.h.
#ifndef ENGINE_VOLUME_WEIGHTS_H_
#define ENGINE_VOLUME_WEIGHTS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/base/weights_source.h"
#include "engine/volume/file_system.h"
#include "engine/volume/remote_file.h"

namespace spotinference {

struct FetchOptions {
  RemoteOptions remote;
  // Servers limit a connection, not a client; four fill 1 Gbit/s at the 30 to 60 MB/s that CDNs give each.
  int connections = 4;
  // What a killed download loses at most, for each connection; a question to the hub for each.
  uint64_t piece_bytes = uint64_t{64} << 20;
  std::function<void(uint64_t done, uint64_t total)> on_progress;  // of all files' bytes; by one thread at a time
  // Called once weights of other models have gone and there still is no room for so many bytes; then looked again.
  std::function<void(uint64_t bytes)> make_room;
  uint64_t evictable_bytes = 0;  // how much that can bring at most
};

struct FetchedWeights {
  std::string path;    // what a checkpoint is opened by
  std::string sha256;  // the model's (engine/base/model_files.h); "" where it lies on this machine
  struct File {
    std::string path, sha256;
  };
  std::vector<File> files;  // that were fetched
};

// `root` is the volume's, which the caller has locked. Blocks. NOT_FOUND, UNAUTHENTICATED, PERMISSION_DENIED: so says
// the server. FAILED_PRECONDITION: the bytes are others than their SHA-256 says, or there is no model (remote_model.h).
// INVALID_ARGUMENT: a repository's index names what is no file. RESOURCE_EXHAUSTED: no room. UNAVAILABLE: the server
// cannot be reached, or fails; a later try goes on.
absl::StatusOr<FetchedWeights> FetchWeights(FileSystem& files, const std::string& root, const WeightsSource& source,
                                            const FetchOptions& options);

// Removes what is of no use beside the model whose hash is `sha256`: what downloads of others left half done, hashes of
// files that are not here, and of other models' weights those that no boot used for the longest time, past `max_bytes`.
void SweepWeights(FileSystem& files, const std::string& root, const std::string& sha256, uint64_t max_bytes,
                  absl::Time now);

}  // namespace spotinference

#endif  // ENGINE_VOLUME_WEIGHTS_H_
