#define _GNU_SOURCE
#include "code.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "_cgo_export.h"

static int inside;

void *hold(size_t n) {
	char *p = malloc(n);
	memset(p, 0x5a, n);
	return p;
}

static void forever(void) {
	__sync_fetch_and_add(&inside, 1);
	for (;;) {
		pause();
	}
}

void block(void) { forever(); }

int waiting(void) { return __sync_fetch_and_add(&inside, 0); }

void callback(int n) { comeBack(n); }

static void *thread(void *arg) {
	comeBack((int)(long)arg);
	return NULL;
}

void foreign(int n) {
	pthread_t id;
	pthread_create(&id, NULL, thread, (void *)(long)n);
}

static void handler(int number) {
	(void)number;
	forever();
}

static void *interrupted(void *arg) {
	static char stack[64 << 10];
	stack_t own = {.ss_sp = stack, .ss_size = sizeof stack};
	struct sigaction action;
	(void)arg;
	sigaltstack(&own, NULL);
	memset(&action, 0, sizeof action);
	action.sa_handler = handler;
	action.sa_flags = SA_ONSTACK;
	sigaction(SIGUSR2, &action, NULL);
	pthread_kill(pthread_self(), SIGUSR2);
	return NULL;
}

void onSignalStack(void) {
	pthread_t id;
	pthread_create(&id, NULL, interrupted, NULL);
}
