// A C program that calls a Go library, after it has loaded those that are named on its command line.
#include <dlfcn.h>

extern void Run(void);

int main(int argc, char **argv) {
	for (int i = 1; i < argc; i++) {
		if (!dlopen(argv[i], RTLD_NOW | RTLD_LOCAL)) {
			return 3;
		}
	}
	Run();
	return 0;
}
