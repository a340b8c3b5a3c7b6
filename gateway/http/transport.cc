#include "gateway/http/transport.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <algorithm>
#include <limits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "glog/logging.h"

namespace spotinference::http {
namespace {

constexpr size_t kDiscardBytes = 16 << 10;

// The newest reason in OpenSSL's queue, which is emptied.
std::string TlsReason() {
  const unsigned long code = ERR_peek_last_error();
  const char* reason = ERR_reason_error_string(code);
  ERR_clear_error();
  return reason != nullptr ? reason : "unknown reason";
}

int ChooseProtocol(SSL*, const unsigned char** chosen, unsigned char* chosen_size,
                   const unsigned char* offered, unsigned int offered_size, void*) {
  static constexpr unsigned char kHttp11[] = "\x08http/1.1";
  unsigned char* selected;
  if (SSL_select_next_proto(&selected, chosen_size, kHttp11, sizeof kHttp11 - 1, offered,
                            offered_size) != OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *chosen = selected;
  return SSL_TLSEXT_ERR_OK;
}

Transport::State PlainState() {
  return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? Transport::State::kWantRead
                                                                   : Transport::State::kClosed;
}

}  // namespace

absl::StatusOr<std::shared_ptr<SSL_CTX>> NewTlsContext(const std::string& cert_file,
                                                       const std::string& key_file) {
  ERR_clear_error();
  std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  CHECK(context != nullptr) << TlsReason();
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  // Idle connections give their record buffers back.
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                      SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_alpn_select_cb(context.get(), ChooseProtocol, nullptr);
  if (SSL_CTX_use_certificate_chain_file(context.get(), cert_file.c_str()) != 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the TLS certificate \"", cert_file, "\" is not a readable PEM chain: ", TlsReason()));
  }
  if (SSL_CTX_use_PrivateKey_file(context.get(), key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
    return absl::InvalidArgumentError(absl::StrCat("the TLS key \"", key_file,
                                                   "\" is not a readable PEM private key of ",
                                                   cert_file, ": ", TlsReason()));
  }
  return context;
}

void Transport::FreeSsl::operator()(SSL* ssl) const { SSL_free(ssl); }

Transport::Transport(int fd, SSL_CTX* tls) : fd_(fd) {
  if (tls == nullptr) return;
  ssl_.reset(SSL_new(tls));
  CHECK(ssl_ != nullptr && SSL_set_fd(ssl_.get(), fd) == 1) << TlsReason();
  SSL_set_accept_state(ssl_.get());
}

Transport::State Transport::Handshake() {
  if (!ssl_) return State::kOk;
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_.get());
  return result == 1 ? State::kOk : TlsState(result);
}

Transport::Result Transport::Read(char* buffer, size_t size) {
  if (ssl_) {
    ERR_clear_error();
    size_t bytes = 0;
    const int result = SSL_read_ex(ssl_.get(), buffer, size, &bytes);
    return result == 1 ? Result{State::kOk, bytes} : Result{TlsState(result)};
  }
  const ssize_t bytes = recv(fd_, buffer, size, 0);
  if (bytes == 0) return {State::kClosed};
  return bytes > 0 ? Result{State::kOk, static_cast<size_t>(bytes)} : Result{PlainState()};
}

Transport::Result Transport::Write(std::string_view bytes) {
  if (ssl_) {
    ERR_clear_error();
    size_t written = 0;
    const int result = SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &written);
    return result == 1 ? Result{State::kOk, written} : Result{TlsState(result)};
  }
  const ssize_t written = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (written >= 0) return {State::kOk, static_cast<size_t>(written)};
  const State state = PlainState();
  return {state == State::kWantRead ? State::kWantWrite : state};
}

void Transport::EndWrites(bool clean) {
  if (ssl_ && clean) {
    ERR_clear_error();
    SSL_shutdown(ssl_.get());
  }
  shutdown(fd_, SHUT_WR);
}

Transport::State Transport::Discard() {
  char buffer[kDiscardBytes];
  const ssize_t bytes = recv(fd_, buffer, sizeof buffer, 0);
  if (bytes == 0) return State::kClosed;
  return bytes > 0 ? State::kOk : PlainState();
}

void Transport::ResetOnClose() {
  const linger now = {.l_onoff = 1, .l_linger = 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

Transport::State Transport::TlsState(int result) const {
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ: return State::kWantRead;
    case SSL_ERROR_WANT_WRITE: return State::kWantWrite;
    default: return State::kClosed;
  }
}

}  // namespace spotinference::http
