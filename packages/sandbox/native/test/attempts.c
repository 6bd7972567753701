/* Tries, inside a sandbox, what the system call filter and the namespaces must refuse. Prints `name errno` for each, 0 for “got through”. */
#include <asm/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static void said(const char *name, long result) { printf("%s %d\n", name, result < 0 ? errno : 0); }
#define TRY(call) said(#call, syscall(__NR_##call, 0, 0, 0, 0, 0, 0))

/* Runs in a child, which the kernel may kill; prints the signal as a negative number. */
static void in_child(const char *name, long (*attempt)(void)) {
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) _exit(attempt() < 0 ? errno : 0);
  int status;
  waitpid(pid, &status, 0);
  printf("%s %d\n", name, WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status));
}

#ifdef __x86_64__
static long old_calls(void) {
  long result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "memory"); /* getpid of i386 */
  return result;
}
static long x32_calls(void) { return syscall(0x40000000 | __NR_getpid); }
#endif
static long new_user(void) { return syscall(__NR_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0); }
static long new_mounts(void) { return unshare(CLONE_NEWNS); }
static long new_network(void) { return unshare(CLONE_NEWNET | CLONE_NEWUSER); }

int main(void) {
  TRY(ptrace); TRY(process_vm_readv); TRY(process_vm_writev); TRY(bpf); TRY(perf_event_open); TRY(userfaultfd); TRY(keyctl);
  TRY(add_key); TRY(request_key); TRY(mount); TRY(umount2); TRY(pivot_root); TRY(chroot); TRY(setns); TRY(open_tree); TRY(move_mount);
  TRY(fsopen); TRY(fsmount); TRY(mount_setattr); TRY(open_by_handle_at); TRY(kexec_load); TRY(init_module); TRY(finit_module);
  TRY(delete_module); TRY(reboot); TRY(swapon); TRY(acct); TRY(quotactl); TRY(settimeofday); TRY(clock_settime); TRY(sethostname);
  TRY(syslog); TRY(kcmp); TRY(pidfd_getfd); TRY(io_uring_setup); TRY(clone3); TRY(openat2); TRY(fanotify_init); TRY(move_pages);
  in_child("new-user-namespace", new_user);
  in_child("new-mount-namespace", new_mounts);
  in_child("new-network-namespace", new_network);
#ifdef __x86_64__
  TRY(iopl);
  in_child("i386", old_calls);
  in_child("x32", x32_calls);
#endif
  said("vsock", socket(40, SOCK_STREAM, 0));
  said("alg", socket(38, SOCK_SEQPACKET, 0));
  said("packet", socket(AF_PACKET, SOCK_RAW, 0));
  said("raw", socket(AF_INET, SOCK_RAW, 1));
  said("sock-diag", socket(AF_NETLINK, SOCK_RAW, 4));
  said("uevent", socket(AF_NETLINK, SOCK_RAW, 15));
  int master, slave;
  if (openpty(&master, &slave, NULL, NULL, NULL) == 0) {
    int discipline = 21;
    said("type-into-terminal", ioctl(slave, TIOCSTI, "x"));
    said("line-discipline", ioctl(slave, TIOCSETD, &discipline));
  }
  close(open("plain", O_CREAT | O_WRONLY, 0755));
  said("chmod-setuid", chmod("plain", 04755));
  said("fchmodat-setgid", fchmodat(AT_FDCWD, "plain", 02755, 0));
  said("fchmodat2-setuid", syscall(452, AT_FDCWD, "plain", 04755, 0));
  said("open-setuid", open("fresh1", O_CREAT | O_WRONLY, 04755));
  said("creat-setuid", creat("fresh2", 04755));
  said("tmpfile-setuid", open(".", O_TMPFILE | O_WRONLY, 04755));
  said("mknod-setuid", mknod("fresh3", S_IFREG | 04755, 0));
  said("mknod-device", mknod("fresh4", S_IFBLK | 0600, 0x800));
  said("plain-chmod", chmod("plain", 0700));
  return 0;
}
