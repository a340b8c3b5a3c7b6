// The bytes of one accepted, non-blocking socket, with or without TLS.
#ifndef GATEWAY_HTTP_TRANSPORT_H_
#define GATEWAY_HTTP_TRANSPORT_H_

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

typedef struct ssl_ctx_st SSL_CTX;
typedef struct ssl_st SSL;

namespace spotinference::http {

// TLS 1.2 or newer, ALPN "http/1.1". `cert_file` is a PEM chain, leaf first. InvalidArgument names
// the file and what is wrong.
absl::StatusOr<std::shared_ptr<SSL_CTX>> NewTlsContext(const std::string& cert_file,
                                                       const std::string& key_file);

// Not thread-safe. Does not own the socket. With TLS, writing to a broken connection raises
// SIGPIPE: its thread must block that.
class Transport {
 public:
  enum class State {
    kOk,
    kWantRead,   // again when the socket is readable
    kWantWrite,  // again when the socket is writable
    kClosed,     // the peer has closed, or the connection is broken
  };
  struct Result {
    State state;
    size_t bytes = 0;  // more than 0 if kOk
  };

  // `tls` may be null: plain TCP.
  Transport(int fd, SSL_CTX* tls);

  // To be repeated until kOk before anything else. Plain TCP: kOk at once.
  State Handshake();
  Result Read(char* buffer, size_t size);
  Result Write(std::string_view bytes);

  // No more writes. `clean`: with TLS the peer learns that nothing is missing.
  void EndWrites(bool clean);
  // Takes and forgets what the peer still sends. kOk if there was something.
  State Discard();
  // Makes the coming close of the socket a reset: the peer gets an error instead of an end.
  void ResetOnClose();

  bool secure() const { return ssl_ != nullptr; }

 private:
  struct FreeSsl {
    void operator()(SSL* ssl) const;
  };
  State TlsState(int result) const;

  int fd_;
  std::unique_ptr<SSL, FreeSsl> ssl_;
};

}  // namespace spotinference::http

#endif  // GATEWAY_HTTP_TRANSPORT_H_
