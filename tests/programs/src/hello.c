#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int compare(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

int main(int argc, char **argv) {
  int numbers[1000];
  unsigned state = 1;
  for (int i = 0; i < 1000; ++i) numbers[i] = (int)((state = state * 1103515245u + 12345u) >> 16 & 0x7fff);
  qsort(numbers, 1000, sizeof *numbers, compare);
  char *copy = strdup("hello from C");
  printf("%s: %d arguments, smallest %d, largest %d, time %s\n", copy, argc - 1, numbers[0], numbers[999],
         time(NULL) > 0 ? "runs" : "stands");
  for (int i = 1; i < argc; ++i) printf("argument %d: %s\n", i, argv[i]);
  free(copy);
  return 3;
}
