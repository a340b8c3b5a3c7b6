// gRPC metadata that calls to an engine carry beside the authorization.
#ifndef ENGINE_API_CALL_METADATA_H_
#define ENGINE_API_CALL_METADATA_H_

namespace spotinference {

// What the fleet calls this start of the machine, "m-1/3". Log lines about its end say "interruption m-1/3".
inline constexpr char kMachineLife[] = "x-machine-life";

}  // namespace spotinference

#endif  // ENGINE_API_CALL_METADATA_H_
