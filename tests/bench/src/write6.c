// write(2) of six bytes to the console, a hundred times.
#include <unistd.h>

#include "marker.h"

enum { kRounds = 100 };

int main(void) {
  for (int i = 0; i < 10; ++i) {
    if (write(1, "hello\n", 6) != 6) return 1;
  }
  MARKER(2);
  for (int i = 0; i < kRounds; ++i) {
    if (write(1, "hello\n", 6) != 6) return 1;
  }
  MARKER(3);
  return 0;
}
