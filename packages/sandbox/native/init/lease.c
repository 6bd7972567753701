/*
 * The lease: a timer on the clock that goes on through sleep. Its handler kills by itself, whatever the loop is busy with, so
 * that nothing runs on when a successor may start.
 */
#include "init.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

static timer_t timer;
static volatile sig_atomic_t lapsed;

static void arm(uint64_t ms) {
  struct itimerspec when = {.it_value = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000}};
  timer_settime(timer, 0, &when, NULL);
}

static void on_lapse(int signal) {
  (void)signal;
  if (lapsed) _exit(75); /* the loop did not come round to ending in order */
  lapsed = 1;
  if (options.pid_one) kill(-1, SIGKILL);
  else
    for (int round = 0; round < 100 && tree_kill(getpid(), SIGKILL) > 0; round++) {
    }
  arm(1000);
}

void lease_start(void) {
  if (options.lease_ms == 0) return;
  struct sigaction action = {.sa_handler = on_lapse};
  sigaction(SIGALRM, &action, NULL);
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
  if (timer_create(CLOCK_BOOTTIME, &event, &timer) != 0) _exit(71);
  lease_renew();
}

void lease_renew(void) {
  if (options.lease_ms != 0 && !lapsed) arm(options.lease_ms);
}

bool lease_lapsed(void) { return lapsed != 0; }
