#include <stddef.h>

// hold takes n bytes from the C heap, touches them all and never gives them back.
void *hold(size_t n);

// block waits for ever; callback calls Go with n; foreign does the same on a thread that C makes; onSignalStack waits
// for ever inside a signal handler that has a stack of its own, on a thread that C makes.
void block(void);
void callback(int n);
void foreign(int n);
void onSignalStack(void);

// waiting says how many threads wait in block and in signal handlers.
int waiting(void);
