// OpenSSL's objects, owned: `std::unique_ptr<X509, OpensslDeleter<X509_free>>`.
#ifndef ENGINE_BASE_OPENSSL_PTR_H_
#define ENGINE_BASE_OPENSSL_PTR_H_

namespace spotinference {

template <auto Free>
struct OpensslDeleter {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};

}  // namespace spotinference

#endif  // ENGINE_BASE_OPENSSL_PTR_H_
