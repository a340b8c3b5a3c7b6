// libstdc++'s archive seeds std::random_device by glibc's arc4random, which is there since 2.36 only: whoever links that
// archive takes this one, and runs where glibc is older.
#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>

__attribute__((visibility("hidden"))) uint32_t arc4random(void) {
  uint32_t value;
  if (getrandom(&value, sizeof(value), 0) != sizeof(value)) abort();
  return value;
}
